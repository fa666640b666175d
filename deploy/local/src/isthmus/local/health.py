"""Asks every process of the mesh how it is."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["health_of"]

_ANSWER_SECONDS = 2.0


def health_of(processes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return `serving`, `starting`, `broken`, `silent` or `down` for each process, asked all at once.

    Back ends are asked by their launcher while they start; afterwards running is serving.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    found: dict[str, str] = {}
    asked: dict[str, tuple[grpc.Channel, Any]] = {}
    for process in processes:
        name = str(process["name"])
        found[name] = _by_state(str(process["state"]))
        if found[name] == "serving" and process["kind"] != "backend":
            channel = grpc.insecure_channel(str(process["address"]), options=[("grpc.enable_http_proxy", 0)])
            stub: Any = health_pb2_grpc.HealthStub(channel)
            call = stub.Check.future(health_pb2.HealthCheckRequest(), timeout=_ANSWER_SECONDS)
            asked[name] = (channel, call)
    words = {
        health_pb2.HealthCheckResponse.SERVING: "serving",
        health_pb2.HealthCheckResponse.UNKNOWN: "starting",
    }
    for name, (channel, call) in asked.items():
        try:
            found[name] = words.get(call.result().status, "broken")
        except grpc.RpcError:
            found[name] = "silent"
        channel.close()
    return found


def _by_state(state: str) -> str:
    return {"running": "serving", "starting": "starting"}.get(state, "down")
