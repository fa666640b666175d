"""What happened to connectors and instances, on NATS."""

from isthmus.kit import DomainEvent, Outbox
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.services.registry import convert
from isthmus.services.registry.domain.model import EVERYBODY, Compatibility, Instance
from sqlalchemy.ext.asyncio import AsyncConnection

INSTALLATION = "installation"
"""Stands in subjects for what belongs to no single tenant; `*` would be a wildcard there."""


class Announcer:
    """Stores events in the transaction that made them true."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def instance(
        self, conn: AsyncConnection, verb: str, instance: Instance, fits: Compatibility, by: str
    ) -> None:
        """Announce that an instance was created, updated, activated, deactivated, failed or deleted."""
        payload = pb.InstanceChanged(instance=convert.instance(instance, fits), changed_by=by)
        event = DomainEvent(instance.tenant_id, "instance", verb, instance.instance_id, payload)
        await self._outbox.add(conn, event)

    async def connector(
        self, conn: AsyncConnection, verb: str, tenant_id: str, id_: str, version: str
    ) -> None:
        """Announce that a connector was registered or deleted."""
        payload = pb.ConnectorChanged(connector_id=id_, version=version)
        owner = INSTALLATION if tenant_id == EVERYBODY else tenant_id
        await self._outbox.add(conn, DomainEvent(owner, "connector", verb, id_, payload))


__all__ = ["INSTALLATION", "Announcer"]
