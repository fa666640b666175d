"""Service accounts and their roles over real gRPC and PostgreSQL."""

import json

import pytest
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.resilience.faults import AlreadyExists, Conflict, FixRequest, Missing, NotAllowed

from .conftest import fault_of


def draft(name: str = "ci", roles: tuple[str, ...] = ("auditor",), **more) -> pb.CreateServiceAccountRequest:
    return pb.CreateServiceAccountRequest(name=name, roles=roles, **more)


@pytest.fixture
async def account(tenant):
    return (await tenant.admin.CreateServiceAccount(draft("robot"))).service_account


async def with_role(tenant, role: str, callers):
    """Return a stub that calls with a key of a new account in this role."""
    made = await tenant.admin.CreateServiceAccount(draft(f"as-{role}", (role,)))
    key = pb.CreateApiKeyRequest(service_account_id=made.service_account.service_account_id, name="k")
    return callers.key((await tenant.admin.CreateApiKey(key)).api_key)


async def test_what_was_created_is_read(tenant, account):
    """
    An account tells its roles, its maker and its etag.
    """
    request = pb.GetServiceAccountRequest(service_account_id=account.service_account_id)
    read = (await tenant.admin.GetServiceAccount(request)).service_account

    assert read == account
    assert (read.roles, read.etag) == (["auditor"], "1")
    assert read.created_by.startswith("service_account:svc_")


async def test_repeating_a_creation_makes_one_account(tenant):
    """
    The same request id gives the first account; another request under it is refused.
    """
    first = await tenant.admin.CreateServiceAccount(draft(request_id="r1"))
    again = await tenant.admin.CreateServiceAccount(draft(request_id="r1"))
    fault = await fault_of(tenant.admin.CreateServiceAccount(draft("cd", request_id="r1")))

    assert again == first
    assert (type(fault), fault.reason) == (Conflict, "REQUEST_ID_REUSED")


async def test_names_are_unique_inside_a_tenant_only(tenant, other, account):
    """
    Two tenants may have an account of the same name, one tenant may not.
    """
    await other.admin.CreateServiceAccount(draft("robot"))
    fault = await fault_of(tenant.admin.CreateServiceAccount(draft("robot")))

    assert (type(fault), fault.reason) == (AlreadyExists, "SERVICE_ACCOUNT_NAME_TAKEN")


async def test_an_account_has_a_name_and_a_role(tenant):
    """
    Everything missing is told at once.
    """
    fault = await fault_of(tenant.admin.CreateServiceAccount(pb.CreateServiceAccountRequest()))

    assert (type(fault), fault.reason) == (FixRequest, "FIELD_INVALID")
    assert {violation.path for violation in fault.violations} == {"name", "roles"}


async def test_unknown_roles_are_refused(tenant):
    """
    A role that is not there cannot be given.
    """
    fault = await fault_of(tenant.admin.CreateServiceAccount(draft(roles=("emperor",))))

    assert (type(fault), fault.reason) == (Missing, "ROLE_UNKNOWN")


@pytest.mark.parametrize("role", ["installation_admin"])
async def test_no_tenant_gives_what_reaches_beyond_it(tenant, role):
    """
    The administrator of a tenant cannot make an administrator of the installation.
    """
    fault = await fault_of(tenant.admin.CreateServiceAccount(draft(roles=(role,))))

    assert (type(fault), fault.reason) == (NotAllowed, "ROLE_EXCEEDS_CALLER")


async def test_nobody_raises_itself(tenant, callers):
    """
    Who may change accounts cannot give an account more than it has itself, by no way.
    """
    security = await with_role(tenant, "security_admin", callers)
    powerful = (await tenant.admin.CreateServiceAccount(draft("boss", ("tenant_admin",)))).service_account
    mine = (await security.CreateServiceAccount(draft("mine", ("security_viewer",)))).service_account
    raised = pb.UpdateServiceAccountRequest(
        service_account_id=mine.service_account_id, roles=["tenant_admin"]
    )
    borrowed = pb.CreateApiKeyRequest(service_account_id=powerful.service_account_id, name="k")

    assert (await fault_of(security.UpdateServiceAccount(raised))).reason == "ROLE_EXCEEDS_CALLER"
    assert (await fault_of(security.CreateApiKey(borrowed))).reason == "ROLE_EXCEEDS_CALLER"


