"""Rows of shares: one for each host and instance, as long as the host asks for it."""

from datetime import datetime

from isthmus.services.scheduling.domain.budgets import Held, Share
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Whoever shares an instance has to see what the others were given, so they come one after another.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant_id || '/' || :instance_id, 7))")
_HELD = text("""
    SELECT count(*) FILTER (WHERE host_id <> :host_id) AS hosts,
        COALESCE(sum(rate_share) FILTER (WHERE host_id <> :host_id), 0) AS rate_share,
        COALESCE(sum(places) FILTER (WHERE host_id <> :host_id), 0) AS places,
        COALESCE(sum(places) FILTER (WHERE host_id = :host_id), 0) AS own,
        COALESCE(sum(told_places) FILTER (WHERE host_id = :host_id), 0) AS told
    FROM budget_shares
    WHERE tenant_id = :tenant_id AND instance_id = :instance_id AND expire_time > :now
""")
_GIVE = text("""
    WITH gone AS (
        DELETE FROM budget_shares
        WHERE tenant_id = :tenant_id AND instance_id = :instance_id AND host_id <> :host_id
          AND expire_time <= :now
    )
    INSERT INTO budget_shares (tenant_id, instance_id, host_id, rate_share, places, told_places, expire_time)
    VALUES (:tenant_id, :instance_id, :host_id, :rate_share, :places, :told, :expires)
    ON CONFLICT (tenant_id, instance_id, host_id) DO UPDATE
    SET rate_share = excluded.rate_share, places = excluded.places, told_places = excluded.told_places,
        expire_time = excluded.expire_time
""")
_END = text("""
    DELETE FROM budget_shares
    WHERE tenant_id = :tenant_id AND instance_id = :instance_id AND host_id = :host_id
""")


async def held(conn: AsyncConnection, tenant_id: str, instance_id: str, host_id: str, now: datetime) -> Held:
    """Read what is held of an instance; nobody else is given a share of it before the transaction ends."""
    which = {"tenant_id": tenant_id, "instance_id": instance_id}
    await conn.execute(_LOCK, which)
    row = (await conn.execute(_HELD, {**which, "host_id": host_id, "now": now})).mappings().one()
    return Held(**row)


async def give_share(
    conn: AsyncConnection,
    tenant_id: str,
    instance_id: str,
    host_id: str,
    *,
    share: Share,
    places: int,
    now: datetime,
    expires: datetime,
) -> None:
    """Store what a host was given and the places it is reckoned with; forget hosts that fell silent."""
    fields = {
        "tenant_id": tenant_id,
        "instance_id": instance_id,
        "host_id": host_id,
        "rate_share": share.rate_share,
        "places": places,
        "told": share.places,
        "now": now,
        "expires": expires,
    }
    await conn.execute(_GIVE, fields)


async def end_share(conn: AsyncConnection, tenant_id: str, instance_id: str, host_id: str) -> None:
    """Take a share back that its host needs no more."""
    which = {"tenant_id": tenant_id, "instance_id": instance_id, "host_id": host_id}
    await conn.execute(_END, which)


__all__ = ["end_share", "give_share", "held"]
