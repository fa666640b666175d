"""The database that everybody writes to: that of the mesh's own PostgreSQL, durable as it comes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from isthmus.local.backends.postgres import ADMIN
from isthmus.local.private import password, read_json
from psycopg import sql

from comparison.incidents import COLUMNS, TABLE
from comparison.meters import cpu_of

__all__ = ["NAME", "Database"]

NAME = "bench"
"""Name of the database and of its owner, whom every runner logs in as."""


@dataclass(frozen=True)
class Database:
    """A database of its own on the mesh's server.

    Attributes:
        host: Where the server listens.
        port: Its port.
        secret: Password of the owner.
        server_pid: The server's first process.
    """

    host: str
    port: int
    secret: str = field(repr=False)
    server_pid: int
    _mesh_database: str
    _admin_secret: str = field(repr=False)

    @classmethod
    def made(cls, home: Path, server_pid: int) -> Database:
        """Creates database and owner on the server of the mesh in `home`."""
        place: dict[str, Any] = read_json(home / "mesh.json")["postgres"]
        admin = (home / "postgres" / "admin.password").read_text().strip()
        made = cls(place["host"], place["port"], password(), server_pid, place["database"], admin)
        with made.as_admin("postgres") as connection:
            owner = sql.Identifier(NAME)
            secret = sql.Literal(made.secret)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, secret))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))
        return made

    @property
    def url(self) -> str:
        """The owner's way in."""
        return f"postgresql://{NAME}:{self.secret}@{self.host}:{self.port}/{NAME}"

    @contextmanager
    def as_admin(self, database: str = "") -> Iterator[psycopg.Connection]:
        """Opens the mesh's database, or another one, past all services."""
        with psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=database or self._mesh_database,
            user=ADMIN,
            password=self._admin_secret,
            autocommit=True,
        ) as connection:
            yield connection

    def fresh_table(self, table: str) -> None:
        """Creates the job's table, empty."""
        name = sql.Identifier(table)
        with psycopg.connect(self.url) as connection:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(TABLE)))

    def drop_schema(self, schema: str) -> None:
        """Removes a schema with everything in it."""
        with psycopg.connect(self.url) as connection:
            statement = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
            connection.execute(statement.format(sql.Identifier(schema)))

    def forget_hub_records(self) -> None:
        """Empties the hub, so that every run begins with the same one."""
        with self.as_admin() as connection:
            connection.execute("TRUNCATE records.records, records.record_history, records.additions")
            connection.execute("UPDATE records.streams SET records = 0")

    def mark(self) -> int:
        """Gives a number that rows which are written from now on lie above."""
        with self.as_admin() as connection:
            row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        assert row is not None
        return int(row[0])

    def written_since(self, mark: int, tables: Sequence[str]) -> int:
        """Counts rows of tables that were inserted or changed, also to the same, after a mark."""
        query = sql.SQL("SELECT count(*) FROM {} WHERE xmin::text::bigint > {}")
        written = 0
        for table in tables:
            with self.as_admin("" if "." in table else NAME) as connection:
                name = sql.Identifier(*table.split("."))
                row = connection.execute(query.format(name, sql.Literal(mark))).fetchone()
                written += int(row[0]) if row else 0
        return written

    def settle(self) -> None:
        """Lets the server finish what the last run left to do in the background."""
        with self.as_admin() as connection:
            connection.execute("CHECKPOINT")

    def hash_of_table(self, table: str) -> str:
        """Tells the SHA-256 of a table's rows, thirteen columns in order of the id."""
        columns = sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in COLUMNS.items()
        )
        query = sql.SQL('SELECT {} FROM {} ORDER BY id COLLATE "C"')
        with psycopg.connect(self.url) as connection:
            return _hash(connection, query.format(columns, sql.Identifier(*table.split("."))))

    def hash_of_stream(self, stream: str) -> str:
        """Tells the same of what the hub holds in a stream, read out of its JSON."""
        columns = sql.SQL(", ").join(
            sql.SQL("(data::json->>{})::{}").format(sql.Literal(name), sql.SQL(kind))
            for name, kind in COLUMNS.items()
        )
        query = sql.SQL("SELECT {} FROM records.records WHERE stream = {} AND NOT is_deleted ORDER BY key")
        with self.as_admin() as connection:
            return _hash(connection, query.format(columns, sql.Literal(stream)))

    def cpu(self) -> float:
        """Tells the processor time of the whole server."""
        return cpu_of(self.server_pid)


def _hash(connection: psycopg.Connection, query: sql.Composed) -> str:
    digest = hashlib.sha256()
    connection.execute("SET TIME ZONE 'UTC'")
    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        with cursor.copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as copy:
            for row in copy:
                digest.update(row)
    return digest.hexdigest()
