"""Produces results ahead of whoever takes them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def ahead(coming: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Give the results in order, while up to two more are produced.

    What goes wrong is raised behind the results before it. Leaving stops the production at once.
    """
    results: asyncio.Queue[T] = asyncio.Queue(maxsize=1)

    async def produce() -> None:
        async for one in coming:
            await results.put(one)

    tasks: list[asyncio.Task[object]] = [asyncio.create_task(produce())]
    producing = tasks[0]
    try:
        while True:
            taking = asyncio.create_task(results.get())
            tasks[1:] = [taking]
            await asyncio.wait({producing, taking}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done() and results.empty():
                await producing
                return
            yield await taking
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["ahead"]
