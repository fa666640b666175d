"""Secrets that are replaced together with a real PostgreSQL, and crashes in the middle of that."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import grpc.aio
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1 import connector_pb2_grpc as connector_grpc
from isthmus.connectors.postgres import Postgres
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.credentials.v1 import credentials_pb2_grpc as pb_grpc
from isthmus.host.rotating import RETIRE, rotation_of
from isthmus.kit import Clock, Database, fault_from_rpc_error, new_id
from isthmus.kit.tickets import Tickets
from isthmus.registry.v1 import registry_pb2, registry_pb2_grpc
from isthmus.sdk import AuthMethod, Credential
from isthmus.sdk.runtime import Session
from isthmus.services.credentials.rotating import Rotating
from isthmus.services.credentials.store import RotationRows
from isthmus.services.credentials.ways import HostWays, Ways
from sqlalchemy import text

OLD = "canary-old-password"
BASIC = connector.AUTH_METHOD_BASIC
REMIND, ROTATE = pb.RotationPolicy.ACTION_REMIND, pb.RotationPolicy.ACTION_ROTATE


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """Knows one instance, which uses every credential, and the host of its connector."""

    capabilities = (connector.CAPABILITY_ROTATION,)
    address = ""

    async def ListInstances(self, request, context):
        one = registry_pb2.IntegrationInstance(instance_id="ins_1", connector_id="postgres")
        return registry_pb2.ListInstancesResponse(instances=[one])

    async def GetConnector(self, request, context):
        found = registry_pb2.IntegrationConnector(
            spec=connector.ConnectorSpec(capabilities=self.capabilities)
        )
        return registry_pb2.GetConnectorResponse(connector=found)

    async def ResolveHost(self, request, context):
        host = registry_pb2.Host(address=self.address, connector_id="postgres")
        return registry_pb2.ResolveHostResponse(host=host)


class Host(connector_grpc.ConnectorServiceServicer):
    """Runs the real connector on a real database, and dies before or after it when told to."""

    def __init__(self, url):
        place = urlsplit(url)
        self.settings = {"host": place.hostname, "port": place.port, "database": place.path.strip("/")}
        self.dies, self.calls = "", 0

    async def RotateSecret(self, request, context):
        self.calls += 1
        if self.dies == "before":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        async with Session(Postgres, self.settings) as session:
            rotation = rotation_of(Credential(AuthMethod.BASIC), request)
            done = session.retire if request.stage == RETIRE else session.rotate
            rotated = await done(rotation)
        if self.dies == "after":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        return connector.RotateSecretResponse(overlaps=bool(rotated and rotated.overlaps))


class Later(Clock):
    """A clock that can be put forward."""

    ahead = timedelta()

    def now(self):
        return super().now() + self.ahead


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture(scope="module")
async def service(open_mesh, registry):
    async with open_mesh() as mesh:
        await mesh.fake("registry", registry_pb2_grpc.add_RegistryServiceServicer_to_server, registry)
        yield await mesh.start("credentials")


@pytest.fixture
async def host(database, registry):
    server, servicer = grpc.aio.server(), Host(database)
    connector_grpc.add_ConnectorServiceServicer_to_server(servicer, server)
    registry.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield servicer
    await server.stop(None)


@pytest.fixture
def tenant():
    return new_id("tnt")


@pytest.fixture
def stub(service, tenant):
    return pb_grpc.CredentialsServiceStub(service.channel(tenant))


@pytest.fixture
async def replica(service, vault, registry):
    """The service's rotations without gRPC around them, as another replica has them, with its own clock."""
    db = Database(service.settings.database_url.get_secret_value(), "credentials", pool=2)
    channels = {}

    def channel(address, subject=""):
        return channels.setdefault(address, grpc.aio.insecure_channel(address))

    told = Told()
    registry = service.settings.peer_address("registry")
    ways = Ways([HostWays(lambda: channel(registry), channel, Tickets(None)).choose])
    rotating = Rotating(db, vault.open("credentials"), told, ways, clock=Later())
    rotating.told, rotating.clock, rotating.db = told, rotating._clock, db
    yield rotating
    for one in channels.values():
        await one.close()
    await db.close()


class Told:
    """Remembers what the mesh would be told."""

    def __init__(self):
        self.of = []

    async def changed(self, conn, verb, config, subject):
        self.of.append((config.auth_config_id, verb))


