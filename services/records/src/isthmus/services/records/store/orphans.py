"""Links of flows that are gone: told apart, kept for a while, forgotten."""

from datetime import datetime, timedelta

from isthmus.kit import Clock, Database, Page, PageRequest, encode_token
from isthmus.services.records.domain.links import LinkFlow
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_BATCH = 10_000
_DELETED = text("""
    UPDATE link_flows SET flow_name = :name, delete_time = :time
    WHERE tenant_id = :tenant AND flow_id = :flow AND delete_time IS NULL
""")
# A flow without links has been written by nobody who numbers records, and is of no interest.
_LIST = text("""
    SELECT f.flow_id, f.flow_name, f.delete_time, l.links, l.in_doubt
    FROM link_flows f
    CROSS JOIN LATERAL (
        SELECT count(*) AS links, count(*) FILTER (WHERE is_in_doubt) AS in_doubt FROM links l
        WHERE l.tenant_id = f.tenant_id AND l.flow_id = f.flow_id) l
    WHERE f.tenant_id = :tenant AND f.flow_id > :after AND l.links > 0
      AND (NOT :orphaned OR f.delete_time IS NOT NULL)
    ORDER BY f.flow_id LIMIT :limit
""")
_PRUNE = text("""
    WITH old AS (
        SELECT l.tenant_id, l.flow_id, l.key FROM link_flows f
        JOIN links l ON l.tenant_id = f.tenant_id AND l.flow_id = f.flow_id
        WHERE f.delete_time < :before LIMIT :limit
    )
    DELETE FROM links l USING old
    WHERE l.tenant_id = old.tenant_id AND l.flow_id = old.flow_id AND l.key = old.key
""")
_PRUNE_FLOWS = text("DELETE FROM link_flows WHERE delete_time < :before")


class OrphanStore:
    """Knows which links no flow uses any more.

    Args:
        database: Where links are kept.
        clock: The time.
        keep: How long the links of a deleted flow stay.
    """

    def __init__(self, database: Database, clock: Clock, keep: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._keep = keep

    async def deleted(
        self, connection: AsyncConnection, tenant_id: str, flow_id: str, name: str, time: datetime
    ) -> None:
        """Take notice of a flow's end."""
        values = {"tenant": tenant_id, "flow": flow_id, "name": name, "time": time}
        await connection.execute(_DELETED, values)

    async def list(self, tenant_id: str, page: PageRequest, *, orphaned: bool) -> Page[LinkFlow]:
        """List the flows that have links."""
        after = str(page.after["flow"]) if page.after else ""
        values = {"tenant": tenant_id, "after": after, "orphaned": orphaned, "limit": page.size + 1}
        async with self._database.tenant(tenant_id) as connection:
            rows = (await connection.execute(_LIST, values)).mappings()
            found = [LinkFlow(**row) for row in rows]
        shown = found[: page.size]
        return Page(shown, encode_token({"flow": shown[-1].flow_id}) if len(found) > len(shown) else "")

    async def prune(self) -> bool:
        """Forget links of flows that were deleted long ago; True when there may be more of them."""
        values = {"before": self._clock.now() - self._keep, "limit": _BATCH}
        async with self._database.system() as connection:
            gone = (await connection.execute(_PRUNE, values)).rowcount
            if gone < _BATCH:
                await connection.execute(_PRUNE_FLOWS, {"before": values["before"]})
        return gone >= _BATCH


__all__ = ["OrphanStore"]
