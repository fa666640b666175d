"""Groups, roles of a tenant's own and the second factor, over real gRPC, PostgreSQL and vault."""

import asyncio
import uuid

import grpc
import pyotp
import pytest
from isthmus.identity.v1 import access_pb2, access_pb2_grpc, sessions_pb2, users_pb2
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.resilience.faults import (
    AlreadyExists,
    FixRequest,
    LimitReached,
    Missing,
    NotAllowed,
    NotAuthenticated,
    Precondition,
)
from isthmus.testing.waiting import waiting_for

from .conftest import fault_of
from .test_users import PASSWORD, People


@pytest.fixture
def people(callers, tenant):
    return People(callers, tenant)


@pytest.fixture
def access(callers, tenant):
    return access_pb2_grpc.AccessServiceStub(callers.service.channel(api_key=tenant.api_key))


def group(*roles, **more):
    return access_pb2.CreateGroupRequest(name=f"g-{uuid.uuid4().hex[:8]}", roles=roles, **more)


def role(*permissions, name="reader"):
    return access_pb2.CreateRoleRequest(name=name, permissions=permissions)


async def until(people, token, permission, *, held):
    """Wait until a user has a permission, or has it no more."""
    async with waiting_for("the permission to change"):
        while (permission in (await people.me(token)).caller.permissions) != held:
            await asyncio.sleep(0.05)


async def test_members_of_a_group_have_its_roles(people, access):
    """
    Who comes into a group has its roles within moments, who leaves it has not.
    """
    user = await people.create()
    token = (await people.login(user)).access_token
    made = (await access.CreateGroup(group("auditor"))).group
    members = {"group_id": made.group_id, "user_ids": [user.user_id]}

    assert (await access.AddGroupMembers(access_pb2.AddGroupMembersRequest(**members))).added_count == 1
    assert (await access.AddGroupMembers(access_pb2.AddGroupMembersRequest(**members))).added_count == 0
    await until(people, token, "registry.*.read", held=True)
    await access.RemoveGroupMembers(access_pb2.RemoveGroupMembersRequest(**members))
    await until(people, token, "registry.*.read", held=False)


async def test_a_role_of_ones_own_holds_for_keys_and_people(people, access, tenant, callers):
    """
    What the role allows is allowed to its holders, what it says later as well.
    """
    made = (await access.CreateRole(role("registry.instances.read"))).role
    account = await tenant.admin.CreateServiceAccount(
        pb.CreateServiceAccountRequest(name="x", roles=["reader"])
    )
    its_id = account.service_account.service_account_id
    key = await tenant.admin.CreateApiKey(pb.CreateApiKeyRequest(service_account_id=its_id, name="k"))
    token = (await people.login(await people.create("reader"))).access_token

    assert set((await people.me(key.api_key)).caller.permissions) == {"registry.instances.read"}
    changed = access_pb2.UpdateRoleRequest(role="reader", permissions=["registry.*.read"], etag=made.etag)
    await access.UpdateRole(changed)
    await until(people, token, "registry.*.read", held=True)
    assert (await fault_of(access.UpdateRole(changed))).reason == "ETAG_MISMATCH"
    in_use = await fault_of(access.DeleteRole(access_pb2.DeleteRoleRequest(role="reader")))
    assert (type(in_use), in_use.reason) == (Precondition, "ROLE_IN_USE")
    listed = await tenant.admin.ListRoles(pb.ListRolesRequest(page_size=1000))
    assert (listed.roles[-1].role, listed.roles[-1].is_built_in) == ("reader", False)


@pytest.mark.parametrize(
    "pattern",
    ["*", "registry.instances", "registry.instance.read", "connector.records.read", "a b.c.d"],
)
async def test_patterns_without_meaning_or_beyond_the_tenant_are_refused(access, pattern):
    """
    A role names permissions that calls ask for, and none of the mesh's own.
    """
    fault = await fault_of(access.CreateRole(role(pattern)))

    assert (type(fault), fault.violations[0].reason) == (FixRequest, "PERMISSION_UNKNOWN")


async def test_nobody_gives_by_groups_and_roles_what_he_does_not_have(people, access, callers):
    """
    Neither a group, nor a membership, nor a role of one's own is a way to more.
    """
    powerful = (await access.CreateGroup(group("tenant_admin"))).group
    clerk = await people.create("security_admin")
    token = (await people.login(clerk)).access_token
    own = access_pb2_grpc.AccessServiceStub(callers.service.channel(api_key=token))
    mine = (await own.CreateGroup(group("security_viewer"))).group
    ways = [
        own.CreateGroup(group("tenant_admin")),
        own.UpdateGroup(access_pb2.UpdateGroupRequest(group_id=mine.group_id, roles=["tenant_admin"])),
        own.AddGroupMembers(
            access_pb2.AddGroupMembersRequest(group_id=powerful.group_id, user_ids=[clerk.user_id])
        ),
        own.CreateRole(role("registry.instances.delete")),
    ]

    faults = [await fault_of(way) for way in ways]

    assert {(type(fault), fault.reason) for fault in faults} == {(NotAllowed, "ROLE_EXCEEDS_CALLER")}


