"""Turns the credential of a call into a principal."""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace

from isthmus.kit.principal import Principal, current_client_address
from isthmus.kit.quotas import QuotaBook, exceeded
from isthmus.kit.tokens import TrustStore, refused
from isthmus.resilience.bucket import TokenBucket
from isthmus.resilience.faults import LimitReached, NotAllowed

TENANT_HEADER = "isthmus-tenant"
FORWARDED_FOR_HEADER = "isthmus-forwarded-for"
FORWARDED_BY_HEADER = "isthmus-forwarded-by"
_FORWARD = "identity.callers.forward"
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_API_KEY = re.compile(r"ist_[A-Za-z0-9]{1,64}_[A-Za-z0-9_-]{8,256}")
_ACCESS_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,2048}\.[A-Za-z0-9_-]{1,8192}\.[A-Za-z0-9_-]{1,2048}")
REMEMBER_SECONDS = 5.0
_REMEMBERED = 4096
_SHARED_SECONDS = 0.6
"""A hundredth of the calls of a minute: a tenant that makes fewer costs no report."""
# Whoever guesses credentials keeps neither this process nor the identity service from its work.
_MOST_LOOKUPS = 200


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whom an API key or an access token belongs to.

    Attributes:
        principal: Who it is.
        expires_at: Until when, in Unix seconds; None means until revoked.
        remember: Seconds for which this answer holds without asking again.
        rate: Calls a second that the credential may make of this process; 0 sets no limit.
    """

    principal: Principal
    expires_at: float | None = None
    remember: float = REMEMBER_SECONDS
    rate: float = 0.0


class _CallBucket(TokenBucket):
    """Counts the calls of a credential or a tenant; of some no other replica knows yet."""

    unshared = 0


@dataclass(slots=True)
class _Known:
    """What is remembered of a credential that came from one address."""

    holder: KeyHolder
    until: float
    bucket: TokenBucket | None = None
    tenant_bucket: _CallBucket | None = None
    calls: int = 0


KeyLookup = Callable[[str], Awaitable[KeyHolder]]
_unreported: ContextVar[int] = ContextVar("isthmus_unreported_calls", default=0)


def unreported_calls() -> int:
    """Tell a lookup how many calls were made with a credential since its last answer about it."""
    return _unreported.get()


class Authenticator:
    """Verifies API keys and access tokens through the identity service, mesh tokens by the trust file.

    Args:
        trust: Verifies mesh tokens; None refuses them all.
        lookup: Asks whom an API key or an access token belongs to; None refuses them all.
    """

    def __init__(self, trust: TrustStore | None = None, lookup: KeyLookup | None = None) -> None:
        self._trust = trust
        self._lookup = lookup
        self._book: QuotaBook | None = None
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._buckets: OrderedDict[bytes, _CallBucket] = OrderedDict()
        self._pending: dict[bytes, asyncio.Future[_Known]] = {}

    def share_calls(self, book: QuotaBook) -> None:
        """Count calls of tenants together with the other replicas of this service."""
        self._book = book

    def use(self, lookup: KeyLookup) -> None:
        """Replace how keys and access tokens are looked up; the identity service asks itself."""
        self._lookup = lookup

    async def authenticate(self, metadata: Mapping[str, str | bytes]) -> Principal | None:
        """Return who calls, or None when the call carries no credential.

        Args:
            metadata: The call's metadata, names in lower case.

        Raises:
            NotAuthenticated: the credential is malformed, unknown, revoked or expired.
            NotAllowed: `TENANT_NOT_YOURS`, a caller outside the mesh names a tenant, or
                `ADDRESS_NOT_ALLOWED`, the key may not be used from where the call comes.
            LimitReached: `SERVICE_OVERLOADED`, too many credentials are being verified, `KEY_RATE_EXCEEDED`,
                the key makes more calls than it may, or `QUOTA_EXCEEDED`, all of its tenant together do.
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

    def forwarded_for(
        self, metadata: Mapping[str, str | bytes], prove: Callable[[str], None] | None = None
    ) -> str | None:
        """Return the address that a call was handed on for, or None when it came by itself.

        Only a process of the mesh that may hand calls on is believed; it proves itself by a token of its
        own beside the caller's credential.

        Args:
            metadata: The call's metadata, names in lower case.
            prove: Insists that the connection belongs to the process that a token names.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, somebody else says so.
        """
        voucher = metadata.get(FORWARDED_BY_HEADER)
        if voucher is None:
            return None
        principal = self._trust.find(str(voucher)) if self._trust is not None else None
        if principal is None or not principal.may(_FORWARD):
            raise refused()
        if prove is not None:
            prove(principal.subject)
        return str(metadata.get(FORWARDED_FOR_HEADER, ""))

    async def _by_lookup(self, credential: str) -> Principal:
        form = _API_KEY if credential.startswith("ist_") else _ACCESS_TOKEN
        if self._lookup is None or not form.fullmatch(credential):
            raise refused()
        # Each address is asked about: a key may be bound to some, and is watched for new ones.
        digest = hashlib.sha256(f"{credential} {current_client_address()}".encode()).digest()
        known = self._known.get(digest)
        if known is None or time.time() >= known.until:
            known = await self._ask(digest, credential)
        expires_at = known.holder.expires_at
        if expires_at is not None and expires_at <= time.time():
            raise refused()
        known.calls += 1
        if known.bucket is not None:
            _spend(known.bucket)
        if known.tenant_bucket is not None:
            _spend_of_tenant(known.tenant_bucket)
            known.tenant_bucket.unshared += 1
            if self._book is not None:
                _share(known.holder.principal.tenant_id, known.tenant_bucket, self._book)
        return known.holder.principal

    async def _ask(self, digest: bytes, credential: str) -> _Known:
        """Look a credential up once, however many calls with it arrive at the same moment."""
        pending = self._pending.get(digest)
        if pending is None:
            if len(self._pending) >= _MOST_LOOKUPS:
                message = "Too many credentials are being verified; wait as told, then repeat the call."
                raise LimitReached("SERVICE_OVERLOADED", message, retry_after=1.0)
            pending = asyncio.ensure_future(self._look_up(digest, credential))
            self._pending[digest] = pending
            pending.add_done_callback(lambda _: self._pending.pop(digest, None))
        return await asyncio.shield(pending)

    async def _look_up(self, digest: bytes, credential: str) -> _Known:
        assert self._lookup is not None
        before = self._known.get(digest)
        _unreported.set(before.calls if before is not None else 0)
        # Counted from before the question: what is revoked meanwhile is not remembered for longer.
        asked = time.time()
        holder = await self._lookup(credential)
        calls_per_minute = holder.principal.quotas.calls_per_minute
        known = _Known(
            holder,
            asked + holder.remember,
            self._bucket(credential, holder.rate),
            None
            if calls_per_minute is None
            else self._bucket(f"tenant {holder.principal.tenant_id}", max(calls_per_minute, 0.001) / 60),
        )
        self._known[digest] = known
        self._known.move_to_end(digest)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return known

    def _bucket(self, credential: str, rate: float) -> _CallBucket | None:
        """Return what counts a limited credential's or tenant's calls, one for all addresses."""
        if rate <= 0:
            return None
        digest = hashlib.sha256(credential.encode()).digest()
        bucket = self._buckets.get(digest)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[digest] = _CallBucket(rate)
        self._buckets.move_to_end(digest)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket


