"""People over real gRPC, PostgreSQL and vault: who they are, how they come in, stay and leave."""

import asyncio
import time
import uuid

import grpc
import pytest
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.identity.v1 import sessions_pb2, sessions_pb2_grpc, users_pb2, users_pb2_grpc
from isthmus.resilience.faults import (
    AlreadyExists,
    FixRequest,
    LimitReached,
    NotAllowed,
    NotAuthenticated,
    Precondition,
)
from isthmus.testing.waiting import waiting_for

from .conftest import fault_of

PASSWORD = "correct horse battery"
ME = pb.GetCallerRequest()


class People:
    """A tenant's users as its administrator sees them, and the door as everybody does."""

    def __init__(self, callers, tenant):
        self.callers = callers
        self.tenant = tenant
        channel = callers.service.channel(api_key=tenant.api_key)
        self.users = users_pb2_grpc.UsersServiceStub(channel)
        self.sessions = sessions_pb2_grpc.SessionsServiceStub(channel)
        self.door = sessions_pb2_grpc.SessionsServiceStub(callers.service.channel(anonymous=True))

    async def create(self, *roles, password=PASSWORD, **more):
        name = f"ann-{uuid.uuid4().hex[:8]}"
        request = users_pb2.CreateUserRequest(name=name, roles=roles, password=password, **more)
        return (await self.users.CreateUser(request)).user

    def login(self, user, password=PASSWORD, **more):
        request = sessions_pb2.LoginRequest(
            tenant_name=self.tenant.name, user_name=user.name, password=password, **more
        )
        return self.door.Login(request)

    def refresh(self, token):
        return self.door.RefreshSession(sessions_pb2.RefreshSessionRequest(refresh_token=token))

    def me(self, access_token):
        return self.callers.key(access_token).GetCaller(ME)

    def own(self, access_token):
        return sessions_pb2_grpc.SessionsServiceStub(self.callers.service.channel(api_key=access_token))

    async def shut_out(self, access_token):
        """Wait until a token is refused; return when the last call that was let in began."""
        stub, last = self.callers.key(access_token), 0.0
        async with waiting_for("the token to be refused"):
            while True:
                begun = time.time()
                try:
                    await stub.GetCaller(ME)
                except grpc.RpcError:
                    return last
                last = begun
                await asyncio.sleep(0.02)


@pytest.fixture
def people(callers, tenant):
    return People(callers, tenant)


async def test_a_login_lets_a_user_in_with_the_roles_it_has(people):
    """
    The token says who calls, for which tenant, and what for.
    """
    user = await people.create("auditor")
    answer = await people.login(user)
    caller = (await people.me(answer.access_token)).caller

    assert (caller.subject, caller.kind) == (f"user:{user.user_id}", pb.Caller.KIND_USER)
    assert (caller.tenant_id, caller.session_id) == (people.tenant.tenant_id, answer.session.session_id)
    assert "registry.*.read" in caller.permissions


@pytest.mark.parametrize("wrong", ["password", "user", "tenant", "disabled"])
async def test_whatever_is_wrong_the_answer_is_the_same(people, wrong):
    """
    Nobody learns from a refusal which names there are.
    """
    user = await people.create()
    request = sessions_pb2.LoginRequest(
        tenant_name="no-such" if wrong == "tenant" else people.tenant.name,
        user_name="nobody" if wrong == "user" else user.name,
        password="something else entirely" if wrong == "password" else PASSWORD,
    )
    if wrong == "disabled":
        await people.users.UpdateUser(users_pb2.UpdateUserRequest(user_id=user.user_id, is_disabled=True))

    fault = await fault_of(people.door.Login(request))

    assert (type(fault), fault.reason) == (NotAuthenticated, "LOGIN_REFUSED")
    assert fault.message == "User name, password or code is wrong, or the user is disabled; try again."


async def test_guessing_locks_a_name_for_a_while(people, database):
    """
    After five wrong attempts even the right password has to wait, also under a name that nobody has.
    """
    user = await people.create()
    ghost = users_pb2.User(name=f"ghost-{uuid.uuid4().hex[:8]}")
    for name in (user, ghost):
        for _ in range(5):
            assert (await fault_of(people.login(name, "wrong wrong wrong"))).reason == "LOGIN_REFUSED"

    locked = [await fault_of(people.login(name)) for name in (user, ghost)]

    assert [(type(fault), fault.reason) for fault in locked] == [(LimitReached, "LOGIN_LOCKED")] * 2
    assert 0 < locked[0].retry_after <= 31
    # Strangers fill no trail, so a record may be left out; but none is in somebody else's.
    sql = "select body from outbox where subject = 'isthmus.audit' and tenant_id <> %s and body like %s"
    for name in (user, ghost):
        assert database.execute(sql, [people.tenant.tenant_id, f"%{name.name}%"]).fetchall() == []
    await people.users.ResetPassword(users_pb2.ResetPasswordRequest(user_id=user.user_id, password=PASSWORD))
    assert (await fault_of(people.login(user))).reason == "PASSWORD_CHANGE_REQUIRED"


async def test_a_made_up_password_has_to_be_changed(people):
    """
    What an administrator has seen opens nothing until the user has chosen another one.
    """
    made = await people.users.CreateUser(users_pb2.CreateUserRequest(name="bob"))
    fault = await fault_of(people.login(made.user, made.password))
    await people.login(made.user, made.password, new_password=PASSWORD)

    assert (type(fault), fault.reason) == (Precondition, "PASSWORD_CHANGE_REQUIRED")
    assert (await people.login(made.user)).access_token
    assert (await fault_of(people.login(made.user, made.password))).reason == "LOGIN_REFUSED"


