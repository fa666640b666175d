"""Work that comes while the same kind of work is under way is done together, in the next turn."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from isthmus.kit import deadline
from isthmus.kit.deed import done_from_here
from isthmus.kit.errors import fault_of
from isthmus.kit.logs import logger
from isthmus.resilience.faults import Fault

_MOST_KNOWN = 1000
_log = logger(__name__)
K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
A = TypeVar("A")


@dataclass(slots=True)
class _Lane(Generic[R, A]):
    """What waits for one key, each with whoever waits for it."""

    waiting: "deque[tuple[R, asyncio.Future[A | Fault | None]]]" = field(default_factory=deque)
    turns: asyncio.Task[None] | None = None


class Gathered(Generic[K, R, A]):
    """Takes requests one by one and does those together that come while others are being done.

    The first one after a rest is done at once. A request that cannot be done together with others, or whose
    turn has failed in a way that nobody foresaw, is done alone, in its caller's own task.

    Args:
        together: Does several requests of one key, each once; gives the answer or the fault of each, or None
            for one that it has left undone.
        alone: Does one request with all care, and says what is wrong with it.
        most: Requests that are done together at most.
        pace: Seconds from the beginning of one turn of a key to that of the next one, so that more goes
            together in busy times.
        concerns_all: Tells of a fault of a turn whether it is everybody's answer, because doing them alone
            would not help, or nobody knows whether they are done already.
    """

    def __init__(
        self,
        together: Callable[[K, Sequence[R]], Awaitable[Sequence[A | Fault | None]]],
        alone: Callable[[K, R], Awaitable[A]],
        *,
        most: int = 100,
        pace: float = 0.0,
        concerns_all: Callable[[Fault], bool] = lambda _: True,
    ) -> None:
        self._together = together
        self._alone = alone
        self._most = most
        self._pace = pace
        self._begun: OrderedDict[K, float] = OrderedDict()
        self._concerns_all = concerns_all
        self._lanes: dict[K, _Lane[R, A]] = {}

    async def __call__(self, key: K, request: R) -> A:
        """Do a request and give its answer.

        Raises:
            Fault: What is wrong with this request, whatever becomes of the others; or the database is away.
        """
        lane = self._lanes.setdefault(key, _Lane())
        place: asyncio.Future[A | Fault | None] = asyncio.get_running_loop().create_future()
        lane.waiting.append((request, place))
        if lane.turns is None:
            lane.turns = asyncio.create_task(self._turns(key, lane))
        answer = await place
        if isinstance(answer, Fault):
            raise answer
        return await self._alone(key, request) if answer is None else answer

    async def _turns(self, key: K, lane: _Lane[R, A]) -> None:
        deadline.start(None)  # the first who asked has a deadline of its own; the others have not that one
        done_from_here(None)  # nor is what is done here the deed of the first one
        try:
            while lane.waiting:
                await self._paced(key)
                taken = [lane.waiting.popleft() for _ in range(min(self._most, len(lane.waiting)))]
                # Whoever has gone away meanwhile wants nothing any more.
                await self._turn(key, [one for one in taken if not one[1].done()])
        finally:
            del self._lanes[key]
            for _, place in lane.waiting:
                place.cancel()

    async def _paced(self, key: K) -> None:
        """Wait for the key's next turn; what arrived by the same message of the network comes along."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._begun.pop(key, 0.0) + self._pace - clock()))
        if self._pace:
            self._begun[key] = clock()
            while len(self._begun) > _MOST_KNOWN:
                self._begun.popitem(last=False)

    async def _turn(self, key: K, taken: "list[tuple[R, asyncio.Future[A | Fault | None]]]") -> None:
        answers: Sequence[A | Fault | None] = [None] * len(taken)
        try:
            if taken:
                answers = await self._together(key, [request for request, _ in taken])
        except Exception as error:
            fault = fault_of(error)
            if fault is None:
                _log.error("requests cannot be done together", error, requests=len(taken))
            elif self._concerns_all(fault):
                answers = [fault] * len(taken)
        for (_, place), answer in zip(taken, answers, strict=True):
            if not place.done():
                place.set_result(answer)


__all__ = ["Gathered"]
