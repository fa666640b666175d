"""Two replicas of the service, and a token server that misbehaves."""

from dataclasses import replace

import grpc.aio
import pytest
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.credentials.v1 import credentials_pb2_grpc as pb_grpc
from isthmus.kit import Clock, Database, fault_from_rpc_error, new_id
from isthmus.services.credentials.grants import Grants
from isthmus.services.credentials.refreshing import Patience, Tokens
from isthmus.services.credentials.store import Rows, TokenRows
from isthmus.services.credentials.token_server import TokenServers
from isthmus.testing.http_server import HttpServer
from isthmus.testing.token_server import CLIENT_SECRET, TokenServer
from sqlalchemy import text

CLIENT, CODE = (
    connector_pb2.AUTH_METHOD_OAUTH2_CLIENT_CREDENTIALS,
    connector_pb2.AUTH_METHOD_OAUTH2_AUTHORIZATION_CODE,
)
OPTIONS = {
    "token_settle_seconds": 0,
    "token_hold_seconds": 6,
    "token_seconds": 30,
    "token_wait_seconds": 30,
}


@pytest.fixture(scope="session")
async def replicas(open_mesh):
    async with open_mesh() as mesh:
        first = await mesh.start("credentials", **OPTIONS)
        yield [first, await mesh.start("credentials", replica=True, **OPTIONS)]


@pytest.fixture
def tenant():
    return new_id("tnt")


@pytest.fixture
async def server():
    async with HttpServer() as http:
        given = TokenServer()
        given.http, given.url = http, given.serve(http)
        yield given


@pytest.fixture
def stub(replicas, tenant):
    return pb_grpc.CredentialsServiceStub(replicas[0].channel(tenant))


@pytest.fixture
def hosts(replicas, tenant):
    """A host's view of each replica."""
    return [host_of(service, tenant) for service in replicas]


def host_of(service, tenant):
    return pb_grpc.CredentialsServiceStub(service.channel(tenant, ("credentials.leases.create",), mesh=True))


class Refresher(Tokens):
    """The service's own, without gRPC around it: a connection there carries 100 calls at most."""

    is_alive = True

    def fall_silent(self):
        """From now on it does not keep its lease, which ends at once."""
        self._patience, self.is_alive = replace(self._patience, hold=0.2), False

    async def load(self, tenant, auth_config_id):
        async with self._db.tenant(tenant) as conn:
            return await Rows(conn).get(auth_config_id), await TokenRows(conn).find(auth_config_id)

    async def claim(self, config, row):
        async with self._db.tenant(config.tenant_id) as conn:
            return await TokenRows(conn).claim(row, "dead", 0.2)

    async def _holding(self, config, own):
        if self.is_alive:
            await super()._holding(config, own)


@pytest.fixture
async def refreshers(replicas, vault):
    """One for each replica, with a pool of connections of its own."""
    url = replicas[0].settings.database_url.get_secret_value()
    safe = vault.open("credentials")
    databases = [Database(url, "credentials", pool=4) for _ in replicas]
    grants = Grants(safe, TokenServers(seconds=30, unknown_lifetime=300), clock=Clock())
    patience = Patience(hold=6, wait=30, settle=0)
    yield [Refresher(db, safe, grants, clock=Clock(), patience=patience) for db in databases]
    for db in databases:
        await db.close()


@pytest.fixture
def create(stub, server):
    """Creates a configuration; gives its id."""

    async def made(auth_type=CLIENT, scopes=("read",), secret=None, **oauth):
        oauth = {"token_url": server.url, "client_id": "mesh", **oauth}
        request = pb.CreateAuthConfigRequest(
            name=new_id("nam"),
            auth_type=auth_type,
            oauth_config=pb.OAuthConfig(scopes=scopes, **oauth),
            secret=pb.SecretMaterial(oauth=pb.OAuthSecret(**(secret or {"client_secret": CLIENT_SECRET}))),
        )
        return (await stub.CreateAuthConfig(request)).auth_config.auth_config_id

    return made


@pytest.fixture
def rotating(create, server):
    """Creates a configuration with a refresh token."""

    async def made():
        secret = {"client_secret": CLIENT_SECRET, "refresh_token": server.authorize("read")}
        return await create(CODE, secret=secret)

    return made


@pytest.fixture
def refusal():
    """Awaits a call that has to be refused, and gives why."""

    async def told(call):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return fault_from_rpc_error(caught.value)

    return told


@pytest.fixture
def lease():
    """Borrows as a host does."""

    async def lent(host, auth_config_id):
        request = pb.LeaseCredentialRequest(auth_config_id=auth_config_id)
        return await host.LeaseCredential(request, timeout=60)

    return lent


@pytest.fixture
def refresh():
    """Tells of a refused token as a host does."""

    async def lent(host, auth_config_id, refused):
        request = pb.RefreshCredentialRequest(
            auth_config_id=auth_config_id, refused_token_id=refused.access_token.token_id
        )
        return (await host.RefreshCredential(request, timeout=60)).lease

    return lent


@pytest.fixture
def status(stub):
    """Gives what a person sees of a configuration's token."""

    async def told(auth_config_id):
        got = await stub.GetAuthConfig(pb.GetAuthConfigRequest(auth_config_id=auth_config_id))
        return got.auth_config.token_status

    return told


@pytest.fixture
async def held_until(replicas, tenant):
    """Tells until when somebody has the lease on a configuration's tokens."""
    db = Database(replicas[0].settings.database_url.get_secret_value(), "credentials", pool=1)

    async def told(auth_config_id):
        async with db.tenant(tenant) as conn:
            found = text("select held_until from tokens where auth_config_id = :id")
            return (await conn.execute(found, {"id": auth_config_id})).scalar_one()

    yield told
    await db.close()