async def test_a_refresh_token_works_once(people):
    """
    The second use of a refresh token ends the session, whoever was first.
    """
    answer = await people.login(await people.create())
    second = await people.refresh(answer.refresh_token)
    third = await people.refresh(second.refresh_token)
    await people.me(third.access_token)
    fault = await fault_of(people.refresh(second.refresh_token))

    assert (type(fault), fault.reason) == (NotAuthenticated, "SESSION_ENDED")
    assert (await fault_of(people.refresh(third.refresh_token))).reason == "SESSION_ENDED"
    await people.shut_out(third.access_token)
    ended = await people.sessions.ListSessions(sessions_pb2.ListSessionsRequest())
    assert ended.sessions[0].end_reason == sessions_pb2.Session.END_REASON_REFRESH_REUSED


async def test_of_two_equal_refreshes_at_once_one_wins(people):
    """
    A token that comes twice at the same moment buys one pair.
    """
    answer = await people.login(await people.create())
    tried = await asyncio.gather(
        *(people.refresh(answer.refresh_token) for _ in range(4)), return_exceptions=True
    )

    assert len([one for one in tried if not isinstance(one, grpc.RpcError)]) == 1


@pytest.mark.parametrize("way", ["logout", "ended", "disabled", "deleted", "reset"])
async def test_the_end_of_a_session_is_one_for_its_access_token(people, way):
    """
    A token in use a moment ago is refused within a second of the session's end, whatever ends it.
    """
    user = await people.create()
    answer = await people.login(user)
    await people.me(answer.access_token)
    end = {
        "logout": lambda: people.own(answer.access_token).Logout(sessions_pb2.LogoutRequest()),
        "ended": lambda: people.sessions.EndSession(
            sessions_pb2.EndSessionRequest(session_id=answer.session.session_id)
        ),
        "disabled": lambda: people.users.UpdateUser(
            users_pb2.UpdateUserRequest(user_id=user.user_id, is_disabled=True)
        ),
        "deleted": lambda: people.users.DeleteUser(users_pb2.DeleteUserRequest(user_id=user.user_id)),
        "reset": lambda: people.users.ResetPassword(users_pb2.ResetPasswordRequest(user_id=user.user_id)),
    }[way]
    await end()
    ended = time.time()

    assert await people.shut_out(answer.access_token) <= ended + 1.0
    assert (await fault_of(people.refresh(answer.refresh_token))).reason == "SESSION_ENDED"


async def test_a_changed_password_ends_all_other_sessions(people):
    """
    Who changes the password stays; whoever else is in with the old one goes.
    """
    user = await people.create()
    mine, other = await people.login(user), await people.login(user)
    change = sessions_pb2.ChangePasswordRequest(password=PASSWORD, new_password="another good password")
    await people.own(mine.access_token).ChangePassword(change)

    assert (await fault_of(people.refresh(other.refresh_token))).reason == "SESSION_ENDED"
    assert (await people.refresh(mine.refresh_token)).access_token
    assert (await people.login(user, "another good password")).access_token


async def test_keys_have_no_session(people):
    """
    A service account cannot log out, it has not logged in.
    """
    fault = await fault_of(people.sessions.Logout(sessions_pb2.LogoutRequest()))

    assert (type(fault), fault.reason) == (Precondition, "NOT_IN_SESSION")


async def test_keys_rotate_under_running_sessions(people, callers):
    """
    Tokens of the old key hold, new ones name the new key, and both are published.
    """
    user = await people.create()
    old = await people.login(user)
    rotate = sessions_pb2_grpc.SessionsServiceStub(callers.service.channel(mesh=True))
    kid = (await rotate.RotateSigningKeys(sessions_pb2.RotateSigningKeysRequest())).signing_kid
    new = await people.login(user)
    jwks = (await people.door.GetSigningKeys(sessions_pb2.GetSigningKeysRequest())).jwks

    await people.me(old.access_token)
    await people.me(new.access_token)
    assert kid in jwks
    assert '"d"' not in jwks


async def test_tokens_of_others_are_refused(people):
    """
    A token with a changed claim, without signature, or of the wrong type opens nothing.
    """
    token = (await people.login(await people.create())).access_token
    head, claims, signature = token.split(".")
    forged = [
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{head}.{claims[:-4]}AAAA.{signature}",
        f"e30.{claims}.x",
    ]

    assert {(await fault_of(people.me(one))).reason for one in forged} == {"CALLER_UNKNOWN"}


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaa", "x" * 257])
async def test_weak_passwords_are_refused(people, password):
    """
    Too short, too monotonous or too long.
    """
    fault = await fault_of(people.create(password=password))

    assert (type(fault), fault.violations[0].path) == (FixRequest, "password")


async def test_names_are_unique_whatever_the_case(people):
    """
    Ann and ann are one user.
    """
    user = await people.create()
    again = users_pb2.CreateUserRequest(name=user.name.upper(), password=PASSWORD)

    assert isinstance(await fault_of(people.users.CreateUser(again)), AlreadyExists)
    assert (await people.login(users_pb2.User(name=user.name.upper()))).access_token


async def test_nobody_takes_over_a_user_who_may_more(people, callers):
    """
    Who may reset passwords cannot become administrator by it.
    """
    boss = await people.create("tenant_admin")
    clerk = People(callers, people.tenant)
    token = (await people.login(await people.create("security_admin"))).access_token
    clerk.users = users_pb2_grpc.UsersServiceStub(callers.service.channel(api_key=token))

    reset = await fault_of(clerk.users.ResetPassword(users_pb2.ResetPasswordRequest(user_id=boss.user_id)))
    give = await fault_of(clerk.create("tenant_admin"))

    assert {(type(fault), fault.reason) for fault in (reset, give)} == {(NotAllowed, "ROLE_EXCEEDS_CALLER")}
