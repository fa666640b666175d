"""Logs in on a machine without a browser: shows a code, which is confirmed elsewhere (RFC 8628)."""

import platform
import time
from collections.abc import Callable

import grpc
from isthmus.client.mesh import Mesh
from isthmus.client.problem import problem_from
from isthmus.identity.v1 import devices_pb2

_SLOWER_BY = 5.0


def log_in_elsewhere(
    mesh: Mesh, tell: Callable[[str], None], *, tenant: str = "", provider: str = ""
) -> devices_pb2.CompleteDeviceLoginResponse:
    """Gives the session that somebody has confirmed.

    Args:
        mesh: Where to log in.
        tell: Shows a person what to do.
        tenant: Name of the provider's tenant.
        provider: Name of a provider; empty means that the code is confirmed by a session here.

    Raises:
        grpc.RpcError: The code was denied, or nobody has confirmed it in time.
    """
    door = mesh.device_door
    request = devices_pb2.BeginDeviceLoginRequest(
        client_name=platform.node()[:200] or "a machine without a name",
        provider_name=provider,
        tenant_name=tenant,
    )
    begun = door.BeginDeviceLogin(request, timeout=60)
    if begun.verification_uri:
        address = begun.verification_uri_complete or begun.verification_uri
        tell(f"Open {address} on any device and enter {begun.user_code}.")
    else:
        code = begun.user_code
        tell(f"Your code is {code}. Where you have logged in, run: isthmus login approve {code}")
    pause = begun.poll_interval.seconds + begun.poll_interval.nanos / 1e9
    while True:
        time.sleep(pause)
        try:
            polled = door.PollDeviceLogin(
                devices_pb2.PollDeviceLoginRequest(device_code=begun.device_code), timeout=60
            )
        except grpc.RpcError as error:
            reason = problem_from(error).reason
            if reason not in {"SLOW_DOWN", "PROVIDER_UNREACHABLE"}:
                raise
            pause += _SLOWER_BY
            continue
        if polled.is_confirmed:
            completing = devices_pb2.CompleteDeviceLoginRequest(device_code=begun.device_code)
            return door.CompleteDeviceLogin(completing, timeout=60)
        pause = max(pause, polled.poll_interval.seconds + polled.poll_interval.nanos / 1e9)


__all__ = ["log_in_elsewhere"]
