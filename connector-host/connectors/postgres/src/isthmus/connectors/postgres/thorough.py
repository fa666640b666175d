"""Batches into a table with a look at each record: whatever cannot be copied as it comes."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import psycopg
from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.creating import create_table
from isthmus.connectors.postgres.evolving import evolve, remedy, told_once
from isthmus.connectors.postgres.failing import failure_of
from isthmus.connectors.postgres.generations import note_shown
from isthmus.connectors.postgres.positions import advance
from isthmus.sdk import Batch, ConfigurationFailure, Operation, WriteMode
from psycopg import sql

Apply = Callable[[Connection, Relation, Batch[Any], Sequence[int]], Awaitable[None]]
_encode = msgspec.json.Encoder().encode
_STAGE = "create temporary table if not exists isthmus_stage (place int, doc text) on commit delete rows"
_UPSERT = """
with written as (
    insert into {table} as t ({columns}) overriding system value
    select {staged} from isthmus_stage s, jsonb_populate_record(null::{table}, s.doc::jsonb) r
    where {wanted} on conflict ({key}) {resolution}
    returning (xmax = 0) as is_new
)
select count(*) filter (where is_new), count(*) filter (where not is_new) from written
"""
_PATCH = """
update {table} t set {changes}
from isthmus_stage s, jsonb_populate_record(null::{table}, s.doc::jsonb) r
where ({held}) = ({given}) and ({before}) is distinct from ({after})
"""
# Types that have no equality of their own, and what to compare them as.
_COMPARED_AS = {"json": "jsonb", "xml": "text", "point": "text", "box": "text", "polygon": "text"}


async def write_thoroughly(connection: Connection, relation: Relation, batch: Batch[Any]) -> None:
    """Applies a batch and remembers it; a batch that comes again takes no effect.

    Rows that the database refuses are found by halving and rejected, the others stand.

    Raises:
        Fenced: a newer attempt has written this flow.
        ConfigurationFailure: the table cannot be written by this key.
    """
    assert relation.table is not None
    async with connection.transaction():
        # A constraint that waits for the commit would blame the batch instead of the row.
        await connection.execute("set constraints all immediate")
        if not await advance(connection, relation.table[0], batch):
            batch.repeated = True
            return
        await apply_batch(connection, relation, batch)
        await note_shown(connection, relation, batch)


async def _writable_columns(connection: Connection, relation: Relation) -> list[str]:
    assert relation.table is not None
    found = await connection.execute(
        """select a.attname::text from pg_attribute a where a.attrelid = to_regclass(%s)
           and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum""",
        (sql.Identifier(*relation.table).as_string(connection),),
    )
    columns = [row[0] for row in await found.fetchall()]
    if not relation.key or not set(relation.key) <= set(columns):
        message = (
            f"Table {'.'.join(relation.table)} has no key to write by: give it a primary key, or set `key`."
        )
        raise ConfigurationFailure("KEY_MISSING", message)
    return columns


async def _fitting(
    connection: Connection, relation: Relation, batch: Batch[Any], columns: set[str]
) -> list[int]:
    """Gives the places of records whose fields all have a column; rejects the others."""
    places, told = [], ""
    # Of lines it is known which members no record has; each is written whole.
    absent = columns.intersection(batch.lines.names if batch.lines is not None else ())
    for place, record in enumerate(batch.records):
        for name in absent:
            record.setdefault(name, None)
        strange = sorted(record.keys() - columns)
        lacking = [name for name in relation.key if record.get(name) is None]
        if strange and _may_leave_out(relation, record, strange):
            for name in strange:
                del record[name]
            strange = []
        if lacking:
            batch.reject_at(
                place, f"Key field {lacking[0]} is missing.", reason="KEY_MISSING", path=lacking[0]
            )
        elif strange and not removes(batch, place):
            told = told or await remedy(connection, relation, batch)
            text = f"The table has no column {', '.join(strange)}: {told}."
            batch.reject_at(place, text, reason="COLUMN_UNKNOWN", path=strange[0])
        else:
            places.append(place)
    return places


def _may_leave_out(relation: Relation, record: Mapping[str, Any], strange: Sequence[str]) -> bool:
    """Whether fields without a column are to be dropped; a null says nothing of the column to add for it."""
    if relation.evolve == "drop":
        for name in strange:
            told_once(relation, name)
        return True
    return relation.evolve == "add" and all(record[name] is None for name in strange)


def removes(batch: Batch[Any], place: int) -> bool:
    """Whether the record at a place is to be removed."""
    told = bool(batch.operations) and batch.operations[place] == Operation.DELETE
    return told or batch.mode == WriteMode.DELETE


async def apply_rows(
    connection: Connection, relation: Relation, batch: Batch[Any], places: Sequence[int]
) -> None:
    """Applies the records at some places and counts what that did."""
    final = last_of_each_key(batch, places, relation.key)
    created = updated = unchanged = deleted = 0
    for group in groups(batch, final):
        if removes(batch, group[0]):
            removed = await _delete(connection, relation, batch, group)
            deleted += removed
            unchanged += len(group) - removed
            continue
        is_new, changed = await _upsert(connection, relation, batch, group)
        created += is_new
        updated += changed
        unchanged += len(group) - is_new - changed
    batch.created += created
    batch.updated += updated + len(places) - len(final)
    batch.unchanged += unchanged
    batch.deleted += deleted


def last_of_each_key(batch: Batch[Any], places: Iterable[int], key: tuple[str, ...]) -> list[int]:
    """Of one key only the last operation shows in the end; those before it are taken as done."""
    last = {_encode([batch.records[place].get(name) for name in key]): place for place in places}
    return sorted(last.values())


def groups(batch: Batch[Any], places: Sequence[int]) -> Iterable[list[int]]:
    """Splits places into those that one statement can handle."""
    groups: dict[object, list[int]] = {}
    for place in places:
        operation = batch.operations[place] if batch.operations else Operation.UPSERT
        operation = Operation.DELETE if removes(batch, place) else operation
        fields = tuple(sorted(batch.records[place])) if operation == Operation.PATCH else ()
        groups.setdefault((operation, fields), []).append(place)
    return groups.values()


async def stage(connection: Connection, batch: Batch[Any], places: Iterable[int]) -> None:
    """Puts the records at some places, and nothing else, where statements find them."""
    await connection.execute(_STAGE)
    await connection.execute("delete from isthmus_stage")
    async with (
        connection.cursor() as cursor,
        cursor.copy("copy isthmus_stage (place, doc) from stdin") as copy,
    ):
        for place in places:
            await copy.write_row((place, _encode(batch.records[place]).decode()))


async def _upsert(
    connection: Connection, relation: Relation, batch: Batch[Any], places: Sequence[int]
) -> tuple[int, int]:
    """Creates or changes rows; gives how many are new and how many changed."""
    assert relation.table is not None
    await stage(connection, batch, places)
    given = sorted({name for place in places for name in batch.records[place]})
    changing = [name for name in given if name not in relation.key]
    table = sql.Identifier(*relation.table)
    patched = 0
    wanted: sql.Composable = sql.SQL("true")
    if batch.operations and batch.operations[places[0]] == Operation.PATCH:
        # A row that lacks columns the table requires can change another, and never be inserted.
        patched = await _patch(connection, relation, changing)
        wanted = sql.SQL("not exists (select from {} t where ({}) = ({}))").format(
            table, joined("t.{}", relation.key), joined("r.{}", relation.key)
        )
    statement = sql.SQL(_UPSERT).format(
        table=table,
        staged=joined("r.{}", given),
        columns=joined("{}", given),
        key=joined("{}", relation.key),
        wanted=wanted,
        resolution=_resolution(relation, changing),
    )
    try:
        row = await (await connection.execute(statement)).fetchone()
    except psycopg.errors.InvalidColumnReference as error:
        message = f"Table {'.'.join(relation.table)} needs a unique index on {', '.join(relation.key)}."
        raise ConfigurationFailure("UNIQUE_INDEX_MISSING", message) from error
    return (row[0], row[1] + patched) if row is not None else (0, patched)


async def _patch(connection: Connection, relation: Relation, changing: Sequence[str]) -> int:
    """Changes the given columns of rows that exist; gives how many differed."""
    assert relation.table is not None
    if not changing:
        return 0
    changes = sql.SQL(", ").join(sql.SQL("{0} = r.{0}").format(sql.Identifier(name)) for name in changing)
    statement = sql.SQL(_PATCH).format(
        table=sql.Identifier(*relation.table),
        changes=changes,
        held=joined("t.{}", relation.key),
        given=joined("r.{}", relation.key),
        before=compared(relation, "t", changing),
        after=compared(relation, "r", changing),
    )
    return (await connection.execute(statement)).rowcount


def _resolution(relation: Relation, changing: Sequence[str]) -> sql.Composable:
    """Writes a row only when something in it differs."""
    if not changing:
        return sql.SQL("do nothing")
    return sql.SQL("do update set {} where ({}) is distinct from ({})").format(
        sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in changing),
        compared(relation, "t", changing),
        compared(relation, "excluded", changing),
    )


def compared(relation: Relation, row: str, names: Sequence[str]) -> sql.Composable:
    """Lists columns of a row in a form that can be compared."""
    kinds = dict(relation.columns)
    return sql.SQL(", ").join(
        sql.SQL("{}.{}{}").format(sql.SQL(row), sql.Identifier(name), _cast(kinds.get(name, "")))
        for name in names
    )


def _cast(kind: str) -> sql.Composable:
    other = _COMPARED_AS.get(kind)
    return sql.SQL("::{}").format(sql.SQL(other)) if other else sql.SQL("")


async def _delete(
    connection: Connection, relation: Relation, batch: Batch[Any], places: Sequence[int]
) -> int:
    """Removes rows; gives how many there were."""
    assert relation.table is not None
    await stage(connection, batch, places)
    statement = sql.SQL(
        "delete from {table} t using isthmus_stage s, jsonb_populate_record(null::{table}, s.doc::jsonb) r"
        " where ({held}) = ({wanted})"
    ).format(
        table=sql.Identifier(*relation.table),
        held=joined("t.{}", relation.key),
        wanted=joined("r.{}", relation.key),
    )
    return (await connection.execute(statement)).rowcount


def joined(pattern: str, names: Iterable[str]) -> sql.Composable:
    """Lists names, each in a pattern."""
    return sql.SQL(", ").join(sql.SQL(pattern).format(sql.Identifier(name)) for name in names)


async def _apply_by_halves(
    connection: Connection, relation: Relation, batch: Batch[Any], places: Sequence[int], apply: Apply
) -> None:
    """Halves what the database refuses, until the rows to blame stand alone and are rejected."""
    waiting = [places] if places else []
    while waiting:
        part = waiting.pop()
        try:
            async with connection.transaction():
                await apply(connection, relation, batch, part)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            middle = len(part) // 2
            if middle:
                waiting += [part[middle:], part[:middle]]
                continue
            failure = failure_of(error)
            path = error.diag.column_name or ""
            batch.reject_at(part[0], failure.message, reason=failure.reason, path=path)


async def apply_batch(
    connection: Connection, relation: Relation, batch: Batch[Any], apply: Apply = apply_rows
) -> None:
    """Applies a batch inside a transaction; rows that the database refuses are rejected.

    Args:
        connection: In a transaction.
        relation: The table, which is created where that is wanted.
        batch: Gets the outcome.
        apply: Applies the records at some places.

    Raises:
        ConfigurationFailure: the table cannot be written by this key.
    """
    if relation.create:
        await create_table(connection, relation, batch)
    await evolve(connection, relation, batch)
    columns = await _writable_columns(connection, relation)
    fitting = await _fitting(connection, relation, batch, set(columns))
    await _apply_by_halves(connection, relation, batch, fitting, apply)


__all__ = [
    "apply_batch",
    "apply_rows",
    "compared",
    "groups",
    "joined",
    "last_of_each_key",
    "removes",
    "stage",
    "write_thoroughly",
]
