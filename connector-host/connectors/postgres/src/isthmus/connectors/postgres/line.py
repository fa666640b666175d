"""A connection to the database within the limits of the instance."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from isthmus.connectors.postgres.catalogue import Connection
from isthmus.sdk import Batch, Guard
from psycopg.pq import TransactionStatus

T = TypeVar("T")


class Line:
    """Connects when it is needed, and again when a failure left the connection unusable.

    Connecting belongs to the call that needs it, so one call takes one turn and one place.

    Args:
        guard: What calls go through.
        connect: Makes a connection in autocommit.
    """

    def __init__(self, guard: Guard, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._guard = guard
        self._connect = connect
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], Awaitable[T]], *, what: str, safe: bool = True) -> T:
        """Returns what `work` makes of a connection; see `Guard.run`."""
        return await self._guard.run(lambda: self._use(work), what=what, safe=safe)

    async def write(
        self, batch: Batch[Any], apply: Callable[[Connection, Batch[Any]], Awaitable[None]], *, what: str
    ) -> None:
        """Applies a batch in one transaction; see `Guard.write`."""
        await self._guard.write(
            batch, lambda trial: self._use(lambda connection: apply(connection, trial)), what=what
        )

    async def aclose(self) -> None:
        """Closes the connection; a transaction under way is rolled back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _use(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._connection = await self._connect()
        try:
            return await work(connection)
        except BaseException:
            if connection.info.transaction_status != TransactionStatus.IDLE:
                self._connection = None
                with suppress(psycopg.Error):
                    await connection.close()
            raise


__all__ = ["Line"]
