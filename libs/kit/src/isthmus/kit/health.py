"""Health as callers and launchers see it: starting, serving, broken and draining are told apart."""

from collections.abc import Callable, Iterable
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio
from isthmus.kit.dispatch import Registration

_STARTING = health_pb2.HealthCheckResponse.UNKNOWN
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


LOAD_TRAILER = "isthmus-load"


class _Servicer(aio.HealthServicer):
    """Says in a trailer of `Check` that a process which serves has more to do than it can."""

    def __init__(self, overloaded: Callable[[], bool]) -> None:
        super().__init__()
        self._overloaded = overloaded

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:  # noqa: N802 - gRPC names it
        if self._overloaded():
            context.set_trailing_metadata(((LOAD_TRAILER, "overloaded"),))
        return await super().Check(request, context)


class Health:
    """The standard gRPC health service: UNKNOWN while starting, NOT_SERVING when broken or draining.

    Args:
        name: The service's name, which it answers to.
        overloaded: Tells whether the process sheds load.
    """

    def __init__(self, name: str, overloaded: Callable[[], bool] = lambda: False) -> None:
        self._servicer = _Servicer(overloaded)
        self._names = ["", name]
        self._ready = False

    @property
    def registration(self) -> Registration:
        """What the dispatcher serves."""
        return health_pb2_grpc.add_HealthServicer_to_server, self._servicer

    async def starting(self) -> None:
        """Say that the process lives and does not answer yet."""
        await self._say(_STARTING)

    async def ready(self, services: Iterable[str]) -> None:
        """Say that the process and these gRPC services answer."""
        self._names.extend(services)
        self._ready = True
        await self._say(_SERVING)

    async def working(self, works: bool) -> None:
        """Say whether the process can do its work; nothing changes while it is starting."""
        if self._ready:
            await self._say(_SERVING if works else _NOT_SERVING)

    async def draining(self) -> None:
        """Say for good that nobody should call any more."""
        await self._servicer.enter_graceful_shutdown()

    async def _say(self, status: int) -> None:
        for name in self._names:
            await self._servicer.set(name, status)


__all__ = ["LOAD_TRAILER", "Health"]
