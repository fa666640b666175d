"""Services run inside the test with real back ends and made-up callers."""

import asyncio

import grpc
import pytest
from isthmus.identity.v1 import identity_pb2, identity_pb2_grpc
from isthmus.kit import Wiring, current_principal


class WhoAmI(identity_pb2_grpc.IdentityServiceServicer):
    async def GetCaller(self, request, context):
        principal = current_principal()
        caller = identity_pb2.Caller(subject=principal.subject, tenant_id=principal.tenant_id)
        return identity_pb2.GetCallerResponse(caller=caller)


async def wire(chassis):
    return Wiring(servicers=[(identity_pb2_grpc.add_IdentityServiceServicer_to_server, WhoAmI())])


async def _caller(channel):
    response = await identity_pb2_grpc.IdentityServiceStub(channel).GetCaller(identity_pb2.GetCallerRequest())
    return response.caller


@pytest.fixture(scope="module")
async def service(running):
    async with running("gateway", wire=wire, with_vault=False) as service:
        yield service


async def test_tenant_comes_from_the_made_up_key(service):
    """
    A channel for a tenant calls as a service account of that tenant.
    """
    caller = await _caller(service.channel(tenant="tnt_x"))

    assert (caller.subject, caller.tenant_id) == ("service_account:svc_test", "tnt_x")


async def test_mesh_channel_acts_for_a_tenant(service):
    """
    A channel of the mesh carries the tenant in whose name it acts.
    """
    caller = await _caller(service.channel(tenant="tnt_x", mesh=True, subject="service:files"))

    assert (caller.subject, caller.tenant_id) == ("service:files", "tnt_x")


@pytest.mark.parametrize("identity", [{"anonymous": True}, {"api_key": f"ist_unknown_{'0' * 64}"}])
async def test_strangers_are_refused(service, identity):
    """
    No identity and an unknown one are both turned away.
    """
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await _caller(service.channel(**identity))

    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_permissions_are_those_of_the_channel(service):
    """
    An RPC that asks for more than the caller may is refused.
    """
    channel = service.channel(tenant="tnt_x", permissions=["identity.tenants.read"])
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await identity_pb2_grpc.IdentityServiceStub(channel).ListRoles(identity_pb2.ListRolesRequest())

    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_services_that_cannot_start_raise_at_once(open_mesh):
    """
    What goes wrong while wiring is the test's error, not a time-out.
    """

    async def broken(chassis):
        raise ValueError("no such thing")

    async with open_mesh() as mesh:
        with pytest.raises(ValueError, match="no such thing"):
            await asyncio.wait_for(mesh.start("gateway", wire=broken), 30)
