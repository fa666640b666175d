"""Tables that lack what records bring: columns are added or made wider, or their absence is explained."""

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.connectors.postgres.creating import declared_type, value_type
from isthmus.sdk import Batch, ConfigurationFailure, Operation, WriteMode
from psycopg import sql

_log = logging.getLogger(__name__)
_COLUMNS = """
select attname::text, format_type(atttypid, null), atttypmod from pg_attribute
where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped and attgenerated = ''
"""
# Whoever has to wait for a reader of the table lets others wait behind him: better he tries again later.
_LOCK_SECONDS = 10
_INTEGERS = {"smallint": 1 << 15, "integer": 1 << 31, "bigint": 1 << 63}
_PLAIN = {*_INTEGERS, "numeric", "real", "double precision", "boolean"}
_NUMERIC_TEXT = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_LENGTH_BYTES = 4
_MOST_TOLD = 1000
_told: set[tuple[tuple[str, str], str]] = set()


async def evolve(connection: Connection, relation: Relation, batch: Batch[Any]) -> None:
    """Adds the columns that a batch needs and widens those that cannot take its values.

    One host at a time does it, before it touches the table in its transaction; another one that waited finds
    it done.

    Raises:
        ConfigurationFailure: `TABLE_NOT_ALTERED`, with the statement that an owner of the table can run.
    """
    assert relation.table is not None
    if relation.evolve != "add" or not await _changes(connection, relation, batch):
        return
    table = sql.Identifier(*relation.table).as_string(connection)
    await connection.execute("select pg_advisory_xact_lock(hashtextextended('isthmus ' || %s, 0))", (table,))
    changes = await _changes(connection, relation, batch)
    if not changes:
        return
    statement = _statement(connection, relation, changes)
    limit = sql.SQL("set local lock_timeout = {}").format(sql.Literal(f"{_LOCK_SECONDS}s"))
    await connection.execute(limit)
    try:
        await connection.execute(statement.encode())
    except (psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError) as error:
        said = (error.diag.message_primary or "").rstrip(".")
        message = f"The table cannot be altered ({said}); have its owner run: {statement}"
        raise ConfigurationFailure("TABLE_NOT_ALTERED", message) from None
    await connection.execute("set local lock_timeout = default")
    _log.warning("The table of stream %s was altered: %s", relation.name, statement)


async def remedy(connection: Connection, relation: Relation, batch: Batch[Any]) -> str:
    """What may be done about fields for which a table has no column; the statement names all of the batch."""
    changes = {
        name: change
        for name, change in (await _changes(connection, relation, batch)).items()
        if change.startswith("add")
    }
    told = f"run `{_statement(connection, relation, changes)}`" if changes else "add it"
    return f"{told}, set `evolve` to add or to drop, or leave the field out in the mapping"


def told_once(relation: Relation, name: str) -> None:
    """Says in the log that a field is left out, the first time only."""
    assert relation.table is not None
    if (relation.table, name) not in _told and len(_told) < _MOST_TOLD:
        _told.add((relation.table, name))
        _log.warning(
            "%s", f"The table of stream {relation.name} has no column {name}: the field is left out."
        )


async def _changes(connection: Connection, relation: Relation, batch: Batch[Any]) -> dict[str, str]:
    """What has to happen to which column."""
    assert relation.table is not None
    name = sql.Identifier(*relation.table).as_string(connection)
    rows = await (await connection.execute(_COLUMNS, (name,))).fetchall()
    held = {row[0]: (row[1], row[2]) for row in rows}
    properties: Mapping[str, Any] = (batch.json_schema or {}).get("properties") or {}
    changes: dict[str, str] = {}
    for field, value in _values(batch):
        if field not in held:
            wanted = declared_type(properties[field]) if field in properties else value_type(value)
            changes[field] = f"add column {{}} {_widest(changes.get(field, ''), wanted)}"
            continue
        declared = declared_type(properties[field]) if field in properties else ""
        kind = changes[field].rpartition(" type ")[2] if field in changes else held[field][0]
        length = -1 if field in changes else held[field][1]
        wider = _wider(kind, length, value, declared)
        if wider:
            changes[field] = f"alter column {{}} type {wider}"
    return changes


def _values(batch: Batch[Any]) -> Iterator[tuple[str, Any]]:
    for place, record in enumerate(batch.records):
        gone = bool(batch.operations) and batch.operations[place] == Operation.DELETE
        if not gone and batch.mode != WriteMode.DELETE:
            yield from ((name, value) for name, value in record.items() if value is not None)


def _widest(before: str, wanted: str) -> str:
    """The type that takes both what was seen before and this."""
    known = before.removeprefix("add column {} ")
    if not known or known == wanted:
        return wanted
    numbers = {"bigint", "double precision", "numeric"}
    if {known, wanted} <= numbers:
        return "numeric"
    return "jsonb"


def _wider(kind: str, length: int, value: Any, declared: str) -> str:
    """The type that a column needs for a value; empty where it has it.

    A text in a column of numbers makes it a column of texts only where the schema says that it is one now:
    a single bad value must not change a table.
    """
    if kind in {"character varying", "character"}:
        is_long = isinstance(value, str) and 0 <= length - _LENGTH_BYTES < len(value)
        return "text" if is_long else ""
    if isinstance(value, str):
        becomes_text = declared == "text" and kind in {
            *_INTEGERS,
            "numeric",
            "real",
            "double precision",
            "boolean",
        }
        return "text" if becomes_text and not _NUMERIC_TEXT.fullmatch(value) else ""
    if kind not in _INTEGERS or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float) and not value.is_integer():
        return "numeric"
    number, most = int(value), _INTEGERS[kind]
    if -most <= number < most:
        return ""
    return "bigint" if -_INTEGERS["bigint"] <= number < _INTEGERS["bigint"] else "numeric"


def _statement(connection: Connection, relation: Relation, changes: Mapping[str, str]) -> str:
    assert relation.table is not None
    parts = [
        change.replace("{}", sql.Identifier(name).as_string(connection), 1)
        for name, change in sorted(changes.items())
    ]
    return f"alter table {sql.Identifier(*relation.table).as_string(connection)} {', '.join(parts)}"


__all__ = ["evolve", "remedy", "told_once"]
