"""Connections to PostgreSQL that are lent for one transaction each."""

import asyncio
import select
from contextlib import suppress
from typing import Any

import psycopg
from isthmus.kit.db.connection import Driver, failure
from psycopg.pq import TransactionStatus
from sqlalchemy import exc

_WAIT_SECONDS = 5.0
_TIDY_SECONDS = 2.0
_IDLE = TransactionStatus.IDLE


class Pool:
    """Keeps connections open between transactions.

    The last one used is lent first, so the server can end those that a busy time left behind.

    Args:
        url: PostgreSQL as libpq reads it.
        arguments: More of what libpq knows.
        size: Connections that stay open until the server ends them.
        burst: Connections opened above that when busy, and closed after one transaction.
    """

    def __init__(self, url: str, arguments: dict[str, Any], *, size: int, burst: int) -> None:
        self._url = url
        self._arguments = arguments
        self._size = size
        self._room = asyncio.Semaphore(size + burst)
        self._idle: list[Driver] = []
        self._closed = False

    async def take(self) -> Driver:
        """Lend a connection that is alive and in no transaction; give it back.

        Raises:
            TimeoutError: SQLAlchemy's, all connections were lent for too long.
            DBAPIError: The server cannot be reached.
        """
        if self._room.locked():
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    await self._room.acquire()
            except TimeoutError as error:
                raise exc.TimeoutError(f"no connection became free within {_WAIT_SECONDS:.0f} s") from error
        else:
            await self._room.acquire()
        try:
            return await self._alive() or await self._connect()
        except BaseException:
            self._room.release()
            raise

    async def give(self, driver: Driver) -> None:
        """Take a connection back; what it has not committed is rolled back."""
        try:
            if driver.pgconn.transaction_status != _IDLE and not driver.closed:
                await _roll_back(driver)
            if driver.closed or self._closed or len(self._idle) >= self._size:
                await driver.close()
            else:
                self._idle.append(driver)
        finally:
            self._room.release()

    async def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _alive(self) -> Driver | None:
        """Lend an idle connection on which the server has said nothing while nobody asked: goodbye."""
        while self._idle:
            driver = self._idle.pop()
            if not driver.closed and not _readable(driver.fileno()):
                return driver
            await driver.close()
        return None

    async def _connect(self) -> Driver:
        try:
            # Transactions are begun by the statement that also binds them.
            return await psycopg.AsyncConnection.connect(self._url, autocommit=True, **self._arguments)
        except psycopg.Error as error:
            raise failure(error) from error


async def _roll_back(driver: Driver) -> None:
    """End a transaction that failed; a connection on which that does not work is of no use any more."""
    try:
        async with asyncio.timeout(_TIDY_SECONDS):
            await driver.rollback()
    except BaseException as error:
        with suppress(psycopg.Error):
            await driver.close()
        if not isinstance(error, Exception):
            raise


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


__all__ = ["Pool"]
