"""Sends batches to a destination within its credit, and settles them in order.

Batches that are not acknowledged are kept. When the stream breaks, a new one is opened and exactly
these batches are sent again under their old sequence numbers, so a destination that has applied one
of them recognises it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.lease import LeaseLost
from isthmus.host.attempt.pieces import Limits, Piece, Unit, request_of
from isthmus.host.attempt.waiting import Waiting
from isthmus.host.control import fault_from, passes
from isthmus.host.failures import is_authentication
from isthmus.kit.logs import logger
from isthmus.kit.tickets import Carried, carrying
from isthmus.resilience import Backoff, Broken, Fault, OutOfTime, RetryLater
from isthmus.type.v1 import batch_pb2 as batch

_STREAM_SECONDS = 24 * 3600.0
_MOST_CREDIT = 8
_MOST_RECORDS = 5000
_USUAL_RECORDS = 1000
_MOST_BYTES = 1024 * 1024
# So many whole batches are cut anew, whatever came between: the same pages make the same batches again.
_BLOCK_BATCHES = 4
# So long an idle destination is left without pages that could become a whole batch.
_PATIENCE_SECONDS = 0.25
_BROKEN_STREAM = (grpc.RpcError, asyncio.InvalidStateError)
_log = logger(__name__)

Connect = Callable[[], Awaitable[Any]]
Settle = Callable[[Unit, connector.BatchAck], Awaitable[None]]


class DestinationFault(Exception):
    """What the destination answered, or what keeps it from answering."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Delivery:
    """One `Write` to a destination, however many streams it takes.

    Args:
        opening: The first message of each stream.
        connect: Gives the stub of a host of the destination.
        settle: Called in order for each unit that is durable at the destination.
        patience: Seconds without progress after which a destination that is away is given up.
        answer_seconds: Longest wait for one acknowledgement.
        warn: Told when the destination goes away.
        ticket: Shown to the host of the destination; newer ones go along with batches.
    """

    def __init__(
        self,
        opening: connector.WriteOpen,
        connect: Connect,
        settle: Settle,
        *,
        patience: float = 60.0,
        answer_seconds: float = 300.0,
        warn: Callable[[str], None] = lambda _message: None,
        ticket: Carried | None = None,
    ) -> None:
        self._warn = warn
        self._ticket = ticket or Carried()
        self._shown = ""
        self._opening = opening
        self._connect = connect
        self._settle = settle
        self._patience = patience
        self._answer_seconds = answer_seconds
        self._changed = asyncio.Condition()
        self._waiting = Waiting()
        self._units: deque[Unit] = deque()
        self._on_stream = 0
        self._credit = 1
        self._sequences: dict[str, int] = {}
        self._offered: dict[str, tuple[int, int]] = {}
        self._closed = False
        self._settled = 0
        self.limits = Limits(_USUAL_RECORDS, _MOST_BYTES)
        self.cannot_tell = False
        """Whether the destination cannot say what it would do, so that nothing is sent to it."""

    async def offer(self, piece: Piece) -> None:
        """Take a piece; returns when there is room for the next one of its partition."""
        async with self._changed:
            self._place(piece)
            self._waiting.add(piece.split(self.limits))
            self._changed.notify_all()
            await self._changed.wait_for(
                lambda: self._closed or self._waiting.has_room(self.limits, piece.partition)
            )

    def _place(self, piece: Piece) -> None:
        """Say whether a batch begins, by nothing but what was read, so that a destination may know it again.

        The first page goes alone, because somebody may wait for it.
        """
        records, begins = self._offered.get(piece.partition, (0, 0))
        piece.begins = records >= begins
        if piece.begins:
            block = _BLOCK_BATCHES * self.limits.records
            begins = (records // block + 1) * block if records else 1
        self._offered[piece.partition] = records + piece.count, begins

    async def close(self) -> None:
        """Say that no more pieces come; `run` ends when everything is settled."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def run(self) -> None:
        """Deliver until closed and settled.

        Raises:
            DestinationFault: The destination refuses, or has been away for too long.
            LeaseLost: A newer attempt writes the flow.
        """
        pauses, tries, away_since, renewed = Backoff(first=0.1, longest=5.0), 0, 0.0, False
        while await self._has_records():
            seen = self._settled
            try:
                await self._one_stream()
            except DestinationFault as broken:
                fault = broken.fault
                if fault.reason == "FENCED":
                    raise LeaseLost("FENCED") from fault
                if tries == 0 or self._settled > seen:
                    tries, away_since, renewed = 0, time.monotonic(), False
                tries += 1
                self._judge(fault, away_since, renewed=renewed)
                if tries == 1:
                    self._warn(f"The destination is away and is tried again: {fault.message}")
                renewed = renewed or is_authentication(fault)
                await asyncio.sleep(pauses.wait(tries, getattr(fault, "retry_after", None)))

    def _judge(self, fault: Fault, away_since: float, *, renewed: bool) -> None:
        """Decide whether it is worth opening another stream.

        Raises:
            DestinationFault: It is not.
        """
        if is_authentication(fault) and not renewed:
            return  # the destination's host asks for the secret anew, once
        # Who asks for more time than this attempt has gets it from the execution, which waits without a host.
        asked = getattr(fault, "retry_after", None) or 0.0
        if not passes(fault) or time.monotonic() - away_since + asked > self._patience:
            raise DestinationFault(fault)
        _log.info("the destination is away", reason=fault.reason, why=fault.message)

    async def _has_records(self) -> bool:
        """Settle what needs no destination; tell whether something is left that does."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting or self._units or self._closed)
                if self._units:
                    return True
                if not self._waiting:
                    return False
                if self._waiting.first(self.limits).count and not self.cannot_tell:
                    return True
                unit = Unit(self._waiting.take_one(self.limits))
                self._changed.notify_all()
            await self._settle(unit, connector.BatchAck())

    async def _one_stream(self) -> None:
        """Open a stream, send what is not acknowledged, go on until there is nothing left."""
        try:
            with carrying(self._ticket):
                stub = await self._connect()
        except Fault as fault:
            raise DestinationFault(fault) from fault
        self._shown = self._ticket.text
        with carrying(self._ticket):
            call = stub.Write(timeout=_STREAM_SECONDS)
        try:
            with suppress(*_BROKEN_STREAM):  # whoever reads the stream learns why it broke
                await call.write(connector.WriteRequest(open=self._opening))
            self._opening.binding.etag = ""  # by the time of another stream the instance may have changed
            ready = (await self._answer(call, "ready")).ready
            self._welcome(ready)
            self.cannot_tell = self._opening.is_preview and not ready.is_preview
            if self.cannot_tell and self._units:
                message = (
                    "Hosts of the destination differ in what they can do; try again when all are the same."
                )
                raise DestinationFault(Broken("PREVIEW_UNSUPPORTED", message))
            if self.cannot_tell:
                return
            sending = asyncio.create_task(self._send(call))
            try:
                await self._settle_in_order(call)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        finally:
            call.cancel()

    def _welcome(self, ready: connector.WriteReady) -> None:
        """Adapt to what the destination can take.

        Raises:
            DestinationFault: A batch of lines has become too large as JSON, which another attempt cuts anew.
        """
        self._on_stream = 0
        self._credit = max(1, min(ready.credit, _MOST_CREDIT))
        opening = self._opening
        # A preview speaks of single records, and what is noted of a generation of their keys.
        is_told_of = opening.is_preview or bool(opening.generation_id)
        self.limits = Limits(
            min(ready.max_batch_records or _USUAL_RECORDS, _MOST_RECORDS),
            min(ready.max_batch_bytes or _MOST_BYTES, _MOST_BYTES),
            takes_lines=not is_told_of and batch.ENCODING_TEXT_LINES in ready.encodings,
            takes_json_lines=not opening.is_preview and batch.ENCODING_JSON_LINES in ready.encodings,
        )
        self._waiting.fit(self.limits)
        for unit in self._units:
            unit.fit(self.limits)
            if not self.limits.takes_lines and unit.size > self.limits.size and unit.count > 1:
                message = "This host of the destination takes less at a time than the one before it."
                raise DestinationFault(RetryLater("STREAM_CLOSED", message))

    async def _settle_in_order(self, call: Any) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._units or self._is_done())
                if not self._units:
                    return
                unit = self._units[0]
            ack = connector.BatchAck()
            if unit.batch is not None:
                ack = (await self._answer(call, "ack")).ack
                if ack.sequence != unit.sequence or ack.partition != unit.batch.partition:
                    message = f"Batch {ack.sequence} was acknowledged where {unit.sequence} was due."
                    raise DestinationFault(Broken("ACKNOWLEDGEMENT_INVALID", message))
                ack.retries += unit.sent - 1
            await self._settle(unit, ack)
            async with self._changed:
                self._settled += 1
                self._units.popleft()
                self._on_stream = max(0, self._on_stream - 1)
                self._changed.notify_all()

    async def _send(self, call: Any) -> None:
        """Put onto one stream what is not acknowledged, and then what comes."""
        with suppress(*_BROKEN_STREAM):
            while True:
                async with self._changed:
                    await self._until_something_is_to_be_sent()
                    unit = self._next_unit()
                    self._changed.notify_all()
                if unit.request is not None:
                    unit.sent += 1
                    if unit.request.ticket or self._shown != self._ticket.text:
                        self._shown = unit.request.ticket = self._ticket.text
                    await call.write(unit.request)

    async def _until_something_is_to_be_sent(self) -> None:
        while not self._may_send():
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                if self._waiting and not self._units:
                    return

    def _may_send(self) -> bool:
        if self._on_stream < len(self._units):
            return True
        if not self._waiting or len(self._units) >= self._credit:
            return False
        # While the destination is busy small pages are gathered, so that it gets them together. Of large ones
        # a batch is soon whole, and one that is cut alike each time may be known.
        if self._closed or self._waiting.is_full(self.limits):
            return True
        first = self._waiting.first(self.limits)
        return not self._units and not (first.is_large(self.limits) and self._sequences.get(first.partition))

    def _next_unit(self) -> Unit:
        if self._on_stream == len(self._units):
            self._units.append(self._numbered(self._waiting.take_joined(self.limits)))
        unit = self._units[self._on_stream]
        self._on_stream += 1
        return unit

    def _numbered(self, pieces: list[Piece]) -> Unit:
        partition = pieces[-1].partition
        sequence = self._sequences.get(partition, 0) + 1
        request = request_of(pieces, sequence)
        if request is None:
            return Unit(pieces)
        self._sequences[partition] = sequence
        return Unit(pieces, sequence, request)

    def _is_done(self) -> bool:
        return self._closed and not self._waiting and not self._units

    async def _answer(self, call: Any, kind: str) -> connector.WriteResponse:
        """The next message of the stream, which has to be of one kind."""
        try:
            async with asyncio.timeout(self._answer_seconds):
                answer = await call.read()
        except TimeoutError as error:
            message = f"The destination has been silent for {self._answer_seconds:.0f} seconds."
            raise DestinationFault(OutOfTime("DESTINATION_SILENT", message)) from error
        except grpc.RpcError as error:
            raise DestinationFault(fault_from(error)) from error
        if not isinstance(answer, connector.WriteResponse):
            message = "The destination closed the stream; it is opened again."
            raise DestinationFault(RetryLater("STREAM_CLOSED", message))
        if answer.WhichOneof("item") != kind:
            message = f"The destination sent {answer.WhichOneof('item')} where {kind} was due."
            raise DestinationFault(Broken("ACKNOWLEDGEMENT_INVALID", message))
        return answer


__all__ = ["Delivery", "DestinationFault"]
