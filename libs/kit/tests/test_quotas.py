"""Quotas that several processes count together."""

import asyncio

import grpc
import pytest
from isthmus.identity.v1 import quotas_pb2, quotas_pb2_grpc
from isthmus.kit.quotas import QuotaBook
from isthmus.resilience.faults import LimitReached
from isthmus.testing.waiting import waiting_for


class Identity(quotas_pb2_grpc.QuotasServiceServicer):
    """Adds up what processes report; nothing becomes free again in the time of a test."""

    def __init__(self, **limits):
        self.limits = limits
        self.used = {}

    async def ReportUsage(self, request, context):
        """Add, and tell the sum."""
        for one in request.counts:
            self.used[one.quota] = self.used.get(one.quota, 0) + one.count
        limits = quotas_pb2.Quotas(**self.limits)
        told = [quotas_pb2.UsageCount(quota=name, count=count) for name, count in self.used.items()]
        return quotas_pb2.ReportUsageResponse(effective=limits, used=told)


@pytest.fixture
async def replicas():
    """Two processes of a service that ask one identity service."""
    identity, server = Identity(records_per_day=1000), grpc.aio.server()
    quotas_pb2_grpc.add_QuotasServiceServicer_to_server(identity, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield identity, [QuotaBook(lambda: channel, share_seconds=0.01) for _ in range(2)]
    await server.stop(None)


async def test_replicas_share_a_days_quota(replicas):
    """
    What one has counted the other knows a moment later, and refuses what is too much for both.
    """
    identity, (first, second) = replicas
    for book in (first, second):
        await book.fresh("tnt_a")
    first.charge("tnt_a", "records_per_day", 900)
    async with waiting_for("both to know of it"):
        while identity.used.get("records_per_day") != 900:
            await asyncio.sleep(0.01)
        second.charge("tnt_a", "records_per_day", 50)
        while identity.used.get("records_per_day") != 950:
            await asyncio.sleep(0.01)
        await asyncio.gather(*second._asking.values())

    with pytest.raises(LimitReached) as spent:
        second.charge("tnt_a", "records_per_day", 100)
    second.charge("tnt_b", "records_per_day", 100)

    assert spent.value.metadata == {"quota": "records_per_day", "limit": "1000", "used": "950"}
    assert 4000 < spent.value.retry_after < 5000


async def test_a_days_records_are_spent_and_come_back_over_the_day(replicas):
    """
    A whole day's records may come at once, and what has come counts in any case; then it is told when there
    will be room again.
    """
    _, (book, _) = replicas
    await book.fresh("tnt_a")
    book.charge("tnt_a", "records_per_day", 1000, is_done=True)
    with pytest.raises(LimitReached) as spent:
        book.charge("tnt_a", "records_per_day", 100, is_done=True)
    with pytest.raises(LimitReached):
        book.charge("tnt_a", "records_per_day", 0)

    assert 8000 < spent.value.retry_after < 9000


async def test_nothing_is_forgotten_while_identity_is_away():
    """
    Counts that could not be shared wait for the next time.
    """
    book = QuotaBook(lambda: (_ for _ in ()).throw(LimitReached("AWAY", "Away.")), share_seconds=0.01)

    book.charge("tnt_a", "records_per_day", 7)
    await asyncio.gather(*book._asking.values())

    assert book._pages["tnt_a"].uses["records_per_day"].untold == 7
