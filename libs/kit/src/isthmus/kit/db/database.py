"""Transactions that see one tenant, or all of them."""

import select
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

from isthmus.kit import floors
from isthmus.kit.deed import current_deed
from isthmus.resilience.faults import NotAuthenticated
from psycopg import sql
from sqlalchemy import event, exc, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

_AFTER_COMMIT = "isthmus.after_commit"
_CONNECT_SECONDS = 3
_WAIT_SECONDS = 5.0
_IDLE_IN_TRANSACTION_SECONDS = 60
_IDLE_SECONDS = 300

_AS_TENANT = sql.SQL("BEGIN; SET LOCAL isthmus.tenant = {}")


class Database:
    """A pool of connections whose transactions are bound to a tenant by row-level security.

    A connection that PostgreSQL closed is noticed before it is used, so a restart of the
    server costs only the transactions that were open.

    Args:
        url: PostgreSQL as the service's run-time role.
        service: Name of the service, which is the name of its schema.
        pool: Connections that stay open until they have been idle for five minutes.
        burst: Connections opened above the pool when busy, and closed after one transaction.
        statement_timeout: Longest single statement in seconds.
    """

    def __init__(
        self, url: str, service: str, *, pool: int = 10, burst: int = 0, statement_timeout: float = 30.0
    ) -> None:
        self.service = service
        self._asked: dict[int, float] = {}
        self._asked_last = 0
        self._as_system = sql.SQL("BEGIN; SET LOCAL ROLE {}").format(
            sql.Identifier(f"isthmus_{service}_system")
        )
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool,
            max_overflow=burst,
            pool_timeout=_WAIT_SECONDS,
            # The last one used is lent first, so the server can end those that a busy time left behind.
            pool_use_lifo=True,
            # Nobody stores this type, and looking for it would cost each connection a query.
            use_native_hstore=False,
            hide_parameters=True,
            # Transactions are begun below, by the statement that also binds them.
            isolation_level="AUTOCOMMIT",
            connect_args=_connect_arguments(service, statement_timeout),
        )
        event.listen(self._engine.sync_engine, "connect", _refuse_old)
        event.listen(self._engine.sync_engine, "checkout", _refuse_dead)

    def tenant(self, tenant_id: str) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that sees and writes one tenant's rows only.

        Raises:
            NotAuthenticated: `TENANT_MISSING`, the caller acts for no tenant.
        """
        if not tenant_id:
            message = "Say for which tenant this is; the caller acts for none."
            raise NotAuthenticated("TENANT_MISSING", message)
        return self._transaction(_AS_TENANT.format(sql.Literal(tenant_id)), tenant_id)

    def system(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that sees all tenants; for schedulers, relays and start-up work."""
        return self._transaction(self._as_system)

    @property
    def longest_wait(self) -> float:
        """Seconds for which the transaction that waits longest has waited for its connection."""
        return time.monotonic() - next(iter(self._asked.values())) if self._asked else 0.0

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(
        self, opening: sql.Composed, tenant_id: str = ""
    ) -> AsyncIterator[AsyncConnection]:
        number = self._asked_last = self._asked_last + 1
        self._asked[number] = time.monotonic()
        try:
            async with self._engine.connect() as connection:
                del self._asked[number]
                callbacks = connection.info[_AFTER_COMMIT] = []
                driver: Any = (await connection.get_raw_connection()).driver_connection
                async with connection.begin():
                    # Two commands in one message, which the server does not take as a prepared statement.
                    await driver.execute(opening, prepare=False)
                    with _rolled_back_with_deed():
                        yield connection
                        await _record(connection, tenant_id)
        finally:
            self._asked.pop(number, None)
        for callback in callbacks:
            callback()


def after_commit(connection: AsyncConnection, callback: Callable[[], None]) -> None:
    """Call back once the transaction of this connection has been committed; never when it was not."""
    callbacks: list[Callable[[], None]] = connection.info[_AFTER_COMMIT]
    if callback not in callbacks:
        callbacks.append(callback)


async def _record(connection: AsyncConnection, tenant_id: str) -> None:
    """Store a record of what the present caller does, if the audit trail keeps it, with its first change."""
    deed = current_deed()
    # Where nobody knows who calls, what is written before that is known says nothing about how it ends.
    if deed is not None and not deed.recorded and deed.principal is not None:
        from isthmus.kit.auditing import record_change

        await record_change(connection, deed, tenant_id)


@contextmanager
def _rolled_back_with_deed() -> Iterator[None]:
    try:
        yield
    except BaseException:
        deed = current_deed()
        if deed is not None:
            deed.forget_effects()
        raise


def _connect_arguments(service: str, statement_timeout: float) -> dict[str, Any]:
    settings = {
        "search_path": service,
        "statement_timeout": f"{int(statement_timeout * 1000)}",
        "idle_in_transaction_session_timeout": f"{_IDLE_IN_TRANSACTION_SECONDS * 1000}",
        "idle_session_timeout": f"{_IDLE_SECONDS * 1000}",
        "timezone": "UTC",
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


def _refuse_old(connection: Any, _record: Any) -> None:
    """Keep to the least version, which a server tells whoever logs in; costs no question.

    Raises:
        Precondition: `SERVER_TOO_OLD`.
    """
    floors.require(floors.POSTGRESQL, floors.of_postgres(connection.driver_connection.info.server_version))


def _refuse_dead(connection: Any, _record: Any, _proxy: Any) -> None:
    """Replace a pooled connection on which the server has said something while nobody asked: goodbye."""
    driver = connection.driver_connection
    if driver.closed or _readable(driver.fileno()):
        raise exc.DisconnectionError("closed by the server")


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


__all__ = ["Database", "after_commit"]
