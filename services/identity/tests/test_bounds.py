"""What API keys are bound to, and what is told about them, over real gRPC, PostgreSQL and NATS."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.resilience.faults import FixRequest, LimitReached, NotAllowed
from isthmus.testing.waiting import eventually

from .conftest import fault_of
from .test_callers import at

ME = pb.GetCallerRequest()


async def new_key(tenant, **bounds) -> pb.CreateApiKeyResponse:
    admin = (await tenant.admin.ListServiceAccounts(pb.ListServiceAccountsRequest())).service_accounts[0]
    request = pb.CreateApiKeyRequest(service_account_id=admin.service_account_id, name="k", **bounds)
    return await tenant.admin.CreateApiKey(request)


def ask(callers, key, address="", calls=0):
    request = pb.AuthenticateCallerRequest(api_key=key.api_key, client_address=address, calls=calls)
    return callers.mesh().AuthenticateCaller(request)


async def told(database, tenant, verb):
    """Wait for an event about the tenant's keys and return its data."""
    subject = f"isthmus.v1.{tenant.tenant_id}.identity.api_key.{verb}"
    sql = "select body from outbox where subject = %s"
    found = await eventually(lambda: database.execute(sql, [subject]).fetchall(), f"an event {subject}")
    return [json.loads(body)["data"] for (body,) in found]


async def test_a_key_opens_no_more_than_it_says(tenant, callers):
    """
    A narrowed key of an administrator reads connectors and nothing else.
    """
    key = await new_key(tenant, permissions=["registry.connectors.read", "identity.api_keys.*"])
    caller = (await callers.key(key.api_key).GetCaller(ME)).caller

    assert set(caller.permissions) == {
        "registry.connectors.read",
        "identity.api_keys.*",
        "identity.api_keys.read",
    }
    refused = await fault_of(callers.key(key.api_key).ListServiceAccounts(pb.ListServiceAccountsRequest()))
    assert (type(refused), refused.reason) == (NotAllowed, "PERMISSION_MISSING")


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("192.0.2.9", True),
        ("::ffff:192.0.2.9", True),
        ("2001:db8::1", True),
        ("198.51.100.1", False),
        ("2001:db9::1", False),
        ("", False),
        ("nonsense", False),
    ],
)
async def test_a_key_is_bound_to_its_networks(tenant, callers, address, may):
    """
    Elsewhere the key is refused, and told why.
    """
    key = await new_key(tenant, allowed_networks=["192.0.2.0/24", "2001:db8::/32"])
    if may:
        assert (await ask(callers, key, address)).caller.tenant_id == tenant.tenant_id
    else:
        fault = await fault_of(ask(callers, key, address))
        assert (type(fault), fault.reason) == (NotAllowed, "ADDRESS_NOT_ALLOWED")


async def test_the_address_of_a_call_counts(tenant, callers):
    """
    What comes over the wire from this machine comes from this machine.
    """
    here = await new_key(tenant, allowed_networks=["127.0.0.0/8", "::1/128"])
    there = await new_key(tenant, allowed_networks=["192.0.2.0/24"])

    assert (await callers.key(here.api_key).GetCaller(ME)).caller.tenant_id == tenant.tenant_id
    assert (await fault_of(callers.key(there.api_key).GetCaller(ME))).reason == "ADDRESS_NOT_ALLOWED"


async def test_the_address_that_the_gateway_tells_counts(tenant, callers):
    """
    It is believed because the gateway proves itself by a token of its own; whoever else says so is not.
    """
    bound = await new_key(tenant, allowed_networks=["192.0.2.0/24"])
    keys = callers.service._mesh.keys
    gateway = keys.signer("service:gateway", ("identity.callers.forward",)).token()
    other = keys.signer("host:files", ("connector.records.read",)).token()
    stub = callers.key(bound.api_key)

    def call(address, voucher):
        told = [("isthmus-forwarded-for", address)]
        return stub.GetCaller(ME, metadata=told + ([("isthmus-forwarded-by", voucher)] if voucher else []))

    assert (await call("192.0.2.7", gateway)).caller.tenant_id == tenant.tenant_id
    refused = [await fault_of(call("198.51.100.7", gateway)), await fault_of(call("192.0.2.7", ""))]
    assert {fault.reason for fault in refused} == {"ADDRESS_NOT_ALLOWED"}
    assert (await fault_of(call("192.0.2.7", other))).reason == "CALLER_UNKNOWN"
    assert (await fault_of(call("192.0.2.7", bound.api_key))).reason == "CALLER_UNKNOWN"


async def test_a_key_has_its_own_rate(tenant, callers):
    """
    Who makes too many calls is told how long to wait; other keys go on.
    """
    slow = await new_key(tenant, requests_per_second=0.01)
    stub = callers.key(slow.api_key)
    await stub.GetCaller(ME)
    fault = await fault_of(stub.GetCaller(ME))

    assert (type(fault), fault.reason) == (LimitReached, "KEY_RATE_EXCEEDED")
    assert 0 < fault.retry_after <= 100
    assert (await tenant.admin.GetCaller(ME)).caller.subject


@pytest.mark.parametrize(
    "bounds",
    [
        {"permissions": ["registry.nothing.read"]},
        {"permissions": ["connector.records.read"]},
        {"allowed_networks": ["10.0.0.1/8"]},
        {"allowed_networks": ["home"]},
        {"requests_per_second": -1},
    ],
    ids=["unknown", "of the mesh", "host bits", "a word", "negative"],
)
async def test_bounds_without_meaning_are_refused(tenant, bounds):
    """
    A key that could never be used, or is bound otherwise than meant, is not made.
    """
    assert isinstance(await fault_of(new_key(tenant, **bounds)), FixRequest)


async def test_a_new_network_is_told(tenant, callers, database):
    """
    The first network is where a key lives; another one is an event.
    """
    key = await new_key(tenant)
    await ask(callers, key, "192.0.2.1")
    await told_network(database, key)
    await ask(callers, key, "198.51.100.1")
    data = (await told(database, tenant, "used_unusually"))[0]

    assert (data["oddity"], data["network"]) == ("ODDITY_NEW_NETWORK", "198.51.100.0/24")
    assert data["key"]["apiKeyId"] == key.key.api_key_id


async def told_network(database, key):
    """Wait until the first use of a key is written down."""
    sql = "select used_networks from api_keys where api_key_id = %s"
    await eventually(lambda: database.execute(sql, [key.key.api_key_id]).fetchone()[0], "the first network")


async def test_a_burst_is_told(tenant, callers, database):
    """
    A key whose habits are known and that calls ten times as often is an event.
    """
    key = await new_key(tenant)
    its_id = key.key.api_key_id
    habits = """update api_keys set usual_rate = 1, create_time = create_time - interval '2 days'
        where api_key_id = %s"""
    database.execute(habits, [its_id])
    await ask(callers, key, calls=100_000)
    data = (await told(database, tenant, "used_unusually"))[0]

    assert (data["oddity"], data["key"]["apiKeyId"]) == ("ODDITY_BURST", its_id)


async def test_an_end_that_comes_soon_is_told_once(tenant, database):
    """
    Thirty days before a key ends an event says so.
    """
    key = await new_key(tenant, expire_time=at(datetime.now(UTC) + timedelta(days=20)))
    its_id = key.key.api_key_id
    database.execute(
        "update api_keys set create_time = create_time - interval '300 days' where api_key_id = %s", [its_id]
    )
    data = await told(database, tenant, "expiring")

    assert [one["key"]["apiKeyId"] for one in data] == [its_id]
