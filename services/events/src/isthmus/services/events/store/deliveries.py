"""Rows of what subscriptions have to do about events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from isthmus.services.events.domain import ActionType, Event, Subscription
from isthmus.services.events.store.subscriptions import subscription_of
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT = text("""
    INSERT INTO deliveries (tenant_id, subscription_id, event_id, position, action_type, next_time,
                            create_time)
    VALUES (:tenant_id, :subscription_id, :event_id, :position, :action_type, :now, :now)
    ON CONFLICT DO NOTHING
""")
_TAKE = """
    UPDATE deliveries d SET attempts = d.attempts + 1, claimed_until = :until, next_time = :until
    FROM due WHERE d.tenant_id = due.tenant_id AND d.subscription_id = due.subscription_id
               AND d.event_id = due.event_id
    RETURNING d.tenant_id, d.subscription_id, d.event_id
"""
_NOTIFICATIONS = text(f"""
    WITH due AS (
        SELECT tenant_id, subscription_id, event_id FROM deliveries
        WHERE state = 'pending' AND action_type = 'notification' AND next_time <= :now
        ORDER BY next_time LIMIT :limit FOR UPDATE SKIP LOCKED
    ) {_TAKE}
""")
# One start of a flow makes up for all events before it, so only a subscription's newest one is taken,
# and none while another replica is at it.
_STARTS = text(f"""
    WITH newest AS (
        SELECT * FROM (
            SELECT DISTINCT ON (tenant_id, subscription_id) tenant_id, subscription_id, event_id, next_time
            FROM deliveries p
            WHERE state = 'pending' AND action_type = 'sync'
              AND NOT EXISTS (
                  SELECT FROM deliveries c WHERE c.tenant_id = p.tenant_id
                  AND c.subscription_id = p.subscription_id AND c.state = 'pending'
                  AND c.claimed_until > :now)
            ORDER BY tenant_id, subscription_id, position DESC) every
        WHERE next_time <= :now LIMIT :limit
    ), due AS (
        SELECT d.tenant_id, d.subscription_id, d.event_id FROM deliveries d JOIN newest n
          ON d.tenant_id = n.tenant_id AND d.subscription_id = n.subscription_id AND d.event_id = n.event_id
        WHERE d.state = 'pending' AND d.next_time <= :now FOR UPDATE OF d SKIP LOCKED
    ) {_TAKE}
""")
_READ = text("""
    SELECT d.attempts, d.position, d.create_time AS wanted_since, s.*, e.event_id, e.type, e.subject, e.time,
           e.correlation_id, e.data
    FROM deliveries d
    JOIN subscriptions s ON s.tenant_id = d.tenant_id AND s.subscription_id = d.subscription_id
    JOIN events e ON e.tenant_id = d.tenant_id AND e.event_id = d.event_id
    WHERE d.tenant_id = :tenant_id AND d.subscription_id = :subscription_id AND d.event_id = :event_id
""")
_END = text("""
    UPDATE deliveries SET state = :state, reason = :reason, claimed_until = NULL
    WHERE tenant_id = :tenant_id AND subscription_id = :subscription_id AND state = 'pending'
      AND (event_id = :event_id OR (action_type = 'sync' AND position <= :position))
""")
_AGAIN = text("""
    UPDATE deliveries SET next_time = :at, reason = :reason, claimed_until = NULL
    WHERE tenant_id = :tenant_id AND subscription_id = :subscription_id AND event_id = :event_id
      AND state = 'pending'
""")
_PRUNE = text("""
    DELETE FROM deliveries WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM deliveries WHERE state <> 'pending' AND create_time < :before LIMIT :limit))
""")


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something a subscription has to do about an event, taken by this replica."""

    tenant_id: str
    subscription: Subscription
    event_id: str
    event_type: str
    event_subject: str
    event_time: datetime
    event_data: str
    correlation_id: str
    position: int
    attempts: int
    wanted_since: datetime


async def insert_delivery(
    conn: AsyncConnection, tenant_id: str, subscription: Subscription, event: Event, now: datetime
) -> None:
    """Remember that a subscription has to do something about an event."""
    fields = {
        "tenant_id": tenant_id,
        "subscription_id": subscription.subscription_id,
        "event_id": event.event_id,
        "position": event.position,
        "action_type": subscription.spec.action_type.value,
        "now": now,
    }
    await conn.execute(_INSERT, fields)


async def take_deliveries(
    conn: AsyncConnection, now: datetime, *, claim: timedelta, limit: int
) -> Sequence[Delivery]:
    """Take what is due; it becomes due again when nobody reports on it."""
    fields = {"now": now, "until": now + claim, "limit": limit}
    taken: list[Delivery] = []
    for query in (_NOTIFICATIONS, _STARTS):
        for key in (await conn.execute(query, fields)).mappings().all():
            row = (await conn.execute(_READ, dict(key))).mappings().one_or_none()
            if row is None:
                await _end(conn, dict(key), "failed", "EVENT_FORGOTTEN", 0)
            else:
                taken.append(_delivery(key["tenant_id"], row))
    return taken


def _delivery(tenant_id: str, row: RowMapping) -> Delivery:
    return Delivery(
        tenant_id=tenant_id,
        subscription=subscription_of(row),
        event_id=row["event_id"],
        event_type=row["type"],
        event_subject=row["subject"],
        event_time=row["time"],
        event_data=row["data"],
        correlation_id=row["correlation_id"],
        position=row["position"],
        attempts=row["attempts"],
        wanted_since=row["wanted_since"],
    )


async def end_delivery(conn: AsyncConnection, delivery: Delivery, *, state: str, reason: str = "") -> None:
    """Store that something was `done` or has `failed`; a start ends what waited before it as well."""
    key = {
        "tenant_id": delivery.tenant_id,
        "subscription_id": delivery.subscription.subscription_id,
        "event_id": delivery.event_id,
    }
    covers = delivery.subscription.spec.action_type is ActionType.SYNC
    await _end(conn, key, state, reason, delivery.position if covers else 0)


async def _end(conn: AsyncConnection, key: dict[str, str], state: str, reason: str, position: int) -> None:
    await conn.execute(_END, {**key, "state": state, "reason": reason, "position": position})


async def repeat_delivery(conn: AsyncConnection, delivery: Delivery, at: datetime, reason: str) -> None:
    """Store when something is to be tried again, and why it did not work now."""
    fields = {
        "tenant_id": delivery.tenant_id,
        "subscription_id": delivery.subscription.subscription_id,
        "event_id": delivery.event_id,
        "at": at,
        "reason": reason,
    }
    await conn.execute(_AGAIN, fields)


async def prune_deliveries(conn: AsyncConnection, before: datetime, limit: int) -> int:
    """Forget old deliveries that have ended and say how many."""
    return (await conn.execute(_PRUNE, {"before": before, "limit": limit})).rowcount


__all__ = [
    "Delivery",
    "end_delivery",
    "insert_delivery",
    "prune_deliveries",
    "repeat_delivery",
    "take_deliveries",
]
