"""One transaction on a psycopg connection, in the words of SQLAlchemy."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import psycopg
from sqlalchemy import TextClause, exc
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData

_Driver = psycopg.AsyncConnection[Any]
_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]


class Rows(IteratorResult[Any]):
    """What a statement gave."""

    rowcount: int = -1
    """Rows that were changed or found."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What `get_raw_connection` gives."""

    driver_connection: _Driver


class Connection:
    """The part of SQLAlchemy's `AsyncConnection` that services use, at a fraction of its price.

    Statements are `text`, with their parameters by name. What costs SQLAlchemy most of its time, it does
    for statements of other kinds and for drivers of other kinds.

    Args:
        driver: Open, and nobody else's for the time being.
    """

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver
        self._savepoints = 0
        self.after_commit: list[Callable[[], None]] = []

    async def begin(self, opening: str) -> None:
        """Begin a transaction.

        Args:
            opening: Statements without parameters that go along, in one message.
        """
        await self._command(f"BEGIN;{opening}")

    async def commit(self) -> None:
        """Commit."""
        try:
            await self._driver.commit()
        except psycopg.Error as error:
            self._fail(error, "COMMIT")

    async def abandon(self) -> None:
        """Roll back; a connection that cannot do so is closed, which has the same effect."""
        try:
            await self._driver.rollback()
        except BaseException as error:
            await self._driver.close()
            if not isinstance(error, psycopg.Error):
                raise

    async def execute(
        self, statement: TextClause, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Rows:
        """Run a statement, once or for each of several sets of parameters.

        Raises:
            DBAPIError: SQLAlchemy's, with psycopg's as its `orig`; it shows no parameters.
        """
        words = _compiled(statement.text)
        cursor = self._driver.cursor()
        try:
            if parameters is None or isinstance(parameters, Mapping):
                await cursor.execute(words, parameters or {})
            else:
                await cursor.executemany(words, parameters)
            if cursor.description is None:
                return _rows((), (), cursor.rowcount)
            names = tuple(column.name for column in cursor.description)
            return _rows(names, await cursor.fetchall(), cursor.rowcount)
        except psycopg.Error as error:
            self._fail(error, statement.text)

    @asynccontextmanager
    async def begin_nested(self) -> AsyncIterator[None]:
        """Undo what the block does, and nothing else, where it fails."""
        self._savepoints += 1
        name = f"point_{self._savepoints}"
        await self._command(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            with suppress(exc.DBAPIError):
                await self._command(f"ROLLBACK TO SAVEPOINT {name}")
            raise
        await self._command(f"RELEASE SAVEPOINT {name}")

    async def get_raw_connection(self) -> Raw:
        """Return the driver's connection, for what only the driver can do."""
        return Raw(self._driver)

    async def _command(self, words: str) -> None:
        try:
            await self._driver.execute(words.encode(), prepare=False)
        except psycopg.Error as error:
            self._fail(error, words)

    def _fail(self, error: psycopg.Error, words: str) -> NoReturn:
        lost = self._driver.closed or self._driver.broken
        raise wrapped(error, words, lost=lost) from error


def wrapped(error: psycopg.Error, words: str = "", *, lost: bool = False) -> BaseException:
    """Put a failure of the driver into SQLAlchemy's class for it, without the parameters."""
    return exc.DBAPIError.instance(
        words, {}, error, psycopg.Error, hide_parameters=True, connection_invalidated=lost
    )


@lru_cache(maxsize=2048)
def _compiled(words: str) -> bytes:
    """Write names as psycopg wants them."""
    return str(TextClause(words).compile(dialect=_DIALECT)).encode()


@lru_cache(maxsize=1024)
def _metadata(names: tuple[str, ...]) -> SimpleResultMetaData:
    return SimpleResultMetaData(names)


def _rows(names: tuple[str, ...], rows: Sequence[Any], count: int) -> Rows:
    result = Rows(_metadata(names), iter(rows))
    result.rowcount = count
    return result


__all__ = ["Connection", "Raw", "Rows", "wrapped"]
