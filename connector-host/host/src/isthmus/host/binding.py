"""From a binding in a request to a configured connection: saved configuration, leased secret."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.credentials.v1 import credentials_pb2 as credentials
from isthmus.host.backend import Bound
from isthmus.host.control import ControlPlane, call, passes
from isthmus.kit import acting_for
from isthmus.kit.host_rights import require_work_on
from isthmus.registry.v1 import registry_pb2 as registry
from isthmus.resilience import Fault, FixRequest

HUB = "hub"
_FRESH_SECONDS = 5.0
_AGAIN_SECONDS = 5.0
_WORN = 0.8
"""Share of a lease's life after which another one is asked for."""
_MOST_LEASES = 1000
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Leased:
    """A borrowed secret; lives in memory only.

    Attributes:
        token_id: Tells access tokens apart; empty for secrets that are none.
        scopes: What the access token was granted; None for secrets that are none.
        asked_at: Monotonic time at which it was last asked for.
        ask_at: Monotonic time at which it is to be asked for again.
        expires_at: Monotonic time at which it ends.
        heard: What told of changes when it was asked for; None where nothing did.
    """

    material: Mapping[str, Any] = field(repr=False)
    secret_version: int
    token_id: str
    scopes: tuple[str, ...] | None
    asked_at: float
    ask_at: float
    expires_at: float
    heard: object = None


class Leases:
    """Borrows secrets, and hands out the same one until shortly before its lease ends.

    While nobody tells of changes, because NATS is away, a lease is good for some seconds only.

    Args:
        control: Where to borrow.
        host_id: Told to the credentials service, which records the holder.
    """

    def __init__(self, control: ControlPlane, host_id: str) -> None:
        self._control = control
        self._host_id = host_id
        self._held: OrderedDict[_Key, Leased] = OrderedDict()
        self._ended: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._refused: OrderedDict[_Key, tuple[str, int]] = OrderedDict()
        self._asking: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()
        self.hears: Callable[[], object] = deaf
        """Gives what tells of changes, the same as long as it has no gap; None where nothing does."""

    async def lease(
        self,
        tenant_id: str,
        auth_config_id: str,
        instance_id: str,
        *,
        fresh: float = _FRESH_SECONDS,
        refused: str = "",
        refused_version: int = 0,
    ) -> Leased:
        """Borrow a secret, once for all who want it at the same time.

        A lease that still holds is good while the vault is away, unless it is of what was refused.

        Args:
            tenant_id: Whose.
            auth_config_id: Which.
            instance_id: What for.
            fresh: For how many seconds it is good while nobody tells of changes; 0 to ask in any case.
            refused: The id of a token that the system has refused.
            refused_version: The version of a secret that it has refused.

        Raises:
            Fault: What the credentials service answered.
        """
        key = (tenant_id, auth_config_id, instance_id)
        held = self._held.get(key)
        if held is not None and self._is_good(held, fresh):
            return held
        lock = self._asking.get(key)
        if lock is None:
            lock = self._asking[key] = asyncio.Lock()
        async with lock:
            again = self._held.get(key)
            if again is not None and again is not held and self._is_good(again, fresh or _FRESH_SECONDS):
                return again  # somebody else has just asked
            told, version = self._refused.pop(key, ("", 0))
            return await self._asked(key, again, refused or told, refused_version or version)

    async def _asked(self, key: _Key, held: Leased | None, refused: str, refused_version: int) -> Leased:
        now, heard = time.monotonic(), self.hears()
        try:
            leased = await self._borrow(key, heard, refused, refused_version)
        except Fault as fault:
            is_refused = held is not None and (
                (refused != "" and held.token_id == refused)
                or (refused_version > 0 and held.secret_version == refused_version)
            )
            if held is not None and not is_refused and passes(fault) and now < held.expires_at:
                self._held[key] = replace(held, asked_at=now, ask_at=now + _AGAIN_SECONDS, heard=heard)
                return held
            self._held.pop(key, None)
            raise
        if self._ended.get(key[:2], 0.0) >= now:
            return leased  # the news came later than the lease was given: it is not kept for the next one
        self._held[key] = leased
        while len(self._held) > _MOST_LEASES:
            self._held.popitem(last=False)
        return leased

    def _is_good(self, held: Leased, fresh: float) -> bool:
        now = time.monotonic()
        if fresh <= 0 or now >= min(held.ask_at, held.expires_at):
            return False
        return now - held.asked_at < fresh or (held.heard is not None and held.heard == self.hears())

    def end(self, tenant_id: str, auth_config_id: str) -> None:
        """Keep nothing of a credential that was changed or taken back, also of what is being borrowed."""
        for key in [key for key in self._held if key[:2] == (tenant_id, auth_config_id)]:
            del self._held[key]
        self._ended[tenant_id, auth_config_id] = time.monotonic()
        while len(self._ended) > _MOST_LEASES:
            self._ended.popitem(last=False)

    def refuse(self, bound: Bound) -> None:
        """Let the next use ask for another secret: the system has refused this one."""
        key = (bound.tenant_id, bound.auth_config_id, bound.instance_id)
        held = self._held.get(key)
        if held is not None and (held.secret_version, held.token_id) != bound.secret_identity:
            return  # there is another one already
        self._held.pop(key, None)
        self._refused[key] = bound.token_id, 0 if bound.token_id else bound.secret_version
        while len(self._refused) > _MOST_LEASES:
            self._refused.popitem(last=False)

    async def _borrow(self, key: _Key, heard: object, refused: str, refused_version: int) -> Leased:
        _, auth_config_id, instance_id = key
        common = {"auth_config_id": auth_config_id, "instance_id": instance_id, "host_id": self._host_id}
        stub = self._control.credentials
        if refused or refused_version:
            again = credentials.RefreshCredentialRequest(
                **common, refused_token_id=refused, refused_secret_version=refused_version
            )
            answer = (await call(stub.RefreshCredential, again)).lease
        else:
            answer = await call(stub.LeaseCredential, credentials.LeaseCredentialRequest(**common))
        now = time.monotonic()
        lasting = min(max(answer.expire_time.seconds - time.time(), 1.0), 300.0)
        token = answer.access_token
        return Leased(
            _material(answer),
            answer.secret_version,
            token.token_id,
            tuple(token.scopes) if token.token_id else None,
            asked_at=now,
            ask_at=now + lasting * _WORN,
            expires_at=now + lasting,
            heard=heard,
        )


