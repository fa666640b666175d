"""Replicas of a host at one vendor: together they keep to the limits of the instance."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from host_fakes import Mapping, Registry
from isthmus.connectors.http_json import HttpJson
from isthmus.host.backend import Bound, Wanted
from isthmus.host.budgets import Budgets
from isthmus.host.local import LocalBackend
from isthmus.mapping.v1 import mapping_pb2_grpc as mapping_grpc
from isthmus.registry.v1 import registry_pb2_grpc as registry_grpc
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub
from isthmus.testing.vendor import Reply, running_vendor

RATE, PLACES, PAGES, READINGS = 40, 3, 20, 4
BURST = 10.0
LIMITS = {"rate": f"{RATE}/s", "concurrent": PLACES}


class Counting:
    """A vendor's route that notes when requests come and how many are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.came: list[float] = []
        self.by: set[str] = set()
        self.inside = self.most = 0
        self.full = threading.Event()
        self.full.set()

    def __call__(self, query: dict[str, str]) -> Reply:
        with self._lock:
            self.came.append(time.monotonic())
            self.by.add(query["host"])
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside == PLACES:
                self.full.set()
        self.full.wait(60)
        time.sleep(0.03)
        with self._lock:
            self.inside -= 1
        after = int(query.get("after", "0")) + 1
        body = {"items": [{"id": after}], "next": after if after < PAGES else None}
        return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


class Plane:
    """The part of the control plane that shares budgets."""

    def __init__(self, service: Any, tenant: str) -> None:
        self.scheduling = SchedulingServiceStub(
            service.channel(tenant=tenant, mesh=True, subject="host:http-json", work_on="ins_1")
        )


@pytest.fixture(scope="module")
async def scheduling(running: Any) -> AsyncIterator[Any]:
    peers = {
        "registry": (registry_grpc.add_RegistryServiceServicer_to_server, Registry()),
        "mapping": (mapping_grpc.add_MappingServiceServicer_to_server, Mapping()),
    }
    async with running("scheduling", peers=peers) as service:
        yield service


@asynccontextmanager
async def replica(service: Any, name: str, tenant: str) -> AsyncIterator[Any]:
    """Run a replica; gives what reads the vendor with it."""
    budgets = Budgets(Plane(service, tenant), name)  # type: ignore[arg-type]
    backend = LocalBackend(HttpJson, budgets=budgets)
    keeping = asyncio.create_task(budgets.keep())

    async def read(url: str, own_rate: str = "", limits: dict[str, Any] = LIMITS) -> int:
        stream = {
            "name": "items",
            "path": "/items",
            "params": {"host": name},
            "records_path": "items",
            "paging": {"kind": "cursor", "param": "after", "field": "next"},
        }
        told = {"base_url": url, "streams": [stream], **({"rate": own_rate} if own_rate else {})}
        bound = Bound(tenant, "ins_1", configuration=told, limits=limits)
        async with backend.connect(bound) as connection, connection.read(Wanted("items")) as reading:
            return sum([len(page.records) async for page in reading])

    try:
        yield read
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await budgets.release()
        await backend.close()


async def test_replicas_keep_to_the_limits_together(scheduling):
    """
    The second replica comes while the first has every place; the vendor never notices that they are two.
    """
    counting = Counting()
    async with AsyncExitStack() as stack:
        vendor = stack.enter_context(running_vendor())
        vendor.routes["/items"] = counting
        names = ("hst_1", "hst_2")
        first, second = [
            await stack.enter_async_context(replica(scheduling, name, "tnt_budget")) for name in names
        ]
        working = [asyncio.create_task(first(vendor.url)) for _ in range(READINGS)]
        while counting.inside == 0:
            await asyncio.sleep(0.005)
        working += [asyncio.create_task(second(vendor.url)) for _ in range(READINGS)]
        records = await asyncio.gather(*working)

    total = 2 * READINGS * PAGES
    assert records == [PAGES] * 2 * READINGS
    assert (len(counting.came), counting.by) == (total, set(names))
    assert counting.most <= PLACES
    # However slow the machine is, so many calls cannot have come in less time.
    assert counting.came[-1] - counting.came[0] >= (total - BURST - 2 * READINGS - PLACES) / RATE


async def test_a_replica_that_is_alone_has_everything(scheduling):
    """
    After the other one has given its share back, all places are used again.
    """
    counting = Counting()
    async with AsyncExitStack() as stack:
        vendor = stack.enter_context(running_vendor())
        vendor.routes["/items"] = counting
        read = await stack.enter_async_context(replica(scheduling, "hst_a", "tnt_alone"))
        async with replica(scheduling, "hst_b", "tnt_alone") as other:
            await other(vendor.url)
        counting.most = 0
        counting.full.clear()  # the first calls are answered when there are as many as there are places

        await asyncio.gather(*(read(vendor.url) for _ in range(READINGS)))

    assert counting.most == PLACES


async def test_replicas_keep_to_the_connectors_own_rate_together(scheduling):
    """
    The instance names no limits; what its connector asks for holds for all replicas, and places for each.
    """
    counting = Counting()
    async with AsyncExitStack() as stack:
        vendor = stack.enter_context(running_vendor())
        vendor.routes["/items"] = counting
        reads = [
            await stack.enter_async_context(replica(scheduling, name, "tnt_own"))
            for name in ("hst_1", "hst_2")
        ]
        own = {"own_rate": f"{RATE}/s", "limits": {}}
        records = await asyncio.gather(*(read(vendor.url, **own) for read in reads for _ in range(2)))

    total = 4 * PAGES
    assert records == [PAGES] * 4
    assert (len(counting.came), len(counting.by)) == (total, 2)
    # However slow the machine is, so many calls cannot have come in less time.
    assert counting.came[-1] - counting.came[0] >= (total - BURST - 4) / RATE
