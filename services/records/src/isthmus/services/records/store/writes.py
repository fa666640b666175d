"""Applies batches: records, their history, the writer's position and the event, in one transaction."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from isthmus.kit import Database
from isthmus.services.records.domain.admission import WritePosition, admit
from isthmus.services.records.domain.batches import Rejection, Screened, WriteMode
from isthmus.services.records.domain.folding import Effects, fold, patched_keys
from isthmus.services.records.domain.records import Applied, Writer
from isthmus.services.records.store import generations
from isthmus.services.records.store import statements as sql
from isthmus.services.records.store.adding import LEAST_ADDITION, Adding
from isthmus.services.records.store.raw import TextArray, Utf8, raw_cursor
from isthmus.services.records.store.suppressing import KeyOf, no_key, withheld
from isthmus.services.records.store.writers import WriterNumbers
from sqlalchemy.ext.asyncio import AsyncConnection

Announce = Callable[[AsyncConnection, Writer, Applied], Awaitable[None]]
_Cursor = psycopg.AsyncCursor[Any]

_REASONS = {"22003": "NUMBER_OUT_OF_RANGE", "22P05": "CHARACTER_UNSTORABLE"}


@dataclass(slots=True)
class _Position:
    """A writer's position in one partition while a transaction works on it."""

    stored: WritePosition
    rejected: dict[int, list[dict[str, Any]]] = field(default_factory=dict)


@dataclass(slots=True)
class Target:
    """The stream as it is while a transaction holds it.

    Attributes:
        writer_number: Stands for who writes.
        is_adding: Records are added without a look at what is there.
        is_suppressed: A person's data was erased, and may not come back.
    """

    number: int
    last_change: int
    writer_number: int = 0
    records: int = 0
    is_adding: bool = False
    is_suppressed: bool = False


