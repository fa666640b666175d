"""One question to a peer where many ask the same at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from isthmus.kit import deadline

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_AT_ONCE = 4
_MOST_KNOWN = 10_000


class Shared(Generic[K, V]):
    """Asks for those who come while an earlier question is under way once, together.

    Nobody gets an answer to a question that was asked before they came: what a caller has changed
    itself is in the answer. Nothing is kept.

    Args:
        ask: Gives the answer for a key; works in the context of the first who asked, without its deadline.
        pace: Seconds between two questions about one key in busy times, when those who come meanwhile
            wait for the next one; after a rest a few go at once.
    """

    def __init__(self, ask: Callable[[K], Awaitable[V]], *, pace: float = 0.0) -> None:
        self._ask = ask
        self._pace = pace
        self._asked: dict[K, deque[float]] = {}
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
        if self._pace:
            await self._paced(key)
        self._asking[key] = self._next.pop(key)
        deadline.start(None)
        try:
            return await self._ask(key)
        finally:
            if self._asking.get(key) is asyncio.current_task():
                del self._asking[key]

    async def _paced(self, key: K) -> None:
        """Wait for the next question's turn; others who ask meanwhile go along with it."""
        clock = asyncio.get_running_loop().time
        asked = self._asked.pop(key, None) or deque(maxlen=_AT_ONCE)
        self._asked[key] = asked
        while len(self._asked) > _MOST_KNOWN:
            del self._asked[next(iter(self._asked))]
        if len(asked) == _AT_ONCE:
            await asyncio.sleep(asked[0] + _AT_ONCE * self._pace - clock())
        asked.append(clock())


def _looked_at(task: "asyncio.Task[V]") -> None:
    """Whoever waited may be gone; a failure that nobody hears is none to report."""
    with suppress(asyncio.CancelledError):
        task.exception()


__all__ = ["Shared"]
