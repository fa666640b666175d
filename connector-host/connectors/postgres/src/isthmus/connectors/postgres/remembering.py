"""Batches that a table holds as they come, recognised by their bytes and by the transactions of their rows.

The transaction after which the table holds a batch remembers the batch's digest. When the same bytes come
again, PostgreSQL is asked who wrote the rows between two keys, which costs a twentieth of comparing them: no
change of a row keeps the transaction that wrote it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.generations import generations_in, key_hash
from isthmus.connectors.postgres.rows import Rows
from isthmus.connectors.postgres.shapes import Kind, Shape
from isthmus.connectors.postgres.talking import Part
from isthmus.sdk import Batch, Failure, Lines
from psycopg import sql

REMEMBERED = "isthmus_remembered"
# What is remembered of a flow's partition: the newest of it, a row of some 150 bytes each.
_MOST_REMEMBERED = 20_000
_TABLE = """
select pg_advisory_xact_lock(hashtextextended('isthmus_remembered', 0));
create table if not exists {remembered} (
    flow_id text not null, partition text not null, place bigint not null, digest bytea not null,
    records int not null, least text not null, greatest text not null, writer xid not null,
    since bigint not null, fencing_token bigint not null, sequence bigint not null,
    primary key (flow_id, partition, place))
"""
_USABLE = """
select to_regclass({table}) is not null, coalesce(
    (select bool_and(has_table_privilege(to_regclass({table}), wanted))
     from unnest(array['select', 'insert', 'update', 'delete']) wanted), false)
"""
# Each row of `writer` is one of the batch. Where there is no writer, all rows between the keys were the
# batch's, and who comes after `since` has changed something. Ids of transactions come again after four
# billion, and half of them can be told to be older.
_FOUND = """
with known as materialized (
    select *, pg_current_xact_id()::text::bigint - since as age from {remembered}
    where flow_id = $1 and partition = $2 and place = $3 and digest = $4
), found as materialized (
    select rows.held = known.records and (known.writer <> '0'::xid or rows.present = known.records)
        as is_held, rows.hashes
    from known, lateral (
        select count(*) as present, count(*) filter (where {is_held}) as held, {hashes} as hashes
        from (select t.xmin, t.{key} from {table} t
              where t.{key} >= known.least::{kind} and t.{key} <= known.greatest::{kind}
              order by t.{key} limit 2 * known.records) t
    ) rows
    where known.age between 0 and 1000000000
)
"""
_IS_HELD = "t.xmin = known.writer or known.writer = '0'::xid and age(t.xmin) > known.age"
_KNOWN = "prepare {name} (text, text, bigint, bytea) as {found} select is_held from found"
# Who has shown a row must have seen it in the snapshot in which it was held.
_SHOWN = """
prepare {name} (text, text, bigint, bytea, text, bigint, bigint) as {found}, noted as (
    insert into {generations} (flow_id, generation_id, partition, fencing_token, sequence, hashes)
    select $1, $5, $2, $6, $7, hashes from found where is_held on conflict do nothing
)
select is_held from found
"""
_HASHES = "array_agg({hash}) filter (where {is_held})"
_REMEMBER = """
prepare {name} (text, text, bigint, bytea, int, text, text, bigint, bigint, bigint) as
insert into {remembered} values ($1, $2, $3, $4, $5, $6, $7,
    case when $10 is null then pg_current_xact_id()::xid else '0'::xid end,
    coalesce($10, pg_current_xact_id()::text::bigint), $8, $9)
on conflict (flow_id, partition, place) do update set digest = excluded.digest, records = excluded.records,
    least = excluded.least, greatest = excluded.greatest, writer = excluded.writer, since = excluded.since,
    fencing_token = excluded.fencing_token, sequence = excluded.sequence
"""
_TRIM = """
delete from {remembered} where flow_id = %(flow)s and partition = %(part)s and (fencing_token, sequence) <= (
    select fencing_token, sequence from {remembered} where flow_id = %(flow)s and partition = %(part)s
    order by 1 desc, 2 desc offset %(most)s limit 1)
