"""Keeps one slow neighbour from taking all places."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from isthmus.resilience.faults import LimitReached


class Bulkhead:
    """Lets a number of callers in at a time, and a number wait; the rest is refused at once.

        async with bulkhead:
            ...

    Args:
        concurrency: Callers inside at a time.
        queue: Callers that may wait for a place.
        name: What to name in the refusal.
    """

    def __init__(self, concurrency: int, queue: int = 0, *, name: str = "this") -> None:
        if concurrency < 1 or queue < 0:
            raise ValueError("a bulkhead has at least one place, and a queue of zero or more")
        self.concurrency = concurrency
        self.inside = 0
        self._queue = queue
        self._name = name
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Callers that wait for a place."""
        return len(self._waiters)

    def resize(self, concurrency: int) -> None:
        """Have another number of places; who is inside stays until it leaves by itself."""
        if concurrency < 0:
            raise ValueError("a bulkhead has zero places or more")
        self.concurrency = concurrency
        self._let_in()

    async def __aenter__(self) -> Self:
        """Take a place, waiting for one when the queue is not full.

        Raises:
            LimitReached: `BULKHEAD_FULL`.
        """
        if self.inside < self.concurrency and not self._waiters:
            self.inside += 1
            return self
        if self.waiting >= self._queue:
            message = f"Too much is going on in {self._name} already; repeat in a moment."
            raise LimitReached("BULKHEAD_FULL", message, retry_after=1.0)
        turn = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await turn
        except BaseException:
            if turn in self._waiters:
                self._waiters.remove(turn)
            elif not turn.cancelled():
                self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self.inside -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiters and self.inside < self.concurrency:
            turn = self._waiters.popleft()
            if not turn.done():
                self.inside += 1
                turn.set_result(None)
