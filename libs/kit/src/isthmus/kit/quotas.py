"""What a tenant may have and do at most, as services know it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from isthmus.resilience.faults import Fault, LimitReached

if TYPE_CHECKING:
    import grpc.aio
    from sqlalchemy.ext.asyncio import AsyncConnection

_REMOVE_SECONDS = 60.0
_NEAR = 10
_FRESH_SECONDS = 20.0
_SHARE_SECONDS = 5.0
_ASK_AGAIN_SECONDS = 2.0
_ASK_SECONDS = 3.0
_MOST_KNOWN = 10_000
_MOST_COUNTED = 1_000_000


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
    log_lines_per_day: int | None = None
    events_per_day: int | None = None
    stored_bytes: int | None = None

    @classmethod
    def of(cls, message: Any) -> "Quotas":
        """Read the contract's message; what is unset or below zero is no limit."""
        names = [one.name for one in fields(cls) if message.HasField(one.name)]
        return cls(**{name: getattr(message, name) for name in names if getattr(message, name) >= 0})


NO_QUOTAS = Quotas()


def period_of(quota: str) -> float:
    """Return the seconds in which a quota may be used once; 0 where it bounds what there is."""
    return {"day": 86_400.0, "minute": 60.0}.get(quota.rpartition("_per_")[2], 0.0)


def exceeded(quota: str, limit: int, used: int, *, retry_after: float = _REMOVE_SECONDS) -> LimitReached:
    """Build the answer to who wants more than a quota allows."""
    what = quota.replace("_", " ")
    message = f"Your tenant has {used} of {limit} {what}; remove some, or have the quota raised."
    if period_of(quota):
        message = f"Your tenant has used {used} of its {limit} {what}; wait, or have the quota raised."
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


async def counted(conn: "AsyncConnection", table: str, where: str = "true") -> int:
    """Count what a tenant has of something, for people to look at; the transaction sees one tenant.

    Args:
        conn: The transaction.
        table: Where it is.
        where: Which rows count, in SQL.
    """
    return await _count(conn, table, where, _MOST_COUNTED)


async def _count(conn: "AsyncConnection", table: str, where: str, most: int) -> int:
    from sqlalchemy import text

    # Both names are of this code, never of a caller.
    counted = f"select count(*) from (select from {table} where {where} limit :most) one"  # noqa: S608
    return int((await conn.execute(text(counted), {"most": most})).scalar_one())


@dataclass(slots=True)
class _Use:
    """How much of a quota by the day or minute a tenant has used lately, over all processes.

    Attributes:
        level: What is not free again yet, as far as this process knows.
        at: When that was.
        untold: What of it nobody else knows of yet.
    """

    level: float = 0.0
    at: float = 0.0
    untold: int = 0

    def now(self, rate: float) -> float:
        """Return the level at present, where it falls by so much a second."""
        present = time.monotonic()
        self.level = max(0.0, self.level - rate * (present - self.at))
        self.at = present
        return self.level


@dataclass(slots=True)
class _Page:
    """What is known of one tenant."""

    quotas: Quotas = NO_QUOTAS
    fresh_until: float = 0.0
    uses: dict[str, _Use] = field(default_factory=dict)
    is_known: bool = False


