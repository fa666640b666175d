"""Quotas of what the hub keeps."""

import pytest
from isthmus.kit.quotas import Quotas
from isthmus.resilience.faults import LimitReached
from isthmus.services.records.stock import Stock


class Book:
    """Knows one tenant's quotas."""

    def __init__(self, **quotas):
        self.quotas = Quotas(**quotas)

    def of(self, tenant_id):
        return self.quotas

    async def fresh(self, tenant_id):
        return self.quotas


def stock_of(held, **quotas):
    """A stock in which a tenant keeps so many records."""
    counted = []

    async def count(tenant_id):
        counted.append(tenant_id)
        return held

    return Stock(Book(**quotas), count), counted


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


async def test_a_days_records_are_spent_and_come_back_over_the_day():
    """
    A whole day's records may come at once; then it is told when there will be room again.
    """
    stock, _ = stock_of(0, records_per_day=1000)
    await stock.admit("tnt_a")
    stock.note("tnt_a", created=0, written=1000)
    with pytest.raises(LimitReached) as spent:
        stock.note("tnt_a", created=0, written=100)
    with pytest.raises(LimitReached):
        await stock.admit("tnt_a")

    assert spent.value.metadata["quota"] == "records_per_day"
    assert 8000 < spent.value.retry_after < 9000
