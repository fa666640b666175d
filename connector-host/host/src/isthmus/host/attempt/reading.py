"""Reads the source of an attempt, partitions side by side, and hands pieces to the delivery."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.mapping import PageMapper
from isthmus.host.attempt.pieces import Limits, Piece, Usage
from isthmus.host.attempt.preparing import Preparing
from isthmus.host.attempt.together import together
from isthmus.host.backend import Backend, Bound, Connection, SourcePage, SourceReading, Wanted
from isthmus.host.control import passes
from isthmus.host.failures import is_authentication
from isthmus.host.modes import best_read_mode, find_stream
from isthmus.resilience import Fault, OutOfTime
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.sdk.runtime import Between

T = TypeVar("T")
Admit = Callable[[SourcePage], Awaitable[SourcePage]]
_SECRET_FRESH_SECONDS = 120.0
_MOST_REFUSALS = 3
_SILENCE_MARGIN = 60.0
_SILENCE_UNTOLD = 900.0


class Door(Protocol):
    """Where pieces go."""

    @property
    def limits(self) -> Limits:
        """What fits into one batch."""
        ...

    async def offer(self, piece: Piece) -> None:
        """Take a piece; returns when there is room for the next one."""
        ...


class SourceFault(Exception):
    """What the source answered, or what keeps it from answering."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Layout:
    """What is to be read, as the source says now."""

    stream: connector.StreamSpec
    partitions: tuple[str, ...]


class SourceReader:
    """The source of one attempt; a secret that is renewed meanwhile is taken up without loss.

    Args:
        backend: The connector.
        preparing: Completes the source's binding anew when its secret has changed.
        bound: The source.
        notice: Told what the source found worth telling.
        most: Most partitions to read side by side.
    """

    def __init__(
        self,
        backend: Backend,
        preparing: Preparing,
        bound: Bound,
        notice: Callable[[connector.Notice], None],
        *,
        most: int = 1,
    ) -> None:
        self._backend = backend
        self._preparing = preparing
        self._bound = bound
        self._notice = notice
        self._most = most
        self.admit: Admit = _admitted
        """Looks at each page before it is mapped."""
        self.limit = 0
        """Records after which reading stops; 0 means no limit."""
        self.between: Between | None = None
        """The span of time that the source is asked for; None means all of it."""
        self.is_partial = False
        """Whether a source has said that nothing has changed, instead of showing everything."""

    async def layout(
        self, stream: str, mode: int = 0, checkpoints: Iterable[scheduling.Checkpoint] = ()
    ) -> Layout:
        """Return the stream and its partitions.

        Args:
            stream: Its name.
            mode: How it is going to be read; 0 for the best mode that it offers.
            checkpoints: How far its partitions have been read.

        Raises:
            SourceFault: The source refuses or is away.
        """
        known = [one.partition for one in checkpoints]

        async def ask(connection: Connection, _: Bound) -> Layout:
            found = await find_stream(connection, stream)
            way = mode or (best_read_mode(found) if found.read_modes else 0)
            return Layout(found, tuple(await connection.partitions(stream, mode=way, known=known)))

        return await self._authenticated(ask)

    async def read(
        self,
        layout: Layout,
        mode: int,
        checkpoints: dict[str, scheduling.Checkpoint],
        mapper: PageMapper,
        delivery: Door,
    ) -> None:
        """Read every partition that is not complete, from its last durable position.

        Some are read side by side, as many as source, instance and host allow. When one fails, the others
        stop where they are.

        Raises:
            SourceFault: The source refuses or is away.
        """
        left: deque[_Partition] = deque()
        for partition in layout.partitions:
            known = checkpoints.get(partition)
            if known is not None and known.is_complete:
                continue
            position = known.position if known is not None and known.HasField("position") else None
            wanted = Wanted(
                layout.stream.stream, partition, mode, position, shaper=mapper.shaper, between=self.between
            )
            left.append(_Partition(wanted, mapper, delivery, _silence_of(layout.stream), admit=self.admit))

        async def in_turn() -> None:
            room = self.limit
            while left and (room > 0 or not self.limit):
                one = left.popleft()
                one.limit = room if self.limit else 0
                await self._authenticated(partial(self._partition, one))
                room -= one.given

        most = min(1 if self.limit else self._side_by_side(layout.stream), len(left))
        await together(in_turn() for _ in range(most))

    def _side_by_side(self, stream: connector.StreamSpec) -> int:
        """How many partitions may be read at a time."""
        allowed = (stream.most_side_by_side, self._bound.limits.get("concurrent", 0))
        return min([self._most, *(int(one) for one in allowed if one > 0)])

    async def _partition(self, one: "_Partition", connection: Connection, bound: Bound) -> None:
        """Read a partition to its end; stop early, to be called again, when the secret has changed."""
        while not one.done:
            async with connection.read(one.wanted()) as reading:
                pages = aiter(reading)
                while (page := await self._next_page(pages, one.silence)) is not None:
                    await one.take(page, reading)
                    for told in reading.notices():
                        self._notice(told)
                    await self._follow_secret(bound)
                self.is_partial = self.is_partial or reading.end().not_modified
                await one.end(reading)

    async def _next_page(self, pages: AsyncIterator[SourcePage], silence: float) -> SourcePage | None:
        """The next page, None at the end; a source that says nothing for too long counts as dead."""
        try:
            async with asyncio.timeout(silence):
                return await anext(pages, None)
        except TimeoutError as error:
            message = f"The source has said nothing for {silence:.0f} seconds; it is read again later."
            raise SourceFault(OutOfTime("SOURCE_SILENT", message)) from error

    async def _follow_secret(self, bound: Bound) -> None:
        """Keep the lease on the secret; another version counts as a refusal of the one in use."""
        if bound.auth_config_id:
            now = await self._preparing.resolver.authenticated(bound, fresh=_SECRET_FRESH_SECONDS)
            if now.secret_identity != bound.secret_identity:
                raise _SecretChanged(now)

    async def _authenticated(self, work: Callable[[Connection, Bound], Awaitable[T]]) -> T:
        """Do something with a connection; repeat it when a newer secret is to be had."""
        refusals = 0
        while True:
            bound = self._bound
            try:
                async with self._backend.connect(bound) as connection:
                    return await work(connection, bound)
            except _SecretChanged as changed:
                self._bound = changed.bound
            except Fault as fault:
                refusals += 1
                hopeless = not is_authentication(fault) or refusals > _MOST_REFUSALS
                if hopeless or not await self._has_newer_secret(bound):
                    raise SourceFault(fault) from fault

    async def _has_newer_secret(self, bound: Bound) -> bool:
        if not bound.auth_config_id:
            return False
        if self._bound.secret_identity != bound.secret_identity:
            return True  # another partition has met the refusal first
        try:
            self._bound = await self._preparing.resolver.renewed(bound)
        except Fault as fault:
            if passes(fault):
                raise SourceFault(fault) from fault  # nobody can tell yet whether there is another one
            return False
        return self._bound.secret_identity != bound.secret_identity


