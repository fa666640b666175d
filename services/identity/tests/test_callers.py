"""Who is let in: API keys over real gRPC, with revocation, expiry, and a vault that goes away."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.resilience.faults import FixRequest, Missing, NotAllowed, NotAuthenticated, RetryLater
from isthmus.testing.waiting import waiting_for

from .conftest import Callers, fault_of, new_tenant

ME = pb.GetCallerRequest()


def at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


async def new_key(tenant, **more) -> pb.CreateApiKeyResponse:
    """Make a further key for the tenant's administrator."""
    admin = (await tenant.admin.ListServiceAccounts(pb.ListServiceAccountsRequest())).service_accounts[0]
    request = pb.CreateApiKeyRequest(service_account_id=admin.service_account_id, name="k", **more)
    return await tenant.admin.CreateApiKey(request)


async def last_let_in(stub) -> float:
    """Call until refused; return when the last call that was let in began."""
    last = 0.0
    async with waiting_for("the key to be refused"):
        while True:
            begun = time.time()
            try:
                await stub.GetCaller(ME)
            except grpc.RpcError:
                return last
            last = begun
            await asyncio.sleep(0.05)


async def test_a_key_tells_its_holder(tenant, callers):
    """
    Services learn from a key who calls, for which tenant, and what it may do.
    """
    stub = callers.mesh("identity.callers.authenticate")
    caller = (await stub.AuthenticateCaller(pb.AuthenticateCallerRequest(api_key=tenant.api_key))).caller

    assert (caller.tenant_id, caller.kind) == (tenant.tenant_id, pb.Caller.KIND_SERVICE_ACCOUNT)
    assert caller.subject.startswith("service_account:svc_")
    assert "registry.instances.*" in caller.permissions


async def test_a_caller_is_told_who_it_is(tenant, callers):
    """
    GetCaller answers keys and processes of the mesh alike.
    """
    mine = (await tenant.admin.GetCaller(ME)).caller
    mesh = (await callers.mesh("registry.*.read", tenant=tenant.tenant_id).GetCaller(ME)).caller

    assert mine.tenant_id == mesh.tenant_id == tenant.tenant_id
    assert (mine.kind, mesh.kind) == (pb.Caller.KIND_SERVICE_ACCOUNT, pb.Caller.KIND_MESH)


@pytest.mark.parametrize("forged", ["ist_nonsense", "ist_key_{0:0>26}_{0:0>64}", ""])
async def test_nobody_gets_in_with_a_forged_key(callers, forged):
    """
    A key that nobody made is refused with the one answer.
    """
    request = pb.AuthenticateCallerRequest(api_key=forged.format("1"))
    fault = await fault_of(callers.mesh().AuthenticateCaller(request))

    assert (type(fault), fault.reason) == (NotAuthenticated, "CALLER_UNKNOWN")


async def test_nobody_gets_in_without_a_key(callers):
    """
    A call without identity is refused.
    """
    assert isinstance(await fault_of(callers.nobody().GetCaller(ME)), NotAuthenticated)


async def test_only_processes_ask_for_other_peoples_keys(tenant):
    """
    A tenant's administrator can neither verify keys nor begin an installation.
    """
    verify = tenant.admin.AuthenticateCaller(pb.AuthenticateCallerRequest(api_key=tenant.api_key))
    begin = tenant.admin.Bootstrap(pb.BootstrapRequest())

    assert isinstance(await fault_of(verify), NotAllowed)
    assert isinstance(await fault_of(begin), NotAllowed)


async def test_a_revoked_key_is_refused_within_five_seconds(tenant, callers):
    """
    A key that was in use a moment ago stops working soon after its end; ending it twice is no error.
    """
    made = await new_key(tenant)
    stub = callers.key(made.api_key)
    await stub.GetCaller(ME)
    revoke = pb.RevokeApiKeyRequest(api_key_id=made.key.api_key_id)
    first = await tenant.admin.RevokeApiKey(revoke)
    revoked = time.time()
    again = await tenant.admin.RevokeApiKey(revoke)

    assert await last_let_in(stub) <= revoked + 5.0
    assert first.key.revoke_time == again.key.revoke_time


async def test_an_expired_key_is_refused(tenant, callers):
    """
    A key stops working at its end, also where it is remembered.
    """
    end = datetime.now(UTC) + timedelta(seconds=3)
    made = await new_key(tenant, expire_time=at(end))

    assert await last_let_in(callers.key(made.api_key)) <= end.timestamp()


@pytest.mark.parametrize("seconds", [-1, 11 * 366 * 86400])
async def test_a_key_ends_within_ten_years(tenant, seconds):
    """
    A key whose end is past, or beyond ten years, is not made.
    """
    fault = await fault_of(new_key(tenant, expire_time=at(datetime.now(UTC) + timedelta(seconds=seconds))))

    assert (type(fault), fault.violations[0].path) == (FixRequest, "expire_time")


async def test_a_key_lives_a_year_unless_told_otherwise(tenant):
    """
    Nobody has to choose an end.
    """
    key = (await new_key(tenant)).key

    assert key.expire_time.seconds - key.create_time.seconds == 365 * 86400