async def test_an_update_against_an_old_state_is_refused(tenant, account):
    """
    Of two changes made from the same state the second is refused.
    """
    request = pb.UpdateServiceAccountRequest(
        service_account_id=account.service_account_id, roles=["auditor"], description="new", etag=account.etag
    )
    changed = (await tenant.admin.UpdateServiceAccount(request)).service_account
    fault = await fault_of(tenant.admin.UpdateServiceAccount(request))

    assert (changed.description, changed.etag) == ("new", "2")
    assert (type(fault), fault.reason) == (Conflict, "ETAG_MISMATCH")


async def test_a_deletion_against_an_old_state_is_refused(tenant, account):
    """
    Who did not see the present state does not delete it; without an etag it goes, and twice is no error.
    """
    gone = pb.DeleteServiceAccountRequest(service_account_id=account.service_account_id)
    old = pb.DeleteServiceAccountRequest(service_account_id=account.service_account_id, etag="0")
    fault = await fault_of(tenant.admin.DeleteServiceAccount(old))
    await tenant.admin.DeleteServiceAccount(gone)
    await tenant.admin.DeleteServiceAccount(gone)

    assert fault.reason == "ETAG_MISMATCH"


async def test_the_life_of_an_account_is_in_the_trail(tenant, account, database):
    """
    Which account it is, what it was before and what it is after, though no event tells of it.
    """
    named = {"service_account_id": account.service_account_id}
    await tenant.admin.UpdateServiceAccount(
        pb.UpdateServiceAccountRequest(roles=["security_viewer"], is_disabled=True, **named)
    )
    await tenant.admin.DeleteServiceAccount(pb.DeleteServiceAccountRequest(**named))
    sql = "select body from outbox where tenant_id = %s and subject = 'isthmus.audit' order by position"
    told = [json.loads(body) for (body,) in database.execute(sql, [tenant.tenant_id]).fetchall()][-3:]
    changes = [json.loads(one["details"]) for one in told]

    assert {account.service_account_id} == {target for one in told for target in one["targets"]}
    roles = [
        [state["roles"] for state in change.get(when, [])]
        for change in changes
        for when in ("before", "after")
    ]
    assert roles == [[], [["auditor"]], [["auditor"]], [["security_viewer"]], [["security_viewer"]], []]


async def test_accounts_of_other_tenants_do_not_exist(other, account):
    """
    Reading, changing and keying another tenant's account finds nothing; deleting it has no effect.
    """
    stub, its_id = other.admin, {"service_account_id": account.service_account_id}
    calls = [
        stub.GetServiceAccount(pb.GetServiceAccountRequest(**its_id)),
        stub.UpdateServiceAccount(pb.UpdateServiceAccountRequest(roles=["auditor"], **its_id)),
        stub.CreateApiKey(pb.CreateApiKeyRequest(name="k", **its_id)),
    ]
    await stub.DeleteServiceAccount(pb.DeleteServiceAccountRequest(**its_id))

    assert {(await fault_of(call)).reason for call in calls} == {"SERVICE_ACCOUNT_UNKNOWN"}
    assert [
        row.name for row in (await stub.ListServiceAccounts(pb.ListServiceAccountsRequest())).service_accounts
    ] == ["admin"]


async def test_accounts_of_other_tenants_survive(tenant, other, account):
    """
    A deletion in one tenant leaves the account of another one alone.
    """
    request = pb.DeleteServiceAccountRequest(service_account_id=account.service_account_id)
    await other.admin.DeleteServiceAccount(request)
    listed = await tenant.admin.ListServiceAccounts(pb.ListServiceAccountsRequest())

    assert "robot" in [row.name for row in listed.service_accounts]


async def test_roles_are_listed_page_by_page(tenant):
    """
    Pages of three roles each, put together, are all built-in roles by name.
    """
    found, token = [], ""
    while not found or token:
        page = await tenant.admin.ListRoles(pb.ListRolesRequest(page_size=3, page_token=token))
        found += [role.role for role in page.roles]
        token = page.next_page_token

    assert found == sorted(found)
    assert {"tenant_admin", "auditor", "integration_admin"} <= set(found)
