"""Asks every service how it is doing, all at once and within a bound."""

import asyncio
import time
from collections.abc import Callable
from importlib.metadata import version

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from isthmus.kit.health import LOAD_TRAILER
from isthmus.services.gateway.domain import SERVICES, MeshHealth, ServiceHealth, State

_STATES = {
    health_pb2.HealthCheckResponse.SERVING: (State.SERVING, ""),
    health_pb2.HealthCheckResponse.NOT_SERVING: (
        State.BROKEN,
        "It says that it cannot do its work: see its log.",
    ),
}
_STARTING = (State.STARTING, "It runs and is not ready yet: ask again in a moment.")
_OVERLOADED = "It has more to do than it can and refuses some calls: see docs/limits.md."
# Probes of load balancers come by the second from many sides; one answer serves them all.
_ANSWER_HOLDS_SECONDS = 1.0


class Probe:
    """Knows how the mesh is doing, at most a second old."""

    def __init__(self, peer: Callable[[str], grpc.aio.Channel], timeout: float) -> None:
        self._peer = peer
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._asked = float("-inf")
        self._answer: MeshHealth | None = None

    async def mesh(self) -> MeshHealth:
        """Gives the state of every service; one that does not answer is told as unreachable."""
        async with self._lock:
            if self._answer is None or time.monotonic() - self._asked > _ANSWER_HOLDS_SECONDS:
                found = await asyncio.gather(*(self._service(name) for name in SERVICES))
                self._answer = MeshHealth(version("isthmus-services-gateway"), found)
                self._asked = time.monotonic()
            return self._answer

    async def _service(self, name: str) -> ServiceHealth:
        # The stubs package declares the class without its methods.
        check = health_pb2_grpc.HealthStub(self._peer(name)).Check  # type: ignore[attr-defined]
        call = check(health_pb2.HealthCheckRequest(service=name), timeout=self._timeout)
        try:
            state, message = _STATES.get((await call).status, _STARTING)
            is_loaded = any(key == LOAD_TRAILER for key, _ in await call.trailing_metadata() or ())
        except grpc.RpcError as error:
            return ServiceHealth(name, *_without_answer(error))
        return ServiceHealth(name, state, _OVERLOADED if is_loaded and not message else message)


def _without_answer(error: grpc.RpcError) -> tuple[State, str]:
    code = error.code() if isinstance(error, grpc.aio.AioRpcError) else grpc.StatusCode.UNKNOWN
    if code is grpc.StatusCode.NOT_FOUND:
        return _STARTING
    return State.UNREACHABLE, f"It does not answer ({code.name}): see whether it runs."


__all__ = ["Probe"]
