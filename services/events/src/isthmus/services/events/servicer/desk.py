"""What every group of RPCs works with."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import grpc
from isthmus.kit import Clock, Database
from isthmus.services.events.domain import Event
from isthmus.services.events.engine import Bell, FlowStarter, Recorder, Subscribers, Subscriptions, Tail
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


class Rpcs:
    """A group of RPCs at the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk


__all__ = ["Context", "Desk", "OwnEvents", "Rpcs"]
