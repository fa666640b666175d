"""A connector that counts, and everything around a host that runs it."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from isthmus.connector.v1 import connector_pb2_grpc as connector_grpc
from isthmus.credentials.v1 import credentials_pb2_grpc as credentials_grpc
from isthmus.host.attempt.attempt import Attempt, Tools
from isthmus.host.attempt.preparing import Preparing
from isthmus.host.binding import Leases, Resolver
from isthmus.host.control import ControlPlane
from isthmus.host.local import LocalBackend
from isthmus.host.plans import Plans
from isthmus.host.reports import Reports
from isthmus.host.settings import HostSettings
from isthmus.host.wiring import Host
from isthmus.kit import acting_for
from isthmus.kit.channel import MannerlyChannel
from isthmus.mapping.v1 import mapping_pb2_grpc as mapping_grpc
from isthmus.mapping.v1 import schemas_pb2_grpc as schemas_grpc
from isthmus.monitoring.v1 import monitoring_pb2_grpc as monitoring_grpc
from isthmus.records.v1 import records_pb2_grpc as records_grpc
from isthmus.registry.v1 import registry_pb2_grpc as registry_grpc
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.scheduling.v1 import scheduling_pb2_grpc as scheduling_grpc
from isthmus.sdk import Batch, Connector, Page, destination, source
from isthmus.sdk.failures import AuthenticationFailure, TransientFailure
from pydantic import BaseModel, SecretStr

TENANT = "tnt_test"


def _module(name: str) -> Any:
    """Loads a module that lies beside this one."""
    spec = importlib.util.spec_from_file_location(f"host_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"host_{name}"] = module
    spec.loader.exec_module(module)
    return module


fakes, fake_hub = _module("fakes"), _module("fake_hub")


class NumbersSettings(BaseModel):
    count: int = 10
    page: int = 3
    pause: float = 0.0
    fail_at: int = -1
    large_at: int = -1
    large: int = 0
    token: SecretStr = SecretStr("")


class Numbers(Connector[NumbersSettings]):
    """Counts."""

    connector_id = "numbers"
    is_built_in = True
    reads: list[int] = []  # noqa: RUF012 - shared by intention: tests count what was read
    good_token = ""
    written: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - the system behind the destination
    batches = 0

    @classmethod
    def forget(cls) -> None:
        cls.reads, cls.written, cls.good_token, cls.batches = [], {}, "", 0

    @source(key="id", cursor="id")
    async def numbers(self, resume: dict[str, Any] | None) -> AsyncIterator[Page[dict[str, Any]]]:
        """Numbers in order."""
        settings = self.settings
        at = (resume or {}).get("at", 0)
        while at < settings.count:
            await asyncio.sleep(settings.pause)
            if at == settings.fail_at:
                raise TransientFailure("SYSTEM_UNREACHABLE", "The counter is away; repeat later.")
            if Numbers.good_token and settings.token.get_secret_value() != Numbers.good_token:
                raise AuthenticationFailure("AUTHENTICATION_FAILED", "The token is refused; renew it.")
            end = min(at + settings.page, settings.count)
            Numbers.reads.extend(range(at, end))
            numbers: list[dict[str, Any]] = [
                {"id": number, "name": f"n{number}"} for number in range(at, end)
            ]
            for record in numbers:
                if record["id"] == settings.large_at:
                    record["large"] = "x" * settings.large
            yield Page(numbers, resume={"at": end})
            at = end

    @destination(key="id")
    async def sink(self, given: Batch[dict[str, Any]]) -> None:
        """Keeps what it gets."""
        Numbers.batches += 1
        for record in given:
            if record.get("name") == "bad":
                given.reject(record, "It is bad; mend it.")
            else:
                Numbers.written[str(record["id"])] = record


class PlainMesh:
    """Channels without identities."""

    def __init__(self, control: str) -> None:
        self._control = control
        self._channels: dict[str, grpc.aio.Channel] = {}

    def peer(self, name: str) -> grpc.aio.Channel:
        return self.channel(self._control)

    def channel(self, address: str, subject: str = "") -> grpc.aio.Channel:
        if address not in self._channels:
            options = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100))
            self._channels[address] = MannerlyChannel(
                grpc.aio.insecure_channel(address, options=options), list
            )
        return self._channels[address]

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()


@dataclass
class World:
    """Everything around a host, and a way to run attempts."""

    scheduling: Any
    registry: Any
    vault: Any
    mapping: Any
    quarantine: Any
    monitoring: Any
    schemas: Any
    hub: Any
    mesh: PlainMesh
    control_address: str
    hub_address: str
    control: ControlPlane
    backend: Any
    monkeypatch: pytest.MonkeyPatch
    connector: type[Numbers] = Numbers
    tenant: str = TENANT
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def tools(self, **options: Any) -> Tools:
        values = {"commit_seconds": 0.01, "renew_seconds": 0.1, "patience_seconds": 5.0, "stop_seconds": 2.0}
        settings = HostSettings(connector="numbers", **{**values, **options})
        resolver = Resolver(self.control, Leases(self.control, "hst_test"))
        preparing = Preparing(self.control, resolver, Plans(self.control), patience=settings.patience_seconds)
        return Tools(self.backend, self.control, preparing, Reports(self.control), settings)

    def attempt(self, grant: Any = None, *, tools: Tools | None = None, **options: Any) -> Attempt:
        return Attempt(
            tools or self.tools(**options), self.tenant, grant or self.scheduling.grant(), self.stop
        )

    async def run(self, grant: Any = None, **options: Any) -> scheduling.FinishAttemptRequest:
        """Run an attempt to its end and return how it ended."""
        with acting_for(self.tenant):
            await self.attempt(grant, **options).run()
        return self.scheduling.finished[-1]


@asynccontextmanager
async def serving(*registrations: Any) -> AsyncIterator[str]:
    server = grpc.aio.server()
    for add, servicer in registrations:
        add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.fixture
def serve() -> Any:
    """Serve generated servicers in this process."""
    return serving


@pytest.fixture(scope="module")
def counter() -> type[Numbers]:
    return Numbers


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    Numbers.forget()
    plane = (
        fakes.Scheduling(),
        fakes.Registry(),
        fakes.Vault(),
        fakes.Mapping(),
        fakes.Quarantined(),
        fakes.Monitoring(),
        fakes.Schemas(),
    )
    hub = fake_hub.Hub()
    async with AsyncExitStack() as stack:
        hub_address = await stack.enter_async_context(
            serving((connector_grpc.add_ConnectorServiceServicer_to_server, hub))
        )
        adders = (
            scheduling_grpc.add_SchedulingServiceServicer_to_server,
            registry_grpc.add_RegistryServiceServicer_to_server,
            credentials_grpc.add_CredentialsServiceServicer_to_server,
            mapping_grpc.add_MappingServiceServicer_to_server,
            records_grpc.add_RecordsServiceServicer_to_server,
            monitoring_grpc.add_MonitoringServiceServicer_to_server,
            schemas_grpc.add_SchemaServiceServicer_to_server,
        )
        control_address = await stack.enter_async_context(serving(*zip(adders, plane, strict=True)))
        mesh = PlainMesh(control_address)
        stack.push_async_callback(mesh.close)
        backend = LocalBackend(Numbers)
        stack.push_async_callback(backend.close)
        plane[1].address = lambda: hub_address
        addresses = (control_address, hub_address)
        yield World(*plane, hub, mesh, *addresses, ControlPlane(mesh), backend, monkeypatch)


@pytest.fixture
def hosting(open_mesh: Any, world: Any) -> Any:
    """Gives what runs a host as others see it, with its mesh."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Any, Any]]:
        async with open_mesh() as mesh:
            for name, add, servicer in (
                ("registry", registry_grpc.add_RegistryServiceServicer_to_server, world.registry),
                ("credentials", credentials_grpc.add_CredentialsServiceServicer_to_server, world.vault),
            ):
                await mesh.fake(name, add, servicer)
            service = await mesh.start(
                "host-numbers",
                wire=Host(world.connector).wire,
                settings=HostSettings,
                replica=True,
                with_database=False,
                connector="numbers",
            )
            yield mesh, service

    return opened


@pytest.fixture
async def host(hosting: Any) -> AsyncIterator[Any]:
    async with hosting() as (_, service):
        yield service


@pytest.fixture
def stub(host: Any) -> Any:
    return connector_grpc.ConnectorServiceStub(host.channel(tenant=TENANT))
