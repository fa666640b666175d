"""Transactions that see one tenant, or all of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import psycopg
from isthmus.kit.db.connection import Connection, wrapped
from isthmus.kit.db.pool import Pool
from isthmus.resilience.faults import NotAuthenticated
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

_CONNECT_SECONDS = 3
_WAIT_SECONDS = 5.0
_IDLE_IN_TRANSACTION_SECONDS = 60


class Database:
    """A pool of connections whose transactions are bound to a tenant by row-level security.

    Args:
        url: PostgreSQL as the service's run-time role.
        service: Name of the service, which is the name of its schema.
        pool: Connections kept open.
        burst: Connections opened above the pool when busy.
        statement_timeout: Longest single statement in seconds.
    """

    def __init__(
        self, url: str, service: str, *, pool: int = 4, burst: int = 6, statement_timeout: float = 30.0
    ) -> None:
        self.service = service
        self._as_system = f"SET LOCAL ROLE isthmus_{service}_system"
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._arguments = _connect_arguments(service, statement_timeout)
        self._pool = Pool(self._connect, keep=pool, most=pool + burst, wait_seconds=_WAIT_SECONDS)

    def tenant(self, tenant_id: str) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that sees and writes one tenant's rows only.

        Raises:
            NotAuthenticated: `TENANT_MISSING`, the caller acts for no tenant.
        """
        if not tenant_id:
            message = "Say for which tenant this is; the caller acts for none."
            raise NotAuthenticated("TENANT_MISSING", message)
        return self._transaction(f"SET LOCAL isthmus.tenant TO {_quoted(tenant_id)}")

    def system(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that sees all tenants; for schedulers, relays and start-up work."""
        return self._transaction(self._as_system)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def _transaction(self, opening: str) -> AsyncIterator[AsyncConnection]:
        driver = await self._pool.take()
        try:
            connection = Connection(driver)
            try:
                await connection.begin(opening)
                # It offers what services use of SQLAlchemy's class.
                yield cast(AsyncConnection, connection)
            except BaseException:
                await connection.abandon()
                raise
            await connection.commit()
        finally:
            await self._pool.give(driver)
        for callback in connection.after_commit:
            callback()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        try:
            return await psycopg.AsyncConnection.connect(self._url, autocommit=True, **self._arguments)
        except psycopg.Error as error:
            raise wrapped(error, lost=True) from error


def after_commit(connection: AsyncConnection, callback: Callable[[], None]) -> None:
    """Call back once the transaction of this connection has been committed; never when it was not."""
    callbacks = cast(Connection, connection).after_commit
    if callback not in callbacks:
        callbacks.append(callback)


def _quoted(value: str) -> str:
    """Write a literal; no way leads out of it, because backslashes mean nothing on our connections."""
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _connect_arguments(service: str, statement_timeout: float) -> dict[str, Any]:
    settings = {
        "search_path": service,
        "statement_timeout": f"{int(statement_timeout * 1000)}",
        "idle_in_transaction_session_timeout": f"{_IDLE_IN_TRANSACTION_SECONDS * 1000}",
        "timezone": "UTC",
        "standard_conforming_strings": "on",
    }
    return {
        "application_name": f"isthmus-{service}",
        "connect_timeout": _CONNECT_SECONDS,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        # A server that vanished without a word is noticed within seconds, not hours.
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }


__all__ = ["Database", "after_commit"]