@pytest.fixture
def roles(database):
    """Two roles with one password."""
    names = [f"blue_{new_id('rol')}".lower(), f"green_{new_id('rol')}".lower()]
    with psycopg.connect(database, autocommit=True) as connection:
        for name in names:
            connection.execute(f"create role {name} login password '{OLD}'")
        yield names
        for name in names:
            connection.execute(f"drop role {name}")


@pytest.fixture
def create(stub, roles):
    """Creates a credential for the roles; gives its id."""

    async def made(*, in_turn=False, action=0, overlap=3600):
        policy = pb.RotationPolicy(every_days=90, action=action, overlap=Duration(seconds=overlap))
        request = pb.CreateAuthConfigRequest(
            name=new_id("nam"),
            auth_type=BASIC,
            parameters=pb.AuthParameters(username=roles[0], alternate_username=roles[1] if in_turn else ""),
            secret=pb.SecretMaterial(password=OLD),
            rotation_policy=policy if action else None,
        )
        return (await stub.CreateAuthConfig(request)).auth_config.auth_config_id

    return made


@pytest.fixture
def lent(service, tenant):
    """Borrows as a host does; gives user name and password."""
    borrower = pb_grpc.CredentialsServiceStub(
        service.channel(tenant, ("credentials.leases.create",), mesh=True)
    )

    async def of(auth_config_id, refused=0):
        if refused:
            again = pb.RefreshCredentialRequest(auth_config_id=auth_config_id, refused_secret_version=refused)
            answer = (await borrower.RefreshCredential(again)).lease
        else:
            answer = await borrower.LeaseCredential(pb.LeaseCredentialRequest(auth_config_id=auth_config_id))
        return answer.parameters.username, answer.secret.password

    return of


@pytest.fixture
def takes(database):
    """Tells whether the database takes what was lent."""

    def tried(lent):
        try:
            psycopg.connect(database, user=lent[0], password=lent[1]).close()
        except psycopg.OperationalError:
            return False
        return True

    return tried


async def shown(stub, auth_config_id):
    answer = await stub.GetAuthConfig(pb.GetAuthConfigRequest(auth_config_id=auth_config_id))
    return answer.auth_config


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return fault_from_rpc_error(caught.value)


async def test_a_person_has_a_new_password_made(stub, host, create, lent, takes, roles):
    """
    One role has one password: the old one ends at once, and hosts get the new one.
    """
    held = await create()
    answer = await stub.RotateAuthConfig(pb.RotateAuthConfigRequest(auth_config_id=held))

    now, status = await lent(held), answer.auth_config.rotation_status
    assert now[1] != OLD
    assert [takes(now), takes((roles[0], OLD))] == [True, False]
    assert (status.stage, status.last_by) == (pb.RotationStatus.STAGE_UNSPECIFIED, "service_account:svc_test")
    assert not answer.auth_config.HasField("overlap_end_time")


async def test_what_is_due_is_done_once_though_several_replicas_look(
    stub, host, create, lent, takes, replica, roles
):
    """
    Two accounts take turns: both passwords work until the overlap is over, and then the new one alone.
    """
    held = await create(in_turn=True, action=ROTATE)
    replica.clock.ahead = timedelta(days=91)
    await asyncio.gather(replica.sweep(), replica.sweep(), replica.sweep())
    during = [takes(await lent(held)), takes((roles[0], OLD))]
    first = await shown(stub, held)
    replica.clock.ahead += timedelta(hours=2)
    await replica.sweep()

    last = await shown(stub, held)
    assert (during, last.secret_version) == ([True, True], 2)
    assert (takes(await lent(held)), takes((roles[0], OLD))) == (True, False)
    assert first.rotation_status.stage == pb.RotationStatus.STAGE_RETIRING
    assert (last.parameters.username, last.parameters.alternate_username) == (roles[1], roles[0])
    assert [verb for one, verb in replica.told.of if one == held] == ["rotated", "retired"]
    assert await unasked(replica, held) == ["RotateAuthConfig"] * 2


