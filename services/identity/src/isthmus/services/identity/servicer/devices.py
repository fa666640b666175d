"""The RPCs of `DeviceLoginService`."""

from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from isthmus.identity.v1 import devices_pb2 as pb
from isthmus.identity.v1 import devices_pb2_grpc as pb_grpc
from isthmus.kit import current_principal
from isthmus.kit.principal import current_client_address
from isthmus.kit.validation import validating
from isthmus.services.identity.devices import Devices
from isthmus.services.identity.domain import DeviceLogin
from isthmus.services.identity.messages import session_message
from isthmus.services.identity.servicer.convert import stamp


class DeviceLoginServicer(pb_grpc.DeviceLoginServiceServicer):
    """Lets machines without a browser in."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    async def BeginDeviceLogin(
        self, request: pb.BeginDeviceLoginRequest, context: Any
    ) -> pb.BeginDeviceLoginResponse:
        """Give a code to show, and one to ask with."""
        with validating() as check:
            check.text("client_name", request.client_name, longest=200)
            check.text("provider_name", request.provider_name, required=False, longest=63)
            check.text("tenant_name", request.tenant_name, required=False, longest=63)
        begun = await self._devices.begin(
            request.client_name,
            current_client_address(),
            tenant_name=request.tenant_name,
            provider_name=request.provider_name,
        )
        return pb.BeginDeviceLoginResponse(
            device_code=begun.device_code,
            user_code=begun.user_code,
            verification_uri=begun.verification_uri,
            verification_uri_complete=begun.verification_uri_complete,
            lifetime=_duration(begun.lifetime.total_seconds()),
            poll_interval=_duration(begun.poll_seconds),
        )

    async def PollDeviceLogin(
        self, request: pb.PollDeviceLoginRequest, context: Any
    ) -> pb.PollDeviceLoginResponse:
        """Tell whether the code was confirmed."""
        _check_code(request.device_code)
        is_confirmed, seconds = await self._devices.poll(request.device_code)
        return pb.PollDeviceLoginResponse(is_confirmed=is_confirmed, poll_interval=_duration(seconds))

    async def CompleteDeviceLogin(
        self, request: pb.CompleteDeviceLoginRequest, context: Any
    ) -> pb.CompleteDeviceLoginResponse:
        """Begin the session."""
        _check_code(request.device_code)
        tokens, session, user = await self._devices.complete(request.device_code, current_client_address())
        return pb.CompleteDeviceLoginResponse(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_in=tokens.expires_in,
            session=session_message(session),
            user_name=user.name,
        )

    async def GetDeviceLogin(
        self, request: pb.GetDeviceLoginRequest, context: Any
    ) -> pb.GetDeviceLoginResponse:
        """Tell what a code would let in."""
        found = await self._devices.look(current_principal(), request.user_code)
        return pb.GetDeviceLoginResponse(device_login=_message(found))

    async def DecideDeviceLogin(
        self, request: pb.DecideDeviceLoginRequest, context: Any
    ) -> pb.DecideDeviceLoginResponse:
        """Let it in, or not."""
        found = await self._devices.decide(
            current_principal(), request.user_code, is_approved=request.is_approved
        )
        return pb.DecideDeviceLoginResponse(device_login=_message(found))


def _check_code(code: str) -> None:
    with validating() as check:
        check.text("device_code", code, longest=200)


def _message(found: DeviceLogin) -> pb.DeviceLogin:
    return pb.DeviceLogin(
        client_name=found.client_name,
        client_address=found.client_address,
        create_time=stamp(found.create_time),
        expire_time=stamp(found.expire_time),
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds))
    return duration


__all__ = ["DeviceLoginServicer"]
