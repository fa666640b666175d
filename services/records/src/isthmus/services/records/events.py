"""What happened to records and in quarantine, on NATS."""

from isthmus.kit import DomainEvent, Outbox, Principal
from isthmus.kit.auditing import record_together
from isthmus.kit.deed import Deed
from isthmus.kit.redaction import loggable
from isthmus.records.v1 import pairs_pb2 as pairs_pb
from isthmus.records.v1 import privacy_pb2 as privacy_pb
from isthmus.records.v1 import records_pb2 as pb
from isthmus.services.records.domain.pairs.rounds import ConflictNews
from isthmus.services.records.domain.quarantine import Decided
from isthmus.services.records.domain.records import Applied, Writer
from isthmus.services.records.store.privacy import Purged
from sqlalchemy.ext.asyncio import AsyncConnection

_PURGE = "isthmus.records.v1.PrivacyService/ApplyRetention"


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

    async def retention_changed(
        self, connection: AsyncConnection, tenant_id: str, retention: privacy_pb.Retention, who: str
    ) -> None:
        """Tell that something is kept for another time."""
        payload = privacy_pb.RetentionChanged(retention=retention, changed_by=who)
        event = DomainEvent(tenant_id, "retention", "changed", retention.stream or "*", payload)
        await self._outbox.add(connection, event)

    async def purged(self, connection: AsyncConnection, purged: Purged) -> None:
        """Tell what was removed because it was old, also to the audit trail."""
        payload = privacy_pb.RetentionApplied(stream=purged.stream, kind=purged.kind, removed=purged.removed)
        payload.older_than.FromSeconds(purged.seconds)
        event = DomainEvent(purged.tenant_id, "retention", "applied", purged.stream or "*", payload)
        await self._outbox.add(connection, event)
        service = Principal("service:records", purged.tenant_id, frozenset(), "mesh")
        deed = Deed(_PURGE, "change", service, None, "", "")
        deed.targets.append(purged.stream or purged.kind)
        deed.after.append(loggable(payload))
        await record_together(connection, purged.tenant_id, [deed])

    async def person_erased(
        self, connection: AsyncConnection, tenant_id: str, payload: privacy_pb.PersonErased
    ) -> None:
        """Tell that a person's data was erased, and not whose."""
        event = DomainEvent(tenant_id, "person", "erased", payload.erasure_id, payload)
        await self._outbox.add(connection, event)

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
