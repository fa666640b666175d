"""The RPCs of `SessionsService`."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from isthmus.identity.v1 import sessions_pb2 as pb
from isthmus.identity.v1 import sessions_pb2_grpc as pb_grpc
from isthmus.kit import Page, PageRequest, current_principal
from isthmus.kit.principal import current_client_address
from isthmus.services.identity.login import Door, Proof
from isthmus.services.identity.messages import session_message
from isthmus.services.identity.second_factor import SecondFactor
from isthmus.services.identity.servicer import checks
from isthmus.services.identity.signing import SigningKeys
from isthmus.services.identity.store import People, Rows, Sessions, Store


class SessionsServicer(pb_grpc.SessionsServiceServicer):
    """Lets people in and shows them out."""

    def __init__(self, store: Store, door: Door, second_factor: SecondFactor, signing: SigningKeys) -> None:
        self._second_factor = second_factor
        self._store = store
        self._door = door
        self._signing = signing

    async def Login(self, request: pb.LoginRequest, context: Any) -> pb.LoginResponse:
        """Begin a session."""
        checks.login(request)
        proof = Proof(
            tenant_name=request.tenant_name,
            user_name=request.user_name,
            password=request.password,
            new_password=request.new_password,
            code=request.code,
            client_address=current_client_address(),
        )
        tokens, session = await self._door.login(proof)
        return pb.LoginResponse(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_in=tokens.expires_in,
            session=session_message(session),
        )

    async def RefreshSession(
        self, request: pb.RefreshSessionRequest, context: Any
    ) -> pb.RefreshSessionResponse:
        """Give the next pair of tokens."""
        tokens = await self._door.refresh(request.refresh_token)
        return pb.RefreshSessionResponse(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_in=tokens.expires_in,
        )

    async def Logout(self, request: pb.LogoutRequest, context: Any) -> pb.LogoutResponse:
        """End the caller's session."""
        await self._door.logout(current_principal())
        return pb.LogoutResponse()

    async def ChangePassword(
        self, request: pb.ChangePasswordRequest, context: Any
    ) -> pb.ChangePasswordResponse:
        """Change the caller's password."""
        checks.changed_password(request)
        await self._door.change_password(current_principal(), request.password, request.new_password)
        return pb.ChangePasswordResponse()

    async def EnrollTotp(self, request: pb.EnrollTotpRequest, context: Any) -> pb.EnrollTotpResponse:
        """Make a secret for an authenticator."""
        async with self._own() as rows:
            user = await self._door.inside(rows, current_principal())
        secret, uri = await self._second_factor.enroll(user)
        return pb.EnrollTotpResponse(secret=secret, secret_uri=uri)

    async def ConfirmTotp(self, request: pb.ConfirmTotpRequest, context: Any) -> pb.ConfirmTotpResponse:
        """Make the authenticator count."""
        async with self._own() as rows:
            user = await self._door.inside(rows, current_principal(), lock=True)
            codes = await self._second_factor.confirm(rows, user, request.code)
        return pb.ConfirmTotpResponse(recovery_codes=codes)

    async def RemoveTotp(self, request: pb.RemoveTotpRequest, context: Any) -> pb.RemoveTotpResponse:
        """Do without the second factor."""
        caller = current_principal()
        await self._door.count(caller)
        async with self._own() as rows:
            user = await self._door.inside(rows, caller, lock=True)
            if user.has_second_factor:
                await self._second_factor.check(rows, user, request.code)
                await self._second_factor.remove(rows, user, caller.subject)
            await People(rows.conn).forget_failures(user.tenant_id, user.name)
        return pb.RemoveTotpResponse()

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Any) -> pb.ListSessionsResponse:
        """List sessions."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._own() as rows:
            found = await Sessions(rows.conn).page(page, request.user_id)
        shown = Page.of(found, page, lambda row: {"id": row.session_id})
        return pb.ListSessionsResponse(
            sessions=map(session_message, shown.items), next_page_token=shown.next_token
        )

    async def EndSession(self, request: pb.EndSessionRequest, context: Any) -> pb.EndSessionResponse:
        """End somebody's session."""
        async with self._own() as rows:
            sessions = Sessions(rows.conn)
            await sessions.get(request.session_id)
            await self._door.end(rows, "ended", current_principal().subject, session_id=request.session_id)
            return pb.EndSessionResponse(session=session_message(await sessions.get(request.session_id)))

    async def GetSigningKeys(
        self, request: pb.GetSigningKeysRequest, context: Any
    ) -> pb.GetSigningKeysResponse:
        """Publish the keys."""
        return pb.GetSigningKeysResponse(jwks=await self._signing.jwks())

    async def RotateSigningKeys(
        self, request: pb.RotateSigningKeysRequest, context: Any
    ) -> pb.RotateSigningKeysResponse:
        """Sign with another key."""
        return pb.RotateSigningKeysResponse(signing_kid=await self._signing.rotate())

    def _own(self) -> AbstractAsyncContextManager[Rows]:
        return self._store.of(current_principal().tenant_id)


__all__ = ["SessionsServicer"]
