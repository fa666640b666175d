"""Rotation policies that could not be followed are refused when they are set, as far as that is known."""

import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.credentials.v1 import credentials_pb2_grpc as pb_grpc
from isthmus.kit import new_id
from isthmus.registry.v1 import registry_pb2, registry_pb2_grpc
from isthmus.resilience.faults import Precondition

BASIC, HMAC = connector.AUTH_METHOD_BASIC, connector.AUTH_METHOD_HMAC
REMIND, ROTATE = pb.RotationPolicy.ACTION_REMIND, pb.RotationPolicy.ACTION_ROTATE


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """Knows instances of some connectors that use every credential, and who of them makes secrets."""

    users = ()

    async def ListInstances(self, request, context):
        found = [
            registry_pb2.IntegrationInstance(instance_id=f"ins_{name}", connector_id=name)
            for name in self.users
        ]
        return registry_pb2.ListInstancesResponse(instances=found)

    async def GetConnector(self, request, context):
        able = [connector.CAPABILITY_ROTATION] if request.connector_id == "postgres" else []
        found = registry_pb2.IntegrationConnector(spec=connector.ConnectorSpec(capabilities=able))
        return registry_pb2.GetConnectorResponse(connector=found)


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture(scope="module")
async def service(open_mesh, registry):
    async with open_mesh() as mesh:
        await mesh.fake("registry", registry_pb2_grpc.add_RegistryServiceServicer_to_server, registry)
        yield await mesh.start("credentials")


@pytest.fixture
def stub(service):
    return pb_grpc.CredentialsServiceStub(service.channel(new_id("tnt")))


def policy(action, days=90):
    return pb.RotationPolicy(every_days=days, action=action)


@pytest.fixture
def create(stub):
    """Creates a credential of a method that a connector may rotate, or of one that nobody does."""

    async def made(action=0, auth_type=BASIC):
        secret = {"password": "one"} if auth_type == BASIC else {"signing_key": "one"}
        request = pb.CreateAuthConfigRequest(
            name=new_id("nam"),
            auth_type=auth_type,
            parameters=pb.AuthParameters(username="u")
            if auth_type == BASIC
            else pb.AuthParameters(key_id="k"),
            secret=pb.SecretMaterial(**secret),
            rotation_policy=policy(action) if action else None,
        )
        return (await stub.CreateAuthConfig(request)).auth_config

    return made


@pytest.fixture
def schedule(stub):
    """Sets the policy of a credential."""

    async def changed(held, action, days=90):
        request = pb.UpdateAuthConfigRequest(
            auth_config_id=held.auth_config_id,
            name=held.name,
            parameters=held.parameters,
            rotation_policy=policy(action, days),
        )
        return (await stub.UpdateAuthConfig(request)).auth_config

    return changed


@pytest.mark.parametrize("users", [(), ("postgres",)])
async def test_what_may_be_followed_is_taken(registry, create, schedule, users):
    """
    Also where no instance uses the credential yet, so that nobody knows the system.
    """
    registry.users = users
    held = await create(ROTATE)

    assert held.rotation_policy.action == ROTATE
    assert (await schedule(held, ROTATE, 30)).rotation_policy.every_days == 30


async def test_a_method_for_which_nothing_makes_secrets_is_refused_at_once(create, refusal):
    """
    The message says what can be replaced, and which policy remains; a reminder is taken.
    """
    refused = await refusal(create(ROTATE, HMAC))

    assert (type(refused), refused.reason) == (Precondition, "ROTATION_UNSUPPORTED")
    assert all(word in refused.message for word in ("hmac", "connector", "Entra", "remind"))
    assert (await create(REMIND, HMAC)).rotation_policy.action == REMIND


async def test_a_connector_that_makes_no_secrets_is_refused_at_once(
    registry, stub, create, schedule, refusal
):
    """
    One of the systems that a credential is used for is enough; what held before still holds.
    """
    registry.users = ("postgres", "files")
    held = await create()
    refused = await refusal(schedule(held, ROTATE))
    kept = await stub.GetAuthConfig(pb.GetAuthConfigRequest(auth_config_id=held.auth_config_id))

    assert refused.reason == "ROTATION_UNSUPPORTED"
    assert "connector files" in refused.message
    assert kept.auth_config == held


async def test_a_policy_that_is_there_does_not_stand_in_the_way_of_changes(registry, create, schedule):
    """
    Whoever says the same again, as `isthmus apply` does, is not asked once more.
    """
    registry.users = ()
    held = await create(ROTATE)
    registry.users = ("files",)

    assert (await schedule(held, ROTATE)).rotation_policy.action == ROTATE