async def _admitted(page: SourcePage) -> SourcePage:
    return page


def _silence_of(stream: connector.StreamSpec) -> float:
    told = stream.longest_silence.ToTimedelta().total_seconds()
    return told + _SILENCE_MARGIN if told > 0 else _SILENCE_UNTOLD


class _SecretChanged(Exception):
    def __init__(self, bound: Bound) -> None:
        super().__init__("the secret has changed")
        self.bound = bound


class _Partition:
    """How far one partition has been read."""

    def __init__(
        self, wanted: Wanted, mapper: PageMapper, delivery: Door, silence: float, *, admit: Admit
    ) -> None:
        self.silence = silence
        self._admit = admit
        self._wanted = wanted
        self._mapper = mapper
        self._delivery = delivery
        self._counted = connector.ReadEnd()
        self.limit = self.given = 0
        self.done = False

    def wanted(self) -> Wanted:
        """Return what is still to be read."""
        self._counted = connector.ReadEnd()
        return replace(self._wanted, limit=self.limit - self.given if self.limit else 0)

    async def take(self, page: SourcePage, reading: SourceReading) -> None:
        """Hand a page on, piece by piece."""
        usage = self._usage(reading)
        self.given += len(page.records)
        page = await self._admit(page)
        for piece in self._mapper.pieces(page, self._wanted.partition, self._delivery.limits):
            piece.usage, usage = usage, Usage()
            await self._delivery.offer(piece)
            await asyncio.sleep(0)  # a page of many pieces must not keep others waiting
        if page.position is not None:
            self._wanted = replace(self._wanted, position=page.position)

    async def end(self, reading: SourceReading) -> None:
        """Hand the end on; a full reading begins anew the next time, so it leaves no position."""
        end = reading.end()
        full = self._wanted.mode == connector.READ_MODE_FULL
        position = None if full or not end.HasField("position") else end.position
        piece = Piece(
            partition=self._wanted.partition,
            boundary=True,
            complete=True,
            position=position,
            usage=self._usage(reading),
        )
        self.done = True
        await self._delivery.offer(piece)

    def _usage(self, reading: SourceReading) -> Usage:
        """What was asked of the source since the last time."""
        before, self._counted = self._counted, connector.ReadEnd()
        self._counted.CopyFrom(reading.end())
        now = self._counted
        return Usage(
            now.api_calls - before.api_calls, now.retries - before.retries, now.throttled - before.throttled
        )


__all__ = ["Layout", "SourceFault", "SourceReader"]
