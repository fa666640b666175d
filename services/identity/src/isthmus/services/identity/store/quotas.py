"""What was set for tenants, and what is there of it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from isthmus.services.identity.store.statements import Statements

_SAVE = """
    insert into quotas (tenant_id, limits, changed_by, update_time, revision)
    values (:tenant, cast(:limits as jsonb), :by, :now, 1)
    on conflict (tenant_id) do update set limits = excluded.limits, changed_by = excluded.changed_by,
        update_time = excluded.update_time, revision = quotas.revision + 1
    returning revision"""
_SINCE = "greatest(0, extract(epoch from excluded.update_time - kept.update_time))::float8"
_USED = """
    select (select count(*) from users where tenant_id = :tenant) as users,
        (select count(*) from service_accounts where tenant_id = :tenant) as service_accounts,
        (select count(*) from api_keys where tenant_id = :tenant and revoke_time is null) as api_keys"""

# What is used drains away: at the rate of the limit, or where there is none so that about what came in the
# last period is left. What is held (of no period) is told as it is.
_NOW_USED = """
    case when period = 0 then used
        when rate > 0 then greatest(0, used - rate * extract(epoch from :now - update_time))
        else used * exp(-extract(epoch from :now - update_time) / period) end"""
_REPORT = f"""
    insert into quota_usage as kept (tenant_id, quota, used, rate, period, update_time)
    select :tenant, one.quota, one.used, one.rate, one.period, :now
    from unnest(cast(:quotas as text[]), cast(:used as float8[]), cast(:rates as float8[]),
        cast(:periods as float8[])) as one (quota, used, rate, period)
    on conflict (tenant_id, quota) do update set
        used = excluded.used + case when excluded.period = 0 then 0
            when excluded.rate > 0
                then greatest(0, kept.used - excluded.rate * {_SINCE})
            else kept.used * exp(-{_SINCE} / excluded.period) end,
        rate = excluded.rate, period = excluded.period,
        update_time = greatest(kept.update_time, excluded.update_time)
    returning quota, used"""
_TOLD = f"select quota, {_NOW_USED} as used, update_time from quota_usage where tenant_id = :tenant"


class QuotaRows(Statements):
    """The quotas that one transaction sees."""

    async def get(self, tenant_id: str, *, lock: bool = False) -> tuple[dict[str, int], int]:
        """Return what was set for a tenant, and the revision; nothing and 0 where nothing was."""
        sql = "select limits, revision from quotas where tenant_id = :tenant" + (
            " for update" if lock else ""
        )
        rows = await self._all(sql, tenant=tenant_id)
        return (rows[0]["limits"], rows[0]["revision"]) if rows else ({}, 0)

    async def save(self, tenant_id: str, limits: Mapping[str, int], by: str, now: datetime) -> int:
        """Replace what was set for a tenant and return the new revision."""
        rows = await self._all(_SAVE, tenant=tenant_id, limits=json.dumps(dict(limits)), by=by, now=now)
        return int(rows[0]["revision"])

    async def report(
        self, tenant_id: str, counted: Sequence[tuple[str, float, float, float]], now: datetime
    ) -> dict[str, int]:
        """Add what a process has counted, and return what all have.

        Args:
            tenant_id: Whose.
            counted: Quota, count, the rate at which it becomes free, and its period; no period means that the
                count is all there is.
            now: The time.
        """
        columns = zip(*sorted(counted), strict=True)
        named = dict(zip(("quotas", "used", "rates", "periods"), map(list, columns), strict=True))
        rows = await self._all(_REPORT, tenant=tenant_id, now=now, **named)
        return {row["quota"]: round(row["used"]) for row in rows}

    async def told(self, tenant_id: str, now: datetime) -> dict[str, tuple[int, datetime]]:
        """Return what processes have reported of a tenant's use, and when."""
        rows = await self._all(_TOLD, tenant=tenant_id, now=now)
        return {row["quota"]: (round(row["used"]), row["update_time"]) for row in rows}

    async def used(self, tenant_id: str) -> dict[str, int]:
        """Return how much of what this service keeps is there."""
        return dict((await self._all(_USED, tenant=tenant_id))[0])


__all__ = ["QuotaRows"]