class QuotaBook:
    """Knows tenants' quotas, and shares what this process counts with all others.

    It never keeps anybody waiting: what is not known yet, or not fresh, is asked for meanwhile, and so is
    what other processes have counted. Counts are brought together every few seconds while there are any, so
    several processes together go beyond a quota by no more than what they count in that time.

    Args:
        channel: Gives the channel to the identity service; called on first use.
        share_seconds: How long a count waits at most until it is shared.
    """

    def __init__(
        self, channel: Callable[[], "grpc.aio.Channel"], share_seconds: float = _SHARE_SECONDS
    ) -> None:
        self._channel = channel
        self._share_seconds = share_seconds
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._due: set[str] = set()
        self.holding: Callable[[str], Awaitable[Mapping[str, int]]] | None = None
        """Tells what a tenant holds of quotas that bound what there is; asked whenever counts are shared."""

    def of(self, tenant_id: str) -> Quotas:
        """Return what is known of a tenant's quotas; none before the first answer."""
        page = self._page(tenant_id)
        if time.monotonic() >= page.fresh_until:
            self._begin(tenant_id, page)
        return page.quotas

    async def fresh(self, tenant_id: str) -> Quotas:
        """Return a tenant's quotas, after asking for them where that has to be done."""
        self.of(tenant_id)
        page = self._page(tenant_id)
        if tenant_id in self._asking and not page.is_known:
            await asyncio.shield(self._asking[tenant_id])
        return page.quotas

    def charge(self, tenant_id: str, quota: str, count: int, *, is_done: bool = False) -> None:
        """Count what a tenant uses of a quota by the day.

        Args:
            tenant_id: Whose it is.
            quota: Its name.
            count: How much.
            is_done: It has happened already, so it counts even where it is too much.

        Raises:
            LimitReached: `QUOTA_EXCEEDED`.
        """
        limit = getattr(self.of(tenant_id), quota)
        page = self._page(tenant_id)
        use = page.uses.setdefault(quota, _Use(at=time.monotonic()))
        rate = 0.0 if limit is None else max(limit, 0.001) / period_of(quota)
        level = use.now(rate)
        wait = (level + count - limit) / rate if limit is not None else 0.0
        if wait <= 0 or is_done:
            use.level += count
            use.untold += count
            if use.untold and tenant_id not in self._due:
                self._due.add(tenant_id)
                # Nobody waits for the count of what has no limit.
                delay = self._share_seconds if limit is not None else _FRESH_SECONDS
                asyncio.get_running_loop().call_later(delay, self._share, tenant_id)
        if limit is not None and wait > 0:
            # What is refused may be allowed again by a change of the quota.
            page.fresh_until = min(page.fresh_until, time.monotonic() + _ASK_AGAIN_SECONDS)
            raise exceeded(quota, limit, round(level), retry_after=wait)

    def _page(self, tenant_id: str) -> _Page:
        page = self._pages.get(tenant_id)
        if page is None:
            page = self._pages[tenant_id] = _Page()
            while len(self._pages) > _MOST_KNOWN:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(tenant_id)
        return page

    def _share(self, tenant_id: str) -> None:
        self._due.discard(tenant_id)
        self._begin(tenant_id, self._page(tenant_id))

    def _begin(self, tenant_id: str, page: _Page) -> None:
        if tenant_id in self._asking:
            return
        task = asyncio.get_running_loop().create_task(self._ask(tenant_id, page))
        self._asking[tenant_id] = task
        task.add_done_callback(lambda _: self._asking.pop(tenant_id, None))

    async def _ask(self, tenant_id: str, page: _Page) -> None:
        import grpc
        from isthmus.identity.v1 import quotas_pb2, quotas_pb2_grpc
        from isthmus.kit.principal import acting_for

        spent = {name: use.untold for name, use in page.uses.items() if use.untold}
        for name in spent:
            page.uses[name].untold = 0
        try:
            with acting_for(tenant_id):
                held = await self.holding(tenant_id) if self.holding is not None else {}
                stub = quotas_pb2_grpc.QuotasServiceStub(self._channel())
                counts = [
                    quotas_pb2.UsageCount(quota=name, count=count)
                    for name, count in {**held, **spent}.items()
                ]
                request = quotas_pb2.ReportUsageRequest(counts=counts)
                answer = await stub.ReportUsage(request, timeout=_ASK_SECONDS)
        except (grpc.RpcError, Fault):
            # What was known holds on; no work stops because identity is away, and nothing is forgotten.
            for name, count in spent.items():
                page.uses[name].untold += count
        else:
            page.quotas = Quotas.of(answer.effective)
            for one in answer.used:
                if (use := page.uses.get(one.quota)) is not None:
                    use.level, use.at = one.count + use.untold, time.monotonic()
        page.is_known = True
        page.fresh_until = time.monotonic() + _FRESH_SECONDS


__all__ = ["NO_QUOTAS", "QuotaBook", "Quotas", "check_room", "counted", "exceeded", "period_of"]
