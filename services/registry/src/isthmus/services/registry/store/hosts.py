"""Hosts that have called lately."""

from collections.abc import Iterable
from datetime import datetime

from isthmus.kit import PageRequest
from isthmus.services.registry.domain.model import Host
from isthmus.services.registry.store.rows import Rows, fields


class HostRows(Rows):
    """The hosts that one transaction sees."""

    async def put(self, host: Host) -> None:
        """Store a host, or note that it called again."""
        sql = """insert into hosts (tenant_id, host_id, connector_id, connector_version, address, start_time,
                last_seen_time, running_executions)
            values (:tenant_id, :host_id, :connector_id, :connector_version, :address, :start_time,
                :last_seen_time, :running_executions)
            on conflict (tenant_id, host_id) do update set connector_id = :connector_id,
                connector_version = :connector_version, address = :address,
                last_seen_time = :last_seen_time, running_executions = :running_executions"""
        await self._run(sql, **fields(host))

    async def forget(self, host_id: str, connector_id: str = "") -> None:
        """Delete a host that stopped or cannot be reached, of one connector only where it is named."""
        sql = "delete from hosts where host_id = :h and cast(:c as text) in ('', connector_id)"
        await self._run(sql, h=host_id, c=connector_id)

    async def forget_silent(self, since: datetime) -> None:
        """Delete hosts that have not called since a moment."""
        await self._run("delete from hosts where last_seen_time < :since", since=since)

    async def live(self, tenant_id: str, connector_id: str, since: datetime) -> list[Host]:
        """Return the hosts of a connector that have called since a moment, the idlest first."""
        sql = """select * from hosts where tenant_id = :t and connector_id = :c and last_seen_time >= :since
            order by running_executions, random()"""
        return [Host(**row) for row in await self._all(sql, t=tenant_id, c=connector_id, since=since)]

    async def count_live(self, connector_ids: Iterable[str], since: datetime) -> dict[tuple[str, str], int]:
        """Count the live hosts by owner and connector."""
        sql = """select tenant_id, connector_id, count(*) as number from hosts
            where connector_id = any(:ids) and last_seen_time >= :since group by tenant_id, connector_id"""
        rows = await self._all(sql, ids=list(connector_ids), since=since)
        return {(row["tenant_id"], row["connector_id"]): row["number"] for row in rows}

    async def page(self, page: PageRequest, connector_id: str, since: datetime) -> list[Host]:
        """Return live hosts by connector and start, one more than the page holds."""
        after = page.after or {"connector": "", "start": 0, "id": ""}
        sql = """select * from hosts where last_seen_time >= :since and (:c = '' or connector_id = :c)
            and (connector_id, start_time, host_id)
                > (:after_connector, to_timestamp(cast(:after_start as double precision)), :after_id)
            order by connector_id, start_time, host_id limit :limit"""
        rows = await self._all(
            sql,
            since=since,
            c=connector_id,
            after_connector=str(after["connector"]),
            after_start=str(after["start"]),
            after_id=str(after["id"]),
            limit=page.size + 1,
        )
        return [Host(**row) for row in rows]


__all__ = ["HostRows"]
