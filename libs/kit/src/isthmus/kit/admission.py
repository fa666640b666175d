"""Which calls are worked on now, which wait and in what order, and which are refused at once.

Users, peers that act for a tenant, and the mesh's own housekeeping have rooms of their own, so that none
takes places from another. Inside a room places go round the tenants, one each: a tenant with ten thousand
calls waits for itself, not in front of a tenant with one.
"""

import asyncio
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from isthmus.kit.metrics import counter
from isthmus.kit.overload import Overload
from isthmus.kit.principal import Principal, current_client_address
from isthmus.resilience.faults import LimitReached

_MOST_LINES = 2000
_SHORTEST_DELAY = 0.1
_LONGEST_DELAY = 30.0
_LEAST_PLACES = 8
_LEAST_WAITING = 50
_STRANGER = "@"

_refused = counter("isthmus.calls.refused", "Calls refused because too much was going on, by reason")
_waited = counter("isthmus.calls.waited", "Calls that waited for a place, by room")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many calls a room takes.

    Attributes:
        places: Calls that are worked on at a time.
        share: Those of one tenant among them.
        waiting: Calls that wait for a place.
        waiting_share: Those of one tenant among them.
        waiting_bytes: What the requests of waiting calls may take in memory.
        patience: Seconds that a call waits at most.
    """

    places: int
    share: int
    waiting: int = 0
    waiting_share: int = 0
    waiting_bytes: int = 64 * 1024 * 1024
    patience: float = 5.0


@dataclass(slots=True, eq=False)
class Line:
    """The calls of one tenant in one room."""

    room: "Room"
    key: str
    working: int = 0
    is_in_turn: bool = False
    queue: "OrderedDict[asyncio.Future[None], None]" = field(default_factory=OrderedDict)

    def leave(self) -> None:
        """Give the place of a call back."""
        self.room.leave(self)


class Room:
    """A number of places, with a fair queue before them.

    Args:
        name: What its calls are counted under.
        bounds: How many it takes.
        clock: Seconds that only grow.
    """

    def __init__(self, name: str, bounds: Bounds, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.working = 0
        self.waiting = 0
        self._bounds = bounds
        self._places = bounds.places
        self._waiting_share = bounds.waiting_share
        self._clock = clock
        self._lines: dict[str, Line] = {}
        self._turns: deque[Line] = deque()
        self._waiting_bytes = 0
        self._pace = 0.0
        self._given_at = 0.0

    def narrow(self, is_overloaded: bool) -> None:
        """Have a quarter of the places, and room for few to wait, until all is well again."""
        bounds = self._bounds
        places = max(_LEAST_PLACES, bounds.places // 4) if is_overloaded else bounds.places
        share = min(_LEAST_WAITING, bounds.waiting_share) if is_overloaded else bounds.waiting_share
        self._places, self._waiting_share = min(places, bounds.places), share
        self._let_in()

    def enter(self, key: str) -> Line | None:
        """Take a place for a call of this tenant; None says that it has to `wait` for one."""
        line = self._lines.get(key)
        if line is None:
            line = self._new_line(key)
        if self.working < self._places and line.working < self._bounds.share:
            self.working += 1
            line.working += 1
            return line
        return None

    def enter_or_refuse(self, key: str) -> Line:
        """Take a place at once.

        Raises:
            LimitReached: `TENANT_BUSY` or `SERVICE_OVERLOADED`.
        """
        line = self.enter(key)
        if line is None:
            raise self._refusal(self._lines[key])
        return line

    async def wait(self, key: str, size: int = 0, seconds: float | None = None) -> Line:
        """Take a place as soon as it is this tenant's turn.

        Args:
            key: Whose call it is.
            size: Bytes that it keeps in memory while it waits.
            seconds: What is left of its time; None for a call without a deadline.

        Raises:
            LimitReached: `TENANT_BUSY` or `SERVICE_OVERLOADED`; at once where waiting is of no use.
        """
        line = self._lines.get(key) or self._new_line(key)
        patience = self._bounds.patience if seconds is None else min(seconds, self._bounds.patience)
        self._check_room(line, size, patience)
        turn = asyncio.get_running_loop().create_future()
        self._line_up(line, turn, size)
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                line.leave()
            if isinstance(error, TimeoutError):
                raise self._refusal(line) from None
            raise
        finally:
            self.waiting -= 1
            self._waiting_bytes -= size
            line.queue.pop(turn, None)
        return line

    def leave(self, line: Line) -> None:
        """Give a place back, to whoever is next."""
        self.working -= 1
        line.working -= 1
        if self.waiting:
            self._give_turn(line)
            self._let_in()

    def _check_room(self, line: Line, size: int, patience: float) -> None:
        full = self.waiting >= self._bounds.waiting
        full = full or self._waiting_bytes + size > self._bounds.waiting_bytes
        if full or len(line.queue) >= self._waiting_share or self._expected(line) > patience:
            raise self._refusal(line)

    def _line_up(self, line: Line, turn: "asyncio.Future[None]", size: int) -> None:
        if not self.waiting:
            self._pace, self._given_at = 0.0, self._clock()
        self.waiting += 1
        self._waiting_bytes += size
        line.queue[turn] = None
        _waited.add(1, room=self.name)
        self._give_turn(line)
        self._let_in()

    def _give_turn(self, line: Line) -> None:
        if line.queue and not line.is_in_turn and line.working < self._bounds.share:
            line.is_in_turn = True
            self._turns.append(line)

    def _let_in(self) -> None:
        while self._turns and self.working < self._places:
            line = self._turns.popleft()
            line.is_in_turn = False
            while line.queue:
                turn, _ = line.queue.popitem(last=False)
                if not turn.done():
                    self.working += 1
                    line.working += 1
                    turn.set_result(None)
                    self._keep_pace()
                    break
            self._give_turn(line)

    def _keep_pace(self) -> None:
        """Learn how quickly places come free while calls wait for them."""
        now = self._clock()
        self._pace += 0.1 * (now - self._given_at - self._pace)
        self._given_at = now

    def _expected(self, line: Line) -> float:
        """Seconds until a newcomer of this tenant would have its place."""
        return len(line.queue) * max(1, len(self._turns)) * self._pace

    def _refusal(self, line: Line) -> LimitReached:
        takes_most = line.working >= self._bounds.share or 2 * len(line.queue) >= max(1, self.waiting)
        own_fault = takes_most and line.key[:1] not in {"", _STRANGER}
        delay = min(_LONGEST_DELAY, max(_SHORTEST_DELAY, self._expected(line)))
        # Who is refused together shall not come back together.
        delay *= 1 + random.random() / 2  # noqa: S311 - spreads repetitions, guards nothing
        reason = "TENANT_BUSY" if own_fault else "SERVICE_OVERLOADED"
        _refused.add(1, reason=reason, room=self.name)
        whose = "your tenant" if own_fault else "this service"
        message = f"Too many calls of {whose} are under way; wait as told, then repeat the call."
        return LimitReached(
            reason, message, retry_after=delay, metadata=self._told(line) if own_fault else {}
        )

    def _told(self, line: Line) -> dict[str, str]:
        return {"quota": f"{self.name}_at_once", "limit": str(self._bounds.share), "used": str(line.working)}

    def _new_line(self, key: str) -> Line:
        if len(self._lines) >= _MOST_LINES:
            self._lines = {key: line for key, line in self._lines.items() if line.working or line.queue}
        line = self._lines[key] = Line(self, key)
        return line


class Admission:
    """The rooms of one process, which are narrower while it has more to do than it can.

    Args:
        users: Calls of people, programs and strangers.
        streams: Streams that these hold open; they do not wait for one another.
        database_wait: How long the transaction that waits longest has waited for its connection.
    """

    def __init__(
        self, users: Bounds, streams: Bounds, database_wait: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.users = Room("calls", users)
        self.streams = Room("streams", streams)
        self._peers = Room("peer_calls", _PEERS)
        self._mesh = Room("mesh_calls", _MESH)
        self.overload = Overload(self._is_busy, database_wait, self.users.narrow)

    def enter(self, principal: Principal | None) -> Line | None:
        """Take a place for a call of this principal; None says that it has to `wait` for one."""
        if not self.overload.is_watching:
            self.overload.watch()
        return self._room_of(principal).enter(_key_of(principal))

    async def wait(self, principal: Principal | None, size: int, seconds: float | None) -> Line:
        """Take a place as soon as it is the principal's turn.

        Raises:
            LimitReached: `TENANT_BUSY` or `SERVICE_OVERLOADED`.
        """
        return await self._room_of(principal).wait(_key_of(principal), size, seconds)

    def hold(self, principal: Principal | None) -> Line | None:
        """Take a place for a stream; streams of the mesh need none.

        Raises:
            LimitReached: `TENANT_BUSY` or `SERVICE_OVERLOADED`.
        """
        return None if _is_mesh(principal) else self.streams.enter_or_refuse(_key_of(principal))

    def _room_of(self, principal: Principal | None) -> Room:
        if principal is None or principal.kind != "mesh":
            return self.users
        return self._peers if principal.tenant_id else self._mesh

    def _is_busy(self) -> bool:
        return bool(self.users.working or self._peers.working or self._mesh.working)


def _is_mesh(principal: Principal | None) -> bool:
    return principal is not None and principal.kind == "mesh"


def _key_of(principal: Principal | None) -> str:
    """Return whose line a call stands in: its tenant's, or for a stranger its address's."""
    return f"{_STRANGER}{current_client_address()}" if principal is None else principal.tenant_id


# Processes of the mesh are trusted to be many, not to be without end.
_PEERS = Bounds(places=600, share=400, waiting=2000, waiting_share=1000, patience=10.0)
_MESH = Bounds(places=400, share=400, waiting=1000, waiting_share=1000, patience=10.0)

__all__ = ["Admission", "Bounds", "Line", "Room"]
