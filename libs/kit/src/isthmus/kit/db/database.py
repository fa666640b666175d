"""Transactions that see one tenant, or all of them."""

from contextlib import AbstractAsyncContextManager

from sqlalchemy.ext.asyncio import AsyncConnection


class Database:
    """A pool of connections whose transactions are bound to a tenant by row-level security."""

    def tenant(self, tenant_id: str) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that sees and writes one tenant's rows only."""
        raise NotImplementedError

    def system(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that sees all tenants; for schedulers, relays and start-up work."""
        raise NotImplementedError


__all__ = ["Database"]
