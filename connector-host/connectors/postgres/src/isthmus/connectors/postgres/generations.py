"""Which rows a complete refresh has shown, and the end of those it has not.

A table holds rows of others, too, and says of none where it comes from. So the hashes of the keys that a
refresh has shown are kept until the next one has ended: what that one has not shown of them goes, and no
other row. The first refresh removes nothing. A batch costs one row, however many records it has.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.positions import positions_in
from isthmus.sdk import Batch, ConfigurationFailure, Fenced, Finished, Generation, Operation
from psycopg import sql

GENERATIONS = "isthmus_generations"
_TABLE = """
create table if not exists {generations} (
    flow_id text not null, generation_id text not null, partition text not null,
    fencing_token bigint not null, sequence bigint not null, shown bigint not null default 0,
    removed bigint not null default 0, hashes bigint[] not null default '{{}}',
    created_at timestamptz not null default now(),
    primary key (flow_id, generation_id, partition, fencing_token, sequence))
"""
# Hashes do not get shorter by packing them.
_PLAIN = "alter table {generations} alter column hashes set storage external"
_NOTE = """
insert into {generations} (flow_id, generation_id, partition, fencing_token, sequence, hashes)
select %s, %s, %s, %s, %s, array_agg({hash}) from unnest({arrays}) k ({columns})
on conflict do nothing
"""
# Sequence 0 says that a generation has ended; -1 that some of its keys could not be told.
_FIRST = -1  # stands for the removed rows of a refresh before which nothing was known
_MARK = """
insert into {generations} (flow_id, generation_id, partition, fencing_token, sequence, shown, removed)
values (%s, %s, '', 0, %s, %s, %s) on conflict do nothing
"""
_NEWEST = "select coalesce(max(fencing_token), 0) from {positions} where flow_id = %s"
_ENDED = """
select shown, removed from {generations} where flow_id = %s and generation_id = %s and sequence = 0
"""
_BROKEN = (
    "select exists (select from {generations} where flow_id = %s and generation_id = %s and sequence = -1)"
)
# Writing batches forbids all but looking up few rows; this looks at all of them at once.
_AT_ONCE = """
set local enable_seqscan = default; set local enable_bitmapscan = default;
set local enable_hashjoin = default; set local enable_mergejoin = default; set local plan_cache_mode = default
"""
_KEYS = """
create temporary table isthmus_absent on commit drop as
with shown as materialized (
    select distinct unnest(hashes) as hash from {generations} where flow_id = %s and generation_id = %s
), before as materialized (
    select distinct unnest(hashes) as hash from {generations} where flow_id = %s and generation_id <> %s
)
select hash from before where not exists (select from shown where shown.hash = before.hash)
"""
_KNOWN = """
select exists (select from {generations} where flow_id = %s and generation_id <> %s and sequence > 0)
"""
_SHOWN = """
select count(*) from (
    select distinct unnest(hashes) from {generations} where flow_id = %s and generation_id = %s) shown
