"""Serves one connector by itself, without a mesh: for its author's tests, and behind a host elsewhere.

Bindings bring configuration and credential with them; nobody is asked who calls, so listen where only the
host or the author can reach it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
import grpc.aio
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1.connector_pb2_grpc import add_ConnectorServiceServicer_to_server
from isthmus.host.backend import Bound
from isthmus.host.binding import document
from isthmus.host.local import LocalBackend
from isthmus.host.servicer import ConnectorServicer
from isthmus.kit import Principal
from isthmus.kit.channel import CHANNEL_OPTIONS
from isthmus.kit.errors import answer_of, fault_of
from isthmus.kit.logs import logger
from isthmus.kit.principal import acting_from_here
from isthmus.resilience import Broken

_STOP_SECONDS = 1.0
_ANYBODY = Principal(subject="anybody", tenant_id="", permissions=frozenset({"*"}), kind="mesh")
_log = logger(__name__)
Behaviour = Callable[..., Any]


@asynccontextmanager
async def serving(cls: Any, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve a connector class as long as the block lasts.

    Args:
        cls: The connector.
        address: Where to listen: host:port, or unix:/path.

    Yields:
        The address with the port that was taken.
    """
    backend = LocalBackend(cls)
    server = grpc.aio.server(interceptors=[_Explaining()], options=CHANNEL_OPTIONS)
    servicer = ConnectorServicer(backend, _Given(), _Silent())
    add_ConnectorServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    finally:
        await server.stop(_STOP_SECONDS)
        await backend.close()


class _Given:
    """Takes everything about an instance from the binding itself."""

    async def configuration(self, tenant_id: str, binding: connector.Binding) -> Bound:
        return Bound(
            tenant_id,
            binding.instance_id,
            configuration=document(binding.configuration, "configuration"),
            material=document(binding.credential, "credential") or None,
            limits=document(binding.limits, "limits"),
        )

    async def resolve(self, tenant_id: str, binding: connector.Binding) -> Bound:
        return await self.configuration(tenant_id, binding)

    async def authenticated(self, bound: Bound) -> Bound:
        return bound

    async def renewed(self, bound: Bound) -> Bound:
        return bound

    def refuse(self, bound: Bound) -> None:
        """Do nothing: whoever sent the credential learns of it by the answer."""


class _Silent:
    """Tells nobody what was done."""

    def operation(self, bound: Bound, name: str, failure: str = "") -> None:
        """Do nothing."""


class _Explaining(grpc.aio.ServerInterceptor):  # type: ignore[misc,unused-ignore]
    """Answers failures as every process of the mesh does."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None:
            return None
        if handler.response_streaming:
            kind = "stream_stream" if handler.request_streaming else "unary_stream"
            return handler._replace(**{kind: _stream(getattr(handler, kind))})
        kind = "stream_unary" if handler.request_streaming else "unary_unary"
        return handler._replace(**{kind: _unary(getattr(handler, kind))})


def _unary(inner: Behaviour) -> Behaviour:
    async def behaviour(request: Any, context: Any) -> Any:
        acting_from_here(_ANYBODY)
        try:
            return await inner(request, context)
        except Exception as error:
            await _refuse(context, error)

    return behaviour


def _stream(inner: Behaviour) -> Behaviour:
    async def behaviour(request: Any, context: Any) -> AsyncIterator[Any]:
        acting_from_here(_ANYBODY)
        try:
            async for answer in inner(request, context):
                yield answer
        except Exception as error:
            await _refuse(context, error)

    return behaviour


async def _refuse(context: Any, error: Exception) -> NoReturn:
    fault = fault_of(error)
    if fault is None:
        _log.error("call failed unexpectedly", error)
        fault = Broken("CONNECTOR_DEFECT", f"The connector failed with {type(error).__name__}; see its log.")
    code, message, trailers = answer_of(fault)
    await context.abort(code, message, trailers)
    raise AssertionError("abort always raises")


__all__ = ["serving"]
