"""Follows a tenant's events without a gap: first the past that is asked for, then what comes."""

import asyncio
from collections.abc import AsyncGenerator

from isthmus.kit import Clock, Database
from isthmus.resilience.faults import FixRequest, LimitReached, RetryLater
from isthmus.services.events.domain import Event, EventFilter
from isthmus.services.events.engine.recorder import Bell
from isthmus.services.events.store import events
from isthmus.services.events.store.events import EventPage

_BATCH = 100


class Tail:
    """Reads events in the order of their positions, which become visible in that order.

    What a subscriber has not read yet stays in the table: a slow one costs one batch of memory, and
    is ended when it leaves events lying for too long.

    Args:
        db: For the transactions.
        clock: The time.
        bell: Rings when an event has arrived at this replica.
        draining: Set when the service stops.
        pause: Longest pause between looks, for events that arrived at another replica.
        patience: How long a subscriber may leave an event lying.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        bell: Bell,
        draining: asyncio.Event,
        *,
        pause: float,
        patience: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._bell = bell
        self._draining = draining
        self._pause = pause
        self._patience = patience

    async def follow(
        self, tenant_id: str, wanted: EventFilter, after_event_id: str
    ) -> AsyncGenerator[Event, None]:
        """Give the events that are meant, until the caller ends it.

        Raises:
            FixRequest: `EVENT_UNKNOWN`.
            LimitReached: `SUBSCRIBER_TOO_SLOW`.
            RetryLater: `DRAINING`, the service stops.
        """
        position = await self._start(tenant_id, wanted, after_event_id)
        while not self._draining.is_set():
            page, horizon = await self._read(tenant_id, wanted, position)
            for event in page.events:
                given = self._clock.monotonic()
                yield event
                self._judge(self._clock.monotonic() - given)
            position = page.events[-1].position if page.more else horizon
            if not page.more:
                await self._bell.wait(self._pause)
        message = "The service stops; ask again with the id of the last event you saw."
        raise RetryLater("DRAINING", message, retry_after=1.0)

    def _judge(self, seconds: float) -> None:
        if seconds > self._patience:
            message = f"An event lay unread for {seconds:.0f} s; go on after the last event you saw."
            raise LimitReached("SUBSCRIBER_TOO_SLOW", message)

    async def _start(self, tenant_id: str, wanted: EventFilter, after_event_id: str) -> int:
        async with self._db.tenant(tenant_id) as conn:
            if after_event_id:
                position = await events.position_of(conn, tenant_id, after_event_id)
                if position is None:
                    message = f"Event {after_event_id} is not known, or not any more; ask by start_time."
                    raise FixRequest("EVENT_UNKNOWN", message, path="after_event_id")
                return position
            if wanted.start_time is not None:
                return await events.position_before(conn, tenant_id, wanted.start_time)
            return await events.last_position(conn, tenant_id)

    async def _read(self, tenant_id: str, wanted: EventFilter, after: int) -> tuple[EventPage, int]:
        async with self._db.tenant(tenant_id) as conn:
            horizon = await events.last_position(conn, tenant_id)
            if horizon <= after:
                return EventPage([], more=False), after
            page = await events.follow_events(
                conn, tenant_id, wanted, after=after, horizon=horizon, size=_BATCH
            )
            return page, horizon


__all__ = ["Tail"]
