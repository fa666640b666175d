"""Speaks the contract of authorizations; decides nothing."""

from datetime import timedelta
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from isthmus.credentials.v1 import authorization_pb2 as pb
from isthmus.credentials.v1 import authorization_pb2_grpc, credentials_pb2
from isthmus.kit import Database, current_principal
from isthmus.kit.times import stamp
from isthmus.kit.validation import validating
from isthmus.services.credentials.authorizing import Authorizing
from isthmus.services.credentials.domain import AuthConfig, is_safe_url
from isthmus.services.credentials.messages import config_message
from isthmus.services.credentials.store import TokenRows

Context = grpc.aio.ServicerContext[Any, Any]


class AuthorizationServicer(authorization_pb2_grpc.AuthorizationServiceServicer):
    """Lets persons authorize configurations.

    Args:
        db: Where configurations are kept.
        authorizing: Does the work.
    """

    def __init__(self, db: Database, authorizing: Authorizing) -> None:
        self._db = db
        self._authorizing = authorizing

    async def BeginAuthorization(
        self, request: pb.BeginAuthorizationRequest, context: Context
    ) -> pb.BeginAuthorizationResponse:
        """Begins in the browser."""
        with validating() as check:
            if not is_safe_url(request.redirect_uri):
                message = "Use an https address without fragment; http only on the loopback interface."
                check.add("redirect_uri", "URL_INVALID", message)
        pending, address, state = await self._authorizing.begin(
            current_principal(), request.auth_config_id, request.redirect_uri
        )
        return pb.BeginAuthorizationResponse(
            authorization_url=address, state=state, expire_time=stamp(pending.expire_time)
        )

    async def CompleteAuthorization(
        self, request: pb.CompleteAuthorizationRequest, context: Context
    ) -> pb.CompleteAuthorizationResponse:
        """Ends in the browser."""
        config = await self._authorizing.complete(
            current_principal(), request.state, request.code, request.issuer, request.error
        )
        return pb.CompleteAuthorizationResponse(auth_config=await self._shown(config))

    async def FinishAuthorization(
        self, request: pb.FinishAuthorizationRequest, context: Context
    ) -> pb.FinishAuthorizationResponse:
        """Ends in the browser that came back to the gateway."""
        config = await self._authorizing.finish(
            request.state, request.code, request.issuer, request.error, request.redirect_uri
        )
        return pb.FinishAuthorizationResponse(auth_config_name=config.name)

    async def BeginDeviceAuthorization(
        self, request: pb.BeginDeviceAuthorizationRequest, context: Context
    ) -> pb.BeginDeviceAuthorizationResponse:
        """Begins on another device."""
        code = await self._authorizing.begin_device(current_principal(), request.auth_config_id)
        return pb.BeginDeviceAuthorizationResponse(
            authorization_id=code.pending.authorization_id,
            user_code=code.user_code,
            verification_uri=code.verification_uri,
            verification_uri_complete=code.verification_uri_complete,
            expire_time=stamp(code.pending.expire_time),
            poll_interval=_duration(code.pending.poll_seconds),
        )

    async def PollDeviceAuthorization(
        self, request: pb.PollDeviceAuthorizationRequest, context: Context
    ) -> pb.PollDeviceAuthorizationResponse:
        """Asks whether the person has decided."""
        config, pause = await self._authorizing.poll_device(current_principal(), request.authorization_id)
        if config is None:
            return pb.PollDeviceAuthorizationResponse(poll_interval=_duration(pause))
        return pb.PollDeviceAuthorizationResponse(is_complete=True, auth_config=await self._shown(config))

    async def _shown(self, config: AuthConfig) -> credentials_pb2.AuthenticationConfig:
        async with self._db.tenant(config.tenant_id) as conn:
            row = await TokenRows(conn).find(config.auth_config_id)
        return config_message(config, row)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds))
    return duration


__all__ = ["AuthorizationServicer"]
