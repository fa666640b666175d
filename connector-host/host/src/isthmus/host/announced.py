"""Writes through a connector of somebody else to a system without transactions: announced, then sent."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.memory import check_limits
from isthmus.host.translate import OPERATIONS
from isthmus.resilience import FixRequest, RetryLater
from isthmus.sdk.records import key_of
from isthmus.sdk.runtime import Announced, Claim, Ledger, Operation, Outcome, Settled, Standing
from isthmus.type.v1 import batch_pb2 as batch

_LONGEST_KEY = 2048
_MOST_RECORDS = 1000
_MOST_BYTES = 1024 * 1024
_encode = msgspec.json.Encoder(order="sorted").encode
_REJECTED = batch.RecordOutcome.RESULT_REJECTED


class AnnouncedWriter:
    """One `Write` stream to a connector whose system may do things twice.

    Each record is announced before it is sent, and settled when the connector has answered. What an earlier
    attempt may have created is sent again only to a connector that looks first; otherwise it is set aside.

    Args:
        opening: What is going to be written.
        ready: What the connector says it can take.
        answers: What comes behind that.
        ledger: Where writes are announced.
    """

    def __init__(
        self,
        opening: connector.WriteOpen,
        ready: connector.WriteReady,
        answers: AsyncIterator[connector.WriteResponse],
        ledger: Ledger,
    ) -> None:
        self._opening = opening
        self._looks_first = ready.looks_first
        self._answers = answers
        self._ledger = ledger
        self._sending: asyncio.Queue[batch.Batch | None] = asyncio.Queue()
        self._sent: dict[str, int] = {}

    async def outgoing(self) -> AsyncIterator[batch.Batch]:
        """Give what the connector is to be sent."""
        while (one := await self._sending.get()) is not None:
            yield one

    async def acknowledge(self, batches: AsyncIterator[batch.Batch]) -> AsyncIterator[connector.BatchAck]:
        """Write each batch and give its acknowledgement."""
        try:
            async for one in batches:
                check_limits(one, records=_MOST_RECORDS, size=_MOST_BYTES)
                yield await self._write(one)
        finally:
            self._sending.put_nowait(None)

    async def _write(self, one: batch.Batch) -> connector.BatchAck:
        total = connector.BatchAck(partition=one.partition, sequence=one.sequence)
        keys = self._keys(one, total)
        for places in _rounds(keys):
            announced = [self._announced(one, place, keys[place]) for place in places]
            claim = await self._ledger.announce(announced)
            await _Round(self, one, places, announced, claim).write(total)
        return total

    async def send(self, part: batch.Batch) -> connector.BatchAck:
        """Send some records and wait until the connector has answered for them."""
        part.sequence = self._sent[part.partition] = self._sent.get(part.partition, 0) + 1
        self._sending.put_nowait(part)
        answer = await anext(self._answers, None)
        if answer is None:
            message = (
                "The connector closed the stream before it acknowledged a batch; it is looked into again."
            )
            raise RetryLater("WRITE_INCOMPLETE", message)
        return answer.ack

    @property
    def looks_first(self) -> bool:
        """Whether the connector finds what an earlier attempt may have created."""
        return self._looks_first

    def _announced(self, one: batch.Batch, place: int, key: str) -> Announced:
        operation = (
            OPERATIONS.get(one.operations[place], Operation.UPSERT) if one.operations else Operation.UPSERT
        )
        if self._opening.mode == connector.WRITE_MODE_DELETE:
            operation = Operation.DELETE
        content = (
            b"" if operation == Operation.DELETE else operation.encode() + b"\0" + _sorted(one.records[place])
        )
        digest = hashlib.sha256(content).digest() if content else b""
        return Announced(key, self._ledger.correlation_id(key), operation, digest)

    def _keys(self, one: batch.Batch, total: connector.BatchAck) -> list[str]:
        """Give the key of each record; one without a usable key is refused and has none.

        Raises:
            FixRequest: `KEY_REQUIRED`, nothing says by what records are told apart.
        """
        paths = list(self._opening.primary_key)
        if not one.keys and not paths:
            message = (
                "This system may create a record twice, and records without a key cannot be told apart; "
                "give the flow a `key`."
            )
            raise FixRequest("KEY_REQUIRED", message, path="primary_key")
        keys = list(one.keys) or [_key(record, paths) for record in one.records]
        for place, key in enumerate(keys):
            if not key or len(key.encode()) > _LONGEST_KEY or "\0" in key:
                keys[place] = ""
                message = f"Give the record a key of 1 to {_LONGEST_KEY} bytes."
                total.outcomes.add(index=place, result=_REJECTED, reason="KEY_MISSING", message=message)
        return keys


class _Round:
    """Records of which no two are the same, announced."""

    def __init__(
        self,
        writer: AnnouncedWriter,
        one: batch.Batch,
        places: Sequence[int],
        announced: Sequence[Announced],
        claim: Claim,
    ) -> None:
        self._writer = writer
        self._batch = one
        self._places = places
        self._announced = announced
        self._claim = claim
        self._settled: dict[int, Settled] = {}

    async def write(self, total: connector.BatchAck) -> None:
        """Send what is not so already, and settle it whatever happens."""
        sending = []
        for at, known in enumerate(self._claim.known):
            if known.standing == Standing.UNCHANGED:
                total.unchanged += 1
            elif known.standing == Standing.IN_DOUBT and not self._writer.looks_first:
                self._set_aside(at, total)
            else:
                sending.append(at)
        untold = Outcome.UNTOUCHED
        try:
            if sending:
                self._claim.check()
                untold = Outcome.UNKNOWN
                ack = await self._claim.keep(self._writer.send(self._part(sending)))
                self._note(sending, ack, total)
        finally:
            for at in sending:
                self._settled.setdefault(at, Settled(self._announced[at].key, untold))
            if self._settled:
                await self._claim.settle(list(self._settled.values()))

    def _part(self, sending: Sequence[int]) -> batch.Batch:
        one, places = self._batch, [self._places[at] for at in sending]
        return batch.Batch(
            partition=one.partition,
            encoding=one.encoding,
            records=[one.records[place] for place in places],
            keys=[self._announced[at].key for at in sending],
            operations=[one.operations[place] for place in places] if one.operations else (),
            external_ids=[self._claim.known[at].external_id for at in sending],
            correlation_ids=[self._announced[at].correlation_id for at in sending],
            barrier=True,
        )

    def _note(self, sending: Sequence[int], ack: connector.BatchAck, total: connector.BatchAck) -> None:
        told = {outcome.index: outcome for outcome in ack.outcomes}
        for index, at in enumerate(sending):
            outcome, announced = told.get(index), self._announced[at]
            result = Outcome.DELETED if announced.operation == Operation.DELETE else Outcome.DONE
            external_id = outcome.external_id if outcome is not None else ""
            if outcome is not None and outcome.result == _REJECTED:
                doubtful = self._claim.known[at].standing == Standing.IN_DOUBT
                result = Outcome.SET_ASIDE if doubtful else Outcome.REJECTED
                total.outcomes.add().CopyFrom(outcome)
                total.outcomes[-1].index = self._places[at]
            self._settled[at] = Settled(announced.key, result, external_id)
        for name in ("created", "updated", "unchanged", "deleted", "api_calls", "retries"):
            setattr(total, name, getattr(total, name) + getattr(ack, name))

    def _set_aside(self, at: int, total: connector.BatchAck) -> None:
        message = (
            "An earlier attempt may have created this record, and the connector cannot look: look at the "
            "system, then requeue the record if it is missing there, or drop it and adopt its id."
        )
        place = self._places[at]
        total.outcomes.add(index=place, result=_REJECTED, reason="OUTCOME_UNKNOWN", message=message)
        self._settled[at] = Settled(self._announced[at].key, Outcome.SET_ASIDE)


def _rounds(keys: Sequence[str]) -> list[list[int]]:
    """Places of records that may be written together: no key twice, the order of each key kept."""
    rounds: list[list[int]] = []
    seen: dict[str, int] = {}
    for place, key in enumerate(keys):
        if not key:
            continue
        number = seen[key] = seen.get(key, -1) + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(place)
    return rounds


def _key(record: bytes, paths: Sequence[str]) -> str:
    try:
        return key_of(msgspec.json.decode(record, type=dict), paths)
    except (LookupError, msgspec.MsgspecError):
        return ""


def _sorted(record: bytes) -> bytes:
    """Write a record so that the order of its members says nothing."""
    try:
        return _encode(msgspec.json.decode(record))
    except msgspec.MsgspecError:
        return record


__all__ = ["AnnouncedWriter"]
