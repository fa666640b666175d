"""Asks the identity service whom an API key or an access token belongs to."""

from collections.abc import Callable

import grpc.aio
from isthmus.identity.v1 import identity_pb2, identity_pb2_grpc
from isthmus.kit.authentication import REMEMBER_SECONDS, KeyHolder, unreported_calls
from isthmus.kit.errors import fault_from_rpc_error
from isthmus.kit.principal import Kind, Principal, current_client_address
from isthmus.kit.quotas import Quotas
from isthmus.resilience.faults import NotAuthenticated, OutOfTime, RetryLater

_LIMIT = 3.0
_KINDS: dict[int, Kind] = {
    identity_pb2.Caller.KIND_USER: "user",
    identity_pb2.Caller.KIND_SERVICE_ACCOUNT: "service_account",
}


class IdentityPeer:
    """Looks API keys and access tokens up at the identity service.

    Args:
        channel: Gives the channel to it; called on first use.
    """

    def __init__(self, channel: Callable[[], grpc.aio.Channel]) -> None:
        self._channel = channel
        self._stub: identity_pb2_grpc.IdentityServiceAsyncStub | None = None

    async def __call__(self, credential: str) -> KeyHolder:
        """Return whom the credential belongs to.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, it is unknown, revoked or expired.
            RetryLater: `IDENTITY_UNREACHABLE`.
        """
        if self._stub is None:
            self._stub = identity_pb2_grpc.IdentityServiceStub(self._channel())
        field = "api_key" if credential.startswith("ist_") else "access_token"
        request = identity_pb2.AuthenticateCallerRequest(
            **{field: credential}, client_address=current_client_address(), calls=unreported_calls()
        )
        try:
            response = await self._stub.AuthenticateCaller(request, timeout=_LIMIT)
        except grpc.aio.AioRpcError as error:
            fault = fault_from_rpc_error(error)
            if isinstance(fault, RetryLater | OutOfTime):
                raise _unreachable() from error
            raise fault from error
        return _holder(response)


def _holder(response: identity_pb2.AuthenticateCallerResponse) -> KeyHolder:
    caller = response.caller
    kind = _KINDS.get(caller.kind)
    if kind is None:
        raise NotAuthenticated("CALLER_UNKNOWN", "A credential cannot belong to this kind of caller.")
    principal = Principal(
        caller.subject,
        caller.tenant_id,
        frozenset(caller.permissions),
        kind,
        caller.session_id,
        caller.support_access_id,
        Quotas.of(response.quotas),
    )
    expires = caller.expire_time.ToMicroseconds() / 1e6 if caller.HasField("expire_time") else None
    remember = response.max_age.ToMicroseconds() / 1e6 if response.HasField("max_age") else REMEMBER_SECONDS
    return KeyHolder(principal, expires, remember, response.requests_per_second)


def _unreachable() -> RetryLater:
    message = "Your credential cannot be verified at the moment; repeat the call."
    return RetryLater("IDENTITY_UNREACHABLE", message, retry_after=1.0)


__all__ = ["IdentityPeer"]
