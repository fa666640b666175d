"""Batches copied into a table as text, without a look at each record."""

import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.creating import create_table
from isthmus.connectors.postgres.expecting import Expecting, Way
from isthmus.connectors.postgres.generations import note_shown
from isthmus.connectors.postgres.lining import documents_of, rows_of_lines
from isthmus.connectors.postgres.remembering import Known, digest_of, is_steady
from isthmus.connectors.postgres.rows import Rows, rows_of
from isthmus.connectors.postgres.shapes import Kind, Shape, shape_of
from isthmus.connectors.postgres.staging import Stages, Statements
from isthmus.connectors.postgres.talking import Answers, Part, said
from isthmus.sdk import Batch, WriteMode
from psycopg import sql

_REFUSED = (psycopg.DataError, psycopg.IntegrityError)
_MISUNDERSTOOD = (psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError)
_ADVANCE = b"execute %b(%b, %b, %d, %d)"
_COMMIT = Part("commit", b"commit")
_HELD = [(b"t",)]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What became of a batch ahead of its turn.

    Attributes:
        rows: None where each record has to be looked at, or where nobody may need them.
        digest: None where the batch cannot be known by its bytes.
        is_later: Rows are made when they are needed.
    """

    shape: Shape
    rows: Rows | None
    digest: bytes | None
    is_later: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """Rows to be copied, and where.

    Attributes:
        known: What may be remembered of them, if anything.
    """

    connection: Connection
    relation: Relation
    batch: Batch[Any]
    rows: Rows
    known: Known | None = None

    @property
    def flow(self) -> tuple[object, ...]:
        """What is to be expected is known by this."""
        return self.rows.shape.table, self.batch.id.flow_id, self.batch.id.partition


class _Failed(Exception):
    """A statement of a message failed."""

    def __init__(self, part: str, error: psycopg.Error) -> None:
        super().__init__(part)
        self.part = part
        self.error = error


class Copying:
    """Writes what can be copied, and leaves the rest untouched for others.

    A table that was empty when a flow began is filled directly, until a row is there already; so is one to
    which a flow has brought nothing but new rows of late. What is expected to be there is compared first.
    """

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, str], Shape] = {}
        self._stages: WeakKeyDictionary[Connection, Stages] = WeakKeyDictionary()
        self._numbers = itertools.count(1)
        self._expecting = Expecting()
        self._is_feeding = False
        self._held: list[tuple[Relation, Batch[Any]]] = []

    def prepare(self, relation: Relation, batch: Batch[Any]) -> None:
        """Makes rows of a batch ahead of its turn, where the table is known, while the database works."""
        if self._is_feeding:
            self._held.append((relation, batch))
            return
        shape = self._shapes.get(relation.table) if relation.table else None
        if shape is not None and _is_plain(batch):
            digest = digest_of(batch)
            flow = (shape.table, batch.id.flow_id, batch.id.partition)
            is_later = batch.lines is None and digest is not None and self._expecting.is_known(flow)
            batch.prepared = _Prepared(shape, None if is_later else _made(shape, batch), digest, is_later)

    async def write(self, connection: Connection, relation: Relation, batch: Batch[Any]) -> bool:
        """Applies a batch and remembers it; False where it is left to be looked at record by record."""
        if not _is_plain(batch):
            return False
        self._is_feeding = True
        try:
            if await self._recognised(connection, relation, batch):
                return True
            rows = await self._rows(connection, relation, batch)
            return rows is not None and await self._copied(_Job(connection, relation, batch, rows))
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
        if isinstance(ready, _Prepared) and ready.shape is shape and not ready.is_later:
            return ready.rows
        return _made(shape, batch)

    def _forget(self, connection: Connection, relation: Relation) -> None:
        assert relation.table is not None
        self._shapes.pop(relation.table, None)
        self._stages.pop(connection, None)

    def _stages_of(self, connection: Connection) -> Stages:
        if connection not in self._stages:
            self._stages[connection] = Stages(connection, self._numbers)
        return self._stages[connection]

    async def _recognised(self, connection: Connection, relation: Relation, batch: Batch[Any]) -> bool:
        """Whether a batch of which no rows were made is known by its bytes; if not, nothing has happened."""
        ready, stages = batch.prepared, self._stages_of(connection)
        if not isinstance(ready, _Prepared) or not ready.is_later or ready.digest is None:
            return False
        known = await stages.remembering.known(relation, ready.shape, batch, ready.digest)
        if known is None:
            return False
        begin = await _beginning(ready.shape, batch, stages)
        try:
            if not await self._is_held(connection, begin, known):
                await connection.rollback()
                return False
        except _Failed:
            await connection.rollback()
            return False
        batch.unchanged = len(batch.encoded)
        flow = (ready.shape.table, batch.id.flow_id, batch.id.partition)
        self._expecting.learn(flow, Way.MERGE, is_new=False, is_same=True, is_known=True)
        return True

    async def _copied(self, job: _Job) -> bool:
        stages = self._stages_of(job.connection)
        begin = await _beginning(job.rows.shape, job.batch, stages)
        statements = await stages.statements(job.rows)
        job = replace(job, known=await _known(job, stages))
        way = await self._way(job, stages)
        try:
            created, updated, is_known = await self._told(job, statements, begin, way)
        except _Failed as failed:
            if not isinstance(failed.error, _REFUSED):
                raise failed.error from None
            await job.connection.rollback()
            return await self._copied_otherwise(job, way, failed)
        lines, batch = job.rows.lines, job.batch
        batch.created = created
        batch.updated = updated + job.rows.records - lines
        batch.unchanged = lines - created - updated
        is_same = not created and not updated
        is_new = created == lines
        self._expecting.learn(job.flow, way, is_new=is_new, is_same=is_same, is_known=is_known)
        return True

    async def _told(
        self, job: _Job, statements: Statements, begin: Sequence[Part], way: Way
    ) -> tuple[int, int, bool]:
        """The whole transaction, in as few messages as there are decisions.

        Returns:
            How many rows are new, how many changed, and whether the batch was known by its bytes.

        Raises:
            _Failed: a statement did, or the text has not as many lines; the transaction is still open.
        """
        if job.known is not None and way is not Way.ADD:
            is_held = await self._is_held(job.connection, begin, job.known)
            if is_held:
                return 0, 0, True
            begin = [] if is_held is None else [job.known.forget]
        if way is Way.ADD:
            await self._stated(job, [*begin, statements.load])
            created, updated, seen = job.rows.lines, 0, None
        else:
            created, updated, seen = await self._applied(job, statements, begin, way)
        remembering: list[Part] = []
        if job.known is not None and created == job.rows.lines:
            remembering = job.known.added()
        elif job.known is not None and seen is not None:
            remembering = [seen]
        await note_shown(job.connection, job.relation, job.batch)
        await self._heard(job.connection, [*remembering, _COMMIT])
        return created, updated, False

    async def _is_held(self, connection: Connection, begin: Sequence[Part], known: Known) -> bool | None:
        """Whether the table holds a batch that is known by its bytes; ends the transaction if it does."""
        found = (await self._heard(connection, [*begin, known.is_found])).rows["known"]
        if found != _HELD:
            return False if found else None
        await self._heard(connection, [_COMMIT])
        return True

    async def _applied(
        self, job: _Job, statements: Statements, begin: Sequence[Part], way: Way
    ) -> tuple[int, int, Part | None]:
        """Stages rows and lets them take effect; tells what that did, and how to remember what was there."""
        applying = [*statements.keys(job.rows), statements.apply]
        asking = statements.same(job.rows) if way is Way.COMPARE else []
        answers = await self._stated(job, [*begin, statements.stage, *(asking or applying)])
        if asking:
            [(same, present, *ends)] = answers.rows["same"]
            if same == _number(job.rows.lines):
                is_alone = present == same
                return 0, 0, job.known.seen(*ends) if job.known is not None and is_alone else None
            answers = await self._heard(job.connection, applying)
        return *_counts(answers), None

    async def _stated(self, job: _Job, parts: Sequence[Part]) -> Answers:
        """Says what copies the rows."""
        answers = await self._heard(job.connection, parts, job.rows.text)
        if answers.copied != job.rows.lines:
            raise _Failed("copy", psycopg.DataError("other lines than announced"))
        return answers

    async def _heard(self, connection: Connection, parts: Sequence[Part], text: bytes = b"") -> Answers:
        answers = await said(connection, parts, text, self._fed)
        if answers.error is not None:
            raise _Failed(answers.failed, answers.error)
        return answers

    async def _copied_otherwise(self, job: _Job, way: Way, failed: _Failed) -> bool:
        """What follows when a transaction was given up.

        Raises:
            psycopg.Error: a row is refused, whichever way it takes.
        """
        if failed.part == "mark":
            return await self._copied_anew(job)
        if failed.part == "advance" and isinstance(failed.error, psycopg.errors.DivisionByZero):
            return False
        if failed.part == "keys" and job.batch.lines is not None:
            # Of one key the last record counts.
            rows = rows_of(job.rows.shape, documents_of(job.rows.shape, job.batch.lines))
            return rows is not None and await self._copied(replace(job, rows=rows))
        if way is Way.ADD and isinstance(failed.error, psycopg.errors.UniqueViolation):
            self._expecting.failed(job.flow)
            return await self._copied(job)
        raise failed.error

    async def _copied_anew(self, job: _Job) -> bool:
        """Learns of a table that somebody has altered meanwhile."""
        before = job.rows.shape
        self._shapes.pop(before.table, None)
        rows = await self._rows(job.connection, job.relation, job.batch)
        if rows is None or rows.shape.mark == before.mark:
            return False
        return await self._copied(replace(job, rows=rows))

    async def _way(self, job: _Job, stages: Stages) -> Way:
        """The best way for a batch; asks whether the table is empty when its flow begins."""
        if not job.batch.id.flow_id:
            return Way.MERGE
        token = job.batch.id.fencing_token
        if not self._expecting.knows(job.flow, token):
            asked = sql.SQL("select not exists (select from {})").format(
                sql.Identifier(*job.rows.shape.table)
            )
            [(is_empty,)] = await (await job.connection.execute(asked)).fetchall()
            self._expecting.begin(job.flow, token, is_empty=is_empty)
            if job.known is not None:
                await stages.remembering.trim(
                    job.rows.shape.table[0], job.batch.id.flow_id, job.batch.id.partition
                )
        way = self._expecting.way(job.flow)
        # A column of type json keeps its text, which a stage puts into one form.
        has_text = way is Way.ADD and any(column.kind is Kind.JSON for column in job.rows.columns)
        return Way.MERGE if has_text else way


async def _beginning(shape: Shape, batch: Batch[Any], stages: Stages) -> list[Part]:
    """Begins a transaction and moves the position in it."""
    one, begin = batch.id, await stages.opening.begin(shape)
    if not one.flow_id:
        return begin
    name = await stages.opening.advance(shape.table[0])
    who = (_literal(one.flow_id), _literal(one.partition))
    return [*begin, Part("advance", _ADVANCE % (name, *who, one.fencing_token, one.sequence))]


async def _known(job: _Job, stages: Stages) -> Known | None:
    """What may be remembered of a batch whose rows are as they came."""
    ready, batch = job.batch.prepared, job.batch
    digest = ready.digest if isinstance(ready, _Prepared) else digest_of(batch)
    if not digest or not is_steady(job.rows):
        return None
    return await stages.remembering.known(job.relation, job.rows.shape, batch, digest)


@lru_cache(maxsize=1000)
def _literal(text: str) -> bytes:
    return sql.Literal(text).as_bytes()


def _counts(answers: Answers) -> tuple[int, int]:
    [(created, updated)] = answers.rows["apply"]
    return int(created or 0), int(updated or 0)


def _number(number: int) -> bytes:
    return str(number).encode()


def _made(shape: Shape, batch: Batch[Any]) -> Rows | None:
    if batch.lines is None:
        return rows_of(shape, batch.encoded)
    return rows_of_lines(shape, batch.lines) or rows_of(shape, documents_of(shape, batch.lines))


def _is_plain(batch: Batch[Any]) -> bool:
    arrived = bool(batch.encoded) or batch.lines is not None
    return arrived and batch.mode == WriteMode.UPSERT and not batch.operations


__all__ = ["Copying"]
