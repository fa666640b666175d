"""The credentials service over gRPC, on a real PostgreSQL, NATS and OpenBao."""

from datetime import UTC, datetime, timedelta

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.credentials.v1 import credentials_pb2_grpc as pb_grpc
from isthmus.kit import Clock, Database, fault_from_rpc_error, new_id
from isthmus.registry.v1 import registry_pb2, registry_pb2_grpc
from isthmus.resilience.faults import (
    AlreadyExists,
    Conflict,
    FixRequest,
    Missing,
    NotAllowed,
    Precondition,
    RetryLater,
)
from isthmus.services.credentials.reminding import Reminders
from isthmus.testing.canaries import PLANTED

CANARY = f"{PLANTED}stored"
BEARER = connector_pb2.AUTH_METHOD_BEARER


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """Knows one instance, which uses the configuration it is told."""

    used = ""

    async def ListInstances(self, request, context):
        found = (
            [registry_pb2.IntegrationInstance(instance_id="ins_1")]
            if request.auth_config_id == self.used
            else []
        )
        return registry_pb2.ListInstancesResponse(instances=found)

    async def GetInstance(self, request, context):
        found = registry_pb2.IntegrationInstance(
            instance_id=request.instance_id, connector_id="files", auth_config_id=self.used
        )
        return registry_pb2.GetInstanceResponse(instance=found)


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture(scope="module")
async def service(open_mesh, registry):
    async with open_mesh() as mesh:
        await mesh.fake("registry", registry_pb2_grpc.add_RegistryServiceServicer_to_server, registry)
        yield await mesh.start("credentials")


@pytest.fixture
def tenant():
    return new_id("tnt")


@pytest.fixture
def stub(service, tenant):
    return pb_grpc.CredentialsServiceStub(service.channel(tenant))


@pytest.fixture
def host(service, tenant):
    return pb_grpc.CredentialsServiceStub(service.channel(tenant, ("credentials.leases.create",), mesh=True))


def bearer(**fields):
    fields = {"name": "siem", "request_id": new_id("req"), **fields}
    return pb.CreateAuthConfigRequest(
        auth_type=BEARER, secret=pb.SecretMaterial(bearer_token=CANARY), **fields
    )


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return fault_from_rpc_error(caught.value)


async def lease(host, auth_config_id):
    return await host.LeaseCredential(
        pb.LeaseCredentialRequest(auth_config_id=auth_config_id, instance_id="ins_1")
    )


async def test_a_secret_goes_in_and_comes_out_as_a_lease_only(stub, host):
    """
    No answer but a host's lease carries the secret.
    """
    created = (await stub.CreateAuthConfig(bearer())).auth_config
    shown = await stub.GetAuthConfig(pb.GetAuthConfigRequest(auth_config_id=created.auth_config_id))
    lent = await lease(host, created.auth_config_id)

    assert CANARY not in str(shown)
    assert lent.secret.bearer_token == CANARY
    assert lent.expire_time.ToDatetime(tzinfo=UTC) <= datetime.now(UTC) + timedelta(minutes=5)


async def test_the_secret_is_in_no_table(stub, service):
    """
    A dump of the service's database gives nothing away.
    """
    import psycopg

    made = await stub.CreateAuthConfig(bearer())

    url = service.settings.database_url.get_secret_value()
    with psycopg.connect(url) as connection:
        connection.execute("set role isthmus_credentials_system")
        tables = ("auth_configs", "leases", "outbox", "idempotency")
        dump = [connection.execute(f"select * from credentials.{table}").fetchall() for table in tables]
    assert made.auth_config.auth_config_id in str(dump)
    assert CANARY not in str(dump)


async def test_creating_twice_with_one_request_id_makes_one(stub):
    """
    A caller who lost the answer asks again.
    """
    request = bearer()

    first = await stub.CreateAuthConfig(request)
    again = await stub.CreateAuthConfig(request)

    assert again == first
    assert len((await stub.ListAuthConfigs(pb.ListAuthConfigsRequest())).auth_configs) == 1


