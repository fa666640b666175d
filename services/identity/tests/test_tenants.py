"""Tenants over real gRPC, PostgreSQL and OpenBao."""

import asyncio

import pytest
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.resilience.faults import AlreadyExists, Conflict, FixRequest, Missing, NotAllowed

from .conftest import Callers, fault_of


async def test_bootstrap_makes_one_tenant_however_many_ask(running):
    """
    Ten launchers at once get one tenant, and one of them its administrator's key.
    """
    async with running("identity") as service:
        stub = Callers(service).mesh("identity.installation.bootstrap")
        answers = await asyncio.gather(*(stub.Bootstrap(pb.BootstrapRequest()) for _ in range(10)))

    assert len({answer.tenant.tenant_id for answer in answers}) == 1
    assert len([answer for answer in answers if answer.api_key]) == 1


async def test_the_first_administrator_may_create_tenants(running):
    """
    The key that bootstrap shows opens the installation; that of a further tenant does not.
    """
    async with running("identity") as service:
        callers = Callers(service)
        first = await callers.mesh().Bootstrap(pb.BootstrapRequest(tenant_name="acme"))
        second = await callers.key(first.api_key).CreateTenant(pb.CreateTenantRequest(name="globex"))
        refused = await fault_of(callers.key(second.api_key).CreateTenant(pb.CreateTenantRequest(name="x")))

    assert first.tenant.name == "acme"
    assert second.tenant.display_name == "globex"
    assert isinstance(refused, NotAllowed)


async def test_repeating_a_creation_shows_the_tenant_and_not_the_key(callers):
    """
    The same request id gives the same tenant; its key was shown to the first call only.
    """
    request = pb.CreateTenantRequest(name="twice", request_id="r1")
    first = await callers.mesh().CreateTenant(request)
    again = await callers.mesh().CreateTenant(request)

    assert again.tenant == first.tenant
    assert (bool(first.api_key), again.api_key) == (True, "")


async def test_a_request_id_belongs_to_one_request(callers):
    """
    The same request id with another tenant's name is refused.
    """
    await callers.mesh().CreateTenant(pb.CreateTenantRequest(name="once-a", request_id="r2"))
    fault = await fault_of(
        callers.mesh().CreateTenant(pb.CreateTenantRequest(name="once-b", request_id="r2"))
    )

    assert (type(fault), fault.reason) == (Conflict, "REQUEST_ID_REUSED")


async def test_tenant_names_are_unique(callers, tenant):
    """
    A second tenant of the same name is refused, with the field to change.
    """
    fault = await fault_of(callers.mesh().CreateTenant(pb.CreateTenantRequest(name=tenant.name)))

    assert (type(fault), fault.reason, fault.path) == (AlreadyExists, "TENANT_NAME_TAKEN", "name")


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "ä", "a" * 64, "a\n", "*"])
async def test_names_that_fit_nowhere_are_refused(callers, name):
    """
    Tenant names go into subjects and paths, so they are plain.
    """
    fault = await fault_of(callers.mesh().CreateTenant(pb.CreateTenantRequest(name=name)))

    assert (type(fault), fault.reason) == (FixRequest, "FIELD_INVALID")


async def test_a_tenant_sees_itself_only(tenant, other):
    """
    Whoever administers a tenant finds its own and no other one.
    """
    own = await tenant.admin.GetTenant(pb.GetTenantRequest())
    listed = await tenant.admin.ListTenants(pb.ListTenantsRequest())
    fault = await fault_of(tenant.admin.GetTenant(pb.GetTenantRequest(tenant_id=other.tenant_id)))

    assert own.tenant.tenant_id == tenant.tenant_id
    assert [found.tenant_id for found in listed.tenants] == [tenant.tenant_id]
    assert (type(fault), fault.reason) == (Missing, "TENANT_UNKNOWN")


async def test_the_installation_sees_all_tenants_page_by_page(callers, tenant, other):
    """
    Pages of one tenant each, put together, are all tenants, oldest first.
    """
    stub, found, token = callers.mesh(), [], ""
    while not found or token:
        page = await stub.ListTenants(pb.ListTenantsRequest(page_size=1, page_token=token))
        found += [row.tenant_id for row in page.tenants]
        token = page.next_page_token

    assert {tenant.tenant_id, other.tenant_id} <= set(found)
    assert found == sorted(found)


async def test_tokens_of_other_lists_are_refused(callers):
    """
    A page token that this list did not issue leads nowhere.
    """
    fault = await fault_of(callers.mesh().ListTenants(pb.ListTenantsRequest(page_token="nonsense")))

    assert (type(fault), fault.reason) == (FixRequest, "PAGE_TOKEN_INVALID")
