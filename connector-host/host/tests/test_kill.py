"""Host processes that are killed in the middle, among real services."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from isthmus.kit import new_id
from isthmus.records.v1 import records_pb2 as records
from isthmus.records.v1.records_pb2_grpc import RecordsServiceStub
from isthmus.registry.v1 import registry_pb2 as registry
from isthmus.registry.v1.registry_pb2_grpc import RegistryServiceStub
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub
from isthmus.testing import kill9

COUNT = 20_000
SERVICES = ("registry", "credentials", "mapping", "records", "monitoring", "scheduling")
FAST = {"tick_seconds": 0.1, "dispatch_seconds": 0.05, "lease_seconds": 2.0, "sweep_seconds": 0.1}


@pytest.fixture
async def mesh(open_mesh: Any) -> AsyncIterator[Any]:
    async with open_mesh() as made:
        made.services = {}
        for name in SERVICES:
            options = FAST if name == "scheduling" else {}
            made.services[name] = await made.start(name, **options)
        yield made


async def host(mesh: Any, root: Path) -> asyncio.subprocess.Process:
    """Start a host of the files connector as a process of its own."""
    environment = {**os.environ, **mesh.environment("host:files"), "ISTHMUS_FILES_ROOT": str(root)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "isthmus.host",
        "--connector",
        "files",
        env=environment,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def active_instance(stub: Any, stream: dict[str, Any]) -> str:
    async with asyncio.timeout(20):
        while not (await stub.ListHosts(registry.ListHostsRequest(connector_id="files"))).hosts:
            await asyncio.sleep(0.05)
    made = await stub.CreateInstance(
        registry.CreateInstanceRequest(
            name="numbers",
            connector_id="files",
            configuration=json.dumps({"streams": [stream]}),
            request_id="one",
        )
    )
    request = registry.ActivateInstanceRequest(instance_id=made.instance.instance_id)
    answer = await stub.ActivateInstance(request)
    assert answer.instance.status == registry.IntegrationInstance.STATUS_ACTIVE, answer
    return str(made.instance.instance_id)


async def started(stub: Any, instance_id: str) -> str:
    flow = scheduling.Flow(
        name="numbers",
        source=scheduling.Endpoint(instance_id=instance_id, stream="numbers"),
        destination=scheduling.Endpoint(instance_id="hub", stream="numbers"),
        is_active=True,
    )
    made = await stub.CreateFlow(scheduling.CreateFlowRequest(flow=flow, request_id="one"))
    request = scheduling.StartExecutionRequest(flow_id=made.flow.flow_id, request_id="one")
    return str((await stub.StartExecution(request)).execution.execution_id)


@pytest.mark.slow
async def test_killing_hosts_over_and_over_loses_and_doubles_nothing(mesh, tmp_path):
    """
    Each host is killed a little later in the sync; in the end everything is there once, in one version.
    """
    tenant = new_id("tnt")
    folder = tmp_path / tenant
    folder.mkdir()
    lines = (json.dumps({"id": number, "text": "x" * 200}) for number in range(COUNT))
    (folder / "numbers.jsonl").write_text("\n".join(lines) + "\n")
    registered = RegistryServiceStub(mesh.services["registry"].channel(tenant=tenant))
    planned = SchedulingServiceStub(mesh.services["scheduling"].channel(tenant=tenant))
    hub = RecordsServiceStub(mesh.services["records"].channel(tenant=tenant))
    running = await host(mesh, tmp_path)
    stream = {"name": "numbers", "path": "numbers.jsonl", "key": ["id"], "page_records": 200}
    execution_id = await started(planned, await active_instance(registered, stream))

    for reached in (1000, 6000, 11_000):
        await filled(hub, reached)
        kill9(running.pid)
        await running.wait()
        running = await host(mesh, tmp_path)
    ended = await end_of(planned, execution_id)
    kill9(running.pid)
    await running.wait()
    counted = await hub.CountRecords(records.CountRecordsRequest(stream="numbers"))

    assert ended.status == scheduling.Execution.STATUS_COMPLETED, ended
    assert counted.records == COUNT
    assert await versions(hub) == {1}
    assert ended.counts.read == ended.counts.created + ended.counts.unchanged >= COUNT


async def filled(hub: Any, least: int) -> None:
    async with asyncio.timeout(60):
        while True:
            counted = await hub.CountRecords(records.CountRecordsRequest(stream="numbers"))
            if counted.records >= least:
                return
            await asyncio.sleep(0.02)


async def end_of(stub: Any, execution_id: str) -> Any:
    async with asyncio.timeout(60):
        request = scheduling.WatchExecutionRequest(execution_id=execution_id)
        async for answer in stub.WatchExecution(request):
            last = answer.execution
    return last


async def versions(hub: Any) -> set[int]:
    """The versions that the records of the stream have."""
    found: set[int] = set()
    token = ""
    while True:
        request = records.QueryRecordsRequest(stream="numbers", page_size=1000, page_token=token)
        page = await hub.QueryRecords(request)
        found |= {record.version for record in page.records}
        token = page.next_page_token
        if not token:
            return found
