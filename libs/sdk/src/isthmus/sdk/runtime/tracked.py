"""Writes to systems without transactions: announce, look where in doubt, write, tell what came of it."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
from isthmus.sdk.connector import Connector
from isthmus.sdk.context import Context, Stats, Work
from isthmus.sdk.model import Operation, Stream, WriteMode
from isthmus.sdk.page import Batch
from isthmus.sdk.records import as_dict, key_of
from isthmus.sdk.runtime.failing import failing
from isthmus.sdk.runtime.ledger import Announced, Claim, Ledger, Settled, Standing
from isthmus.sdk.runtime.looking import resolve_doubts
from isthmus.sdk.runtime.writing import Prepared, WriteResult, refuse_unseen, result_of
from isthmus.sdk.tracking import Entry, Outcome, Tracking

_LONGEST_KEY = 2048
_encode = msgspec.json.Encoder(order="sorted").encode


async def write_tracked(
    connector: Connector[Any], context: Context, prepared: Prepared, ledger: Ledger
) -> WriteResult:
    """Hands one batch to the connector, announced before and settled after it.

    Records that the system holds in the same form are left alone. A key that comes several times in the
    batch is written as often, one after another.

    Raises:
        Failure: Nothing of the batch is acknowledged; what was written of it is known.
    """
    batch = prepared.batch
    keys = _keys(batch)
    total = result_of(Batch(records=[], rejected=batch.rejected), context, Stats())
    for places in _rounds(keys):
        part = _part(batch, places, keys)
        claim = await ledger.announce([_announced(part, place, ledger) for place in range(len(places))])
        one = _Round(connector, context, prepared.stream, batch=part, claim=claim, ledger=ledger)
        total = _sum(total, await one.write())
    return total


class _Round:
    """Records of which no two are the same, announced."""

    def __init__(
        self,
        connector: Connector[Any],
        context: Context,
        stream: Stream,
        *,
        batch: Batch[Any],
        claim: Claim,
        ledger: Ledger,
    ) -> None:
        self._connector = connector
        self._context = context
        self._stream = stream
        self._claim = claim
        changed = [at for at, known in enumerate(claim.known) if known.standing != Standing.UNCHANGED]
        self._unchanged = len(claim.known) - len(changed)
        self._batch = _part(batch, changed, batch.keys)
        self._entries = [
            _entry(key, claim, at, ledger) for key, at in zip(self._batch.keys, changed, strict=True)
        ]
        self._batch.tracking = Tracking(self._entries, claim.check)

    async def write(self) -> WriteResult:
        """Write what is not so already, and settle it whatever happens."""
        result = WriteResult()
        if self._entries:
            _refuse_by_mode(self._batch)
            untold = Outcome.UNTOUCHED
            try:
                result = await self._claim.keep(self._send())
                untold = Outcome.DONE
            finally:
                await self._claim.settle(
                    [Settled(one.key, _outcome(one, untold), one.external_id) for one in self._entries]
                )
        return replace(result, unchanged=result.unchanged + self._unchanged)

    async def _send(self) -> WriteResult:
        work = Work()
        async with failing(self._connector, self._context, work):
            await resolve_doubts(self._stream, self._batch)
        part = self._undecided()
        if part.records:
            assert part.tracking is not None
            async with failing(self._connector, self._context, work), _blaming(part.tracking, work):
                await self._connector.send_data(self._stream, part)
                refuse_unseen(work)
        _count(part)
        part.rejected = [*self._batch.rejected, *part.rejected]
        result = result_of(part, self._context, work.stats)
        gone = sum(entry.outcome == Outcome.DELETED for entry in self._entries) - part.deleted
        return replace(result, deleted=result.deleted + max(0, gone))

    def _undecided(self) -> Batch[Any]:
        """The records about which nothing has been said yet."""
        places = [place for place, entry in enumerate(self._entries) if entry.outcome is None]
        part = _part(self._batch, places, self._batch.keys)
        part.tracking = Tracking([self._entries[place] for place in places], self._claim.check)
        return part


def _entry(key: str, claim: Claim, place: int, ledger: Ledger) -> Entry:
    known = claim.known[place]
    return Entry(
        key,
        ledger.correlation_id(key),
        known.external_id,
        exists=known.standing == Standing.LINKED,
        in_doubt=known.standing == Standing.IN_DOUBT,
        open_for=known.open_for,
    )


@asynccontextmanager
async def _blaming(tracking: Tracking, work: Work) -> AsyncIterator[None]:
    """Say of each record whether a failure left it untouched, or what else came of it."""
    try:
        yield
    except BaseException as error:
        for entry in tracking.entries:
            began = entry.began_at is not None or not tracking.stepwise
            spared = error is work.harmless and entry.began_at == work.effects
            if entry.outcome is None:
                entry.outcome = Outcome.UNKNOWN if began and not spared else Outcome.UNTOUCHED
        raise


def _outcome(entry: Entry, untold: Outcome) -> Outcome:
    """What came of a record; a refusal does not tell whether an earlier attempt had an effect."""
    if entry.outcome == Outcome.REJECTED and entry.in_doubt and not entry.external_id:
        return Outcome.SET_ASIDE
    return entry.outcome or untold


def _count(batch: Batch[Any]) -> None:
    """Settle what the connector said nothing about, and count where it did not."""
    assert batch.tracking is not None
    counts_itself = bool(batch.created + batch.updated + batch.unchanged + batch.deleted)
    removed = {id(record) for record in batch.deletions}
    for record, entry in zip(batch.records, batch.tracking.entries, strict=True):
        if entry.outcome is None:
            entry.outcome = Outcome.DELETED if id(record) in removed else Outcome.DONE
        if counts_itself:
            continue
        batch.deleted += entry.outcome == Outcome.DELETED
        batch.updated += entry.outcome == Outcome.DONE and entry.exists
        batch.created += entry.outcome == Outcome.DONE and not entry.exists


def _refuse_by_mode(batch: Batch[Any]) -> None:
    """Hold the flow to creating or to changing, where it may do only one of them."""
    assert batch.tracking is not None
    for place, entry in enumerate(batch.tracking.entries):
        if entry.in_doubt:
            continue
        if batch.mode == WriteMode.CREATE and entry.exists:
            message = "The system holds another form of this record; write with mode upsert to replace it."
            batch.reject_at(place, message, reason="RECORD_EXISTS")
        elif batch.mode == WriteMode.UPDATE and not entry.exists:
            message = "The system holds no such record; write with mode upsert to create it."
            batch.reject_at(place, message, reason="RECORD_MISSING")


def _announced(batch: Batch[Any], place: int, ledger: Ledger) -> Announced:
    operation = batch.operations[place] if batch.operations else Operation.UPSERT
    if batch.mode == WriteMode.DELETE:
        operation = Operation.DELETE
    content = b"" if operation == Operation.DELETE else _encode(as_dict(batch.records[place]))
    digest = hashlib.sha256(operation.encode() + b"\0" + content).digest() if content else b""
    key = batch.keys[place]
    return Announced(key, ledger.correlation_id(key), operation, digest)


def _keys(batch: Batch[Any]) -> list[str]:
    """The key of each record; one without a usable key is rejected and has none."""
    keys: list[str] = []
    for place, record in enumerate(batch.records):
        try:
            key = batch.keys[place] if batch.keys else key_of(as_dict(record), batch.primary_key)
        except LookupError as error:
            batch.reject_at(place, f"The key field {error.args[0]} is missing.", reason="KEY_MISSING")
            key = ""
        else:
            if not key:
                batch.reject_at(place, "The record has no key; give every record one.", reason="KEY_MISSING")
            elif len(key.encode()) > _LONGEST_KEY or "\0" in key:
                message = f"A key has at most {_LONGEST_KEY} bytes and no NUL character."
                batch.reject_at(place, message, reason="KEY_INVALID")
                key = ""
        keys.append(key)
    return keys


def _rounds(keys: Sequence[str]) -> list[list[int]]:
    """Places of records that may be written together: no key twice, the order of each key kept."""
    rounds: list[list[int]] = []
    seen: dict[str, int] = {}
    for place, key in enumerate(keys):
        if not key:
            continue
        number = seen.get(key, 0)
        seen[key] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(place)
    return rounds


def _part(batch: Batch[Any], places: Sequence[int], keys: Sequence[str]) -> Batch[Any]:
    indexes = batch.indexes or range(len(batch.records))
    return Batch(
        records=[batch.records[place] for place in places],
        keys=[keys[place] for place in places],
        operations=[batch.operations[place] for place in places] if batch.operations else (),
        mode=batch.mode,
        id=batch.id,
        primary_key=batch.primary_key,
        json_schema=batch.json_schema,
        indexes=[indexes[place] for place in places],
    )


def _sum(one: WriteResult, other: WriteResult) -> WriteResult:
    return WriteResult(
        rejected=sorted([*one.rejected, *other.rejected], key=lambda reject: reject.index),
        created=one.created + other.created,
        updated=one.updated + other.updated,
        unchanged=one.unchanged + other.unchanged,
        deleted=one.deleted + other.deleted,
        api_calls=one.api_calls + other.api_calls,
        retries=one.retries + other.retries,
        throttled=one.throttled + other.throttled,
    )


def is_trackable(prepared: Prepared) -> bool:
    """Whether the records of a batch can be told from one another, so that each can be announced."""
    return bool(prepared.batch.keys or prepared.batch.primary_key)


__all__ = ["is_trackable", "write_tracked"]
