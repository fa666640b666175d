"""Calls to services with the identity of whoever sent the HTTP request.

The gateway decides nothing about callers: it hands their credential on, and the service that is asked
verifies it, finds the tenant and checks the permission.
"""

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio
from isthmus.kit import fault_from_rpc_error
from isthmus.kit.guard import CORRELATION_HEADER
from isthmus.kit.ids import new_id
from isthmus.kit.trace import HEADER as TRACE_HEADER
from isthmus.resilience.faults import NotAuthenticated
from starlette.requests import Request

_BEARER = re.compile(r"bearer +([!-~]{1,8192})", re.IGNORECASE)
_HANDED_ON = ((b"x-correlation-id", CORRELATION_HEADER), (b"traceparent", TRACE_HEADER))

Metadata = list[tuple[str, str]]
T = TypeVar("T")


class Courier:
    """Prepares what calls on behalf of a request carry.

    Args:
        vouch: Gives the metadata by which services believe the gateway where a request came from.
    """

    def __init__(self, vouch: Callable[[str], Metadata]) -> None:
        self._vouch = vouch

    def metadata(self, request: Request) -> Metadata:
        """Return credential, address, correlation id and trace of a request.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, the request carries no bearer token.
        """
        found = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
        if found is None:
            message = "Send an API key or an access token as `Authorization: Bearer …`."
            raise NotAuthenticated("CALLER_UNKNOWN", message)
        return [("authorization", f"Bearer {found[1]}"), *self.anonymous(request)]

    def anonymous(self, request: Request) -> Metadata:
        """Return what calls carry for a request that needs no credential."""
        headers = {name: value.decode("latin-1") for name, value in request.headers.raw}
        handed_on = [(theirs, headers[ours]) for ours, theirs in _HANDED_ON if ours in headers]
        entries = [(name, value) for name, value in handed_on if value.isascii() and value.isprintable()]
        if CORRELATION_HEADER not in dict(entries):
            entries.append((CORRELATION_HEADER, new_id("cor")))
        return [*self._vouch(request.client.host if request.client else ""), *entries]


async def answered(call: Awaitable[T]) -> T:
    """Await a call to a service, and raise the fault that it answers with."""
    try:
        return await call
    except grpc.RpcError as error:
        raise fault_from_rpc_error(error) from None


__all__ = ["Courier", "Metadata", "answered"]
