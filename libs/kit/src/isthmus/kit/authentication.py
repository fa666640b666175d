"""Turns the credential of a call into a principal."""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from isthmus.kit.principal import Principal
from isthmus.kit.tokens import TrustStore
from isthmus.resilience.faults import Fault, NotAllowed, NotAuthenticated

TENANT_HEADER = "isthmus-tenant"
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_API_KEY = re.compile(r"ist_[A-Za-z0-9]{1,64}_[A-Za-z0-9_-]{8,256}")
_ACCESS_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,2048}\.[A-Za-z0-9_-]{1,8192}\.[A-Za-z0-9_-]{1,2048}")
REMEMBER_SECONDS = 5.0
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whom an API key or an access token belongs to.

    Attributes:
        principal: Who it is.
        expires_at: Until when, in Unix seconds; None means until revoked.
        remember: Seconds for which this answer holds without asking again.
    """

    principal: Principal
    expires_at: float | None = None
    remember: float = REMEMBER_SECONDS


KeyLookup = Callable[[str], Awaitable[KeyHolder]]


class Authenticator:
    """Verifies API keys and access tokens through the identity service, mesh tokens by the trust file.

    Args:
        trust: Verifies mesh tokens; None refuses them all.
        lookup: Asks whom an API key or an access token belongs to; None refuses them all.
    """

    def __init__(self, trust: TrustStore | None = None, lookup: KeyLookup | None = None) -> None:
        self._trust = trust
        self._lookup = lookup
        self._holders: OrderedDict[bytes, tuple[KeyHolder, float]] = OrderedDict()
        self._pending: dict[bytes, asyncio.Future[KeyHolder]] = {}

    def use(self, lookup: KeyLookup) -> None:
        """Replace how keys and access tokens are looked up; the identity service asks itself."""
        self._lookup = lookup

    async def authenticate(self, metadata: Mapping[str, str | bytes]) -> Principal | None:
        """Return who calls, or None when the call carries no credential.

        Args:
            metadata: The call's metadata, names in lower case.

        Raises:
            NotAuthenticated: the credential is malformed, unknown, revoked or expired.
            NotAllowed: `TENANT_NOT_YOURS`, a caller outside the mesh names a tenant.
        """
        header = metadata.get("authorization")
        if header is None:
            return None
        credential = _bearer(header)
        principal = None
        if self._trust is not None and not credential.startswith("ist_"):
            principal = self._trust.find(credential)
        if principal is None:
            principal = await self._by_lookup(credential)
        return _placed(principal, metadata.get(TENANT_HEADER))

    async def _by_lookup(self, credential: str) -> Principal:
        form = _API_KEY if credential.startswith("ist_") else _ACCESS_TOKEN
        if self._lookup is None or not form.fullmatch(credential):
            raise _refused()
        digest = hashlib.sha256(credential.encode()).digest()
        holder, until = self._holders.get(digest, (None, 0.0))
        if holder is None or time.time() >= until:
            holder = await self._ask(digest, credential)
        if holder.expires_at is not None and holder.expires_at <= time.time():
            raise _refused()
        return holder.principal

    async def _ask(self, digest: bytes, credential: str) -> KeyHolder:
        """Look a credential up once, however many calls with it arrive at the same moment."""
        pending = self._pending.get(digest)
        if pending is None:
            pending = asyncio.ensure_future(self._look_up(digest, credential))
            self._pending[digest] = pending
            pending.add_done_callback(lambda _: self._pending.pop(digest, None))
        return await asyncio.shield(pending)

    async def _look_up(self, digest: bytes, credential: str) -> KeyHolder:
        assert self._lookup is not None
        # Counted from before the question: what is revoked meanwhile is not remembered for longer.
        asked = time.time()
        holder = await self._lookup(credential)
        self._holders[digest] = (holder, asked + holder.remember)
        self._holders.move_to_end(digest)
        while len(self._holders) > _REMEMBERED:
            self._holders.popitem(last=False)
        return holder


def _bearer(header: str | bytes) -> str:
    text = header if isinstance(header, str) else header.decode("ascii", "replace")
    scheme, _, credential = text.partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise _refused()
    return credential.strip()


def _placed(principal: Principal, tenant: str | bytes | None) -> Principal:
    """Put a mesh principal into the tenant it acts for."""
    if tenant is None:
        return principal
    name = tenant if isinstance(tenant, str) else tenant.decode("ascii", "replace")
    bound_elsewhere = principal.tenant_id not in {"", name}
    if principal.kind != "mesh" or bound_elsewhere or not _TENANT.fullmatch(name):
        message = f"Leave out the metadata `{TENANT_HEADER}`; the tenant comes from your key."
        raise NotAllowed("TENANT_NOT_YOURS", message)
    return replace(principal, tenant_id=name)


def _refused() -> Fault:
    message = (
        "The credential is not valid; log in again, or send an API key as `authorization: Bearer ist_…`."
    )
    return NotAuthenticated("CALLER_UNKNOWN", message)


__all__ = ["REMEMBER_SECONDS", "TENANT_HEADER", "Authenticator", "KeyHolder", "KeyLookup"]
