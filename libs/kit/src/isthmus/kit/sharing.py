"""One question to a peer where many ask the same at once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from isthmus.kit import deadline

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shared(Generic[K, V]):
    """Asks for those who come while an earlier question is under way once, together.

    Nobody gets an answer to a question that was asked before they came: what a caller has changed
    itself is in the answer. Nothing is kept.

    Args:
        ask: Gives the answer for a key; works in the context of the first who asked, without its deadline.
    """

    def __init__(self, ask: Callable[[K], Awaitable[V]]) -> None:
        self._ask = ask
        self._asking: dict[K, asyncio.Task[V]] = {}
        self._next: dict[K, asyncio.Task[V]] = {}

    async def __call__(self, key: K) -> V:
        """Return the answer to a question that is asked from now on."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._turn(key, self._asking.get(key)))
            task.add_done_callback(_looked_at)
        return await asyncio.shield(task)

    async def _turn(self, key: K, before: "asyncio.Task[V] | None") -> V:
        if before is not None:
            await asyncio.wait({before})
        self._asking[key] = self._next.pop(key)
        deadline.start(None)
        try:
            return await self._ask(key)
        finally:
            if self._asking.get(key) is asyncio.current_task():
                del self._asking[key]


def _looked_at(task: "asyncio.Task[V]") -> None:
    """Whoever waited may be gone; a failure that nobody hears is none to report."""
    with suppress(asyncio.CancelledError):
        task.exception()


__all__ = ["Shared"]
