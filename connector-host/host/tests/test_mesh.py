"""A host among real services, on a real PostgreSQL, a real NATS and a real OpenBao."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.credentials.v1 import credentials_pb2 as credentials
from isthmus.credentials.v1 import credentials_pb2_grpc as credentials_grpc
from isthmus.host.settings import HostSettings
from isthmus.host.wiring import Host
from isthmus.kit import new_id
from isthmus.mapping.v1 import mapping_pb2 as mapping
from isthmus.mapping.v1 import mapping_pb2_grpc as mapping_grpc
from isthmus.monitoring.v1 import monitoring_pb2 as monitoring
from isthmus.monitoring.v1 import monitoring_pb2_grpc as monitoring_grpc
from isthmus.records.v1 import records_pb2 as records
from isthmus.records.v1 import records_pb2_grpc as records_grpc
from isthmus.registry.v1 import registry_pb2 as registry
from isthmus.registry.v1 import registry_pb2_grpc as registry_grpc
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.scheduling.v1 import scheduling_pb2_grpc as scheduling_grpc
from isthmus.testing.waiting import eventually, waiting_for

Status = scheduling.Execution
STUBS = {
    "registry": registry_grpc.RegistryServiceStub,
    "credentials": credentials_grpc.CredentialsServiceStub,
    "mapping": mapping_grpc.MappingServiceStub,
    "records": records_grpc.RecordsServiceStub,
    "monitoring": monitoring_grpc.MonitoringServiceStub,
    "scheduling": scheduling_grpc.SchedulingServiceStub,
}


@dataclass
class City:
    """Stubs of a caller who may do everything, and the connector's class."""

    connector: Any
    stubs: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return self.stubs[name]

    async def instance(self, configuration: dict[str, Any], auth_config_id: str = "") -> str:
        """An active instance of the counter."""
        await self.known("numbers")
        made = await self.registry.CreateInstance(
            registry.CreateInstanceRequest(
                name="counter",
                connector_id="numbers",
                configuration=msgspec.json.encode(configuration).decode(),
                auth_config_id=auth_config_id,
                request_id="counter",
            )
        )
        request = registry.ActivateInstanceRequest(instance_id=made.instance.instance_id)
        answer = await self.registry.ActivateInstance(request)
        assert answer.instance.status == registry.IntegrationInstance.STATUS_ACTIVE, answer
        return str(made.instance.instance_id)

    async def known(self, connector_id: str) -> None:
        """Wait until a host of a connector is registered."""
        request = registry.ListHostsRequest(connector_id=connector_id)
        await eventually(
            lambda: self.registry.ListHosts(request),
            f"a host of {connector_id}",
            such=lambda found: found.hosts,
        )

    async def flow(self, source: tuple[str, str], destination: tuple[str, str], **more: Any) -> str:
        flow = scheduling.Flow(
            name=destination[1],
            source=scheduling.Endpoint(instance_id=source[0], stream=source[1]),
            destination=scheduling.Endpoint(instance_id=destination[0], stream=destination[1]),
            is_active=True,
            **more,
        )
        answer = await self.scheduling.CreateFlow(
            scheduling.CreateFlowRequest(flow=flow, request_id=f"create-{destination[1]}")
        )
        return str(answer.flow.flow_id)

    async def run(self, flow_id: str, request_id: str) -> Any:
        """Start a flow and return the execution at its end."""
        request = scheduling.StartExecutionRequest(flow_id=flow_id, request_id=request_id)
        execution_id = (await self.scheduling.StartExecution(request)).execution.execution_id
        async with waiting_for("the end of the execution"):
            watch = scheduling.WatchExecutionRequest(execution_id=execution_id)
            async for answer in self.scheduling.WatchExecution(watch):
                last = answer.execution
        return last

    async def keys(self, stream: str) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            request = records.QueryRecordsRequest(stream=stream, page_size=1000, page_token=token)
            page = await self.records.QueryRecords(request)
            found += [record.key for record in page.records]
            token = page.next_page_token
            if not token:
                return sorted(found, key=int)


@pytest.fixture(scope="module")
async def town(open_mesh: Any, counter: Any) -> AsyncIterator[Any]:
    """Every service, a host of the counter, and a host in front of the hub; shared by the tests here."""
    async with open_mesh() as mesh:
        services = {}
        for name in STUBS:
            options = {"tick_seconds": 0.1, "dispatch_seconds": 0.05} if name == "scheduling" else {}
            services[name] = await mesh.start(name, **options)
        hub = {"connector": "hub", "upstream": mesh.address("records")}
        for found, options in ((counter, {"connector": "numbers"}), (None, hub)):
            await mesh.start(
                "host",
                wire=Host(found).wire,
                settings=HostSettings,
                replica=True,
                with_database=False,
                **options,
            )
        yield services


@pytest.fixture
async def city(town: Any, counter: Any) -> City:
    """The town, as a tenant of its own sees it."""
    counter.forget()
    tenant = new_id("tnt")
    return City(counter, {name: stub(town[name].channel(tenant=tenant)) for name, stub in STUBS.items()})