class RecordWriter:
    """Writes batches into streams.

    Args:
        database: Where records are kept.
        announce: Stores the event of a batch that changed something, in the same transaction.
        remembered: How many batches back the rejections of a repeated batch can be told again.
        key_of: Gives the key of a tenant's marks of erased persons.
    """

    def __init__(
        self, database: Database, announce: Announce, *, remembered: int, key_of: KeyOf = no_key
    ) -> None:
        self._database = database
        self._announce = announce
        self._remembered = remembered
        self._key_of = key_of
        self._adding = Adding()
        self._numbers = WriterNumbers()

    async def apply(self, writer: Writer, batches: Sequence[Screened]) -> list[Applied]:
        """Make batches take effect together, or none of them.

        Args:
            writer: Who writes what.
            batches: In the order in which they take effect.

        Raises:
            Precondition: `FENCED`, a newer attempt writes the flow.
            FixRequest: `BATCH_INVALID`, a batch is missing in between.
        """
        if any(batch.suspects for batch in batches):
            await self._reject_invalid(batches, suspects_only=True)
        try:
            return await self._apply_quickly(writer, batches)
        except psycopg.DataError:
            if not await self._reject_invalid(batches, suspects_only=False):
                raise
        return await self._apply(writer, batches)

    async def _apply_quickly(self, writer: Writer, batches: Sequence[Screened]) -> list[Applied]:
        """Add records without a look at what is there, as long as a writer brings nothing but new ones."""
        flow = (writer.tenant_id, writer.stream, writer.flow_id)
        done = None
        if self._adding.is_expected(flow) and writer.mode != WriteMode.UPDATE:
            try:
                done = await self._apply(writer, batches, are_new=True)
            except psycopg.errors.UniqueViolation:
                self._adding.failed(flow)
        if done is None:
            done = await self._apply(writer, batches)
        self._adding.learn(flow, all_new=all(applied.created == applied.records for applied in done))
        return done

    async def _reject_invalid(self, batches: Sequence[Screened], *, suspects_only: bool) -> int:
        """Ask PostgreSQL which records it cannot read, and reject those."""
        places = [
            (batch, index)
            for batch in batches
            for index in (batch.suspects if suspects_only else batch.read)
            if index not in batch.rejected
        ]
        lines = TextArray([batch.batch.records[index] for batch, index in places])
        async with self._database.system() as connection:
            cursor = await raw_cursor(connection)
            await cursor.execute(sql.FIND_INVALID, {"lines": lines})
            found = await cursor.fetchall()
        for ordinal, code, message in found:
            batch, index = places[ordinal - 1]
            reason = _REASONS.get(code, "JSON_INVALID")
            batch.reject(index, reason, f"The record cannot be stored: {message}; mend it at the source.")
        return len(found)

    async def _apply(
        self, writer: Writer, batches: Sequence[Screened], *, are_new: bool = False
    ) -> list[Applied]:
        async with self._transaction(writer) as connection:
            cursor = await raw_cursor(connection)
            positions = await self._lock_positions(cursor, writer, batches)
            target = await self._lock_stream(cursor, writer)
            target.is_adding = are_new
            before = replace(target)
            done = [await self._apply_one(cursor, writer, target, positions, batch) for batch in batches]
            if target != before:
                await self._advance(cursor, writer, target)
            await self._store_positions(cursor, writer, positions)
            together = summed(done)
            if together.changed:
                await self._announce(connection, writer, together)
        if target != before:
            self._numbers.stored(writer, target.writer_number)
        return done

    @asynccontextmanager
    async def _transaction(self, writer: Writer) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._database.tenant(writer.tenant_id) as connection:
                yield connection
        except BaseException:
            self._numbers.forget(writer)
            raise

    async def _lock_positions(
        self, cursor: _Cursor, writer: Writer, batches: Sequence[Screened]
    ) -> dict[str, _Position]:
        positions = {}
        for partition in sorted({batch.batch.partition for batch in batches}):
            key = {"tenant": writer.tenant_id, "flow": writer.flow_id, "partition": partition}
            row = await _lock(cursor, sql.LOCK_POSITION, sql.CREATE_POSITION, key)
            rejected = {int(sequence): found for sequence, found in (row[2] or {}).items()}
            positions[partition] = _Position(WritePosition(row[0], row[1]), rejected)
        return positions

    async def _lock_stream(self, cursor: _Cursor, writer: Writer) -> Target:
        number, last_change, keys, schema, _, is_suppressed = await _lock(
            cursor, sql.LOCK_STREAM, sql.CREATE_STREAM, _place(writer)
        )
        said = {"keys": list(writer.primary_key) or keys, "schema": writer.json_schema or schema}
        if said != {"keys": keys, "schema": schema}:
            await cursor.execute(sql.DESCRIBE_STREAM, {**_place(writer), **said})
        writer_number = await self._numbers.of(cursor, writer)
        return Target(number, last_change, writer_number, is_suppressed=is_suppressed)

    async def _advance(self, cursor: _Cursor, writer: Writer, target: Target) -> None:
        values = {"change": target.last_change, "records": target.records}
        await cursor.execute(sql.ADVANCE_STREAM, {**_place(writer), **values})
        await self._numbers.store(cursor, writer, target.writer_number)

    async def _apply_one(
        self,
        cursor: _Cursor,
        writer: Writer,
        target: Target,
        positions: dict[str, _Position],
        screened: Screened,
    ) -> Applied:
        batch = screened.batch
        position = positions[batch.partition]
        name = (batch.partition, batch.sequence, len(batch.records))
        if not admit(position.stored, writer.fencing_token, batch.sequence):
            told = tuple(Rejection(**one) for one in position.rejected.get(batch.sequence, ()))
            return Applied(*name, rejections=told, is_repeated=True)
        if writer.fencing_token != position.stored.fencing_token:
            position.rejected.clear()
        counts = await self._store_records(cursor, writer, target, screened)
        if writer.generation_id:
            await generations.note_shown(cursor, writer, screened)
        self._remember(position, writer, screened)
        return Applied(*name, *counts, rejections=screened.rejections)

    async def finish(self, writer: Writer, limits: generations.Absence) -> tuple[int, int]:
        """Remove or mark what a generation has not shown, and give how many it has and has not.

        Raises:
            Precondition: `FENCED`, a newer attempt writes the flow.
            Precondition: `DELETIONS_SUSPICIOUS`, more would go than may.
        """
        async with self._transaction(writer) as connection:
            cursor = await raw_cursor(connection)
            await cursor.execute(sql.LOCK_STREAM, _place(writer))
            row = await cursor.fetchone()
            if row is None:
                return 0, 0
            number = await self._numbers.of(cursor, writer)
            target = Target(row[0], row[1], number, is_suppressed=row[5])
            known = await generations.begin_finish(cursor, writer)
            if known is not None:
                return known
            before = target.last_change
            shown, absent = await generations.absent_keys(cursor, writer, limits)
            updated = deleted = 0
            for screened in generations.batches(absent, limits):
                counts = await self._store_records(cursor, writer, target, screened)
                updated, deleted = updated + counts[1], deleted + counts[2]
            if target.last_change != before:
                await self._advance(cursor, writer, target)
                gone = Applied("", 0, len(absent), updated=updated, deleted=deleted)
                await self._announce(connection, writer, gone)
            await generations.end(cursor, writer, shown, updated + deleted)
            return shown, updated + deleted

    async def _store_records(
        self, cursor: _Cursor, writer: Writer, target: Target, screened: Screened
    ) -> tuple[int, int, int]:
        present = await self._present(cursor, writer, patched_keys(screened))
        effects = fold(screened, writer.mode, present)
        if target.is_suppressed:
            effects = await withheld(cursor, writer, effects, self._key_of)
        created, updated = await self._upsert(cursor, writer, target, screened, effects)
        deleted = await self._delete(cursor, writer, target, effects.deleted)
        target.records += created - deleted
        return created, updated, deleted

    async def _present(self, cursor: _Cursor, writer: Writer, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        if not keys:
            return {}
        await cursor.execute(sql.PRESENT, {**_place(writer), "keys": TextArray(keys)})
        return {bytes(key): bytes(data) for key, data in await cursor.fetchall()}

    async def _upsert(
        self, cursor: _Cursor, writer: Writer, target: Target, screened: Screened, effects: Effects
    ) -> tuple[int, int]:
        if not effects.keys:
            return 0, 0
        values = {
            **_provenance(writer, target),
            **_given(effects),
            "refuse_known": writer.mode == WriteMode.CREATE,
            "refuse_new": writer.mode == WriteMode.UPDATE,
        }
        if target.is_adding:
            values["is_addition"] = len(effects.keys) >= LEAST_ADDITION
            await cursor.execute(sql.INSERT.of(values), values, prepare=True)
            target.last_change += len(effects.keys)
            return len(effects.keys), 0
        walks = cursor.connection.info.server_version >= sql.WALKS_SINCE
        statement = sql.UPSERT if walks else sql.UPSERT_ONE_BY_ONE
        await cursor.execute(statement.of(values), values, prepare=True)
        created, updated, refused = await _one(cursor)
        if created or updated:
            target.last_change += len(effects.keys)
        for ordinal in refused or ():
            reject_by_mode(screened, effects.indexes[ordinal - 1], writer.mode)
        return created, updated

    async def _delete(self, cursor: _Cursor, writer: Writer, target: Target, keys: Sequence[bytes]) -> int:
        if not keys:
            return 0
        values = {**_provenance(writer, target), "keys": TextArray(keys)}
        await cursor.execute(sql.DELETE, values, prepare=True)
        (deleted,) = await _one(cursor)
        if deleted:
            target.last_change += len(keys)
        return int(deleted)

    def _remember(self, position: _Position, writer: Writer, screened: Screened) -> None:
        sequence = screened.batch.sequence
        position.stored = WritePosition(writer.fencing_token, sequence)
        if screened.rejected:
            position.rejected[sequence] = [
                {"index": one.index, "reason": one.reason, "message": one.message, "path": one.path}
                for one in screened.rejections
            ]
        for old in [known for known in position.rejected if known <= sequence - self._remembered]:
            del position.rejected[old]

    async def _store_positions(
        self, cursor: _Cursor, writer: Writer, positions: dict[str, _Position]
    ) -> None:
        for partition, position in positions.items():
            values = {
                "tenant": writer.tenant_id,
                "flow": writer.flow_id,
                "partition": partition,
                "token": position.stored.fencing_token,
                "sequence": position.stored.last_sequence,
                "rejected": json.dumps(position.rejected) if position.rejected else None,
            }
            await cursor.execute(sql.STORE_POSITION, values)


def summed(done: Sequence[Applied]) -> Applied:
    """Tell as one what batches did that were stored together."""
    return Applied(
        "",
        0,
        sum(one.records for one in done),
        sum(one.created for one in done),
        sum(one.updated for one in done),
        sum(one.deleted for one in done),
    )


def _place(writer: Writer) -> dict[str, Any]:
    return {"tenant": writer.tenant_id, "stream": writer.stream}


def _provenance(writer: Writer, target: Target) -> dict[str, Any]:
    return {
        **_place(writer),
        "number": target.number,
        "change": target.last_change,
        "writer": target.writer_number,
    }


def _given(effects: Effects) -> dict[str, Any]:
    """Keys and lines as a statement gets them: what came in one piece is not packed again."""
    lines = Utf8(effects.text) if effects.text else TextArray(effects.lines)
    return {"keys": TextArray(effects.keys), "lines": lines}


async def _one(cursor: _Cursor) -> tuple[Any, ...]:
    row = await cursor.fetchone()
    assert row is not None, "an aggregate has one row"
    return tuple(row)


async def _lock(cursor: _Cursor, lock: str, create: str, key: dict[str, Any]) -> tuple[Any, ...]:
    """Lock a row for the rest of the transaction; the first writer of all creates it."""
    await cursor.execute(lock, key)
    row = await cursor.fetchone()
    if row is None:
        await cursor.execute(create, key)
        await cursor.execute(lock, key)
        return await _one(cursor)
    return tuple(row)


def reject_by_mode(screened: Screened, index: int, mode: WriteMode) -> None:
    """Reject a record that exists, or does not, where the writer may only do the other."""
    if mode == WriteMode.CREATE:
        message = "The stream holds another form of this record; write with mode upsert to replace it."
        screened.reject(index, "RECORD_EXISTS", message)
    else:
        message = "The stream holds no such record; write with mode upsert to create it."
        screened.reject(index, "RECORD_MISSING", message)


__all__ = ["Announce", "RecordWriter", "Target", "reject_by_mode", "summed"]