"""
_SYSTEM = "select system_identifier::text from pg_control_system()"
# Two values of these types are the same where they are written alike, as long as the session is set alike.
_TEXTS = {"text", "varchar", "bpchar", "json", "jsonb", "bytea", "uuid", "bool"}
_NUMBERS = {"int2", "int4", "int8", "numeric", "float4", "float8"}
_STEADY = _TEXTS | _NUMBERS | {"date", "time", "timestamp", "timestamptz"}
_COMPARABLE = frozenset({Kind.TEXT, Kind.INTEGER})
_MOST_PREPARED = 100
# What few rows cost is less than what it takes to remember them.
_LEAST_ROWS = 500
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Known:
    """What is asked and remembered of one batch.

    Attributes:
        is_found: Answers whether the table holds the batch, or with no row where nothing is known of it.
            If it does, what a refresh has shown by that is noted.
        forget: Forgets what does not hold.
    """

    is_found: Part
    forget: Part
    _before: bytes
    _behind: bytes
    _ends: tuple[bytes, bytes]
    _is_quiet: bool

    def added(self) -> list[Part]:
        """Remembers that this transaction has written each row of the batch."""
        return [self._part(*self._ends, b"null")] if self._is_quiet else []

    def seen(self, since: bytes | None, least: bytes | None, greatest: bytes | None) -> Part:
        """Remembers that the table held the batch and nothing else between two keys.

        Args:
            since: The oldest transaction that was under way when the rows were looked at.
            least: The first key in the table's order, as text.
            greatest: The last one.
        """
        assert since is not None
        assert least is not None
        assert greatest is not None
        return self._part(_quoted(least.decode()), _quoted(greatest.decode()), since)

    def _part(self, least: bytes, greatest: bytes, since: bytes) -> Part:
        return Part("remember", b", ".join((self._before, least, greatest, self._behind, since)) + b")")


class Remembering:
    """What a connection knows of tables whose batches can be recognised.

    Args:
        connection: Idle whenever it is asked about a table that is new to it.
        numbers: For names that nothing on any connection has had.
    """

    def __init__(self, connection: Connection, numbers: Iterator[int]) -> None:
        self._connection = connection
        self._numbers = numbers
        self._names: dict[tuple[Shape, bool], tuple[bytes, bytes]] = {}
        self._usable: dict[str, bool] = {}
        self._system = ""

    async def known(self, relation: Relation, shape: Shape, batch: Batch[Any], digest: bytes) -> Known | None:
        """What to say of a batch; None where it cannot be recognised."""
        one, count = batch.id, len(batch.encoded if batch.lines is None else batch.lines)
        if not is_ordered(shape) or not await self._is_usable(shape.table[0]):
            return None
        ends = _ends(batch, shape.key[0])
        if ends is None:
            return None
        ask, remember = await self._prepared(shape, relation, shows=bool(one.generation_id))
        place = int.from_bytes(hashlib.sha256(ends[0].encode()).digest()[:8], "big", signed=True)
        what = self._digest(shape, batch, count, digest)
        flow, partition = _quoted(one.flow_id), _quoted(one.partition)
        who = b"%b, %b, %d" % (flow, partition, place)
        where = b"where flow_id = %b and partition = %b and place = %d" % (flow, partition, place)
        table = sql.Identifier(shape.table[0], REMEMBERED).as_bytes(self._connection)
        shown = b""
        if one.generation_id:
            shown = b", %b, %d, %d" % (_quoted(one.generation_id), one.fencing_token, one.sequence)
        return Known(
            is_found=Part("known", b"execute %b(%b, '\\x%b'%b)" % (ask, who, what, shown)),
            forget=Part("forget", b"delete from %b %b" % (table, where)),
            _before=b"execute %b(%b, '\\x%b', %d" % (remember, who, what, count),
            _behind=b"%d, %d" % (one.fencing_token, one.sequence),
            _ends=(_quoted(ends[0]), _quoted(ends[1])),
            _is_quiet=shape.is_quiet,
        )

    async def trim(self, schema: str, flow_id: str, partition: str) -> None:
        """Forgets what is oldest of a flow that has left too much behind."""
        if await self._is_usable(schema):
            statement = sql.SQL(_TRIM).format(remembered=sql.Identifier(schema, REMEMBERED))
            values = {"flow": flow_id, "part": partition, "most": _MOST_REMEMBERED}
            await self._connection.execute(statement, values)

    async def _is_usable(self, schema: str) -> bool:
        """Whether the schema has the table for it; it is created when it is missing and may be."""
        if schema not in self._usable:
            table = sql.Identifier(schema, REMEMBERED)
            asked = sql.SQL(_USABLE).format(table=sql.Literal(table.as_string(self._connection)))
            try:
                [(is_there, _)] = await (await self._connection.execute(asked)).fetchall()
                if not is_there:
                    await self._connection.execute(sql.SQL(_TABLE).format(remembered=table))
                [(_, is_usable)] = await (await self._connection.execute(asked)).fetchall()
                [(self._system,)] = await (await self._connection.execute(_SYSTEM)).fetchall()
            except psycopg.errors.InsufficientPrivilege:
                is_usable = False
            self._usable[schema] = is_usable
        return self._usable[schema]

    async def _prepared(self, shape: Shape, relation: Relation, *, shows: bool) -> tuple[bytes, bytes]:
        if (shape, shows) not in self._names:
            if len(self._names) >= _MOST_PREPARED:
                for known in self._names.pop(next(iter(self._names))):
                    await self._connection.execute(b"deallocate " + known)
            self._names[shape, shows] = await self._prepare(shape, relation, shows=shows)
        return self._names[shape, shows]

    async def _prepare(self, shape: Shape, relation: Relation, *, shows: bool) -> tuple[bytes, bytes]:
        [key], connection = shape.chosen(frozenset(shape.key)), self._connection
        is_held, hashes = sql.SQL(_IS_HELD), sql.Composed([sql.SQL("null")])
        given: dict[str, sql.Composable] = {}
        if shows:
            hashes = sql.SQL(_HASHES).format(hash=key_hash("t", relation), is_held=is_held)
            given["generations"] = await generations_in(connection, shape.table[0])
        remembered = sql.Identifier(shape.table[0], REMEMBERED)
        found = sql.SQL(_FOUND).format(
            remembered=remembered,
            table=sql.Identifier(*shape.table),
            key=sql.Identifier(key.name),
            kind=sql.Identifier("pg_catalog", key.type_name),
            is_held=is_held,
            hashes=hashes,
        )
        ask, remember = (sql.Identifier(f"isthmus_{next(self._numbers)}") for _ in range(2))
        await connection.execute(sql.SQL(_SHOWN if shows else _KNOWN).format(name=ask, found=found, **given))
        await connection.execute(sql.SQL(_REMEMBER).format(name=remember, remembered=remembered))
        return ask.as_bytes(connection), remember.as_bytes(connection)

    def _digest(self, shape: Shape, batch: Batch[Any], count: int, digest: bytes) -> bytes:
        """Covers all that decides what becomes of the bytes: table, server, settings of the session."""
        told = self._connection.info.parameter_status
        columns = [(c.name, c.type.name) for c in batch.lines.columns] if batch.lines is not None else None
        settings = told("TimeZone"), told("DateStyle")
        beside = (self._system, shape.table, shape.key, shape.mark, columns, settings, count)
        return hashlib.sha256(repr(beside).encode() + digest).hexdigest()[:32].encode()


def digest_of(batch: Batch[Any]) -> bytes | None:
    """The digest of what a batch brings; None for one that is not worth remembering."""
    if not batch.id.flow_id:
        return None
    if batch.lines is not None:
        return hashlib.sha256(batch.lines.text).digest() if len(batch.lines) >= _LEAST_ROWS else None
    # One object after the other can be told apart whatever stands between them.
    return hashlib.sha256(b"\n".join(batch.encoded)).digest() if len(batch.encoded) >= _LEAST_ROWS else None


def is_steady(rows: Rows) -> bool:
    """Whether each record makes one row, and the same text always the same one."""
    return rows.lines == rows.records and all(column.type_name in _STEADY for column in rows.columns)


def is_ordered(shape: Shape) -> bool:
    """Whether rows stand in the order of one key."""
    keys = shape.chosen(frozenset(shape.key))
    return len(keys) == 1 and keys[0].kind in _COMPARABLE


def _ends(batch: Batch[Any], key: str) -> tuple[str, str] | None:
    """The keys of the first and the last record, as texts."""
    found: list[Any]
    if batch.lines is not None:
        text = batch.lines.text
        both = text[: text.index(b"\n") + 1] + text[text.rfind(b"\n", 0, -1) + 1 :]
        try:
            found = list(Lines(both, batch.lines.columns, 2).values(key))
        except Failure:  # who reads all of them says which line it is
            return None
    else:
        found = [_decode(document).get(key) for document in (batch.encoded[0], batch.encoded[-1])]
    if any(value is None for value in found):
        return None
    first, last = map(str, found)
    return first, last


def _quoted(text: str) -> bytes:
    return sql.Literal(text).as_bytes()


__all__ = ["REMEMBERED", "Known", "Remembering", "digest_of", "is_ordered", "is_steady"]