async def test_names_are_taken_once_and_built_in_ones_never(access):
    """
    A second group or role of one name, and one like a built-in role, are refused.
    """
    request = group()
    await access.CreateGroup(request)
    await access.CreateRole(role("registry.instances.read", name="twice"))
    again = [access.CreateGroup(request), access.CreateRole(role("registry.instances.read", name="twice"))]

    assert {type(await fault_of(call)) for call in again} == {AlreadyExists}
    assert isinstance(
        await fault_of(access.CreateRole(role("registry.instances.read", name="auditor"))), FixRequest
    )


async def test_members_of_other_tenants_do_not_exist(access, other, callers):
    """
    Nobody from elsewhere comes into a group.
    """
    elsewhere = await People(callers, other).create()
    made = (await access.CreateGroup(group())).group
    request = access_pb2.AddGroupMembersRequest(group_id=made.group_id, user_ids=[elsewhere.user_id])
    fault = await fault_of(access.AddGroupMembers(request))

    assert (type(fault), fault.reason) == (Missing, "MEMBER_UNKNOWN")


async def enrolled(people):
    """Make a user with a second factor; return it, its authenticator and its recovery codes."""
    user = await people.create()
    own = people.own((await people.login(user)).access_token)
    totp = pyotp.TOTP((await own.EnrollTotp(sessions_pb2.EnrollTotpRequest())).secret)
    answer = await own.ConfirmTotp(sessions_pb2.ConfirmTotpRequest(code=totp.now()))
    return user, totp, answer.recovery_codes


def next_code(totp):
    """A code of the step after the present one, which clocks may be ahead by."""
    import time

    return totp.at(int(time.time()) + 30)


async def test_a_second_factor_is_asked_for_and_works_once(people):
    """
    The password alone opens no longer; a code opens once, the one of the confirmation not even that.
    """
    user, totp, _ = await enrolled(people)
    code = next_code(totp)
    without = await fault_of(people.login(user))
    inside = await people.login(user, code=code)
    again = await fault_of(people.login(user, code=code))

    assert (type(without), without.reason) == (NotAuthenticated, "SECOND_FACTOR_REQUIRED")
    assert list(inside.session.methods) == ["pwd", "otp"]
    assert (type(again), again.reason) == (NotAuthenticated, "LOGIN_REFUSED")


async def test_each_recovery_code_opens_once(people):
    """
    Ten codes for a lost authenticator, each good for one login.
    """
    user, _, codes = await enrolled(people)
    inside = await people.login(user, code=codes[3])
    again = await fault_of(people.login(user, code=codes[3]))

    assert (len(set(codes)), list(inside.session.methods)) == (10, ["pwd", "recovery"])
    assert again.reason == "LOGIN_REFUSED"
    assert (await people.login(user, code=codes[4])).access_token


async def test_codes_are_not_guessed(people):
    """
    Wrong codes lock the door, also when right passwords without a code come in between.
    """
    user, _, _ = await enrolled(people)
    async with waiting_for("the lock"):
        for _ in range(12):
            with pytest.raises(grpc.RpcError):
                await people.login(user)
            fault = await fault_of(people.login(user, code="000000"))
            if isinstance(fault, LimitReached):
                break

    assert fault.reason == "LOGIN_LOCKED"


async def test_a_lost_second_factor_is_removed_by_an_administrator_or_with_a_code(people):
    """
    Afterwards the password is enough again.
    """
    lost, _, _ = await enrolled(people)
    await people.users.ResetSecondFactor(users_pb2.ResetSecondFactorRequest(user_id=lost.user_id))
    tired, totp, codes = await enrolled(people)
    own = people.own((await people.login(tired, code=next_code(totp))).access_token)
    wrong = await fault_of(own.RemoveTotp(sessions_pb2.RemoveTotpRequest(code="000000")))
    await own.RemoveTotp(sessions_pb2.RemoveTotpRequest(code=codes[0]))

    assert wrong.reason == "CODE_REFUSED"
    assert (await people.login(lost)).access_token
    assert (await people.login(tired, PASSWORD)).access_token
