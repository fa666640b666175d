"""Access for a while, over real gRPC, PostgreSQL and vault: asked for, granted, used and over."""

import json
import time

import pytest
from google.protobuf.duration_pb2 import Duration
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.identity.v1 import sessions_pb2, support_pb2, support_pb2_grpc, users_pb2, users_pb2_grpc
from isthmus.resilience.faults import FixRequest, Missing, NotAllowed, Precondition

from .conftest import fault_of
from .test_users import People

State = support_pb2.SupportAccess.State


class Desk:
    """Somebody of one tenant who supports, and another tenant that decides."""

    def __init__(self, callers, home, host):
        self.callers = callers
        self.home = People(callers, home)
        self.host = host
        self.deciding = self.stub(host.api_key)

    def stub(self, credential):
        return support_pb2_grpc.SupportServiceStub(self.callers.service.channel(api_key=credential))

    async def engineer(self):
        """Let a user log in to whom the installation's administrator gave the role; return the token."""
        made = await self.home.create()
        channel = self.callers.service.channel(self.home.tenant.tenant_id, ("*",), mesh=True)
        update = users_pb2.UpdateUserRequest(user_id=made.user_id, roles=["support_engineer"])
        self.user = (await users_pb2_grpc.UsersServiceStub(channel).UpdateUser(update)).user
        return (await self.home.login(self.user)).access_token

    async def ask(self, token, seconds=600, roles=(), reason="evidence stands still"):
        request = support_pb2.RequestSupportAccessRequest(
            tenant_name=self.host.name, reason=reason, duration=Duration(seconds=seconds), roles=roles
        )
        return (await self.stub(token).RequestSupportAccess(request)).support_access

    async def approve(self, access, stub=None):
        request = support_pb2.ApproveSupportAccessRequest(support_access_id=access.support_access_id)
        return (await (stub or self.deciding).ApproveSupportAccess(request)).support_access

    async def open(self, token, access):
        request = support_pb2.OpenSupportAccessRequest(support_access_id=access.support_access_id)
        return await self.stub(token).OpenSupportAccess(request)

    async def revoke(self, access):
        request = support_pb2.RevokeSupportAccessRequest(support_access_id=access.support_access_id)
        return (await self.deciding.RevokeSupportAccess(request)).support_access


@pytest.fixture
def desk(callers, tenant, other):
    return Desk(callers, tenant, other)


async def test_whoever_is_granted_access_is_in_the_other_tenant_for_a_while(desk):
    """
    Asked for by one, granted by another, used under the guest's own name, read-only unless said otherwise.
    """
    token = await desk.engineer()
    asked = await desk.ask(token)
    early = await fault_of(desk.open(token, asked))
    granted = await desk.approve(asked)
    opened = await desk.open(token, asked)
    guest = (await desk.home.me(opened.access_token)).caller
    mine = await desk.stub(token).ListMySupportAccesses(support_pb2.ListMySupportAccessesRequest())
    theirs = await desk.deciding.ListSupportAccesses(support_pb2.ListSupportAccessesRequest())

    assert (type(early), early.reason) == (Precondition, "SUPPORT_ACCESS_NOT_OPEN")
    assert (asked.state, granted.state) == (State.STATE_REQUESTED, State.STATE_APPROVED)
    assert granted.expire_time.seconds - granted.decide_time.seconds == 600
    assert (guest.tenant_id, guest.subject) == (desk.host.tenant_id, asked.requester)
    assert guest.support_access_id == asked.support_access_id
    assert {pattern.rpartition(".")[2] for pattern in guest.permissions} == {"read"}
    assert list(mine.support_accesses) == list(theirs.support_accesses) == [granted]


async def test_an_access_ends_to_the_second(desk, database):
    """
    Nobody has to end it, and no call comes through after its time.
    """
    token = await desk.engineer()
    granted = await desk.approve(await desk.ask(token))
    opened = await desk.open(token, granted)
    end = time.time() + 2
    sql = "update support_accesses set expire_time = to_timestamp(%s) where support_access_id = %s"
    database.execute(sql, [end, granted.support_access_id])

    assert await desk.home.shut_out(opened.access_token) <= end
    assert (await fault_of(desk.open(token, granted))).reason == "SUPPORT_ACCESS_NOT_OPEN"


async def test_a_revoked_access_is_over_within_a_second(desk):
    """
    Also for a token that is in use; revoking twice is no error.
    """
    token = await desk.engineer()
    granted = await desk.approve(await desk.ask(token))
    opened = await desk.open(token, granted)
    await desk.home.me(opened.access_token)
    ended = await desk.revoke(granted)
    revoked = time.time()
    last = await desk.home.shut_out(opened.access_token)

    assert last < revoked + 1
    assert (ended.state, ended.ended_by != "") == (State.STATE_REVOKED, True)
    assert (await desk.revoke(granted)).end_time == ended.end_time


