"""What happened to mappings, told to the mesh."""

from isthmus.kit import DomainEvent, Outbox
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.services.mapping.domain import MappingVersion
from sqlalchemy.ext.asyncio import AsyncConnection


class Events:
    """Stores events beside the changes they tell of."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def changed(self, conn: AsyncConnection, verb: str, mapping: MappingVersion, subject: str) -> None:
        """Tell that a mapping was created, got a version, or was deleted.

        Args:
            conn: The transaction of the change.
            verb: `created`, `version_created` or `deleted`.
            mapping: The mapping in the version concerned.
            subject: Who did it.
        """
        payload = pb.MappingChanged(
            mapping_id=mapping.mapping_id, name=mapping.name, version=mapping.version, changed_by=subject
        )
        event = DomainEvent(mapping.tenant_id, "mapping", verb, mapping.mapping_id, payload)
        await self._outbox.add(conn, event)


__all__ = ["Events"]
