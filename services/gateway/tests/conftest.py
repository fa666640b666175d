"""A gateway and an identity service on real back ends, and tenants whose directories call them."""

import uuid
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
import pytest
from isthmus.identity.v1 import (
    access_pb2_grpc,
    identity_pb2_grpc,
    scim_pb2,
    scim_pb2_grpc,
    sessions_pb2_grpc,
    users_pb2_grpc,
)
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.local.backends.ports import free_port

DIALECTS = {
    "strict": scim_pb2.SCIM_DIALECT_STRICT,
    "entra": scim_pb2.SCIM_DIALECT_ENTRA,
    "okta": scim_pb2.SCIM_DIALECT_OKTA,
}


@dataclass
class Tenant:
    """A tenant, its administrator, and the key of its directory."""

    tenant_id: str
    name: str
    admin_key: str
    key: str
    admin: SimpleNamespace
    http: httpx.AsyncClient
    url: str


class Place:
    """Where tenants are founded."""

    def __init__(self, identity, url):
        self.identity = identity
        self.url = url
        self.open = []

    def stubs(self, channel):
        return SimpleNamespace(
            identity=identity_pb2_grpc.IdentityServiceStub(channel),
            access=access_pb2_grpc.AccessServiceStub(channel),
            users=users_pb2_grpc.UsersServiceStub(channel),
            sessions=sessions_pb2_grpc.SessionsServiceStub(channel),
            scim=scim_pb2_grpc.ScimServiceStub(channel),
        )

    def http(self, key):
        client = httpx.AsyncClient(
            base_url=f"{self.url}/scim/v2", headers={"authorization": f"Bearer {key}"}, timeout=30
        )
        self.open.append(client)
        return client

    async def key(self, admin, role="provisioner", **bounds):
        """Make a service account with a role, and a key of it."""
        account = pb.CreateServiceAccountRequest(name=f"a-{uuid.uuid4().hex[:8]}", roles=[role])
        made = (await admin.identity.CreateServiceAccount(account)).service_account
        request = pb.CreateApiKeyRequest(
            service_account_id=made.service_account_id, name="directory", **bounds
        )
        return made.service_account_id, (await admin.identity.CreateApiKey(request)).api_key

    async def tenant(self, dialect="strict"):
        """Found a tenant whose directory speaks a dialect."""
        founder = identity_pb2_grpc.IdentityServiceStub(self.identity.channel(mesh=True))
        name = f"t-{uuid.uuid4().hex[:12]}"
        made = await founder.CreateTenant(pb.CreateTenantRequest(name=name))
        admin = self.stubs(self.identity.channel(api_key=made.api_key))
        account_id, key = await self.key(admin)
        request = scim_pb2.SetScimDialectRequest(service_account_id=account_id, dialect=DIALECTS[dialect])
        await admin.scim.SetScimDialect(request)
        return Tenant(made.tenant.tenant_id, name, made.api_key, key, admin, self.http(key), self.url)


@pytest.fixture(scope="session")
async def place(open_mesh):
    async with open_mesh() as mesh:
        identity = await mesh.start(
            "identity", password_memory_kib=8192, password_passes=1, usage_seconds=60, sweep_seconds=60
        )
        port = free_port()
        await mesh.start("gateway", http_listen=f"127.0.0.1:{port}", health_timeout=0.5)
        found = Place(identity, f"http://127.0.0.1:{port}")
        yield found
        for client in found.open:
            await client.aclose()
