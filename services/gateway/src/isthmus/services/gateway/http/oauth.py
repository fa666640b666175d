"""Where browsers come back to, from authorization servers and from providers that let people in."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc.aio
from isthmus.credentials.v1 import authorization_pb2, authorization_pb2_grpc
from isthmus.identity.v1 import providers_pb2, providers_pb2_grpc
from isthmus.kit.logs import logger
from isthmus.resilience.faults import Fault, RetryLater
from isthmus.services.gateway.http.calling import Metadata, answered
from isthmus.services.gateway.http.page import page
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

CREDENTIALS = "/oauth/callback"
LOGINS = "/login/callback"
_LONGEST = 4_000
_NAMES = ("state", "code", "iss", "error")
_OVER = "It is not known, was used, or is too old. Nothing has happened; begin again where you began."

_log = logger(__name__)
T = TypeVar("T")


def routes(
    peer: Callable[[str], grpc.aio.Channel], vouch: Callable[[str], Metadata], public_url: str
) -> list[Route]:
    """Give the two addresses to which browsers are sent back.

    Args:
        peer: Gives the channel to a service.
        vouch: Gives the metadata by which services believe where a request came from.
        public_url: How browsers reach the gateway.
    """
    here = public_url.rstrip("/")

    async def credentials(request: Request) -> Response:
        came = _brought(request)
        if came is None:
            return page(400, "Nothing to finish", _OVER)
        asked = authorization_pb2.FinishAuthorizationRequest(
            state=came["state"],
            code=came["code"],
            issuer=came["iss"],
            error=came["error"],
            redirect_uri=f"{here}{CREDENTIALS}",
        )
        stub = authorization_pb2_grpc.AuthorizationServiceStub(peer("credentials"))
        done = await _told(stub.FinishAuthorization(asked, metadata=vouch(_address(request)), timeout=25))
        if isinstance(done, Response):
            return done
        text = f"{done.auth_config_name} is authorized. You may close this page."
        return page(200, "Authorized", text)

    async def logins(request: Request) -> Response:
        came = _brought(request)
        if came is None:
            return page(400, "Nothing to finish", _OVER)
        if not came["code"]:
            return page(403, "Not let in", "The provider has not let you in. Begin again where you began.")
        asked = providers_pb2.ArriveLoginRequest(
            login_state=came["state"],
            code=came["code"],
            issuer=came["iss"],
            redirect_uri=f"{here}{LOGINS}",
        )
        stub = providers_pb2_grpc.ProvidersServiceStub(peer("identity"))
        done = await _told(stub.ArriveLogin(asked, metadata=vouch(_address(request)), timeout=25))
        if isinstance(done, Response):
            return done
        where = "Enter this code where you began to log in, and nowhere else:"
        return page(200, "Almost there", where, done.shown_code)

    return [Route(CREDENTIALS, credentials, methods=["GET"]), Route(LOGINS, logins, methods=["GET"])]


def _brought(request: Request) -> dict[str, str] | None:
    """Return what the browser brought, or None where that cannot be anything that was begun."""
    given = {name: request.query_params.getlist(name) for name in _NAMES}
    if any(len(values) > 1 or any(len(text) > _LONGEST for text in values) for values in given.values()):
        return None
    came = {name: "".join(values) for name, values in given.items()}
    return came if came["state"] and bool(came["code"]) != bool(came["error"]) else None


async def _told(call: Awaitable[T]) -> T | Response:
    """Await a call, and give a page where it is refused: what exactly is for the log, not for a browser."""
    try:
        return await answered(call)
    except Fault as fault:
        _log.info("a browser came back in vain", reason=fault.reason)
        if isinstance(fault, RetryLater):
            return page(503, "Not available for the moment", "Begin again in a moment where you began.")
        if fault.reason in {"AUTHORIZATION_OVER", "LOGIN_REFUSED"}:
            return page(400, "Nothing to finish", _OVER)
        return page(403, "Not authorized", fault.message)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


__all__ = ["CREDENTIALS", "LOGINS", "routes"]