async def test_a_name_is_unique_in_its_tenant_only(service, stub):
    """
    Two tenants may call things alike.
    """
    other = pb_grpc.CredentialsServiceStub(service.channel(new_id("tnt")))
    await stub.CreateAuthConfig(bearer())
    await other.CreateAuthConfig(bearer())

    fault = await refusal(stub.CreateAuthConfig(bearer()))

    assert isinstance(fault, AlreadyExists)
    assert fault.reason == "AUTH_CONFIG_NAME_TAKEN"


async def test_a_new_secret_counts_from_the_next_lease_on(stub, host):
    """
    An update without a secret keeps the present one.
    """
    held = (await stub.CreateAuthConfig(bearer())).auth_config
    common = {"auth_config_id": held.auth_config_id, "name": "siem"}
    kept = (await stub.UpdateAuthConfig(pb.UpdateAuthConfigRequest(**common, etag=held.etag))).auth_config
    new = pb.SecretMaterial(bearer_token="new")
    await stub.UpdateAuthConfig(pb.UpdateAuthConfigRequest(**common, etag=kept.etag, secret=new))

    lent = await lease(host, held.auth_config_id)

    assert (kept.secret_version, lent.secret_version, lent.secret.bearer_token) == (1, 2, "new")


async def test_an_update_on_an_old_etag_is_refused(stub):
    """
    Two people who change the same thing do not overwrite one another.
    """
    held = (await stub.CreateAuthConfig(bearer())).auth_config
    request = pb.UpdateAuthConfigRequest(auth_config_id=held.auth_config_id, name="x", etag=held.etag)
    await stub.UpdateAuthConfig(request)

    assert isinstance(await refusal(stub.UpdateAuthConfig(request)), Conflict)


async def test_all_mistakes_are_told_at_once_without_the_secret(stub):
    """
    One violation for each field.
    """
    request = pb.CreateAuthConfigRequest(
        auth_type=connector_pb2.AUTH_METHOD_BASIC,
        parameters=pb.AuthParameters(username="a:b", header_name="bad header"),
        secret=pb.SecretMaterial(bearer_token=CANARY + "\n"),
    )

    fault = await refusal(stub.CreateAuthConfig(request))

    assert isinstance(fault, FixRequest)
    paths = {violation.path for violation in fault.violations}
    assert paths == {"name", "parameters.username", "parameters.header_name", "secret"}
    assert CANARY not in str(fault.violations)


async def test_an_expired_secret_is_not_lent(stub, host):
    """
    A person has to enter a new one.
    """
    request = bearer()
    request.expire_time.FromDatetime(datetime.now(UTC) - timedelta(seconds=1))
    held = (await stub.CreateAuthConfig(request)).auth_config

    fault = await refusal(lease(host, held.auth_config_id))

    assert (type(fault), fault.reason) == (Precondition, "AUTH_CONFIG_EXPIRED")


async def test_only_processes_of_the_mesh_lease(service, stub, tenant):
    """
    An administrator who may do everything else in the tenant does not see the secret either.
    """
    held = (await stub.CreateAuthConfig(bearer())).auth_config
    admin = pb_grpc.CredentialsServiceStub(service.channel(tenant, ("credentials.auth_configs.*",)))

    assert isinstance(await refusal(lease(admin, held.auth_config_id)), NotAllowed)


async def test_a_stolen_host_borrows_what_its_connector_uses_and_nothing_else(
    service, stub, tenant, registry
):
    """
    Neither by another connector's instance, nor as if the credential had been refused.
    """
    held = (await stub.CreateAuthConfig(bearer(name=new_id("nam")))).auth_config.auth_config_id
    registry.used = held
    mine, stolen = (
        pb_grpc.CredentialsServiceStub(
            service.channel(
                tenant, ("credentials.leases.create",), subject=subject, mesh=True, work_on="ins_1"
            )
        )
        for subject in ("host:files", "host:postgres")
    )
    wish = {"auth_config_id": held, "instance_id": "ins_1"}

    lent = await lease(mine, held)
    faults = [
        await refusal(stolen.LeaseCredential(pb.LeaseCredentialRequest(**wish))),
        await refusal(stolen.RefreshCredential(pb.RefreshCredentialRequest(**wish))),
    ]
    registry.used = ""

    assert lent.secret.bearer_token == CANARY
    assert {(type(fault), fault.reason) for fault in faults} == {(NotAllowed, "CREDENTIAL_OF_OTHERS")}