def deaf() -> object:
    """Stand for nobody who tells of changes."""
    return None


class Resolver:
    """Completes bindings with what is saved.

    Args:
        control: Where configurations are.
        leases: Where secrets are.
    """

    def __init__(self, control: ControlPlane, leases: Leases) -> None:
        self._control = control
        self._known: dict[tuple[str, str], tuple[str, Bound]] = {}
        self.leases = leases

    async def resolve(self, tenant_id: str, binding: connector.Binding) -> Bound:
        """Return the connection that a request is about.

        Raises:
            Fault: `INSTANCE_UNKNOWN`, or what the credentials service answered.
        """
        bound = await self.configuration(tenant_id, binding)
        return await self.authenticated(bound)

    async def configuration(self, tenant_id: str, binding: connector.Binding) -> Bound:
        """Return the connection without its secret.

        Raises:
            NotAllowed: A host asks for it that has no work there.
        """
        require_work_on(binding.instance_id, binding.auth_config_id)
        if binding.instance_id == HUB:
            return Bound(tenant_id, HUB, name=HUB)
        if binding.configuration or not binding.instance_id:
            return Bound(
                tenant_id,
                instance_id="",
                configuration=document(binding.configuration, "configuration"),
                auth_config_id=binding.auth_config_id,
                limits=document(binding.limits, "limits"),
            )
        key = (tenant_id, binding.instance_id)
        etag, known = self._known.get(key, ("", None))
        if known is not None and binding.etag and etag == binding.etag:
            return known
        request = registry.GetInstanceRequest(instance_id=binding.instance_id)
        instance = (await call(self._control.registry.GetInstance, request)).instance
        bound = Bound(
            tenant_id,
            instance.instance_id,
            name=instance.name,
            configuration=document(instance.configuration, "configuration"),
            revision=instance.configuration_revision,
            auth_config_id=instance.auth_config_id,
            limits=document(instance.limits, "limits"),
        )
        self._known[key] = (instance.etag, bound)
        while len(self._known) > _MOST_LEASES:
            del self._known[next(iter(self._known))]
        return bound

    async def authenticated(
        self, bound: Bound, *, fresh: float = _FRESH_SECONDS, refused: str = "", refused_version: int = 0
    ) -> Bound:
        """Return the connection with its secret."""
        if not bound.auth_config_id:
            return bound
        leased = await self.leases.lease(
            bound.tenant_id,
            bound.auth_config_id,
            bound.instance_id,
            fresh=fresh,
            refused=refused,
            refused_version=refused_version,
        )
        return replace(
            bound,
            material=leased.material,
            secret_version=leased.secret_version,
            token_id=leased.token_id,
            scopes=leased.scopes,
        )

    async def renewed(self, bound: Bound) -> Bound:
        """Return the connection with its secret as it is now; for one that the system has refused.

        An access token is replaced, once for all who were refused with it.
        """
        with acting_for(bound.tenant_id):
            version = 0 if bound.token_id else bound.secret_version
            return await self.authenticated(bound, fresh=0.0, refused=bound.token_id, refused_version=version)

    def refuse(self, bound: Bound) -> None:
        """Let the next use ask for another secret: the system has refused this one."""
        self.leases.refuse(bound)


def document(text: str, path: str) -> dict[str, Any]:
    """Read what a binding says as a JSON object; an empty text is an empty one.

    Raises:
        FixRequest: It is none.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any]) if text else {}
    except msgspec.MsgspecError as error:
        message = f"`{path}` is not a JSON object; mend it."
        raise FixRequest(f"{path.upper()}_INVALID", message, path=path) from error


def _material(answer: credentials.LeaseCredentialResponse) -> dict[str, Any]:
    """The secret in the words that connectors of every kind read."""
    parameters, secret = answer.parameters, answer.secret
    method = connector.AuthMethod.Name(answer.auth_type).removeprefix("AUTH_METHOD_").lower()
    material = {
        "method": method,
        "header": parameters.header_name,
        "prefix": f"{parameters.prefix} " if parameters.prefix else "",
        "query_param": parameters.query_parameter,
        "username": parameters.username,
        "secret": secret.api_key or secret.bearer_token or secret.signing_key,
        "password": secret.password,
        "certificate": secret.client_certificate.certificate,
        "private_key": secret.client_certificate.private_key,
        "key_id": parameters.key_id,
        "region": parameters.region,
        "service": parameters.service,
        "fields": dict(secret.further),
    }
    return {name: value for name, value in material.items() if value}


__all__ = ["HUB", "Leased", "Leases", "Resolver", "deaf", "document"]
