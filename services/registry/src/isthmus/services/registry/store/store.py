"""Units of work on the registry's tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from isthmus.kit import Database
from isthmus.kit.redacting import NOTHING_ELSE, Redactor
from isthmus.services.registry.domain.model import EVERYBODY
from isthmus.services.registry.store.connectors import ConnectorRows, Described
from isthmus.services.registry.store.hosts import HostRows
from isthmus.services.registry.store.instances import InstanceRows
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Work:
    """One transaction and the rows it sees."""

    conn: AsyncConnection
    connectors: ConnectorRows
    instances: InstanceRows
    hosts: HostRows

    @classmethod
    def on(cls, conn: AsyncConnection, owner: str, described: Described) -> "Work":
        """Open all rows on one connection; connectors are the owner's and everybody's."""
        owners = dict.fromkeys((owner, EVERYBODY))
        return cls(conn, ConnectorRows(conn, [*owners], described), InstanceRows(conn), HostRows(conn))


class Store:
    """Opens units of work."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.redactor = Redactor(db, NOTHING_ELSE)
        """Takes people out of what is kept for repeated requests and of events."""
        self._described: Described = {}

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator[Work]:
        """Open a transaction that sees one tenant's rows and what everybody sees.

        A process of the mesh that acts for nobody sees only what everybody sees.
        """
        owner = tenant_id or EVERYBODY
        async with self._db.tenant(owner) as conn:
            yield Work.on(conn, owner, self._described)

    @asynccontextmanager
    async def everything(self) -> AsyncIterator[Work]:
        """Open a transaction that may write what everybody sees."""
        async with self._db.system() as conn:
            yield Work.on(conn, EVERYBODY, self._described)


__all__ = ["Store", "Work"]