def _spend(bucket: TokenBucket) -> None:
    """Take a turn, or give it back and say how long to wait for one."""
    wait = bucket.take()
    if wait > 0:
        bucket.take(-1.0)
        message = "This key makes more calls than it may; wait as told, then go on more slowly."
        raise LimitReached("KEY_RATE_EXCEEDED", message, retry_after=wait)


def _share(tenant_id: str, bucket: _CallBucket, book: QuotaBook) -> None:
    """Tell the other replicas of calls once there are some, and pause where all have made too many."""
    if bucket.unshared < bucket.rate * _SHARED_SECONDS:
        return
    calls, bucket.unshared = bucket.unshared, 0
    try:
        book.charge(tenant_id, "calls_per_minute", calls, is_done=True)
    except LimitReached as full:
        bucket.pause(full.retry_after or 1.0)
        raise


def _spend_of_tenant(bucket: TokenBucket) -> None:
    wait = bucket.take()
    if wait > 0:
        bucket.take(-1.0)
        limit = round(bucket.rate * 60)
        raise exceeded("calls_per_minute", limit, limit, retry_after=wait)


def _bearer(header: str | bytes) -> str:
    text = header if isinstance(header, str) else header.decode("ascii", "replace")
    scheme, _, credential = text.partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise refused()
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


__all__ = [
    "FORWARDED_BY_HEADER",
    "FORWARDED_FOR_HEADER",
    "REMEMBER_SECONDS",
    "TENANT_HEADER",
    "Authenticator",
    "KeyHolder",
    "KeyLookup",
    "unreported_calls",
]