async def test_a_started_execution_ends_in_the_hub(city):
    """
    A job travels over NATS to the host, and its records to the hub, once each.
    """
    counter = await city.instance({"count": 2500, "page": 100})

    ended = await city.run(await city.flow((counter, "numbers"), ("hub", "numbers")), "one")

    assert ended.status == Status.STATUS_COMPLETED, ended
    assert ended.counts.read == ended.counts.created == 2500
    assert await city.keys("numbers") == [str(number) for number in range(2500)]


async def test_unchanged_records_cost_nothing_the_second_time(city):
    """
    The same records again are recognised by the hub.
    """
    counter = await city.instance({"count": 200, "page": 50})
    flow = await city.flow((counter, "numbers"), ("hub", "numbers"), read_mode=connector.READ_MODE_FULL)
    await city.run(flow, "one")

    ended = await city.run(flow, "two")

    assert ended.status == Status.STATUS_COMPLETED
    assert (ended.counts.read, ended.counts.unchanged, ended.counts.created) == (200, 200, 0)


async def test_the_hub_is_a_source_like_any_other(city):
    """
    A host in front of the hub delivers what is in it to another instance.
    """
    counter = await city.instance({"count": 30, "page": 10})
    await city.known("hub")
    await city.run(await city.flow((counter, "numbers"), ("hub", "numbers")), "one")

    ended = await city.run(await city.flow(("hub", "numbers"), (counter, "sink")), "two")

    assert ended.status == Status.STATUS_COMPLETED, ended
    assert ended.counts.read == 30
    assert sorted(city.connector.written, key=int) == [str(number) for number in range(30)]


async def test_a_secret_travels_from_the_vault_to_the_connector_only(city):
    """
    The instance works with a leased token, and its log tells what happened without it.
    """
    city.connector.good_token = "s3cr3t-value"
    request = credentials.CreateAuthConfigRequest(
        name="token",
        auth_type=connector.AUTH_METHOD_BEARER,
        secret=credentials.SecretMaterial(bearer_token="s3cr3t-value"),
        request_id="token",
    )
    made = await city.credentials.CreateAuthConfig(request)
    counter = await city.instance({"count": 5}, made.auth_config.auth_config_id)

    ended = await city.run(await city.flow((counter, "numbers"), ("hub", "numbers")), "one")
    told = await logged(city, counter)

    assert ended.status == Status.STATUS_COMPLETED, ended
    assert any("5 records read" in line.message for line in told)
    assert "s3cr3t" not in str(told)


async def test_a_record_that_breaks_the_mapping_is_delivered_after_mending_it(city):
    """
    It waits in quarantine with its reason; requeued under the mended mapping it arrives.
    """
    counter = await city.instance({"count": 20, "page": 5})
    made = (await city.mapping.CreateMapping(definition(up_to=19))).mapping
    flow = await city.flow(
        (counter, "numbers"), ("hub", "mapped"), mapping_id=made.mapping_id, destination_key=["number"]
    )
    first = await city.run(flow, "one")
    (held,) = (await city.records.ListQuarantine(records.ListQuarantineRequest(flow_id=flow))).records
    mended = mapping.UpdateMappingRequest(
        mapping_id=made.mapping_id, name=made.name, field_mappings=definition(up_to=20).field_mappings
    )
    await city.mapping.UpdateMapping(mended)
    await city.records.RequeueQuarantined(records.RequeueQuarantinedRequest(flow_id=flow, request_id="again"))
    await arrived(city, "mapped", 20)

    assert (first.counts.created, first.counts.quarantined) == (19, 1)
    assert json.loads(held.record) == {"id": 19, "name": "n19"}
    assert held.reasons[0].source_path == "name"
    assert "19" in await city.keys("mapped")


def definition(up_to: int) -> mapping.CreateMappingRequest:
    rules = [
        {"target": "number", "source": "id", "cast": "string"},
        {"target": "title", "source": "name", "enum": {f"n{n}": f"N{n}" for n in range(up_to)}},
    ]
    return mapping.CreateMappingRequest(
        name="names", field_mappings=msgspec.json.encode(rules).decode(), request_id="names"
    )


async def logged(city: City, instance_id: str) -> list[Any]:
    """The instance's log, as soon as the end of a sync stands in it."""
    request = monitoring.ListLogsRequest(instance_id=instance_id)

    def is_synced(found: Any) -> bool:
        return monitoring.IntegrationLog.TYPE_SUCCESS in [
            line.type for line in found.logs if line.operation == "sync"
        ]

    found = await eventually(lambda: city.monitoring.ListLogs(request), "the end of a sync", such=is_synced)
    return list(found.logs)


async def arrived(city: City, stream: str, count: int) -> None:
    """Wait until a stream of the hub holds so many records."""
    request = records.CountRecordsRequest(stream=stream)
    await eventually(
        lambda: city.records.CountRecords(request),
        f"{count} records in {stream}",
        such=lambda counted: counted.records == count,
    )