@pytest.mark.parametrize("end", ["logout", "disable"])
async def test_who_is_no_longer_in_at_home_is_no_guest(desk, end):
    """
    The end of the session in which the token was asked for, and of the account, is the end of the guest.
    """
    token = await desk.engineer()
    opened = await desk.open(token, await desk.approve(await desk.ask(token)))
    await desk.home.me(opened.access_token)
    if end == "logout":
        await desk.home.own(token).Logout(sessions_pb2.LogoutRequest())
    else:
        update = users_pb2.UpdateUserRequest(user_id=desk.user.user_id, is_disabled=True)
        await desk.home.users.UpdateUser(update)

    await desk.home.shut_out(opened.access_token)


async def test_nobody_grants_himself_anything(desk):
    """
    Not the one who has asked, not for more than the granter has, and never what lets people in.
    """
    own = desk.stub(desk.host.api_key)
    mine = (await own.RequestOwnAccess(support_pb2.RequestOwnAccessRequest(reason="x"))).support_access
    alone = await fault_of(desk.approve(mine))
    admitting = support_pb2.RequestOwnAccessRequest(reason="x", roles=["tenant_admin"])
    beyond = await fault_of(own.RequestOwnAccess(admitting))
    token = await desk.engineer()
    asked = await desk.ask(token, roles=["integration_admin"])
    guest = People(desk.callers, desk.host)
    weak = (await guest.login(await guest.create("security_admin"))).access_token

    assert (type(alone), alone.reason) == (NotAllowed, "SUPPORT_ACCESS_OWN")
    assert (type(beyond), beyond.reason) == (NotAllowed, "ROLE_NOT_FOR_SUPPORT")
    assert (await fault_of(desk.approve(asked, desk.stub(weak)))).reason == "ROLE_EXCEEDS_CALLER"


async def test_a_guest_lets_nobody_in(desk):
    """
    Neither himself for longer, nor others; whatever a role of the tenant's own says meanwhile.
    """
    token = await desk.engineer()
    granted = await desk.approve(await desk.ask(token, roles=["auditor", "integration_admin"]))
    guest = (await desk.open(token, granted)).access_token
    stub = desk.callers.key(guest)
    making = pb.CreateServiceAccountRequest(name="back-door", roles=["auditor"])
    again = await fault_of(desk.open(guest, granted))

    assert (await fault_of(stub.CreateServiceAccount(making))).reason == "PERMISSION_MISSING"
    assert (await fault_of(desk.approve(granted, desk.stub(guest)))).reason == "PERMISSION_MISSING"
    assert again.reason == "SUPPORT_NOT_FOR_PROCESSES"
    assert (await stub.ListServiceAccounts(pb.ListServiceAccountsRequest())).service_accounts


async def test_what_is_decided_stays_so(desk):
    """
    A refused request is refused, with what the refuser said.
    """
    asked = await desk.ask(await desk.engineer())
    request = support_pb2.RefuseSupportAccessRequest(
        support_access_id=asked.support_access_id, reason="call first"
    )
    refused = (await desk.deciding.RefuseSupportAccess(request)).support_access
    late = await fault_of(desk.approve(asked))

    assert (refused.state, refused.refusal) == (State.STATE_REFUSED, "call first")
    assert (type(late), late.reason) == (Precondition, "SUPPORT_ACCESS_DECIDED")


async def test_access_is_asked_for_with_a_reason_and_not_for_ever(desk):
    """
    Unknown tenants and roles are told, and a tenant's administrator does not ask others.
    """
    token = await desk.engineer()
    wrong = [await fault_of(desk.ask(token, seconds=9 * 3600)), await fault_of(desk.ask(token, reason=" "))]
    unknown = await fault_of(desk.ask(token, roles=["nobody"]))
    stranger = await fault_of(desk.ask(desk.home.tenant.api_key))
    desk.host.name = "no-such-tenant"

    assert {type(fault) for fault in wrong} == {FixRequest}
    assert (type(unknown), unknown.reason) == (Missing, "ROLE_UNKNOWN")
    assert stranger.reason == "PERMISSION_MISSING"
    assert (await fault_of(desk.ask(token))).reason == "TENANT_UNKNOWN"


async def test_everything_is_in_the_trail_of_the_tenant(desk, database):
    """
    Asking, granting, opening and each call under the access, reading too, are told to the host and name it.
    """
    token = await desk.engineer()
    granted = await desk.approve(await desk.ask(token))
    guest = (await desk.open(token, granted)).access_token
    await desk.callers.key(guest).ListTenants(pb.ListTenantsRequest())
    await fault_of(desk.callers.key(guest).ListServiceAccounts(pb.ListServiceAccountsRequest()))
    sql = "select body from outbox where tenant_id = %s and subject = 'isthmus.audit' order by position"
    told = [json.loads(body) for (body,) in database.execute(sql, [desk.host.tenant_id]).fetchall()]
    named = [one for one in told if granted.support_access_id in one["targets"]]
    under = [one for one in told if json.loads(one["details"]).get("support_access")]

    assert [one["method"].rpartition("/")[2] for one in named] == [
        "RequestSupportAccess",
        "ApproveSupportAccess",
        "OpenSupportAccess",
        "ListTenants",
        "ListServiceAccounts",
    ]
    assert [(one["subject"], one["kind"], one["outcome"]) for one in under] == [
        (granted.requester, "access", "OK"),
        (granted.requester, "access", "PERMISSION_DENIED"),
    ]
