"""What tenants keep in the hub and bring into it, against their quotas."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from isthmus.kit.quotas import QuotaBook, exceeded
from isthmus.resilience.bucket import TokenBucket

_COUNTED_SECONDS = 10.0
_MOST_KNOWN = 10_000
_DAY_SECONDS = 86_400.0


@dataclass(slots=True)
class _Held:
    """What one tenant keeps, counted a moment ago, with what has come since."""

    records: int = 0
    counted_at: float = field(default=float("-inf"))
    day: TokenBucket | None = None


class Stock:
    """Stops writes of tenants that have reached a quota; those without one cost a look into a dictionary.

    Streams count their records, so what a tenant keeps is the sum of a few rows. It is summed up again
    every ten seconds, and in between what this process has added is added.

    Args:
        book: Knows quotas.
        count: Sums up the records of a tenant's streams.
    """

    def __init__(self, book: QuotaBook, count: Callable[[str], Awaitable[int]]) -> None:
        self._book = book
        self._count = count
        self._held: OrderedDict[str, _Held] = OrderedDict()

    async def admit(self, tenant_id: str) -> None:
        """Let a tenant write, if it may keep or bring any more.

        Raises:
            LimitReached: `QUOTA_EXCEEDED`.
        """
        quotas = await self._book.fresh(tenant_id)
        if quotas.stored_records is not None:
            held = self._of(tenant_id)
            if time.monotonic() - held.counted_at >= _COUNTED_SECONDS:
                held.records, held.counted_at = await self._count(tenant_id), time.monotonic()
        self.note(tenant_id, created=0, written=0)

    def note(self, tenant_id: str, *, created: int, written: int) -> None:
        """Count what was written, and stop the writer before it writes more than it may.

        Raises:
            LimitReached: `QUOTA_EXCEEDED`.
        """
        quotas = self._book.of(tenant_id)
        if quotas.stored_records is None and quotas.records_per_day is None:
            return
        held = self._of(tenant_id)
        held.records += created
        if quotas.stored_records is not None and held.records >= quotas.stored_records:
            raise exceeded("stored_records", quotas.stored_records, held.records)
        if quotas.records_per_day is not None:
            self._spend(held, quotas.records_per_day, written)

    def _spend(self, held: _Held, limit: int, written: int) -> None:
        rate = max(limit, 0.001) / _DAY_SECONDS
        if held.day is None or held.day.rate != rate:
            held.day = TokenBucket(rate, limit)
        wait = held.day.take(written)
        if wait > 0:
            raise exceeded("records_per_day", limit, limit, retry_after=wait)

    def _of(self, tenant_id: str) -> _Held:
        held = self._held.setdefault(tenant_id, _Held())
        self._held.move_to_end(tenant_id)
        while len(self._held) > _MOST_KNOWN:
            self._held.popitem(last=False)
        return held


__all__ = ["Stock"]