async def test_another_tenant_finds_nothing(service, stub, host):
    """
    Ids of other tenants mean nothing.
    """
    held = (await stub.CreateAuthConfig(bearer())).auth_config
    stranger = pb_grpc.CredentialsServiceStub(service.channel(new_id("tnt"), mesh=True))

    fault = await refusal(lease(stranger, held.auth_config_id))

    assert isinstance(fault, Missing)


async def test_what_an_instance_uses_is_not_deleted(stub, registry, host):
    """
    The refusal names the instance; afterwards the secret is gone from the vault too.
    """
    held = (await stub.CreateAuthConfig(bearer())).auth_config
    registry.used = held.auth_config_id
    request = pb.DeleteAuthConfigRequest(auth_config_id=held.auth_config_id)

    fault = await refusal(stub.DeleteAuthConfig(request))
    registry.used = ""
    await stub.DeleteAuthConfig(request)

    assert (fault.reason, fault.metadata["instance_id"]) == ("AUTH_CONFIG_IN_USE", "ins_1")
    assert isinstance(await refusal(lease(host, held.auth_config_id)), Missing)


async def test_without_the_vault_nothing_is_stored_and_all_is_well_after(stub, vault, host):
    """
    A sealed or dead vault is a state to wait through, not a loss.
    """
    held = (await stub.CreateAuthConfig(bearer(name="before"))).auth_config
    vault.kill()
    fault = await refusal(stub.CreateAuthConfig(bearer(name="during")))
    vault.start()

    lent = await lease(host, held.auth_config_id)

    names = [item.name for item in (await stub.ListAuthConfigs(pb.ListAuthConfigsRequest())).auth_configs]
    assert (type(fault), fault.reason) == (RetryLater, "VAULT_UNREACHABLE")
    assert names == ["before"]
    assert lent.secret.bearer_token == CANARY


LENT = {
    "hmac": ("signing_key", CANARY, {"key_id": "abc"}),
    "aws_sigv4": ("signing_key", CANARY, {"key_id": "AKID", "region": "eu-central-1", "service": "config"}),
    "mutual_tls": (
        "client_certificate",
        pb.ClientCertificate(certificate="a\nb", private_key=f"c\n{CANARY}"),
        {},
    ),
}


@pytest.mark.parametrize("kind", LENT)
async def test_what_signs_and_what_connections_show_is_lent_whole(stub, host, kind):
    """
    A host cannot sign without the key; the parameters that belong to it come along.
    """
    field, value, parameters = LENT[kind]
    request = pb.CreateAuthConfigRequest(
        name=kind,
        auth_type=connector_pb2.AuthMethod.Value(f"AUTH_METHOD_{kind.upper()}"),
        parameters=pb.AuthParameters(**parameters),
        secret=pb.SecretMaterial(**{field: value}),
    )
    held = (await stub.CreateAuthConfig(request)).auth_config

    lent = await lease(host, held.auth_config_id)

    assert getattr(lent.secret, field) == value
    assert held.parameters == lent.parameters == pb.AuthParameters(**parameters)
    assert CANARY not in str(held)


async def test_what_a_method_needs_is_asked_for(stub):
    """
    A signature without a region, a certificate without its key.
    """
    aws = pb.CreateAuthConfigRequest(
        name="aws",
        auth_type=connector_pb2.AUTH_METHOD_AWS_SIGV4,
        secret=pb.SecretMaterial(signing_key=CANARY),
    )
    half = pb.CreateAuthConfigRequest(
        name="half",
        auth_type=connector_pb2.AUTH_METHOD_MUTUAL_TLS,
        secret=pb.SecretMaterial(client_certificate=pb.ClientCertificate(certificate="a")),
    )

    first = await refusal(stub.CreateAuthConfig(aws))
    second = await refusal(stub.CreateAuthConfig(half))

    assert {one.path for one in first.violations} == {
        f"parameters.{name}" for name in ("key_id", "region", "service")
    }
    assert [one.path for one in second.violations] == ["secret"]


