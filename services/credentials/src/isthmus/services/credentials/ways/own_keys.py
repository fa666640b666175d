"""API keys of Isthmus itself: a service account that may make keys makes its own next one."""

from collections.abc import Callable
from contextvars import Context
from datetime import UTC
from typing import Any

import grpc.aio
from isthmus.identity.v1 import identity_pb2 as pb
from isthmus.identity.v1 import identity_pb2_grpc as pb_grpc
from isthmus.kit import Clock, fault_from_rpc_error
from isthmus.kit.times import stamp
from isthmus.resilience.faults import NotAllowed, NotAuthenticated, Precondition
from isthmus.services.credentials.domain import AuthConfig, AuthType, rotation_unsupported
from isthmus.services.credentials.ways.port import Renewed, Values

_KINDS = (AuthType.API_KEY, AuthType.BEARER)
_PAGE = 1000


class OwnKeyWay:
    """Asks the identity service in the name of the key that is replaced, so nobody gets more than that may.

    Args:
        identity: Gives the way to the identity service.
        clock: The time.
    """

    def __init__(self, identity: Callable[[], grpc.aio.Channel], *, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock

    async def choose(self, config: AuthConfig, present: Values) -> "OwnKeyWay | None":
        """Return this way for a key that begins as ours do."""
        return self if config.auth_type in _KINDS and present.get("value", "").startswith("ist_") else None

    def proposal(self, config: AuthConfig, old: Values) -> Values | None:  # noqa: ARG002 -- as the port says
        """Give nothing: the identity service makes the key."""
        return None

    async def renew(self, config: AuthConfig, old: Values, new: Values | None) -> Renewed:
        """Make a key that may do the same; one that an earlier call has made and nobody has kept is ended."""
        keys = await self._keys(config, old)
        held = keys.get(_id_of(old))
        if held is None:
            raise rotation_unsupported(config.name, "the identity service lists no such key")
        kept = keys.get(_id_of(new)) if new is not None else None
        if kept is not None and not kept.HasField("revoke_time"):
            return Renewed(overlaps=True, expire_time=kept.expire_time.ToDatetime(UTC))
        label = f"isthmus {config.auth_config_id}"
        for key in keys.values():
            if key.name == label and key.api_key_id != held.api_key_id and not key.HasField("revoke_time"):
                await self._revoke(config, old, key.api_key_id)
        life = held.expire_time.ToDatetime(UTC) - held.create_time.ToDatetime(UTC)
        request = pb.CreateApiKeyRequest(
            service_account_id=held.service_account_id,
            name=label,
            expire_time=stamp(self._clock.now() + life),
            permissions=held.permissions,
            allowed_networks=held.allowed_networks,
            requests_per_second=held.requests_per_second,
        )
        made = await self._call(config, old, "CreateApiKey", request)
        return Renewed(
            overlaps=True, made={"value": made.api_key}, expire_time=made.key.expire_time.ToDatetime(UTC)
        )

    async def prove(self, config: AuthConfig, new: Values) -> None:
        """Ask who the new key is."""
        await self._call(config, new, "GetCaller", pb.GetCallerRequest())

    async def retire(self, config: AuthConfig, old: Values, new: Values) -> None:
        """End the old key."""
        await self._revoke(config, new, _id_of(old))

    async def _keys(self, config: AuthConfig, present: Values) -> dict[str, pb.ApiKey]:
        """Give the keys of the account that a key belongs to, by their ids."""
        caller = (await self._call(config, present, "GetCaller", pb.GetCallerRequest())).caller
        account = caller.subject.partition(":")[2]
        request = pb.ListApiKeysRequest(service_account_id=account, page_size=_PAGE)
        found: dict[str, pb.ApiKey] = {}
        while True:
            page = await self._call(config, present, "ListApiKeys", request)
            found |= {key.api_key_id: key for key in page.keys}
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def _revoke(self, config: AuthConfig, present: Values, api_key_id: str) -> None:
        await self._call(config, present, "RevokeApiKey", pb.RevokeApiKeyRequest(api_key_id=api_key_id))

    async def _call(self, config: AuthConfig, secret: Values, name: str, request: Any) -> Any:
        method = getattr(pb_grpc.IdentityServiceStub(self._identity()), name)
        own = [("authorization", f"Bearer {secret['value']}")]
        try:
            # Out of the context in which the service acts for a tenant: the tenant comes from the key.
            return await Context().run(lambda: method(request, metadata=own))
        except grpc.aio.AioRpcError as error:
            fault = fault_from_rpc_error(error)
        if isinstance(fault, NotAuthenticated):
            message = (
                f"The identity service does not take the key of {config.name}: it has ended, or is another "
                "installation's; make a new one there and enter it."
            )
            raise Precondition("API_KEY_REFUSED", message)
        if isinstance(fault, NotAllowed):
            message = (
                f"The key of {config.name} may not look after itself ({fault.message}): let it and its "
                "service account have `identity.api_keys.*`."
            )
            raise Precondition("ROTATION_NOT_PERMITTED", message)
        raise fault


def _id_of(values: Values) -> str:
    return values["value"].removeprefix("ist_").rpartition("_")[0]


__all__ = ["OwnKeyWay"]
