"""Keeps events, and what subscriptions have to do about them."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from isthmus.kit import Clock
from isthmus.kit.db.database import after_commit
from isthmus.services.events.domain import Event, meets
from isthmus.services.events.store import deliveries, events, subscriptions
from sqlalchemy.ext.asyncio import AsyncConnection


class Bell:
    """Wakes everybody who waits."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all that wait now."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Wait for the next ring, or until the time is over."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait({future}, timeout=seconds)
        finally:
            self._waiting.discard(future)


class Recorder:
    """Stores each event once, with the deliveries it leads to, in the caller's transaction.

    Args:
        clock: The time.
        arrived: Rung when an event has been stored.
        wanted: Rung when a subscription has something to do.
    """

    def __init__(self, clock: Clock, arrived: Bell, wanted: Bell) -> None:
        self._clock = clock
        self._arrived = arrived
        self._wanted = wanted

    async def record(self, conn: AsyncConnection, tenant_id: str, event: Event) -> Event:
        """Store an event unless it is there, and give it with its position."""
        stored = await self.record_all(conn, tenant_id, [event])
        return stored[0] if stored else event

    async def record_all(self, conn: AsyncConnection, tenant_id: str, given: Sequence[Event]) -> list[Event]:
        """Store events in their order, and give those that were not there with their positions."""
        positions = await events.insert_events(conn, tenant_id, given)
        if not positions:
            return []
        stored = [
            replace(event, position=positions[event.event_id])
            for event in given
            if event.event_id in positions
        ]
        after_commit(conn, self._arrived.ring)
        await self._match(conn, tenant_id, stored)
        return stored

    async def _match(self, conn: AsyncConnection, tenant_id: str, stored: Sequence[Event]) -> None:
        interested = await subscriptions.active_subscriptions(conn, tenant_id)
        if not interested:
            return
        now = self._clock.now()
        for event in stored:
            data = json.loads(event.data)
            for subscription in interested:
                if meets(subscription.spec, event.type, event.subject, data, now):
                    await deliveries.insert_delivery(conn, tenant_id, subscription, event, now)
                    after_commit(conn, self._wanted.ring)


__all__ = ["Bell", "Recorder"]
