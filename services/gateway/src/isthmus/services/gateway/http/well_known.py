"""What others may know without asking who they are: the keys that access tokens are verified with."""

from collections.abc import Callable

import grpc.aio
from isthmus.identity.v1 import sessions_pb2, sessions_pb2_grpc
from isthmus.services.gateway.http.calling import Metadata, answered
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# Whoever meets a token of a key that is not among those remembered asks once more.
_REMEMBER_SECONDS = 300


def routes(peer: Callable[[str], grpc.aio.Channel], vouch: Callable[[str], Metadata]) -> list[Route]:
    """Give `/.well-known/jwks.json`."""

    async def jwks(request: Request) -> Response:
        stub = sessions_pb2_grpc.SessionsServiceStub(peer("identity"))
        address = request.client.host if request.client else ""
        asked = sessions_pb2.GetSigningKeysRequest()
        found = await answered(stub.GetSigningKeys(asked, metadata=vouch(address), timeout=10))
        headers = {"Cache-Control": f"public, max-age={_REMEMBER_SECONDS}"}
        return Response(found.jwks, media_type="application/jwk-set+json", headers=headers)

    return [Route("/.well-known/jwks.json", jwks, methods=["GET"])]


__all__ = ["routes"]
