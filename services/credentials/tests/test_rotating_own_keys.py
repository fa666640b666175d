"""API keys of Isthmus itself, which a real identity service makes and ends."""

import uuid
from datetime import UTC, datetime

import pytest
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.identity.v1 import identity_pb2_grpc as pb_grpc
from isthmus.kit import Clock, acting_for, new_id
from isthmus.resilience.faults import Precondition
from isthmus.services.credentials.domain import AuthConfig, AuthType, Parameters
from isthmus.services.credentials.ways import OwnKeyWay


@pytest.fixture(scope="module")
async def identity(running):
    async with running("identity", password_memory_kib=8192, password_passes=1) as service:
        yield service


@pytest.fixture
async def tenant(identity):
    stub = pb_grpc.IdentityServiceStub(identity.channel(mesh=True))
    return await stub.CreateTenant(pb.CreateTenantRequest(name=f"t-{uuid.uuid4().hex[:12]}"))


@pytest.fixture
def key(identity, tenant):
    """Makes a key of an account with these permissions, and gives its secret as the vault holds it."""

    async def made(*permissions):
        admin = pb_grpc.IdentityServiceStub(identity.channel(api_key=tenant.api_key))
        account = await admin.CreateServiceAccount(
            pb.CreateServiceAccountRequest(name=new_id("nam"), roles=["tenant_admin"])
        )
        request = pb.CreateApiKeyRequest(
            service_account_id=account.service_account.service_account_id,
            name="first",
            permissions=permissions,
            requests_per_second=500,
        )
        return {"value": (await admin.CreateApiKey(request)).api_key}

    return made


@pytest.fixture
def config(tenant):
    now = datetime.now(UTC)
    return AuthConfig(
        tenant_id=tenant.tenant.tenant_id,
        auth_config_id=new_id("ath"),
        name="own",
        description="",
        auth_type=AuthType.BEARER,
        parameters=Parameters(),
        is_system_account=True,
        secret_version=1,
        created_by="usr_1",
        create_time=now,
        update_time=now,
    )


@pytest.fixture
def way(identity, tenant):
    """Acts for the tenant as the service does while it rotates."""
    with acting_for(tenant.tenant.tenant_id):
        yield OwnKeyWay(lambda: identity.channel(api_key="ist_overridden"), clock=Clock())


async def test_a_key_makes_its_next_one_and_is_ended_by_it(config, key, way):
    """
    The new one has the same bounds; one whose answer was lost is ended first.
    """
    old = await key("identity.api_keys.*", "records.records.read")
    lost = (await way.renew(config, old, None)).made
    new = (await way.renew(config, old, None)).made
    again = await way.renew(config, old, new)
    await way.prove(config, new)
    await way.retire(config, old, new)
    keys = (await way._keys(config, new)).values()

    assert again.made is None
    assert [key.HasField("revoke_time") for key in keys] == [True, True, False]
    assert {tuple(key.permissions) for key in keys} == {("identity.api_keys.*", "records.records.read")}
    assert {key.requests_per_second for key in keys} == {500}
    assert len({lost["value"], new["value"], old["value"]}) == 3


async def test_a_key_that_may_not_make_keys_is_told_what_it_needs(config, key, way):
    """
    Nobody else's permissions are used in its place; keys of others are none of ours.
    """
    with pytest.raises(Precondition) as narrow:
        await way.renew(config, await key("records.records.read"), None)
    with pytest.raises(Precondition) as foreign:
        await way.renew(config, {"value": f"ist_{new_id('key')}_{'0' * 64}"}, None)

    assert (narrow.value.reason, foreign.value.reason) == ("ROTATION_NOT_PERMITTED", "API_KEY_REFUSED")
