"""Quotas of what the hub keeps."""

import pytest
from isthmus.kit.quotas import QuotaBook, Quotas
from isthmus.resilience.faults import LimitReached
from isthmus.services.records.stock import Stock


class Book(QuotaBook):
    """Knows one tenant's quotas; what is counted stays here."""

    def __init__(self, **quotas):
        super().__init__(lambda: None)
        self.quotas = Quotas(**quotas)

    def of(self, tenant_id):
        return self.quotas

    async def fresh(self, tenant_id):
        return self.quotas


def stock_of(held, **quotas):
    """A stock in which a tenant keeps so many records of a hundred bytes."""
    counted = []

    async def count(tenant_id):
        counted.append(tenant_id)
        return held

    async def weigh(tenant_id):
        return 100.0

    return Stock(Book(**quotas), count, weigh), counted


async def test_a_tenant_without_quotas_is_not_counted():
    """
    Whoever may keep anything costs no statement.
    """
    stock, counted = stock_of(10**9)
    await stock.admit("tnt_a")
    stock.note("tnt_a", created=10**9, written=10**9)

    assert counted == []


async def test_a_full_store_takes_no_more():
    """
    What was created since the count is added to it, and no new writing begins in a full one.
    """
    stock, counted = stock_of(90, stored_records=100)
    await stock.admit("tnt_a")
    stock.note("tnt_a", created=9, written=50)
    with pytest.raises(LimitReached) as full:
        stock.note("tnt_a", created=1, written=1)
    with pytest.raises(LimitReached):
        await stock.admit("tnt_a")

    assert full.value.metadata == {"quota": "stored_records", "limit": "100", "used": "100"}
    assert counted == ["tnt_a"]


async def test_bytes_are_reckoned_from_a_sample():
    """
    What records take is their number times what a few of them have.
    """
    stock, _ = stock_of(90, stored_bytes=10_000)
    told = await stock.amounts("tnt_a")
    await stock.admit("tnt_a")
    with pytest.raises(LimitReached) as full:
        stock.note("tnt_a", created=10, written=10)

    assert told == {"stored_records": 90, "stored_bytes": 9000}
    assert full.value.metadata == {"quota": "stored_bytes", "limit": "10000", "used": "10000"}
