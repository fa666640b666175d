"""How executions ended, in PostgreSQL."""

from collections.abc import Sequence

from isthmus.kit import PageRequest
from isthmus.services.monitoring.domain import InstanceRecord, Run
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ADD = text("""insert into runs
        (tenant_id, instance_id, execution_id, flow_id, status, end_time, quarantined, error)
    select :tenant_id, * from unnest(
        cast(:instance_id as text[]), cast(:execution_id as text[]), cast(:flow_id as text[]),
        cast(:status as text[]), cast(:end_time as timestamptz[]), cast(:quarantined as bigint[]),
        cast(:error as text[]))
    on conflict (tenant_id, instance_id, execution_id) do update set
        status = excluded.status, end_time = excluded.end_time, quarantined = excluded.quarantined,
        error = excluded.error""")
_RECORDS = """with last as (
        select distinct on (instance_id) instance_id, status, error
        from runs where status <> 'cancelled' order by instance_id, end_time desc
    ), sums as (
        select instance_id,
            count(*) filter (where status = 'completed' and is_recent) as succeeded,
            count(*) filter (where status = 'failed' and is_recent) as failed,
            coalesce(sum(quarantined) filter (where is_recent), 0) as quarantined,
            max(end_time) filter (where status = 'completed') as last_success,
            max(end_time) filter (where status = 'failed') as last_failure
        from (select *, end_time > now() - interval '24 hours' as is_recent from runs) as timed
        where :instance_id = '' or instance_id = :instance_id group by instance_id
    )
    select sums.*, coalesce(last.status, '') as last_status, coalesce(last.error, '') as last_error
    from sums left join last using (instance_id)
    where instance_id > :after order by instance_id limit :limit"""


class Runs:
    """Ends of executions that one transaction sees."""

    def __init__(self, conn: AsyncConnection, tenant_id: str) -> None:
        self._conn = conn
        self._tenant_id = tenant_id

    async def add(self, runs: Sequence[Run]) -> None:
        """Remember how executions ended, each for the instances on both its ends."""
        # In one order, so that two replicas that know of the same end do not wait for one another.
        ends = {(instance, run.execution_id): run for run in runs for instance in run.instances}
        if not ends:
            return
        places, ended = zip(*sorted(ends.items(), key=lambda item: item[0]), strict=True)
        values = {
            "tenant_id": self._tenant_id,
            "instance_id": [instance_id for instance_id, _ in places],
            "execution_id": [execution_id for _, execution_id in places],
            "flow_id": [run.flow_id for run in ended],
            "status": [run.status for run in ended],
            "end_time": [run.end for run in ended],
            "quarantined": [run.quarantined for run in ended],
            "error": [run.error for run in ended],
        }
        await self._conn.execute(_ADD, values)

    async def records(self, instance_id: str, page: PageRequest) -> list[InstanceRecord]:
        """Return what the last 24 hours say, by instance, one more than the page holds."""
        after = (page.after or {}).get("id", "")
        values = {"instance_id": instance_id, "after": after, "limit": page.size + 1}
        found = await self._conn.execute(text(_RECORDS), values)
        return [InstanceRecord(**{**row._asdict(), "quarantined": int(row.quarantined)}) for row in found]


__all__ = ["Runs"]
