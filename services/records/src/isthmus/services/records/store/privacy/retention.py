"""Knows how long data is kept, and removes what is older, a portion at a time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from isthmus.kit import Database
from isthmus.resilience.faults import Missing
from isthmus.services.records.domain.retention import KINDS, Retention
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PORTION = 2000
_GET = text(f"SELECT {', '.join(KINDS)} FROM retention WHERE tenant_id = :tenant AND stream = :stream")
_SET = text(f"""
    INSERT INTO retention (tenant_id, stream, {", ".join(KINDS)})
    VALUES (:tenant, :stream, {", ".join(f":{kind}" for kind in KINDS)})
    ON CONFLICT (tenant_id, stream) DO UPDATE
    SET {", ".join(f"{kind} = excluded.{kind}" for kind in KINDS)}
""")
_KNOWN = text("SELECT 1 FROM streams WHERE tenant_id = :tenant AND stream = :stream")
_STREAMS = text("""
    SELECT s.tenant_id, s.stream, s.stream_number FROM streams AS s ORDER BY s.tenant_id, s.stream
""")
_TENANTS = text("""
    SELECT tenant_id FROM quarantine WHERE status IN (3, 4)
    UNION SELECT tenant_id FROM conflicts WHERE status <> 1
""")
_OLD = "update_time < now() - make_interval(secs => :seconds)"
_LOCK = text("SELECT 1 FROM streams WHERE tenant_id = :tenant AND stream = :stream FOR UPDATE")
_RECORDS = """
    WITH old AS (
        SELECT ctid FROM records
        WHERE tenant_id = :tenant AND stream_number = :number AND {deleted} is_deleted AND {old}
        LIMIT {portion}
    ), gone AS (
        DELETE FROM records WHERE ctid IN (SELECT ctid FROM old)
        RETURNING key, change, is_addition, is_deleted
    ), told AS (
        UPDATE additions AS a SET keys = ARRAY(
            SELECT CASE WHEN k = ANY (ARRAY(SELECT key FROM gone WHERE is_addition)) THEN '' ELSE k END
            FROM unnest(a.keys) WITH ORDINALITY AS x (k, n) ORDER BY n)
        WHERE a.tenant_id = :tenant AND a.stream_number = :number
            AND EXISTS (SELECT FROM gone WHERE is_addition
                AND change BETWEEN a.first_change AND a.last_change)
    ), counted AS (
        UPDATE streams SET records = records - (SELECT count(*) FROM gone WHERE NOT is_deleted)
        WHERE tenant_id = :tenant AND stream = :stream AND EXISTS (SELECT FROM gone WHERE NOT is_deleted)
    )
    SELECT count(*) FROM gone
"""
_PURGES = {
    "records": _RECORDS.format(deleted="NOT", old=_OLD, portion=_PORTION),
    "deleted": _RECORDS.format(deleted="", old=_OLD, portion=_PORTION),
    "history": f"""
        WITH gone AS (DELETE FROM record_history WHERE ctid IN (
            SELECT ctid FROM record_history
            WHERE tenant_id = :tenant AND stream = :stream AND {_OLD} LIMIT {_PORTION}) RETURNING 1)
        SELECT count(*) FROM gone
    """,
    # Waiting and requeued records are never too old: somebody has to decide about them.
    "quarantine": f"""
        WITH gone AS (DELETE FROM quarantine WHERE ctid IN (
            SELECT ctid FROM quarantine WHERE tenant_id = :tenant AND status IN (3, 4) AND {_OLD}
            LIMIT {_PORTION}) RETURNING 1)
        SELECT count(*) FROM gone
    """,
    "conflicts": f"""
        WITH gone AS (DELETE FROM conflicts WHERE ctid IN (
            SELECT ctid FROM conflicts WHERE tenant_id = :tenant AND status <> 1
                AND {_OLD.replace("update_time", "decide_time")}
            LIMIT {_PORTION}) RETURNING 1)
        SELECT count(*) FROM gone
    """,
}


@dataclass(frozen=True, slots=True)
class Purged:
    """What was removed because it was old."""

    tenant_id: str
    stream: str
    kind: str
    removed: int
    seconds: int


Announce = Callable[[AsyncConnection, Purged], Awaitable[None]]


class RetentionStore:
    """Keeps how long data is kept.

    Args:
        database: Where data is.
        announce: Tells of what was removed, in the same transaction.
    """

    def __init__(self, database: Database, announce: Announce) -> None:
        self._database = database
        self._announce = announce

    async def get(self, tenant_id: str, stream: str) -> Retention:
        """What was set for a stream, or for the tenant where the name is empty.

        Raises:
            Missing: `STREAM_UNKNOWN`.
        """
        async with self._database.tenant(tenant_id) as connection:
            await _check(connection, tenant_id, stream)
            return await _get(connection, tenant_id, stream)

    async def set(
        self, connection: AsyncConnection, tenant_id: str, stream: str, retention: Retention
    ) -> None:
        """Replace what was set.

        Raises:
            Missing: `STREAM_UNKNOWN`.
        """
        await _check(connection, tenant_id, stream)
        values = {kind: getattr(retention, kind) for kind in KINDS}
        await connection.execute(_SET, {"tenant": tenant_id, "stream": stream, **values})

    async def purge(self) -> bool:
        """Remove one portion of everything that is too old; True when there may be more."""
        async with self._database.system() as connection:
            streams = list(await connection.execute(_STREAMS))
            tenants = list(await connection.execute(_TENANTS))
        more = False
        for row in streams:
            kinds = ("history", "deleted", "records")
            more |= await self._purge(row.tenant_id, row.stream, row.stream_number, kinds)
        for row in tenants:
            more |= await self._purge(row.tenant_id, "", 0, ("quarantine", "conflicts"))
        return more

    async def _purge(self, tenant_id: str, stream: str, number: int, kinds: tuple[str, ...]) -> bool:
        more = False
        async with self._database.tenant(tenant_id) as connection:
            own = await _get(connection, tenant_id, stream) if stream else Retention()
            keeps = own.over(await _get(connection, tenant_id, ""))
            if stream and keeps.records:
                await connection.execute(_LOCK, {"tenant": tenant_id, "stream": stream})
            for kind in kinds:
                seconds: int = getattr(keeps, kind) or 0
                if not seconds:
                    continue
                values: dict[str, Any] = {"tenant": tenant_id, "seconds": seconds}
                if stream:
                    values["stream"] = stream
                if kind in {"records", "deleted"}:
                    values["number"] = number
                removed = (await connection.execute(text(_PURGES[kind]), values)).scalar_one()
                if removed:
                    await self._announce(connection, Purged(tenant_id, stream, kind, removed, seconds))
                more |= removed >= _PORTION
        return more


async def _check(connection: AsyncConnection, tenant_id: str, stream: str) -> None:
    values = {"tenant": tenant_id, "stream": stream}
    if stream and (await connection.execute(_KNOWN, values)).first() is None:
        message = f"The hub has no stream {stream[:100]!r}; list the streams."
        raise Missing("STREAM_UNKNOWN", message, path="stream")


async def _get(connection: AsyncConnection, tenant_id: str, stream: str) -> Retention:
    row = (await connection.execute(_GET, {"tenant": tenant_id, "stream": stream})).first()
    return Retention(**row._mapping) if row is not None else Retention()


__all__ = ["Purged", "RetentionStore"]
