"""What holds for a tenant: what was set for it, and the installation's defaults for the rest."""

import time
from collections import OrderedDict
from collections.abc import Mapping

from isthmus.services.identity.settings import IdentitySettings
from isthmus.services.identity.store import QuotaRows, Store

NAMES = (
    "calls_per_minute",
    "users",
    "service_accounts",
    "api_keys",
    "instances",
    "flows",
    "executions",
    "stored_records",
    "records_per_day",
    "log_lines_per_day",
    "events_per_day",
    "stored_bytes",
)
NO_LIMIT = -1
_REMEMBER_SECONDS = 5.0
_MOST_KNOWN = 10_000


class Allowance:
    """Knows what tenants may have and do.

    Args:
        store: Where they are kept.
        settings: The installation's defaults, in a field `quota_…` for each.
    """

    def __init__(self, store: Store, settings: IdentitySettings) -> None:
        self._store = store
        self._defaults = {name: int(getattr(settings, f"quota_{name}", NO_LIMIT)) for name in NAMES}
        self._known: OrderedDict[str, tuple[dict[str, int], float]] = OrderedDict()

    def effective(self, limits: Mapping[str, int]) -> dict[str, int]:
        """Return the limits that hold where these were set; what is not named has none."""
        both = {**self._defaults, **limits}
        return {name: both[name] for name in NAMES if both[name] > NO_LIMIT}

    async def of(self, tenant_id: str) -> Mapping[str, int]:
        """Return the limits that hold for a tenant, as they were at most five seconds ago."""
        known, until = self._known.get(tenant_id, ({}, 0.0))
        if time.monotonic() < until:
            return known
        async with self._store.of(tenant_id) as rows:
            limits, _ = await QuotaRows(rows.conn).get(tenant_id)
        effective = self.effective(limits)
        self._known[tenant_id] = (effective, time.monotonic() + _REMEMBER_SECONDS)
        self._known.move_to_end(tenant_id)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return effective

    def forget(self, tenant_id: str) -> None:
        """Look a tenant's limits up again when they are next asked for."""
        self._known.pop(tenant_id, None)


__all__ = ["NAMES", "NO_LIMIT", "Allowance"]
