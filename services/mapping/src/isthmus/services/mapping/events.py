"""What happened to mappings and schemas, told to the mesh, and what the mesh tells."""

from isthmus.kit import DomainEvent, Outbox, ReceivedEvent
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.mapping.v1 import schemas_pb2
from isthmus.services.mapping.domain import MappingVersion
from isthmus.services.mapping.store_schemas import SchemaRows
from sqlalchemy.ext.asyncio import AsyncConnection


class Events:
    """Stores events beside the changes they tell of."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def changed(self, conn: AsyncConnection, verb: str, mapping: MappingVersion, subject: str) -> None:
        """Tell that a mapping was created, got a version or another active one, or was deleted.

        Args:
            conn: The transaction of the change.
            verb: `created`, `version_created`, `validated`, `activated`, `retired` or `deleted`.
            mapping: The mapping in the version concerned.
            subject: Who did it.
        """
        payload = pb.MappingChanged(
            mapping_id=mapping.mapping_id,
            name=mapping.name,
            version=mapping.version,
            changed_by=subject,
            active_version=0 if verb == "deleted" else mapping.active_version,
        )
        event = DomainEvent(mapping.tenant_id, "mapping", verb, mapping.mapping_id, payload)
        await self._outbox.add(conn, event)

    async def schema(
        self, conn: AsyncConnection, tenant_id: str, verb: str, change: schemas_pb2.SchemaChange
    ) -> None:
        """Tell that a schema changed, that a change stops a flow, or that somebody decided about one.

        Args:
            conn: The transaction of the change.
            tenant_id: Whose flow it is.
            verb: `changed`, `broken` or `decided`.
            change: The change, without the schemas.
        """
        payload = schemas_pb2.SchemaChanged(change=change)
        await self._outbox.add(conn, DomainEvent(tenant_id, "schema", verb, change.change_id, payload))

    async def told(self, conn: AsyncConnection, event: DomainEvent) -> None:
        """Tell what happened to a version of a registered schema, or to what holds for it.

        Args:
            conn: The transaction of the change.
            event: What happened.
        """
        await self._outbox.add(conn, event)


async def forget_flow(conn: AsyncConnection, event: ReceivedEvent) -> None:
    """Forget the schemas of a flow that is gone."""
    await SchemaRows(conn, event.tenant_id).forget(event.subject)


__all__ = ["Events", "forget_flow"]
