"""Host processes that are killed in the middle, among real services."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from isthmus.kit import new_id
from isthmus.records.v1 import records_pb2 as records
from isthmus.records.v1.records_pb2_grpc import RecordsServiceStub
from isthmus.registry.v1 import registry_pb2 as registry
from isthmus.registry.v1.registry_pb2_grpc import RegistryServiceStub
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub
from isthmus.testing import freeze, kill9, thaw
from isthmus.testing.waiting import PATIENCE_SECONDS, waiting_for

COUNT = 10_000
LOG = "hosts.log"
# The services are expensive: one worker runs all of these.
SERVICES = ("registry", "credentials", "mapping", "records", "monitoring", "scheduling")
FAST = {"tick_seconds": 0.1, "dispatch_seconds": 0.05, "lease_seconds": 2.0, "sweep_seconds": 0.1}


@pytest.fixture(scope="module")
async def mesh(open_mesh: Any) -> AsyncIterator[Any]:
    async with open_mesh() as made:
        made.services = {}
        for name in SERVICES:
            options = {"scheduling": FAST, "registry": {"host_lifetime": 2.0}}.get(name, {})
            made.services[name] = await made.start(name, **options)
        yield made


async def host(mesh: Any, root: Path) -> asyncio.subprocess.Process:
    """Start a host of the files connector as a process of its own."""
    environment = {**os.environ, **mesh.environment("host:files"), "ISTHMUS_FILES_ROOT": str(root)}
    environment["ISTHMUS_HEARTBEAT_SECONDS"] = "0.5"
    command = [sys.executable, "-m", "isthmus.host", "--connector", "files"]
    with (root / LOG).open("ab") as log:
        return await asyncio.create_subprocess_exec(*command, env=environment, stderr=log)


async def active_instance(stub: Any, stream: dict[str, Any]) -> str:
    async with waiting_for("a host of files"):
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
    async with waiting_for("the instance to be active"):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):  # hosts that were killed count for a while
                answer = await stub.ActivateInstance(request)
                assert answer.instance.status == registry.IntegrationInstance.STATUS_ACTIVE, answer
                return str(made.instance.instance_id)
            await asyncio.sleep(0.2)


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


@dataclass
class Sync:
    """A large file, an execution that moves it, and stubs to look at it."""

    folder: Path
    mesh: Any
    tenant: str = field(default_factory=lambda: new_id("tnt"))
    hosts: list[asyncio.subprocess.Process] = field(default_factory=list)
    execution_id: str = ""
    files: int = 1

    def stub(self, service: str, kind: Any) -> Any:
        return kind(self.mesh.services[service].channel(tenant=self.tenant))

    async def begin(self) -> None:
        """Write the files, start a host and the execution."""
        (self.folder / self.tenant).mkdir()
        for first in range(self.files):
            numbers = range(first, COUNT, self.files)
            lines = (json.dumps({"id": number, "text": "x" * 200}) for number in numbers)
            (self.folder / self.tenant / f"numbers-{first}.jsonl").write_text("\n".join(lines) + "\n")
        path = "numbers-*.jsonl" if self.files > 1 else "numbers-0.jsonl"
        stream = {"name": "numbers", "path": path, "key": ["id"], "page_records": 100}
        await self.add_host()
        instance = await active_instance(self.stub("registry", RegistryServiceStub), stream)
        self.execution_id = await started(self.stub("scheduling", SchedulingServiceStub), instance)

    async def add_host(self) -> None:
        self.hosts.append(await host(self.mesh, self.folder))

    async def reaches(self, least: int) -> int:
        """Wait until the hub holds so many records; return whose process does the work."""
        try:
            await filled(self.stub("records", RecordsServiceStub), least)
        except TimeoutError:
            request = scheduling.ListAttemptsRequest(execution_id=self.execution_id)
            found = await self.stub("scheduling", SchedulingServiceStub).ListAttempts(request)
            pytest.fail(f"the sync stands still: {found}\n{(self.folder / LOG).read_text()}")
        return self.hosts[-1].pid

    async def ended(self) -> Any:
        return await end_of(self.stub("scheduling", SchedulingServiceStub), self.execution_id)

    async def everything_is_there_once(self) -> bool:
        hub = self.stub("records", RecordsServiceStub)
        counted = await hub.CountRecords(records.CountRecordsRequest(stream="numbers"))
        return counted.records == COUNT and await versions(hub) == {1}


@pytest.fixture
async def sync(mesh: Any, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Sync]:
    made = Sync(tmp_path, mesh, files=getattr(request, "param", 1))
    await made.begin()
    yield made
    for one in made.hosts:
        if one.returncode is None:
            thaw(one.pid)
            kill9(one.pid)
            await one.wait()


@pytest.mark.slow
@pytest.mark.parametrize("sync", [1, 4], indirect=True, ids=["one-partition", "four-partitions"])
async def test_killing_hosts_over_and_over_loses_and_doubles_nothing(sync):
    """
    Each host is killed a little later in the sync, with every partition in flight; in the end everything is
    there once, in one version.
    """
    for reached in (500, 3000, 6000):
        kill9(await sync.reaches(reached))
        await sync.hosts[-1].wait()
        await sync.add_host()
    ended = await sync.ended()

    assert ended.status == scheduling.Execution.STATUS_COMPLETED, ended
    assert await sync.everything_is_there_once()
    assert ended.counts.read == ended.counts.created + ended.counts.unchanged >= COUNT


@pytest.mark.slow
async def test_a_host_that_was_frozen_beyond_its_lease_does_no_harm(sync):
    """
    Another host finishes meanwhile; the one that wakes up is fenced, and nothing is there twice.
    """
    frozen = await sync.reaches(500)
    freeze(frozen)
    await sync.add_host()
    ended = await sync.ended()
    thaw(frozen)
    await asyncio.sleep(1.0)  # time for the woken host to do harm, if it could

    assert ended.status == scheduling.Execution.STATUS_COMPLETED, ended
    assert ended.attempts >= 2  # a slow machine may lose a lease of two seconds once more
    assert await sync.everything_is_there_once()
    assert sync.hosts[0].returncode is None


async def filled(hub: Any, least: int) -> None:
    """Wait until the hub holds so many records; as long as there is progress, it may take its time."""
    held = -1
    async with waiting_for("progress") as limit:
        while held < least:
            counted = await hub.CountRecords(records.CountRecordsRequest(stream="numbers"))
            if counted.records > held:
                held = counted.records
                limit.reschedule(asyncio.get_running_loop().time() + PATIENCE_SECONDS)
            await asyncio.sleep(0.02)


async def end_of(stub: Any, execution_id: str) -> Any:
    async with waiting_for("the end of the execution"):
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
