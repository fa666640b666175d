"""The registry on real back ends, with a fake connector, a fake hub and fake credentials."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc.aio
import pytest
from isthmus.connector.v1 import connector_pb2 as cpb
from isthmus.connector.v1 import connector_pb2_grpc as cpb_grpc
from isthmus.credentials.v1 import credentials_pb2 as crpb
from isthmus.credentials.v1 import credentials_pb2_grpc as crpb_grpc
from isthmus.kit import fault_from_rpc_error
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.registry.v1 import registry_pb2_grpc as pb_grpc
from isthmus.resilience.faults import Fault
from isthmus.testing.mesh import RunningService
from isthmus.type.v1 import batch_pb2

SCHEMA = {
    "type": "object",
    "properties": {
        "base_url": {"type": "string", "format": "uri"},
        "page_size": {"type": "integer", "minimum": 1, "maximum": 500},
        "token": {"type": "string", "x-isthmus-secret": True},
    },
    "required": ["base_url"],
    "additionalProperties": False,
}
GOOD = {"base_url": "https://acme.example/api"}
PASSED = cpb.CheckStep(step="reach", result=cpb.CheckStep.RESULT_PASSED)
FAILED = cpb.CheckStep(
    step="authenticate",
    result=cpb.CheckStep.RESULT_FAILED,
    reason="TOKEN_REFUSED",
    message="The token was refused.",
    remedy="Enter a new one.",
)


def spec(connector_id: str = "acme", version: str = "1.0.0", **more) -> cpb.ConnectorSpec:
    """Describe a connector."""
    values = {
        "name": "Acme",
        "contract_version": 1,
        "contract_version_min": 1,
        "configuration_schema": json.dumps(SCHEMA),
        "is_built_in": True,
        **more,
    }
    return cpb.ConnectorSpec(connector_id=connector_id, version=version, **values)


class FakeConnector(cpb_grpc.ConnectorServiceServicer):
    """A connector whose checks end as the test says; it remembers who asked for what."""

    def __init__(self) -> None:
        self.steps: list[cpb.CheckStep] = [PASSED]
        self.failure: tuple[grpc.StatusCode, str] | None = None
        self.streams = [cpb.StreamSpec(stream="incident")]
        self.partitions: list[str] = []
        self.reads: list[cpb.ReadRequest] = []
        self.bindings: list[cpb.Binding] = []
        self.tenants: list[str] = []

    async def Describe(self, request, context):
        return cpb.DescribeResponse(spec=spec("hub", name="Hub", configuration_schema=""))

    async def Check(self, request, context) -> AsyncIterator[cpb.CheckResponse]:
        await self._note(request, context)
        for step in self.steps:
            yield cpb.CheckResponse(step=step)

    async def Discover(self, request, context):
        await self._note(request, context)
        return cpb.DiscoverResponse(streams=self.streams, next_page_token="more")

    async def ListPartitions(self, request, context):
        return cpb.ListPartitionsResponse(partitions=self.partitions)

    async def Read(self, request, context) -> AsyncIterator[cpb.ReadResponse]:
        await self._note(request, context)
        self.reads.append(request)
        for number in range(3):
            records = [json.dumps({"id": 2 * number + more, "token": "t"}).encode() for more in range(2)]
            yield cpb.ReadResponse(batch=batch_pb2.Batch(records=records))
        yield cpb.ReadResponse(end=cpb.ReadEnd())

    async def _note(self, request, context) -> None:
        self.bindings.append(request.binding)
        self.tenants.append(dict(context.invocation_metadata()).get("isthmus-tenant", ""))
        if self.failure:
            await context.abort(*self.failure)


class FakeCredentials(crpb_grpc.CredentialsServiceServicer):
    """Knows the authentication configurations whose ids begin with `ath_good`."""

    async def GetAuthConfig(self, request, context):
        if not request.auth_config_id.startswith("ath_good"):
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no such configuration.")
        return crpb.GetAuthConfigResponse()


@dataclass
class Vendor:
    """A connector that runs in a host of its own."""

    connector_id: str
    address: str
    fake: FakeConnector
    server: grpc.aio.Server = field(repr=False)


@pytest.fixture(scope="module")
def hub():
    return FakeConnector()


@pytest.fixture(scope="module")
async def registry(running, hub):
    peers = {
        "credentials": (crpb_grpc.add_CredentialsServiceServicer_to_server, FakeCredentials()),
        "records": (cpb_grpc.add_ConnectorServiceServicer_to_server, hub),
    }
    async with running("registry", peers=peers, host_start_seconds=2) as service:
        stub = pb_grpc.RegistryServiceStub(service.channel(mesh=True))
        await stub.RegisterConnector(pb.RegisterConnectorRequest(spec=spec("acme")))
        yield service


@dataclass
class Callers:
    """Opens stubs of the registry for callers of every kind."""

    service: RunningService

    def tenant(self, tenant: str = "", *permissions: str) -> pb_grpc.RegistryServiceStub:
        tenant = tenant or f"tnt_{uuid.uuid4().hex}"
        return pb_grpc.RegistryServiceStub(self.service.channel(tenant, permissions or ("*",)))

    def mesh(self, tenant: str = "", *permissions: str) -> pb_grpc.RegistryServiceStub:
        channel = self.service.channel(tenant, permissions or ("*",), mesh=True)
        return pb_grpc.RegistryServiceStub(channel)

    def nobody(self) -> pb_grpc.RegistryServiceStub:
        return pb_grpc.RegistryServiceStub(self.service.channel(anonymous=True))


@pytest.fixture(scope="module")
def callers(registry):
    return Callers(registry)


@pytest.fixture
def mesh(callers):
    return callers.mesh()


@pytest.fixture
def tenant(callers):
    return callers.tenant()


@pytest.fixture
def other(callers):
    return callers.tenant()


@pytest.fixture
async def vendor(callers):
    """Run a host of a connector of its own."""
    connector_id = f"v-{uuid.uuid4().hex[:8]}"
    fake = FakeConnector()
    server, address = await serve_fake(fake)
    await callers.mesh().RegisterConnector(pb.RegisterConnectorRequest(spec=spec(connector_id)))
    await callers.mesh().RegisterHost(pb.RegisterHostRequest(host=host_of(connector_id, address)))
    yield Vendor(connector_id, address, fake, server)
    await server.stop(None)


async def serve_fake(fake: FakeConnector) -> tuple[grpc.aio.Server, str]:
    """Serve a fake connector on a free port."""
    server = grpc.aio.server()
    cpb_grpc.add_ConnectorServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


def host_of(connector_id: str, address: str, **more) -> pb.Host:
    """Describe a host."""
    return pb.Host(host_id=f"host_{uuid.uuid4().hex}", connector_id=connector_id, address=address, **more)


def draft(
    name: str = "prod", connector_id: str = "acme", configuration=None, **more
) -> pb.CreateInstanceRequest:
    """Ask for an instance with a configuration that fits."""
    document = json.dumps(GOOD if configuration is None else configuration)
    return pb.CreateInstanceRequest(name=name, connector_id=connector_id, configuration=document, **more)


async def fault_of(call) -> Fault:
    """Return the fault with which a call was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return fault_from_rpc_error(refused.value)


async def stream_fault_of(stream) -> Fault:
    """Return the fault with which a stream ended."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in stream:
            pass
    return fault_from_rpc_error(refused.value)
