"""Tables that are made at their first write."""

from collections.abc import Mapping
from typing import Any

from isthmus.connectors.postgres.catalogue import Connection, Relation
from isthmus.sdk import Batch
from psycopg import sql

_SQL_TYPES = {"boolean": "boolean", "integer": "bigint", "number": "double precision", "string": "text"}


async def create_table(connection: Connection, relation: Relation, batch: Batch[Any]) -> None:
    """Creates the table that a batch needs, unless it is there."""
    assert relation.table is not None
    table = sql.Identifier(*relation.table)
    known = await connection.execute("select to_regclass(%s)", (table.as_string(connection),))
    row = await known.fetchone()
    if row is not None and row[0] is not None:
        return
    kinds = _column_types(batch, relation.key)
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in kinds.items()
    )
    key = sql.SQL(", ").join(map(sql.Identifier, relation.key))
    # Of two sessions that create one table at a time, the second would fail.
    await connection.execute(
        sql.SQL(
            "select pg_advisory_xact_lock(hashtextextended({}, 0));"
            " create table if not exists {} ({}, primary key ({}))"
        ).format(sql.Literal(table.as_string(connection)), table, columns, key)
    )


def _column_types(batch: Batch[Any], key: tuple[str, ...]) -> dict[str, str]:
    """Types from the schema that travelled with the batch, else from its values."""
    properties: Mapping[str, Any] = (batch.json_schema or {}).get("properties") or {}
    kinds = {name: declared_type(schema) for name, schema in properties.items()}
    for record in batch.records:
        for name, value in record.items():
            if name not in kinds and value is not None:
                kinds[name] = value_type(value)
    return {**dict.fromkeys(key, "text"), **kinds}


def declared_type(schema: Mapping[str, Any]) -> str:
    """The type of a column for what a schema says of a field."""
    kinds = schema.get("type", "")
    kind = next((k for k in kinds if k != "null"), "") if isinstance(kinds, list) else kinds
    if kind == "string" and schema.get("format") == "date-time":
        return "timestamptz"
    return _SQL_TYPES.get(kind, "jsonb")


def value_type(value: Any) -> str:
    """The type of a column for a value."""
    for kinds, name in ((bool, "boolean"), (int, "bigint"), (float, "double precision"), (str, "text")):
        if isinstance(value, kinds):
            return name
    return "jsonb"


__all__ = ["create_table", "declared_type", "value_type"]