async def test_what_was_revoked_is_lent_no_more_until_there_is_a_new_secret(stub, host):
    """
    Revoking twice is no error.
    """
    held = (await stub.CreateAuthConfig(bearer())).auth_config
    request = pb.RevokeAuthConfigRequest(auth_config_id=held.auth_config_id)
    await stub.RevokeAuthConfig(request)
    revoked = (await stub.RevokeAuthConfig(request)).auth_config

    fault = await refusal(lease(host, held.auth_config_id))
    new = pb.SecretMaterial(bearer_token="new")
    update = pb.UpdateAuthConfigRequest(auth_config_id=held.auth_config_id, name="siem", secret=new)
    await stub.UpdateAuthConfig(update)

    assert revoked.HasField("revoke_time")
    assert (type(fault), fault.reason) == (Precondition, "AUTH_CONFIG_REVOKED")
    assert (await lease(host, held.auth_config_id)).secret.bearer_token == "new"


async def test_owners_are_reminded_once_of_each_end(service, stub):
    """
    Thirty days ahead, by whichever replica looks first; a new end is another matter.
    """
    url = service.settings.database_url.get_secret_value()
    db, told = Database(url, "credentials", pool=1), Told()
    reminders = Reminders(db, told, clock=Clock(), ahead=timedelta(days=30))
    soon, late = bearer(name="soon"), bearer(name="late")
    soon.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=29))
    late.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=31))
    held = [(await stub.CreateAuthConfig(one)).auth_config.auth_config_id for one in (soon, late)]

    await reminders.remind()
    await reminders.remind()
    await db.close()

    assert [name for name in told.of if name in held] == [held[0]]


class Told:
    """Remembers what the mesh would be told."""

    def __init__(self):
        self.of = []

    async def changed(self, conn, verb, config, subject):
        assert verb == "expiring"
        self.of.append(config.auth_config_id)


async def rotated(stub, held, **fields):
    request = pb.RotateAuthConfigRequest(
        auth_config_id=held.auth_config_id, secret=pb.SecretMaterial(bearer_token="new"), **fields
    )
    return (await stub.RotateAuthConfig(request)).auth_config


async def refused(host, lent, auth_config_id):
    request = pb.RefreshCredentialRequest(
        auth_config_id=auth_config_id, refused_secret_version=lent.secret_version
    )
    return (await host.RefreshCredential(request)).lease.secret.bearer_token


async def test_a_rotated_secret_counts_and_the_old_one_steps_in_where_it_is_refused(stub, host):
    """
    For a while, since external systems take time; a secret entered the other way ends the overlap.
    """
    held = (await stub.CreateAuthConfig(bearer())).auth_config
    changed = await rotated(stub, held)
    first = await lease(host, held.auth_config_id)
    instead = await refused(host, first, held.auth_config_id)
    kept = await lease(host, held.auth_config_id)
    newest = pb.SecretMaterial(bearer_token="newest")
    await stub.UpdateAuthConfig(
        pb.UpdateAuthConfigRequest(auth_config_id=held.auth_config_id, name="siem", secret=newest)
    )
    last = await lease(host, held.auth_config_id)

    assert changed.HasField("overlap_end_time")
    assert (first.secret.bearer_token, instead, kept.secret.bearer_token) == ("new", CANARY, CANARY)
    assert last.secret.bearer_token == await refused(host, last, held.auth_config_id) == "newest"


async def test_after_the_overlap_the_new_secret_counts_alone(stub, host):
    """
    A refusal then is a refusal.
    """
    held = (await stub.CreateAuthConfig(bearer())).auth_config
    await rotated(stub, held, overlap=Duration(seconds=0))

    lent = await lease(host, held.auth_config_id)

    assert await refused(host, lent, held.auth_config_id) == "new"
