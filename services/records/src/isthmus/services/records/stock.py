"""What tenants keep in the hub and bring into it, against their quotas."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from isthmus.kit.quotas import QuotaBook, Quotas, exceeded

_COUNTED_SECONDS = 10.0
_WEIGHED_SECONDS = 300.0
_MOST_KNOWN = 10_000


@dataclass(slots=True)
class _Held:
    """What one tenant keeps, counted a moment ago, with what has come since."""

    records: int = 0
    bytes_each: float = 0.0
    counted_at: float = field(default=float("-inf"))
    weighed_at: float = field(default=float("-inf"))

    @property
    def bytes(self) -> int:
        """What the records take, as far as a sample tells."""
        return round(self.records * self.bytes_each)


class Stock:
    """Stops writes of tenants that have reached a quota; those without one cost a look into a dictionary.

    Streams count their records, so what a tenant keeps is the sum of a few rows. It is summed up again
    every ten seconds, and in between what this process has added is added. How large a record is on average
    is found out every five minutes, from a few hundred of each stream.

    Args:
        book: Knows quotas, and what all replicas have counted.
        count: Sums up the records of a tenant's streams.
        weigh: Tells how many bytes a record of the tenant has on average.
    """

    def __init__(
        self,
        book: QuotaBook,
        count: Callable[[str], Awaitable[int]],
        weigh: Callable[[str], Awaitable[float]],
    ) -> None:
        self._book = book
        self._count = count
        self._weigh = weigh
        self._held: OrderedDict[str, _Held] = OrderedDict()
        book.holding = self.amounts

    async def amounts(self, tenant_id: str) -> Mapping[str, int]:
        """Tell what a tenant keeps, by quota."""
        held = await self._counted(tenant_id)
        if time.monotonic() - held.weighed_at >= _WEIGHED_SECONDS:
            held.bytes_each, held.weighed_at = await self._weigh(tenant_id), time.monotonic()
        return {"stored_records": held.records, "stored_bytes": held.bytes}

    async def admit(self, tenant_id: str) -> None:
        """Let a tenant write, if it may keep or bring any more.

        Raises:
            LimitReached: `QUOTA_EXCEEDED`.
        """
        quotas = await self._book.fresh(tenant_id)
        if quotas.stored_records is not None or quotas.stored_bytes is not None:
            await self._counted(tenant_id)
        self.note(tenant_id, created=0, written=0)

    def note(self, tenant_id: str, *, created: int, written: int) -> None:
        """Count what was written, and stop the writer before it writes more than it may.

        Raises:
            LimitReached: `QUOTA_EXCEEDED`.
        """
        quotas = self._book.of(tenant_id)
        if quotas.stored_records is not None or quotas.stored_bytes is not None:
            self._check(self._of(tenant_id), quotas, created)
        self._book.charge(tenant_id, "records_per_day", written, is_done=True)

    def _check(self, held: _Held, quotas: Quotas, created: int) -> None:
        held.records += created
        if quotas.stored_records is not None and held.records >= quotas.stored_records:
            raise exceeded("stored_records", quotas.stored_records, held.records)
        if quotas.stored_bytes is not None and held.bytes >= quotas.stored_bytes:
            raise exceeded("stored_bytes", quotas.stored_bytes, held.bytes)

    async def _counted(self, tenant_id: str) -> _Held:
        held = self._of(tenant_id)
        if time.monotonic() - held.counted_at >= _COUNTED_SECONDS:
            held.records, held.counted_at = await self._count(tenant_id), time.monotonic()
        return held

    def _of(self, tenant_id: str) -> _Held:
        held = self._held.setdefault(tenant_id, _Held())
        self._held.move_to_end(tenant_id)
        while len(self._held) > _MOST_KNOWN:
            self._held.popitem(last=False)
        return held


__all__ = ["Stock"]
