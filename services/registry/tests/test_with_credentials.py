"""The registry beside the real credentials service: each asks the other before it decides."""

import pytest
from isthmus.connector.v1 import connector_pb2 as cpb
from isthmus.credentials.v1 import credentials_pb2 as crpb
from isthmus.credentials.v1 import credentials_pb2_grpc as crpb_grpc
from isthmus.registry.v1 import registry_pb2 as pb
from isthmus.resilience.faults import Missing, Precondition

from .conftest import Callers, draft, fault_of, spec


@pytest.fixture(scope="module")
async def both(open_mesh):
    async with open_mesh() as mesh:
        credentials = await mesh.start("credentials")
        registry = await mesh.start("registry")
        await Callers(registry).mesh().RegisterConnector(pb.RegisterConnectorRequest(spec=spec()))
        yield registry, credentials


async def new_credential(stub) -> str:
    """Create an authentication configuration and return its id."""
    request = crpb.CreateAuthConfigRequest(
        name="acme",
        auth_type=cpb.AUTH_METHOD_BEARER,
        secret=crpb.SecretMaterial(bearer_token="t0p"),
    )
    return (await stub.CreateAuthConfig(request)).auth_config.auth_config_id


async def test_a_credential_in_use_stays(both):
    """
    The instance that uses a credential is named; once it is gone the credential can go.
    """
    registry, credentials = both
    instances = Callers(registry).tenant("tnt_c1")
    secrets = crpb_grpc.CredentialsServiceStub(credentials.channel("tnt_c1"))
    its_id = await new_credential(secrets)
    made = (await instances.CreateInstance(draft(auth_config_id=its_id))).instance
    gone = crpb.DeleteAuthConfigRequest(auth_config_id=its_id)
    fault = await fault_of(secrets.DeleteAuthConfig(gone))
    await instances.DeleteInstance(pb.DeleteInstanceRequest(instance_id=made.instance_id))
    await secrets.DeleteAuthConfig(gone)

    assert (type(fault), fault.reason) == (Precondition, "AUTH_CONFIG_IN_USE")
    assert fault.metadata["instance_id"] == made.instance_id


async def test_credentials_of_other_tenants_do_not_exist(both):
    """
    An instance cannot be given a credential that is another tenant's, or nobody's.
    """
    registry, credentials = both
    its_id = await new_credential(crpb_grpc.CredentialsServiceStub(credentials.channel("tnt_c2")))
    faults = [
        await fault_of(Callers(registry).tenant("tnt_c3").CreateInstance(draft(auth_config_id=wanted)))
        for wanted in (its_id, "ath_none")
    ]

    assert {(type(fault), fault.reason) for fault in faults} == {(Missing, "AUTH_CONFIG_UNKNOWN")}
