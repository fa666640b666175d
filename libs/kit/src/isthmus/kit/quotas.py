"""What a tenant may have and do at most, as services know it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from isthmus.resilience.faults import Fault, LimitReached

if TYPE_CHECKING:
    import grpc.aio
    from sqlalchemy.ext.asyncio import AsyncConnection

_REMOVE_SECONDS = 60.0
_NEAR = 10
_FRESH_SECONDS = 20.0
_ASK_SECONDS = 3.0
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Quotas:
    """The most of each; None is no limit."""

    calls_per_minute: int | None = None
    users: int | None = None
    service_accounts: int | None = None
    api_keys: int | None = None
    instances: int | None = None
    flows: int | None = None
    executions: int | None = None
    stored_records: int | None = None
    records_per_day: int | None = None

    @classmethod
    def of(cls, message: Any) -> "Quotas":
        """Read the contract's message; what is unset or below zero is no limit."""
        names = [one.name for one in fields(cls) if message.HasField(one.name)]
        return cls(**{name: getattr(message, name) for name in names if getattr(message, name) >= 0})


NO_QUOTAS = Quotas()


def exceeded(quota: str, limit: int, used: int, *, retry_after: float = _REMOVE_SECONDS) -> LimitReached:
    """Build the answer to who wants more than a quota allows."""
    what = quota.replace("_", " ")
    message = f"Your tenant has {used} of {limit} {what}; remove some, or have the quota raised."
    metadata = {"quota": quota, "limit": str(limit), "used": str(used)}
    return LimitReached("QUOTA_EXCEEDED", message, retry_after=retry_after, metadata=metadata)


async def check_room(
    conn: "AsyncConnection", quota: str, limit: int | None, table: str, where: str = "true"
) -> None:
    """Refuse to make one more of something in this transaction, which sees one tenant.

    Args:
        conn: The transaction that will make it.
        quota: What is counted.
        limit: How many there may be; None is no limit, and asks nothing.
        table: Where they are.
        where: Which rows count, in SQL.

    Raises:
        LimitReached: `QUOTA_EXCEEDED`.
    """
    if limit is None:
        return
    used = await _count(conn, table, where, limit)
    if used + _NEAR >= limit:
        from sqlalchemy import text

        # Whoever makes the last ones at the same time is counted one after the other.
        lock = text(
            "select pg_advisory_xact_lock(hashtextextended(current_setting('isthmus.tenant') || :quota, 0))"
        )
        await conn.execute(lock, {"quota": f":quota:{quota}"})
        used = await _count(conn, table, where, limit)
    if used >= limit:
        raise exceeded(quota, limit, used)


async def _count(conn: "AsyncConnection", table: str, where: str, most: int) -> int:
    from sqlalchemy import text

    # Both names are of this code, never of a caller.
    counted = f"select count(*) from (select from {table} where {where} limit :most) one"  # noqa: S608
    return int((await conn.execute(text(counted), {"most": most})).scalar_one())


class QuotaBook:
    """Knows tenants' quotas for work that no credential of theirs came with.

    It never keeps anybody waiting: what is not known yet, or not fresh, is asked for meanwhile.

    Args:
        channel: Gives the channel to the identity service; called on first use.
    """

    def __init__(self, channel: Callable[[], "grpc.aio.Channel"]) -> None:
        self._channel = channel
        self._known: OrderedDict[str, tuple[Quotas, float]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}

    def of(self, tenant_id: str) -> Quotas:
        """Return what is known of a tenant's quotas; none before the first answer."""
        known, fresh_until = self._known.get(tenant_id, (NO_QUOTAS, 0.0))
        if time.monotonic() >= fresh_until and tenant_id not in self._asking:
            task = asyncio.get_running_loop().create_task(self._ask(tenant_id, known))
            self._asking[tenant_id] = task
            task.add_done_callback(lambda _: self._asking.pop(tenant_id, None))
        return known

    async def fresh(self, tenant_id: str) -> Quotas:
        """Return a tenant's quotas, after asking for them where that has to be done."""
        self.of(tenant_id)
        if tenant_id in self._asking and tenant_id not in self._known:
            await asyncio.shield(self._asking[tenant_id])
        return self._known.get(tenant_id, (NO_QUOTAS, 0.0))[0]

    async def _ask(self, tenant_id: str, known: Quotas) -> None:
        import grpc
        from isthmus.identity.v1 import quotas_pb2, quotas_pb2_grpc
        from isthmus.kit.principal import acting_for

        try:
            with acting_for(tenant_id):
                stub = quotas_pb2_grpc.QuotasServiceStub(self._channel())
                answer = await stub.GetTenantQuotas(quotas_pb2.GetTenantQuotasRequest(), timeout=_ASK_SECONDS)
            known = Quotas.of(answer.effective)
        except (grpc.RpcError, Fault):
            pass  # what was known holds on; no work stops because identity is away
        self._known[tenant_id] = (known, time.monotonic() + _FRESH_SECONDS)
        self._known.move_to_end(tenant_id)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


__all__ = ["NO_QUOTAS", "QuotaBook", "Quotas", "check_room", "exceeded"]
