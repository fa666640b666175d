"""Connections to PostgreSQL, kept open between transactions."""

import asyncio
import select
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from sqlalchemy import exc

_Driver = psycopg.AsyncConnection[Any]
_SURPLUS_SECONDS = 60.0


class Pool:
    """Lends connections and keeps them open, because opening one costs as much as many transactions.

    A connection that PostgreSQL closed is noticed before it is lent, so a restart of the server costs
    only the transactions that were open.

    Args:
        connect: Opens a connection.
        keep: Connections that stay open however long nobody needs them.
        most: Connections open at the same time.
        wait_seconds: How long a caller waits while all are lent.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[_Driver]], *, keep: int, most: int, wait_seconds: float
    ) -> None:
        self._connect = connect
        self._keep = keep
        self._most = most
        self._wait_seconds = wait_seconds
        self._places = asyncio.Semaphore(most)
        self._idle: deque[tuple[_Driver, float]] = deque()

    async def take(self) -> _Driver:
        """Lend a connection that was alive a moment ago; `give` it back in any case.

        Raises:
            TimeoutError: SQLAlchemy's; all connections have been lent for too long.
            Error: Psycopg's; the server cannot be reached.
        """
        await self._place()
        try:
            while self._idle:
                connection, _ = self._idle.pop()
                if not _has_ended(connection):
                    return connection
                await connection.close()
            return await self._connect()
        except BaseException:
            self._places.release()
            raise

    async def give(self, connection: _Driver) -> None:
        """Take a connection back; one that is in the middle of something is closed."""
        try:
            if connection.closed or connection.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                await connection.close()
                return
            self._idle.append((connection, time.monotonic()))
            await self._close_surplus()
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close what is not lent."""
        while self._idle:
            await self._idle.pop()[0].close()

    async def _place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._places.acquire()
        except TimeoutError as error:
            message = f"all {self._most} connections have been in use for {self._wait_seconds:.0f} s"
            raise exc.TimeoutError(message) from error

    async def _close_surplus(self) -> None:
        """Close one that only a busy time needed; the longest unused lies in front."""
        connection, since = self._idle[0]
        if len(self._idle) > self._keep and time.monotonic() - since > _SURPLUS_SECONDS:
            self._idle.popleft()
            await connection.close()


def _has_ended(connection: _Driver) -> bool:
    """Whether the server has said something while nobody asked, which is goodbye."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


__all__ = ["Pool"]
