"""The transactional outbox: an event is stored in the transaction that made it true."""

from isthmus.kit.event import DomainEvent
from sqlalchemy.ext.asyncio import AsyncConnection


class Outbox:
    """Stores events beside the change they tell of; the relay publishes them afterwards."""

    def __init__(self, service: str) -> None:
        self._service = service

    async def add(self, conn: AsyncConnection, event: DomainEvent) -> None:
        """Store the event; it is published if and only if the transaction commits."""
        raise NotImplementedError


__all__ = ["Outbox"]