async def unasked(replica, held):
    """Reads what the audit trail is told of what the service did by itself."""
    async with replica.db.system() as conn:
        found = await conn.execute(text("SELECT body FROM outbox WHERE subject = 'isthmus.audit'"))
    told = [json.loads(body) for body in found.scalars()]
    mine = [one for one in told if held in one["targets"] and one["subject"] == "service:credentials"]
    return [one["method"].rpartition("/")[2] for one in mine]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_whoever_dies_over_the_system_loses_no_secret(stub, host, create, lent, takes, replica, moment):
    """
    The one that works can be had all the time, and the rotation goes on by itself.
    """
    held = await create(action=ROTATE)
    host.dies, replica.clock.ahead = moment, timedelta(days=91)
    await replica.sweep()
    first, instead = await lent(held), await lent(held, refused=1)
    worked = [takes(one) for one in (first, instead)]
    status = (await shown(stub, held)).rotation_status
    host.dies, replica.clock.ahead = "", timedelta(days=92)
    await replica.sweep()

    assert status.failures == 1
    assert (first[1], worked) == (OLD, [moment == "before", moment == "after"])
    assert takes(await lent(held))
    assert await lent(held) == instead
    assert [verb for one, verb in replica.told.of if one == held] == ["rotation_failed", "rotated"]


async def test_whoever_dies_while_the_old_secret_is_retired_has_it_retired_by_the_next(
    stub, host, create, lent, takes, replica, roles
):
    """
    The new one works all the while.
    """
    held = await create(in_turn=True, action=ROTATE)
    replica.clock.ahead = timedelta(days=91)
    await replica.sweep()
    host.dies, replica.clock.ahead = "after", timedelta(days=92)
    await replica.sweep()
    between, host.dies = await shown(stub, held), ""
    replica.clock.ahead = timedelta(days=93)
    await replica.sweep()

    assert between.rotation_status.stage == pb.RotationStatus.STAGE_RETIRING
    assert (between.rotation_status.failures, takes(await lent(held))) == (1, True)
    assert not (await shown(stub, held)).HasField("overlap_end_time")
    assert [takes((role, OLD)) for role in roles] == [False, False]


async def test_whoever_died_holding_a_rotation_is_replaced_and_decides_nothing_any_more(
    stub, host, create, lent, takes, replica
):
    """
    The lease ends, the next one goes on, and what the dead one still sends is too late.
    """
    held = await create(action=ROTATE)
    now = replica.clock.now() + timedelta(days=91)
    async with replica.db.system() as conn:
        await RotationRows(conn).begin_due(now, "service:credentials")
        dead = await RotationRows(conn).claim(now, 0, held)
    replica.clock.ahead = timedelta(days=91)
    await replica.sweep()
    await replica._renew(dead)

    assert takes(await lent(held))
    assert (await shown(stub, held)).secret_version == 2


async def test_without_the_vault_no_system_is_asked_for_anything(
    stub, host, create, lent, takes, replica, vault
):
    """
    Nothing is changed anywhere that is not in the vault before.
    """
    held = await create(action=ROTATE)
    replica.clock.ahead = timedelta(days=91)
    vault.kill()
    await replica.sweep()
    vault.start()
    calls, status = host.calls, (await shown(stub, held)).rotation_status
    replica.clock.ahead = timedelta(days=92)
    await replica.sweep()

    assert (calls, status.failure_reason) == (0, "VAULT_UNREACHABLE")
    assert takes(await lent(held))
    assert (await shown(stub, held)).secret_version == 2


async def test_a_person_who_has_to_do_it_is_reminded_once(stub, host, create, replica):
    """
    A policy that only reminds asks no system for anything.
    """
    held = await create(action=REMIND)
    replica.clock.ahead = timedelta(days=91)
    await replica.sweep()
    await replica.sweep()

    assert [verb for one, verb in replica.told.of if one == held] == ["rotation_due"]
    assert host.calls == 0
    next_time = (await shown(stub, held)).rotation_status.next_time.ToDatetime(UTC)
    assert next_time < datetime.now(UTC) + timedelta(days=90)


async def test_what_no_program_can_do_is_refused_and_leaves_nothing_behind(stub, host, create, registry):
    """
    The refusal says what to do instead.
    """
    held = await create()
    registry.capabilities = ()
    fault = await refusal(stub.RotateAuthConfig(pb.RotateAuthConfigRequest(auth_config_id=held)))
    registry.capabilities = Registry.capabilities

    assert fault.reason == "ROTATION_UNSUPPORTED"
    assert "remind" in fault.message
    assert (await shown(stub, held)).rotation_status.stage == pb.RotationStatus.STAGE_UNSPECIFIED
