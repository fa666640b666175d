"""Events of all services come in here, and this service's own go out."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from isthmus.events.v1 import events_pb2 as pb
from isthmus.kit import Consumer, DomainEvent, Outbox, ReceivedEvent
from isthmus.kit.bus_users import EVENTS_STORE
from isthmus.kit.janitor import INBOX_REMEMBERS
from isthmus.services.events.domain import Event, Subscription
from isthmus.services.events.engine import Recorder
from isthmus.services.events.translate import write_subscription
from sqlalchemy.ext.asyncio import AsyncConnection


class Announcements:
    """Says what happened, through the outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def subscription(
        self, conn: AsyncConnection, tenant_id: str, verb: str, subscription: Subscription, by: str
    ) -> None:
        """Say that a subscription was created, updated or deleted."""
        payload = pb.SubscriptionChanged(subscription=write_subscription(subscription), changed_by=by)
        event = DomainEvent(tenant_id, "subscription", verb, subscription.subscription_id, payload)
        await self._outbox.add(conn, event)

    async def own(self, conn: AsyncConnection, tenant_id: str, event: Event) -> None:
        """Publish an event of a tenant's own."""
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": event.event_id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": event.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "tenantid": tenant_id,
            "correlationid": event.correlation_id,
            "traceparent": event.traceparent,
            "data": json.loads(event.data),
        }
        present = {name: value for name, value in envelope.items() if value != ""}
        await self._outbox.add_message(
            conn,
            tenant_id=tenant_id,
            message_id=event.event_id,
            subject=event.nats_subject,
            body=json.dumps(present, separators=(",", ":")),
        )


class Collector:
    """Stores what all services publish.

    Args:
        recorder: Stores events once.
        kept: How long it knows what it has stored.
    """

    def __init__(self, recorder: Recorder, kept: timedelta) -> None:
        self._recorder = recorder
        self._kept = kept

    def consumers(self) -> list[Consumer]:
        """The subjects wanted, with what is done about them."""
        # What is stored already leads to nothing any more, for as long as an event may come again.
        return [
            Consumer(
                *EVENTS_STORE,
                self.store,
                self.store_all,
                is_repeatable=self._kept >= INBOX_REMEMBERS,
            )
        ]

    async def store(self, conn: AsyncConnection, received: ReceivedEvent) -> None:
        """Store one event."""
        await self._recorder.record(conn, received.tenant_id, _event_of(received))

    async def store_all(self, conn: AsyncConnection, received: Sequence[ReceivedEvent]) -> None:
        """Store events of one tenant that came together."""
        await self._recorder.record_all(conn, received[0].tenant_id, list(map(_event_of, received)))


def _event_of(received: ReceivedEvent) -> Event:
    return Event(
        event_id=received.id,
        type=received.type,
        source=received.source,
        subject=received.subject,
        time=received.time,
        data=json.dumps(received.data, separators=(",", ":")),
        traceparent=received.traceparent,
        correlation_id=received.correlation_id,
        nats_subject=received.nats_subject,
    )


__all__ = ["Announcements", "Collector"]
