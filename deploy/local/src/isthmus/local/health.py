"""Asks every process of the mesh how it is."""

from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.local.home import Home
from isthmus.local.issued import authority_file, certificate_file
from isthmus.local.names import LAUNCHER
from isthmus.local.private import read_json

__all__ = ["health_of"]

_ANSWER_SECONDS = 2.0


def health_of(processes: Iterable[Mapping[str, Any]], home: Home) -> dict[str, str]:
    """Return `serving`, `starting`, `broken`, `silent` or `down` for each process, asked all at once.

    Back ends are asked by their launcher while they start; afterwards running is serving.

    Args:
        processes: As the launcher describes them.
        home: Holds the launcher's certificate.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    credentials = _credentials(home)
    found: dict[str, str] = {}
    asked: dict[str, tuple[grpc.Channel, Any]] = {}
    for process in processes:
        name = str(process["name"])
        found[name] = _by_state(str(process["state"]))
        if found[name] == "serving" and process["kind"] != "backend":
            channel = _open(str(process["address"]), _subject(process), credentials)
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


def _credentials(home: Home) -> Any:
    """Return what channels are opened with; None where the mesh speaks plain text."""
    import grpc

    if not read_json(home.mesh_file).get("tls"):
        return None
    own = certificate_file(home.tls, f"service:{LAUNCHER}").read_bytes()
    return grpc.ssl_channel_credentials(authority_file(home.tls).read_bytes(), own, own)


def _open(address: str, subject: str, credentials: Any) -> Any:
    import grpc
    from isthmus.kit.certificates import dns_name
    from isthmus.local.backends.vault_pki import DOMAIN

    options: list[tuple[str, Any]] = [("grpc.enable_http_proxy", 0)]
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    options.append(("grpc.ssl_target_name_override", dns_name(subject, DOMAIN)))
    return grpc.secure_channel(address, credentials, options=options)


def _subject(process: Mapping[str, Any]) -> str:
    name = str(process["name"])
    return f"host:{name.removeprefix('host-')}" if process["kind"] == "host" else f"service:{name}"


def _by_state(state: str) -> str:
    return {"running": "serving", "starting": "starting"}.get(state, "down")
