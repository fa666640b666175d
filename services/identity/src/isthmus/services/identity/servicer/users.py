"""The RPCs of `UsersService`."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from isthmus.identity.v1 import users_pb2 as pb
from isthmus.identity.v1 import users_pb2_grpc as pb_grpc
from isthmus.kit import Clock, Page, PageRequest, check_etag, current_principal, new_id, once
from isthmus.kit.deed import tell
from isthmus.kit.quotas import check_room
from isthmus.services.identity.domain import (
    User,
    check_within,
    made_up_password,
    user_name,
)
from isthmus.services.identity.login import Door
from isthmus.services.identity.messages import user_message
from isthmus.services.identity.passwords import Passwords
from isthmus.services.identity.second_factor import SecondFactor
from isthmus.services.identity.servicer import checks
from isthmus.services.identity.servicer.access import grant
from isthmus.services.identity.store import People, Roles, Rows, Store
from isthmus.services.identity.tells import Tells


class UsersServicer(pb_grpc.UsersServiceServicer):
    """Keeps the people of tenants."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        second_factor: SecondFactor,
        *,
        door: Door,
        events: Tells,
        clock: Clock,
    ) -> None:
        self._store = store
        self._second_factor = second_factor
        self._passwords = passwords
        self._door = door
        self._events = events
        self._clock = clock

    async def CreateUser(self, request: pb.CreateUserRequest, context: Any) -> pb.CreateUserResponse:
        """Make a user; a made-up password is shown to the first call with this request id only."""
        checks.new_user(request)
        caller = current_principal()
        made_up = "" if request.password or request.without_password else made_up_password()
        password = request.password or made_up
        hashed = await self._passwords.hash(password) if password else None
        shown = ""

        async def produce() -> pb.CreateUserResponse:
            nonlocal shown
            now = self._clock.now()
            user = User(
                tenant_id=caller.tenant_id,
                user_id=new_id("usr"),
                name=user_name(request.name),
                display_name=request.display_name or request.name,
                email=request.email,
                external_id=request.external_id,
                roles=tuple(dict.fromkeys(request.roles)),
                is_disabled=False,
                password_hash=hashed,
                must_change_password=bool(made_up),
                created_by=caller.subject,
                create_time=now,
                update_time=now,
            )
            await check_room(rows.conn, "users", caller.quotas.users, "users")
            await People(rows.conn).add(user)
            await self._events.user(rows.conn, "created", user, caller.subject)
            shown = made_up
            return pb.CreateUserResponse(user=user_message(user))

        async with self._own() as rows:
            await grant(rows, request.roles)
            response = await once(rows.conn, "CreateUser", request, produce, pb.CreateUserResponse)
        response.password = shown
        return response

    async def GetUser(self, request: pb.GetUserRequest, context: Any) -> pb.GetUserResponse:
        """Read a user."""
        async with self._own() as rows:
            return pb.GetUserResponse(user=user_message(await People(rows.conn).get(request.user_id)))

    async def ListUsers(self, request: pb.ListUsersRequest, context: Any) -> pb.ListUsersResponse:
        """List users."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            found = await People(rows.conn).page(page, user_name(request.user_name))
        shown = Page.of(found, page, lambda row: {"id": row.user_id})
        return pb.ListUsersResponse(users=map(user_message, shown.items), next_page_token=shown.next_token)

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Any) -> pb.UpdateUserResponse:
        """Replace what may change of a user."""
        checks.changed_user(request)
        caller = current_principal()
        async with self._own() as rows:
            people = People(rows.conn)
            user = await people.get(request.user_id, lock=True)
            check_etag(request.etag, user.revision)
            tell(before=user_message(user))
            await grant(rows, {*request.roles} - {*user.roles})
            changed = replace(
                user,
                display_name=request.display_name or user.name,
                email=request.email,
                external_id=request.external_id,
                roles=tuple(dict.fromkeys(request.roles)),
                is_disabled=request.is_disabled,
                update_time=self._clock.now(),
            )
            stored = await people.save(changed)
            if stored.is_disabled:
                await self._door.end(rows, "user_disabled", caller.subject, user_id=user.user_id)
            await self._events.user(rows.conn, "updated", stored, caller.subject)
        return pb.UpdateUserResponse(user=user_message(stored))

    async def DeleteUser(self, request: pb.DeleteUserRequest, context: Any) -> pb.DeleteUserResponse:
        """Delete a user with all sessions."""
        async with self._own() as rows:
            people = People(rows.conn)
            user = await people.find(request.user_id, lock=True)
            if user is not None:
                check_etag(request.etag, user.revision)
                tell(before=user_message(user))
                await people.remove(user)
                if user.has_second_factor:
                    await self._second_factor.forget(user)
                await self._events.user(rows.conn, "deleted", user, current_principal().subject)
        return pb.DeleteUserResponse()

    async def ResetPassword(self, request: pb.ResetPasswordRequest, context: Any) -> pb.ResetPasswordResponse:
        """Give a user another password."""
        caller = current_principal()
        async with self._own() as rows:
            user = await People(rows.conn).get(request.user_id)
            await _refuse_takeover(rows, user)
        if request.password:
            checks.password("password", request.password, user.name)
        made_up = "" if request.password else made_up_password()
        hashed = await self._passwords.hash(request.password or made_up)
        async with self._own() as rows:
            stored = await self._door.set_password(
                rows, user.user_id, hashed, caller.subject, must_change=True
            )
        return pb.ResetPasswordResponse(user=user_message(stored), password=made_up)

    async def ResetSecondFactor(
        self, request: pb.ResetSecondFactorRequest, context: Any
    ) -> pb.ResetSecondFactorResponse:
        """Remove a user's second factor."""
        subject = current_principal().subject
        async with self._own() as rows:
            user = await People(rows.conn).get(request.user_id, lock=True)
            await _refuse_takeover(rows, user)
            stored = await self._second_factor.remove(rows, user, subject)
            await self._door.end(rows, "ended", subject, user_id=user.user_id)
        return pb.ResetSecondFactorResponse(user=user_message(stored))

    def _own(self) -> AbstractAsyncContextManager[Rows]:
        return self._store.of(current_principal().tenant_id)


async def _refuse_takeover(rows: Rows, user: User) -> None:
    """Refuse to give somebody the means to act as a user who may do more."""
    held = await Roles(rows.conn).held(user.tenant_id, user.subject, user.roles)
    check_within(held.permissions, current_principal().may, f"You cannot take over `{user.name}`")


__all__ = ["UsersServicer"]