"""
_ABSENT = "select count(*) from {table} t where {hash} in (select hash from isthmus_absent)"
_DELETE = "delete from {table} t where {hash} in (select hash from isthmus_absent)"
_FORGET = "delete from {generations} where flow_id = %s and generation_id <> %s"


_TYPES = """
select attname::text, format_type(atttypid, atttypmod) from pg_attribute
where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
"""
_known_types: WeakKeyDictionary[Connection, dict[str, dict[str, str]]] = WeakKeyDictionary()


async def note_shown(connection: Connection, relation: Relation, batch: Batch[Any]) -> None:
    """Remembers the keys of a batch in the transaction that writes it."""
    one = batch.id
    if not one.generation_id or relation.table is None:
        return
    generations = await generations_in(connection, relation.table[0])
    keys = _keys(relation, batch)
    if keys is None:
        await _break(connection, generations, batch)
    elif keys:
        statement = sql.SQL(_NOTE).format(
            generations=generations,
            hash=key_hash("k", relation, await types_of(connection, relation)),
            arrays=sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in relation.key),
            columns=sql.SQL(", ").join(map(sql.Identifier, relation.key)),
        )
        which = (one.flow_id, one.generation_id, one.partition, one.fencing_token, one.sequence)
        try:
            async with connection.transaction():
                await connection.execute(statement, (*which, *map(list, zip(*keys, strict=True))))
        except psycopg.DataError:
            await _break(connection, generations, batch)


async def finish(connection: Connection, relation: Relation, generation: Generation) -> Finished:
    """Removes or marks rows of the flow that its refresh has not shown; a repetition changes nothing.

    Raises:
        Fenced: a newer attempt has written this flow.
        DeletionsSuspicious: more would go than may.
    """
    assert relation.table is not None
    table = sql.Identifier(*relation.table)
    this = (generation.flow_id, generation.generation_id)
    async with connection.transaction():
        await connection.execute(_AT_ONCE)
        generations = await generations_in(connection, relation.table[0])
        await connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (this[0],))
        await _refuse_overtaken(connection, relation.table[0], generation)
        ended = await _row(connection, sql.SQL(_ENDED).format(generations=generations), this)
        if ended:
            return Finished(ended[0], max(0, ended[1]), is_first=ended[1] < 0)
        [known] = await _row(connection, sql.SQL(_KNOWN).format(generations=generations), this)
        [broken] = await _row(connection, sql.SQL(_BROKEN).format(generations=generations), this)
        await connection.execute(sql.SQL(_KEYS).format(generations=generations), (*this, *this))
        [shown] = await _row(connection, sql.SQL(_SHOWN).format(generations=generations), this)
        held, values = held_by(generation, await types_of(connection, relation))
        hashed = sql.SQL("{} and {}").format(held, key_hash("t", relation))
        counting = sql.SQL(_ABSENT).format(table=table, hash=hashed)
        [absent] = (0,) if broken else await _row(connection, counting, values)
        generation.check(shown, absent)
        removed = await _remove(connection, relation, generation) if absent else 0
        if not broken:
            await connection.execute(sql.SQL(_FORGET).format(generations=generations), this)
        marking = sql.SQL(_MARK).format(generations=generations)
        is_first = not known and not broken
        await connection.execute(marking, (*this, 0, shown, _FIRST if is_first else removed))
    return Finished(shown, removed, is_first=is_first)


async def _remove(connection: Connection, relation: Relation, generation: Generation) -> int:
    assert relation.table is not None
    table, hashed = sql.Identifier(*relation.table), key_hash("t", relation)
    if generation.mark is None:
        return (await connection.execute(sql.SQL(_DELETE).format(table=table, hash=hashed))).rowcount
    types = await types_of(connection, relation)
    held, values = held_by(generation, types)
    setting = sql.SQL(", ").join(
        sql.SQL("{} = %s::text::{}").format(sql.Identifier(name), sql.SQL(types[name]))
        for name in generation.mark
    )
    marking = sql.SQL("update {} t set {} where {} and {} in (select hash from isthmus_absent)").format(
        table, setting, held, hashed
    )
    return (await connection.execute(marking, (*values, *values))).rowcount


def held_by(generation: Generation, types: Mapping[str, str]) -> tuple[sql.Composable, list[Any]]:
    """What holds for rows that do not carry the mark yet."""
    mark = generation.mark or {}
    unknown = next((name for name in mark if name not in types), "")
    if unknown:
        message = f"The table has no column {unknown} to mark absent rows by: add it, or name another."
        raise ConfigurationFailure("COLUMN_UNKNOWN", message)
    unmarked = sql.SQL(" or ").join(
        sql.SQL("t.{} is distinct from %s::text::{}").format(sql.Identifier(name), sql.SQL(types[name]))
        for name in mark
    )
    if not mark:
        return sql.SQL("true"), []
    return sql.SQL("({})").format(unmarked), [_text(value) for value in mark.values()]


async def _refuse_overtaken(connection: Connection, schema: str, generation: Generation) -> None:
    newest = sql.SQL(_NEWEST).format(positions=await positions_in(connection, schema))
    [token] = await _row(connection, newest, (generation.flow_id,))
    if token > generation.fencing_token:
        raise Fenced


async def generations_in(connection: Connection, schema: str) -> sql.Identifier:
    """The table of a schema that remembers generations; it is created when it is missing."""
    table = sql.Identifier(schema, GENERATIONS)
    known = await _row(connection, sql.SQL("select to_regclass(%s)"), (table.as_string(connection),))
    if known[0] is None:
        # Of two sessions that create one table at a time, the second would fail.
        await connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (GENERATIONS,))
        await connection.execute(sql.SQL(_TABLE).format(generations=table))
        await connection.execute(sql.SQL(_PLAIN).format(generations=table))
    return table


async def _break(connection: Connection, generations: sql.Identifier, batch: Batch[Any]) -> None:
    """Remembers that not all keys are known, so that nothing is taken for absent."""
    values = (batch.id.flow_id, batch.id.generation_id, -1, 0, 0)
    await connection.execute(sql.SQL(_MARK).format(generations=generations), values)


def _keys(relation: Relation, batch: Batch[Any]) -> list[tuple[str, ...]] | None:
    """The keys of a batch as text; None where one of them cannot be told."""
    found: Sequence[tuple[Any, ...]]
    if batch.lines is not None and not batch.operations and not batch.rejected:
        if not set(relation.key) <= set(batch.lines.names):
            return None
        found = list(zip(*map(batch.lines.values, relation.key), strict=True))
    elif batch.encoded and not batch.operations and not batch.rejected:
        found = [decoded.values() for decoded in map(_key_decoder(relation.key), batch.encoded)]
    else:
        refused = {reject.index for reject in batch.rejected}
        found = [
            tuple(record.get(name) for name in relation.key)
            for place, (index, record) in enumerate(zip(batch.indexes, batch.records, strict=True))
            if index not in refused and not (batch.operations and batch.operations[place] == Operation.DELETE)
        ]
    if any(value is None for values in found for value in values):
        return None
    return [tuple(map(_text, values)) for values in found]


@lru_cache(maxsize=100)
def _key_decoder(key: tuple[str, ...]) -> Callable[[bytes], "_Key"]:
    """Reads of a record its key only."""
    names = [f"k{place}" for place in range(len(key))]
    fields = [(name, Any, None) for name in names]
    shape = msgspec.defstruct("Key", fields, bases=(_Key,), rename=dict(zip(names, key, strict=True)))
    decode: Callable[[bytes], _Key] = msgspec.json.Decoder(shape).decode  # type: ignore[assignment]
    return decode


class _Key(msgspec.Struct):
    def values(self) -> tuple[Any, ...]:
        return msgspec.structs.astuple(self)


async def types_of(connection: Connection, relation: Relation) -> Mapping[str, str]:
    """The types of a table's columns as they are now; it may be younger than the catalogue in hand."""
    assert relation.table is not None
    name = sql.Identifier(*relation.table).as_string(connection)
    known = _known_types.setdefault(connection, {})
    if name not in known:
        found = await connection.execute(_TYPES, (name,))
        known[name] = dict(await found.fetchall())
    return known[name]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def key_hash(row: str, relation: Relation, types: Mapping[str, str] | None = None) -> sql.Composable:
    """The hash of a row's key, as the types of its columns write it; texts are made values first."""
    parts = []
    for name in relation.key:
        kind = sql.SQL("::{}").format(sql.SQL(types[name])) if types else sql.SQL("")
        parts.append(sql.SQL("{}.{}{}::text").format(sql.SQL(row), sql.Identifier(name), kind))
    return sql.SQL("hashtextextended(concat_ws(chr(31), {}), 0)").format(sql.SQL(", ").join(parts))


async def _row(
    connection: Connection, query: sql.SQL | sql.Composed, values: Sequence[Any]
) -> tuple[Any, ...]:
    return await (await connection.execute(query, values)).fetchone() or ()


__all__ = ["GENERATIONS", "finish", "generations_in", "held_by", "key_hash", "note_shown", "types_of"]