async def test_a_disabled_account_and_a_deleted_one_are_shut_out(tenant, callers):
    """
    Disabling an account, or deleting it, ends all its keys.
    """
    admin = (await tenant.admin.ListServiceAccounts(pb.ListServiceAccountsRequest())).service_accounts[0]
    its_id = {"service_account_id": admin.service_account_id}
    verify = pb.AuthenticateCallerRequest(api_key=tenant.api_key)
    stub = callers.mesh(tenant=tenant.tenant_id)
    await stub.UpdateServiceAccount(
        pb.UpdateServiceAccountRequest(roles=admin.roles, is_disabled=True, **its_id)
    )
    disabled = await fault_of(stub.AuthenticateCaller(verify))
    await stub.DeleteServiceAccount(pb.DeleteServiceAccountRequest(**its_id))
    deleted = await fault_of(stub.AuthenticateCaller(verify))
    keys = (await stub.ListApiKeys(pb.ListApiKeysRequest())).keys

    assert disabled.reason == deleted.reason == "CALLER_UNKNOWN"
    assert all(key.HasField("revoke_time") for key in keys)


async def test_keys_of_other_tenants_cannot_be_ended_or_seen(tenant, other):
    """
    A tenant neither lists nor revokes the keys of another one.
    """
    key = (await new_key(tenant)).key
    fault = await fault_of(other.admin.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=key.api_key_id)))
    seen = (await other.admin.ListApiKeys(pb.ListApiKeysRequest())).keys

    assert (type(fault), fault.reason) == (Missing, "API_KEY_UNKNOWN")
    assert key.api_key_id not in [row.api_key_id for row in seen]


async def test_keys_are_listed_by_account(tenant):
    """
    The list can be narrowed to one account and never shows a secret.
    """
    made = await new_key(tenant)
    request = pb.ListApiKeysRequest(service_account_id=made.key.service_account_id)
    keys = (await tenant.admin.ListApiKeys(request)).keys
    none = (await tenant.admin.ListApiKeys(pb.ListApiKeysRequest(service_account_id="svc_none"))).keys

    assert made.key.api_key_id in [key.api_key_id for key in keys]
    assert made.api_key[-64:] not in str(keys)
    assert not none


async def test_repeating_a_creation_shows_the_key_once(tenant):
    """
    The same request id gives the same key without its secret.
    """
    first = await new_key(tenant, request_id="r1")
    again = await new_key(tenant, request_id="r1")

    assert again.key == first.key
    assert (bool(first.api_key), again.api_key) == (True, "")


async def test_uses_of_a_key_are_counted(tenant, callers):
    """
    Services tell how many calls they let in; when, how often and where from is written down soon.
    """
    verify = pb.AuthenticateCallerRequest(api_key=tenant.api_key, client_address="192.0.2.7", calls=41)
    await callers.mesh().AuthenticateCaller(verify)
    await callers.mesh().AuthenticateCaller(verify)
    async with waiting_for("the uses to be counted"):
        while (key := (await tenant.admin.ListApiKeys(pb.ListApiKeysRequest())).keys[0]).use_count < 82:
            await asyncio.sleep(0.05)

    assert abs(key.last_used_time.seconds - time.time()) < 60
    assert "192.0.2.0/24" in key.used_networks


async def test_two_replicas_make_one_pepper(open_mesh, vault):
    """
    Replicas that start together on an empty vault agree, so that each verifies the other's keys.
    """
    await vault.open("identity").delete("pepper-race")
    async with open_mesh() as mesh:
        one = await mesh.start("identity", pepper_path="pepper-race")
        two = await mesh.start("identity", pepper_path="pepper-race", replica=True)
        made = await asyncio.gather(*(new_tenant(Callers(service)) for service in (one, two)))
        seen = await asyncio.gather(
            Callers(two).key(made[0].api_key).GetCaller(ME), Callers(one).key(made[1].api_key).GetCaller(ME)
        )

    assert [answer.caller.tenant_id for answer in seen] == [tenant.tenant_id for tenant in made]


async def test_without_a_vault_known_callers_get_in_and_new_replicas_say_why_not(open_mesh, free_port):
    """
    The pepper is remembered; a replica that never had it answers that the vault is not there.
    """
    async with open_mesh() as mesh:
        lost = await mesh.start("identity", vault_addr=f"http://127.0.0.1:{free_port}")
        verify = pb.AuthenticateCallerRequest(api_key=f"ist_key_{'0' * 26}_{'0' * 64}")
        faults = [
            await fault_of(Callers(lost).mesh().AuthenticateCaller(verify)),
            await fault_of(Callers(lost).mesh().Bootstrap(pb.BootstrapRequest())),
            await fault_of(Callers(lost).mesh().CreateTenant(pb.CreateTenantRequest(name="x"))),
        ]

    assert {(type(fault), fault.reason) for fault in faults} == {(RetryLater, "VAULT_UNREACHABLE")}


async def test_tables_hold_no_key(open_mesh):
    """
    Nothing in the tables, the remembered answers included, contains a key's secret.
    """
    async with open_mesh() as mesh:
        callers = Callers(await mesh.start("identity"))
        tenant = await new_tenant(callers)
        made = await new_key(tenant, request_id="r1")
        with psycopg.connect(mesh.database_url()) as connection:
            tables = ["tenants", "service_accounts", "api_keys", "idempotency", "outbox"]
            dump = [connection.execute(f"select * from identity.{table}").fetchall() for table in tables]

    assert made.api_key[-64:] not in str(dump)
    assert bytes.fromhex(made.api_key[-64:]) not in [value for rows in dump for row in rows for value in row]
