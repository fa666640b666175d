"""Keeps one slow neighbour from taking all places."""

import asyncio
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
        self._places = asyncio.Semaphore(concurrency)
        self._queue = queue
        self._name = name
        self.waiting = 0

    async def __aenter__(self) -> Self:
        """Take a place, waiting for one when the queue is not full.

        Raises:
            LimitReached: `BULKHEAD_FULL`.
        """
        if self._places.locked():
            if self.waiting >= self._queue:
                message = f"Too much is going on in {self._name} already; repeat in a moment."
                raise LimitReached("BULKHEAD_FULL", message, retry_after=1.0)
            self.waiting += 1
            try:
                await self._places.acquire()
            finally:
                self.waiting -= 1
        else:
            await self._places.acquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._places.release()
