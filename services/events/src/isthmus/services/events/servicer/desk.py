"""What every group of RPCs works with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import grpc
from isthmus.events.v1 import events_pb2 as pb
from isthmus.kit import Clock, Database
from isthmus.kit.quotas import QuotaBook
from isthmus.services.events.domain import Event, Subscriber
from isthmus.services.events.engine import Bell, FlowStarter, Recorder, Subscribers, Subscriptions, Tail
from isthmus.services.events.translate import write_subscriber
from sqlalchemy.ext.asyncio import AsyncConnection

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class OwnEvents(Protocol):
    """Publishes events of a tenant's own."""

    async def own(self, conn: AsyncConnection, tenant_id: str, event: Event) -> None:
        """Publish an event if and only if the transaction commits."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The collaborators of the servicer.

    Attributes:
        db: For the transactions.
        clock: The time.
        recorder: Stores events.
        tail: Follows events.
        subscriptions: Decides about subscriptions.
        flows: Knows the tenant's flows.
        publisher: Publishes events of a tenant's own.
        subscribers: Keeps those who take events from NATS itself.
        ended: Rung when one of them was deleted.
        admits_subscribers: Whether NATS asks this service who they are.
        bus_address: Where they reach NATS.
        bus_authorities: PEM of those that vouch for it; None: clients trust them anyway.
        book: Knows how many events tenants may publish.
    """

    db: Database
    clock: Clock
    recorder: Recorder
    tail: Tail
    subscriptions: Subscriptions
    flows: FlowStarter
    publisher: OwnEvents
    subscribers: Subscribers
    ended: Bell
    admits_subscribers: bool
    bus_address: str
    book: QuotaBook
    bus_authorities: Path | None = None

    def shown(self, subscriber: Subscriber) -> pb.Subscriber:
        """Tell what is known of a subscriber, and how its program connects."""
        file = self.bus_authorities
        authorities = file.read_text(encoding="ascii") if file is not None else ""
        return write_subscriber(subscriber, self.bus_address, authorities)


class Rpcs:
    """A group of RPCs at the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk


__all__ = ["Context", "Desk", "OwnEvents", "Rpcs"]
