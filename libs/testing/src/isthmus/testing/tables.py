"""Looks into all tables of a mesh as nobody in it can: past row-level security."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from isthmus.local.backends.postgres import ADMIN
from psycopg import sql

__all__ = ["all_rows", "open_as_superuser", "place_of", "rows_of"]

_TABLES = (
    "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
    " and table_schema not in ('information_schema', 'pg_catalog') order by 1, 2"
)
_PASSING = {"alembic_version", "inbox", "outbox"}
"""Tables through which things travel, and what is nobody's."""
_UNOWNED = {"identity.login_failures"}
"""What strangers bring about who try to log in as somebody; locking a name is meant to be so."""
_USED = {"last_used_time", "odd_time", "use_count", "used_networks", "usual_rate"}
"""What a tenant's own calls of a moment ago change late."""


def open_as_superuser(home: Path) -> "psycopg.Connection[tuple[Any, ...]]":
    """Connect to the embedded PostgreSQL of the mesh in a home as its superuser."""
    place = place_of(home)
    return psycopg.connect(
        host=place["host"],
        port=place["port"],
        dbname=place["database"],
        user=place["username"],
        password=place["password"],
        autocommit=True,
    )


def place_of(home: Path) -> dict[str, str]:
    """Tell where the embedded PostgreSQL of a mesh is, and how its superuser logs in."""
    place = json.loads((home / "mesh.json").read_text())["postgres"]
    return {
        "host": place["host"],
        "port": str(place["port"]),
        "database": place["database"],
        "username": ADMIN,
        "password": (home / "postgres/admin.password").read_text(),
    }


def all_rows(home: Path) -> Iterator[tuple[str, list[str]]]:
    """Give every table with its rows as text."""
    with open_as_superuser(home) as connection:
        for schema, table in connection.execute(_TABLES).fetchall():
            rows = connection.execute(
                sql.SQL("select t::text from {} t").format(sql.Identifier(schema, table))
            )
            yield f"{schema}.{table}", [row[0] for row in rows]


def rows_of(home: Path, tenant_id: str) -> dict[str, list[str]]:
    """Give every row of a tenant as JSON, sorted, by its table.

    Left out are attempts to log in, which everybody may make, and how often keys were used.
    """
    found: dict[str, list[str]] = {}
    with open_as_superuser(home) as connection:
        for schema, table in connection.execute(_TABLES).fetchall():
            if table in _PASSING or f"{schema}.{table}" in _UNOWNED:
                continue
            query = sql.SQL("select to_jsonb(t) from {} t where tenant_id = {}")
            rows = connection.execute(query.format(sql.Identifier(schema, table), sql.Literal(tenant_id)))
            found[f"{schema}.{table}"] = sorted(_own(row[0]) for row in rows if _is_own(table, row[0]))
    return found


def _own(row: Any) -> str:
    return json.dumps({name: value for name, value in row.items() if name not in _USED}, sort_keys=True)


def _is_own(table: str, row: Any) -> bool:
    """Tell whether a row is not the trace of a stranger at the door."""
    return table != "audit_records" or bool(row["subject"])
