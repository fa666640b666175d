"""The identity service on real back ends, and callers of every kind."""

import uuid
from dataclasses import dataclass

import grpc.aio
import psycopg
import pytest
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.identity.v1 import identity_pb2_grpc as pb_grpc
from isthmus.kit import fault_from_rpc_error
from isthmus.resilience.faults import Fault
from isthmus.testing.mesh import RunningService


@pytest.fixture(scope="module")
async def identity(running):
    async with running(
        "identity",
        password_memory_kib=8192,
        password_passes=1,
        usage_seconds=0.2,
        sweep_seconds=0.5,
        egress_allow="127.0.0.0/8, localhost",
    ) as service:
        yield service


@dataclass
class Callers:
    """Opens stubs of the identity service for callers of every kind."""

    service: RunningService

    def mesh(self, *permissions: str, tenant: str = "") -> pb_grpc.IdentityServiceStub:
        channel = self.service.channel(tenant, permissions or ("*",), mesh=True)
        return pb_grpc.IdentityServiceStub(channel)

    def key(self, api_key: str) -> pb_grpc.IdentityServiceStub:
        return pb_grpc.IdentityServiceStub(self.service.channel(api_key=api_key))

    def nobody(self) -> pb_grpc.IdentityServiceStub:
        return pb_grpc.IdentityServiceStub(self.service.channel(anonymous=True))


@pytest.fixture(scope="module")
def callers(identity):
    return Callers(identity)


@pytest.fixture
def database(callers):
    """The service's own tables, seen by the superuser."""
    with psycopg.connect(callers.service._mesh.database_url(), autocommit=True) as connection:
        connection.execute("set search_path to identity")
        yield connection


@dataclass
class Tenant:
    """A tenant of its own for one test, and its administrator."""

    tenant_id: str
    name: str
    api_key: str
    admin: pb_grpc.IdentityServiceStub


@pytest.fixture
async def tenant(callers):
    return await new_tenant(callers)


@pytest.fixture
async def other(callers):
    return await new_tenant(callers)


async def new_tenant(callers: Callers) -> Tenant:
    name = f"t-{uuid.uuid4().hex[:12]}"
    made = await callers.mesh().CreateTenant(pb.CreateTenantRequest(name=name))
    return Tenant(made.tenant.tenant_id, name, made.api_key, callers.key(made.api_key))


async def fault_of(call) -> Fault:
    """Return the fault with which a call was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return fault_from_rpc_error(refused.value)
