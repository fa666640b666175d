"""Batches copied into a table as text, without a look at each record."""

import itertools
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.creating import create_table
from isthmus.connectors.postgres.generations import note_shown
from isthmus.connectors.postgres.rows import Rows, rows_of
from isthmus.connectors.postgres.shapes import Kind, Shape, shape_of
from isthmus.connectors.postgres.staging import Stages
from isthmus.sdk import Batch, WriteMode
from psycopg import sql

_MOST_FLOWS = 1000
_REFUSED = (psycopg.DataError, psycopg.IntegrityError)
_MISUNDERSTOOD = (psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError)
_ADVANCE = sql.SQL("execute {}({}, {}, {}, {})")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What became of a batch ahead of its turn; no rows, where each record has to be looked at."""

    shape: Shape
    rows: Rows | None


class Copying:
    """Writes what can be copied, and leaves the rest untouched for others.

    A table that was empty when a flow began is filled directly, until a row is there already.
    """

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, str], Shape] = {}
        self._stages: WeakKeyDictionary[Connection, Stages] = WeakKeyDictionary()
        self._numbers = itertools.count(1)
        self._filling: OrderedDict[tuple[object, ...], tuple[int, bool]] = OrderedDict()
        self._is_feeding = False
        self._held: list[tuple[Relation, Batch[Any]]] = []

    def prepare(self, relation: Relation, batch: Batch[Any]) -> None:
        """Makes rows of a batch ahead of its turn, where the table is known, while the database works."""
        if self._is_feeding:
            self._held.append((relation, batch))
            return
        shape = self._shapes.get(relation.table) if relation.table else None
        if shape is not None and _is_plain(batch):
            batch.prepared = _Prepared(shape, rows_of(shape, batch.encoded))

    async def write(self, connection: Connection, relation: Relation, batch: Batch[Any]) -> bool:
        """Applies a batch and remembers it; False where it is left to be looked at record by record."""
        if not _is_plain(batch):
            return False
        self._is_feeding = True
        try:
            rows = await self._rows(connection, relation, batch)
            return rows is not None and await self._copied(connection, relation, batch, rows)
        except psycopg.Error as error:
            with suppress(psycopg.Error):
                await connection.rollback()
            if isinstance(error, _MISUNDERSTOOD):
                self._forget(connection, relation)
            elif not isinstance(error, _REFUSED):
                raise
            batch.created = batch.updated = batch.unchanged = 0
            return False
        finally:
            self._is_feeding = False
            self._held.clear()

    def _fed(self) -> None:
        """The database has got what it needs: the time until its answer belongs to the batches to come."""
        self._is_feeding = False
        held, self._held = self._held, []
        for relation, batch in held:
            self.prepare(relation, batch)

    async def _rows(self, connection: Connection, relation: Relation, batch: Batch[Any]) -> Rows | None:
        assert relation.table is not None
        shape = self._shapes.get(relation.table) or await shape_of(connection, relation)
        if shape is None and relation.create:
            await create_table(connection, relation, batch)
            shape = await shape_of(connection, relation)
        if shape is None:
            return None
        self._shapes[relation.table] = shape
        ready = batch.prepared
        if isinstance(ready, _Prepared) and ready.shape is shape:
            return ready.rows
        return rows_of(shape, batch.encoded)

    def _forget(self, connection: Connection, relation: Relation) -> None:
        assert relation.table is not None
        self._shapes.pop(relation.table, None)
        self._stages.pop(connection, None)

    async def _copied(
        self, connection: Connection, relation: Relation, batch: Batch[Any], rows: Rows
    ) -> bool:
        stages = self._stages.get(connection)
        if stages is None:
            stages = self._stages[connection] = Stages(connection, self._numbers)
        statements = await stages.statements(rows.shape, rows.names)
        begin = statements.begin + await self._advancing(connection, stages, batch, rows)
        mark, *others = await _results(await connection.execute(begin))
        if mark[0][0] != rows.shape.mark:
            await connection.rollback()
            return await self._copied_anew(connection, relation, batch, rows)
        if batch.id.flow_id and not others.pop(0):
            await connection.rollback()
            return False
        is_filling = self._is_filling(batch, rows, is_empty=bool(others) and others[0][0][0])
        if is_filling and not await self._filled(connection, statements.load, rows):
            self._filling[_flow(batch, rows)] = (batch.id.fencing_token, False)
            return await self._copied(connection, relation, batch, rows)
        created, updated = rows.lines, 0
        if not is_filling:
            await self._copy(connection, statements.copy, rows)
            [(created, updated)] = await (await connection.execute(statements.apply)).fetchall()
        batch.created = created
        batch.updated = updated + rows.records - rows.lines
        batch.unchanged = rows.lines - created - updated
        await note_shown(connection, relation, batch)
        await connection.execute("commit")
        return True

    async def _copied_anew(
        self, connection: Connection, relation: Relation, batch: Batch[Any], rows: Rows
    ) -> bool:
        """Learns of a table that somebody has altered meanwhile."""
        self._shapes.pop(rows.shape.table, None)
        anew = await self._rows(connection, relation, batch)
        if anew is None or anew.shape.mark == rows.shape.mark:
            return False
        return await self._copied(connection, relation, batch, anew)

    async def _advancing(
        self, connection: Connection, stages: Stages, batch: Batch[Any], rows: Rows
    ) -> bytes:
        """The rest of the first message: moves the position, asks whether the table is empty."""
        one = batch.id
        if not one.flow_id:
            return b""
        name = await stages.advance(rows.shape.table[0])
        values = map(sql.Literal, (one.flow_id, one.partition, one.fencing_token, one.sequence))
        said = b"; " + _ADVANCE.format(name, *values).as_bytes(connection)
        token, _ = self._filling.get(_flow(batch, rows), (None, False))
        if token == one.fencing_token:
            return said
        asked = sql.SQL("; select not exists (select from {})").format(sql.Identifier(*rows.shape.table))
        return said + asked.as_bytes(connection)

    def _is_filling(self, batch: Batch[Any], rows: Rows, *, is_empty: bool) -> bool:
        """Whether the flow began with an empty table, and has met nothing else in it since."""
        if not batch.id.flow_id or any(column.kind is Kind.JSON for column in rows.columns):
            return False
        flow = _flow(batch, rows)
        token, was_empty = self._filling.get(flow, (None, False))
        if token != batch.id.fencing_token:
            was_empty = is_empty
            self._filling[flow] = (batch.id.fencing_token, is_empty)
            while len(self._filling) > _MOST_FLOWS:
                self._filling.popitem(last=False)
        return was_empty

    async def _filled(self, connection: Connection, load: bytes, rows: Rows) -> bool:
        """Copies rows into the table itself; False, with nothing done, when one of them is there already."""
        try:
            await self._copy(connection, load, rows)
        except psycopg.errors.UniqueViolation:
            await connection.rollback()
            return False
        return True

    async def _copy(self, connection: Connection, statement: bytes, rows: Rows) -> None:
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(rows.text)
            self._fed()


async def _results(cursor: psycopg.AsyncCursor[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    """The rows of each statement that gives any."""
    results = []
    while True:
        if cursor.description is not None:
            results.append(await cursor.fetchall())
        if not cursor.nextset():
            return results


def _is_plain(batch: Batch[Any]) -> bool:
    return bool(batch.encoded) and batch.mode == WriteMode.UPSERT and not batch.operations


def _flow(batch: Batch[Any], rows: Rows) -> tuple[object, ...]:
    return rows.shape.table, batch.id.flow_id, batch.id.partition


__all__ = ["Copying"]
