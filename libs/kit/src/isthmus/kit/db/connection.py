"""One transaction's connection: SQLAlchemy's statements and results, straight over the driver.

SQLAlchemy's asynchronous engine runs every statement in a greenlet and looks at it from many sides, which
costs four times as much as the driver itself.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Any, cast

import psycopg
from sqlalchemy import TextClause, exc
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData

Driver = psycopg.AsyncConnection[Any]
_MOST_STATEMENTS = 2000
_DIALECT = cast("Any", PGDialect_psycopg)()


class Rows(IteratorResult[Any]):
    """What a statement gave.

    Attributes:
        rowcount: Rows that it gave or touched.
    """

    def __init__(self, names: tuple[bytes, ...], rows: Sequence[Any], rowcount: int) -> None:
        super().__init__(_columns(names), iter(rows))
        self.rowcount = rowcount


class Connection:
    """Speaks the part of SQLAlchemy's `AsyncConnection` that services use, straight to the driver.

    Attributes:
        driver_connection: The driver's connection, in the same transaction.
        callbacks: What is called once the transaction has been committed.
    """

    def __init__(self, driver: Driver) -> None:
        self.driver_connection = driver
        self.callbacks: list[Callable[[], None]] = []

    async def execute(
        self, statement: TextClause, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Rows:
        """Run a statement.

        Raises:
            DBAPIError: SQLAlchemy's, of the kind that says what PostgreSQL refused; without the parameters.
        """
        sql = _compiled(statement.text)
        cursor = self.driver_connection.cursor()
        try:
            if isinstance(parameters, Sequence):
                await cursor.executemany(sql, parameters)
            else:
                await cursor.execute(sql, parameters or {})
            result = cursor.pgresult
            if result is None or not result.nfields:
                return Rows((), (), cursor.rowcount)
            names = tuple(result.fname(place) or b"" for place in range(result.nfields))
            return Rows(names, await cursor.fetchall(), cursor.rowcount)
        except psycopg.Error as error:
            raise failure(error, sql, self.driver_connection) from error

    def begin_nested(self) -> AbstractAsyncContextManager[Any]:
        """Set a savepoint that a failure in the block goes back to."""
        return self.driver_connection.transaction()

    async def get_raw_connection(self) -> "Connection":
        """Return what has the driver's connection as `driver_connection`."""
        return self

    async def begin(self, opening: Any) -> None:
        """Begin a transaction with a statement that may consist of several commands."""
        try:
            # Several commands in one message are nothing that the server takes as a prepared statement.
            await self.driver_connection.execute(opening, prepare=False)
        except psycopg.Error as error:
            raise failure(error, "BEGIN", self.driver_connection) from error

    async def commit(self) -> None:
        """Commit; what was to be called afterwards is left to the caller."""
        try:
            await self.driver_connection.commit()
        except psycopg.Error as error:
            raise failure(error, "COMMIT", self.driver_connection) from error


def failure(error: psycopg.Error, statement: str = "CONNECT", driver: Driver | None = None) -> Exception:
    """Give a failure of the driver the form in which SQLAlchemy raises it, without what was bound."""
    is_lost = driver is not None and (driver.closed or driver.broken)
    return exc.DBAPIError.instance(
        statement,
        None,
        error,
        psycopg.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=_DIALECT,
    )


@lru_cache(maxsize=_MOST_STATEMENTS)
def _compiled(statement: str) -> Any:
    """Write a statement with the driver's placeholders."""
    return str(TextClause(statement).compile(dialect=_DIALECT))


@lru_cache(maxsize=_MOST_STATEMENTS)
def _columns(names: tuple[bytes, ...]) -> SimpleResultMetaData:
    return SimpleResultMetaData([name.decode() for name in names])


__all__ = ["Connection", "Driver", "Rows", "failure"]
