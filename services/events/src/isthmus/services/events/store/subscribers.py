"""Rows of subscribers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from isthmus.services.events.domain import Subscriber
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_FIELDS = "tenant_id, subscriber_id, name, created_by, create_time"
_INSERT = text(f"""
    INSERT INTO subscribers ({_FIELDS}, password_hash)
    VALUES (:tenant_id, :subscriber_id, :name, :created_by, :create_time, :password_hash)
    ON CONFLICT (tenant_id, name) WHERE end_time IS NULL DO NOTHING
""")
_LIST = text(f"""
    SELECT {_FIELDS} FROM subscribers
    WHERE tenant_id = :tenant_id AND subscriber_id > :after AND end_time IS NULL
    ORDER BY subscriber_id LIMIT :limit
""")
_COUNT = text("SELECT count(*) FROM subscribers WHERE tenant_id = :tenant_id AND end_time IS NULL")
_END = text("""
    UPDATE subscribers SET end_time = :now
    WHERE tenant_id = :tenant_id AND subscriber_id = :subscriber_id AND end_time IS NULL
""")
_KNOWN = text(f"""
    SELECT {_FIELDS}, password_hash FROM subscribers WHERE subscriber_id = :subscriber_id AND end_time IS NULL
""")
_ENDED = text("SELECT subscriber_id FROM subscribers WHERE end_time IS NOT NULL ORDER BY end_time LIMIT 100")
_FORGET = text("DELETE FROM subscribers WHERE end_time < :before AND subscriber_id = ANY(:ids)")


async def insert_subscriber(conn: AsyncConnection, subscriber: Subscriber, password_hash: bytes) -> bool:
    """Store a new subscriber; False when its name is taken."""
    values = {**{name: getattr(subscriber, name) for name in _FIELDS.split(", ")}}
    stored = await conn.execute(_INSERT, {**values, "password_hash": password_hash})
    return stored.rowcount == 1


async def count_subscribers(conn: AsyncConnection, tenant_id: str) -> int:
    """Count a tenant's subscribers."""
    return int((await conn.execute(_COUNT, {"tenant_id": tenant_id})).scalar_one())


async def list_subscribers(
    conn: AsyncConnection, tenant_id: str, *, after: str, limit: int
) -> Sequence[Subscriber]:
    """Read subscribers, oldest first."""
    wanted = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return [Subscriber(**row) for row in (await conn.execute(_LIST, wanted)).mappings()]


async def end_subscriber(conn: AsyncConnection, tenant_id: str, subscriber_id: str, now: datetime) -> bool:
    """Let a subscriber connect no more; False when there is none."""
    which = {"tenant_id": tenant_id, "subscriber_id": subscriber_id, "now": now}
    return (await conn.execute(_END, which)).rowcount == 1


async def known_subscriber(conn: AsyncConnection, subscriber_id: str) -> tuple[Subscriber, bytes] | None:
    """Read a subscriber of any tenant, with what is kept of its password."""
    row = (await conn.execute(_KNOWN, {"subscriber_id": subscriber_id})).mappings().one_or_none()
    if row is None:
        return None
    fields: dict[str, Any] = dict(row)
    password_hash = bytes(fields.pop("password_hash"))
    return Subscriber(**fields), password_hash


async def ended_subscribers(conn: AsyncConnection) -> Sequence[str]:
    """List those whose connections are still to be ended, of all tenants."""
    return list((await conn.execute(_ENDED)).scalars())


async def forget_subscribers(
    conn: AsyncConnection, ids: Sequence[str], now: datetime, patience: timedelta
) -> None:
    """Remove those that ended a while ago."""
    await conn.execute(_FORGET, {"ids": list(ids), "before": now - patience})


__all__ = [
    "count_subscribers",
    "end_subscriber",
    "ended_subscribers",
    "forget_subscribers",
    "insert_subscriber",
    "known_subscriber",
    "list_subscribers",
]
