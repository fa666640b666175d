"""File systems block; a thread waits for them, so that nobody else has to."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, abandoned: Callable[[], None] | None = None) -> T:
    """Returns what `work` returns in a thread.

    No thread can be stopped: when the caller stops waiting, for example because the time is over,
    the thread goes on by itself.

    Args:
        work: May block.
        abandoned: Called once a thread that nobody waits for has come to its end.
    """
    running = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if abandoned is not None:
            running.add_done_callback(lambda _: abandoned())
        raise


__all__ = ["in_thread"]
