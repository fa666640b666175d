"""What the database says about its tables and about queries."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from isthmus.connectors.postgres.settings import Query, Settings, Table
from isthmus.sdk import ConfigurationFailure
from psycopg import sql

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_TABLES = """
select n.nspname, c.relname, obj_description(c.oid, 'pg_class'),
       coalesce((select array_agg(a.attname::text order by k.place)
                 from pg_index i, unnest(i.indkey::int2[]) with ordinality k(number, place)
                 join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number
                 where i.indrelid = c.oid and i.indisprimary), '{}')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  and c.relname not in ('isthmus_positions', 'isthmus_generations', 'isthmus_remembered')
  and (n.nspname = any(%s) or (n.nspname || '.' || c.relname) = any(%s))
order by 1, 2
"""
_JSON_TYPES: Mapping[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "smallint": {"type": "integer"},
    "integer": {"type": "integer"},
    "bigint": {"type": "integer"},
    "oid": {"type": "integer"},
    "real": {"type": "number"},
    "double precision": {"type": "number"},
    "date": {"type": "string", "format": "date"},
    "timestamp with time zone": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "json": {},
    "jsonb": {},
}


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows that can be read, and a table that may be written.

    Attributes:
        name: The stream's name.
        body: What stands behind FROM.
        columns: Name and SQL type of each column, in order.
        key: Columns that identify a row.
        cursor: Column that grows with every change; empty where there is none.
        table: Schema and table where it can be written; None for a query.
        evolve: What happens to fields for which the table has no column.
    """

    name: str
    body: sql.Composable
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    cursor: str
    description: str = ""
    table: tuple[str, str] | None = None
    create: bool = False
    evolve: str = "refuse"

    def type_of(self, column: str) -> str:
        """Gives the SQL type of a column.

        Raises:
            ConfigurationFailure: there is no such column.
        """
        found = dict(self.columns).get(column)
        if found is None:
            known = ", ".join(name for name, _ in self.columns)
            message = f"Stream {self.name} has no column {column}; it has {known}."
            raise ConfigurationFailure("COLUMN_UNKNOWN", message)
        return found

    def json_schema(self) -> dict[str, Any]:
        """Describes one row as JSON Schema; every column may be null."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {name: _nullable(kind) for name, kind in self.columns},
        }


async def relations(connection: Connection, settings: Settings) -> list[Relation]:
    """Lists tables of the configured schemas, configured tables, and queries, by name."""
    configured = {_qualified(table.name): table for table in settings.tables}
    found = await connection.execute(_TABLES, (settings.schemas, [".".join(place) for place in configured]))
    result: list[Relation] = []
    for schema, name, description, key in await found.fetchall():
        own = configured.pop((schema, name), None)
        found_one = await _of_table(connection, (schema, name), own, tuple(key), description or "")
        result.append(replace(found_one, evolve=_evolution(own, settings)))
    result += [
        replace(_to_create(place, table), evolve=_evolution(table, settings))
        for place, table in configured.items()
    ]
    result += [await of_query(connection, query) for query in settings.queries]
    return sorted(result, key=lambda relation: relation.name)


def _evolution(own: Table | None, settings: Settings) -> str:
    return (own.evolve if own else None) or settings.evolve


async def of_query(connection: Connection, query: Query) -> Relation:
    """Describes a query by its columns, without running it."""
    body = sql.SQL("({}) as isthmus_row").format(_selecting(query))
    columns = await _columns(connection, body)
    names = [name for name, _ in columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        message = (
            f"Query {query.name} has two columns {twice}, one of which would be lost: rename one with AS."
        )
        raise ConfigurationFailure("COLUMN_TWICE", message, path="queries")
    relation = Relation(query.name, body, columns, tuple(query.key), query.cursor, f"Query {query.name}.")
    for column in (*relation.key, *filter(None, [relation.cursor])):
        relation.type_of(column)
    return relation


async def _of_table(
    connection: Connection, place: tuple[str, str], own: Table | None, key: tuple[str, ...], description: str
) -> Relation:
    body = sql.SQL("{} as isthmus_row").format(sql.Identifier(*place))
    name = own.name if own else place[1] if place[0] == "public" else ".".join(place)
    relation = Relation(
        name=name,
        body=body,
        columns=await _columns(connection, body),
        key=tuple(own.key) if own and own.key else key,
        cursor=own.cursor if own else "",
        description=description or f"Table {'.'.join(place)}.",
        table=place,
        create=bool(own and own.create),
    )
    for column in (*relation.key, *filter(None, [relation.cursor])):
        relation.type_of(column)
    return relation


def _to_create(place: tuple[str, str], table: Table) -> Relation:
    if not table.create or not table.key:
        message = f"There is no table {table.name}: create it, or set `create` and `key` for it."
        raise ConfigurationFailure("TABLE_UNKNOWN", message, path="tables")
    body = sql.SQL("{} as isthmus_row").format(sql.Identifier(*place))
    return Relation(table.name, body, (), tuple(table.key), "", f"Table {table.name}.", place, create=True)


async def _columns(connection: Connection, body: sql.Composable) -> tuple[tuple[str, str], ...]:
    cursor = await connection.execute(sql.SQL("select isthmus_row.* from {} limit 0").format(body), ())
    described = cursor.description or []
    types = await connection.execute(
        "select format_type(t, null) from unnest(%s::oid[]) with ordinality u(t, n) order by n",
        ([column.type_code for column in described],),
    )
    names = [row[0] for row in await types.fetchall()]
    return tuple((column.name, name) for column, name in zip(described, names, strict=True))


def _qualified(name: str) -> tuple[str, str]:
    schema, _, table = name.rpartition(".")
    return schema or "public", table


def _selecting(query: Query) -> sql.Composable:
    # The text is the administrator's own SQL; it runs read-only under his database user. The driver
    # reads a percent sign as a placeholder wherever values are passed, so it is always doubled.
    return sql.SQL(query.sql.strip().rstrip(";").strip().replace("%", "%%"))


def _nullable(kind: str) -> dict[str, Any]:
    if kind.endswith("[]"):
        return {"type": ["array", "null"]}
    described = dict(
        _JSON_TYPES.get(
            kind, {"type": ["number", "string"]} if kind.startswith("numeric") else {"type": "string"}
        )
    )
    if "type" in described:
        types = described["type"] if isinstance(described["type"], list) else [described["type"]]
        described["type"] = [*types, "null"]
    return described


__all__ = ["Connection", "Relation", "of_query", "relations"]
