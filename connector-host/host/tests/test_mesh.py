"""A host among real services, on a real PostgreSQL and a real NATS."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from isthmus.credentials.v1 import credentials_pb2_grpc as credentials_grpc
from isthmus.host.settings import HostSettings
from isthmus.host.wiring import Host
from isthmus.mapping.v1 import mapping_pb2 as mapping
from isthmus.mapping.v1 import mapping_pb2_grpc as mapping_grpc
from isthmus.monitoring.v1 import monitoring_pb2_grpc as monitoring_grpc
from isthmus.records.v1 import records_pb2 as records
from isthmus.records.v1 import records_pb2_grpc as records_grpc
from isthmus.registry.v1 import registry_pb2_grpc as registry_grpc
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.scheduling.v1 import scheduling_pb2_grpc as scheduling_grpc

TENANT = "tnt_test"
Status = scheduling.Execution


@dataclass
class City:
    """The mesh, and stubs of a caller who may do everything."""

    mesh: Any
    world: Any
    scheduling: Any
    mapping: Any
    records: Any

    async def host(self, **options: Any) -> Any:
        return await self.mesh.start(
            "host-numbers",
            wire=Host(self.world.connector).wire,
            settings=HostSettings,
            replica=True,
            with_database=False,
            **{"connector": "numbers", **options},
        )

    async def flow(self, name: str, **more: Any) -> str:
        flow = scheduling.Flow(
            name=name,
            source=scheduling.Endpoint(instance_id="ins_source", stream="numbers"),
            destination=scheduling.Endpoint(instance_id="hub", stream=name),
            is_active=True,
            **more,
        )
        answer = await self.scheduling.CreateFlow(
            scheduling.CreateFlowRequest(flow=flow, request_id=f"create-{name}")
        )
        return answer.flow.flow_id

    async def start(self, flow_id: str, request_id: str) -> str:
        request = scheduling.StartExecutionRequest(flow_id=flow_id, request_id=request_id)
        return (await self.scheduling.StartExecution(request)).execution.execution_id

    async def ended(self, execution_id: str) -> Any:
        async with asyncio.timeout(30):
            request = scheduling.WatchExecutionRequest(execution_id=execution_id)
            async for answer in self.scheduling.WatchExecution(request):
                last = answer.execution
        return last

    async def run(self, flow_id: str, request_id: str) -> Any:
        return await self.ended(await self.start(flow_id, request_id))

    async def keys(self, stream: str) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            request = records.QueryRecordsRequest(stream=stream, page_size=1000, page_token=token)
            page = await self.records.QueryRecords(request)
            found += [record.key for record in page.records]
            token = page.next_page_token
            if not token:
                return found


@pytest.fixture
async def city(open_mesh: Any, world: Any) -> AsyncIterator[City]:
    async with open_mesh() as mesh:
        fakes = (
            ("registry", registry_grpc.add_RegistryServiceServicer_to_server, world.registry),
            ("credentials", credentials_grpc.add_CredentialsServiceServicer_to_server, world.vault),
            ("monitoring", monitoring_grpc.add_MonitoringServiceServicer_to_server, world.monitoring),
        )
        for name, add, servicer in fakes:
            await mesh.fake(name, add, servicer)
        world.registry.address = lambda: mesh.address("records")
        hub = await mesh.start("records")
        maps = await mesh.start("mapping")
        plans = await mesh.start("scheduling", tick_seconds=0.1, dispatch_seconds=0.05)
        yield City(
            mesh,
            world,
            scheduling_grpc.SchedulingServiceStub(plans.channel(tenant=TENANT)),
            mapping_grpc.MappingServiceStub(maps.channel(tenant=TENANT)),
            records_grpc.RecordsServiceStub(hub.channel(tenant=TENANT)),
        )


async def test_a_started_execution_ends_in_the_hub(city, world):
    """
    A job travels over NATS to the host, and its records to the hub, once each.
    """
    world.registry.configuration = {"count": 2500, "page": 100}
    await city.host()

    ended = await city.run(await city.flow("numbers"), "one")

    assert ended.status == Status.STATUS_COMPLETED, ended
    assert ended.counts.read == ended.counts.created == 2500
    assert sorted(await city.keys("numbers"), key=int) == [str(number) for number in range(2500)]


async def test_unchanged_records_cost_nothing_the_second_time(city, world):
    """
    The same records again are recognised by the hub.
    """
    world.registry.configuration = {"count": 200, "page": 50}
    await city.host()
    flow = await city.flow("numbers", read_mode=1)
    await city.run(flow, "one")

    ended = await city.run(flow, "two")

    assert ended.status == Status.STATUS_COMPLETED
    assert (ended.counts.read, ended.counts.unchanged, ended.counts.created) == (200, 200, 0)


async def test_a_record_that_breaks_the_mapping_is_delivered_after_mending_it(city, world):
    """
    It waits in quarantine with its reason; requeued under the mended mapping it arrives.
    """
    world.registry.configuration = {"count": 20, "page": 5}
    await city.host()
    made = await city.mapping.CreateMapping(definition(table={f"n{n}": f"N{n}" for n in range(19)}))
    flow = await city.flow("mapped", mapping_id=made.mapping.mapping_id, destination_key=["number"])
    first = await city.run(flow, "one")
    waiting = await city.records.ListQuarantine(records.ListQuarantineRequest(flow_id=flow))
    mended = definition(table={f"n{n}": f"N{n}" for n in range(20)})
    await city.mapping.UpdateMapping(
        mapping.UpdateMappingRequest(
            mapping_id=made.mapping.mapping_id, name=mended.name, field_mappings=mended.field_mappings
        )
    )
    await city.records.RequeueQuarantined(records.RequeueQuarantinedRequest(flow_id=flow, request_id="again"))
    await arrived(city, "mapped", 20)

    (held,) = waiting.records
    assert (first.counts.created, first.counts.quarantined) == (19, 1)
    assert json.loads(held.record) == {"id": 19, "name": "n19"}
    assert held.reasons[0].source_path == "name"
    assert "19" in await city.keys("mapped")


def definition(table: dict[str, str]) -> Any:
    rules = [
        {"target": "number", "source": "id", "cast": "string"},
        {"target": "title", "source": "name", "enum": table},
    ]
    return mapping.CreateMappingRequest(
        name="names", field_mappings=msgspec.json.encode(rules).decode(), request_id="names"
    )


async def arrived(city: Any, stream: str, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            counted = await city.records.CountRecords(records.CountRecordsRequest(stream=stream))
            if counted.records == count:
                return
            await asyncio.sleep(0.1)
