"""What was set for tenants, and what is there of it."""

import json
from collections.abc import Mapping
from datetime import datetime

from isthmus.services.identity.store.statements import Statements

_SAVE = """
    insert into quotas (tenant_id, limits, changed_by, update_time, revision)
    values (:tenant, cast(:limits as jsonb), :by, :now, 1)
    on conflict (tenant_id) do update set limits = excluded.limits, changed_by = excluded.changed_by,
        update_time = excluded.update_time, revision = quotas.revision + 1
    returning revision"""
_USED = """
    select (select count(*) from users where tenant_id = :tenant) as users,
        (select count(*) from service_accounts where tenant_id = :tenant) as service_accounts,
        (select count(*) from api_keys where tenant_id = :tenant and revoke_time is null) as api_keys"""


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

    async def used(self, tenant_id: str) -> dict[str, int]:
        """Return how much of what this service keeps is there."""
        return dict((await self._all(_USED, tenant=tenant_id))[0])


__all__ = ["QuotaRows"]
