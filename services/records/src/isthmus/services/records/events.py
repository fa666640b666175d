"""What happened to records and in quarantine, on NATS."""

from isthmus.kit import DomainEvent, Outbox
from isthmus.records.v1 import pairs_pb2 as pairs_pb
from isthmus.records.v1 import records_pb2 as pb
from isthmus.services.records.domain.pairs.rounds import ConflictNews
from isthmus.services.records.domain.quarantine import Decided
from isthmus.services.records.domain.records import Applied, Writer
from sqlalchemy.ext.asyncio import AsyncConnection


class Announcer:
    """Stores events in the transaction of the change they tell of."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def records_changed(self, connection: AsyncConnection, writer: Writer, applied: Applied) -> None:
        """Tell that a batch has changed records of a stream."""
        payload = pb.RecordsChanged(
            stream=writer.stream,
            flow_id=writer.flow_id,
            execution_id=writer.execution_id,
            created=applied.created,
            updated=applied.updated,
            deleted=applied.deleted,
        )
        await self._outbox.add(
            connection, DomainEvent(writer.tenant_id, "record", "changed", writer.stream, payload)
        )

    async def quarantine_changed(self, connection: AsyncConnection, tenant_id: str, decided: Decided) -> None:
        """Tell that quarantined records of a flow came, go again, or were given up."""
        payload = pb.QuarantineChanged(
            flow_id=decided.flow_id,
            quarantine_ids=decided.quarantine_ids,
            count=decided.count,
            changed_by=decided.who,
        )
        event = DomainEvent(tenant_id, "quarantine", decided.verb, decided.flow_id, payload)
        await self._outbox.add(connection, event)

    async def conflicts_changed(
        self, connection: AsyncConnection, tenant_id: str, news: ConflictNews
    ) -> None:
        """Tell that conflicts of a flow were found, or resolved."""
        payload = pairs_pb.ConflictsChanged(
            flow_id=news.flow_id,
            conflict_ids=news.conflict_ids,
            count=len(news.conflict_ids),
            changed_by=news.who,
        )
        event = DomainEvent(tenant_id, "conflict", news.verb, news.flow_id, payload)
        await self._outbox.add(connection, event)


__all__ = ["Announcer"]
