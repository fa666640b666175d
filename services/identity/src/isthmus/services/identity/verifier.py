"""Finds out whose API key or access token a call carries."""

from dataclasses import replace

from isthmus.kit import Clock
from isthmus.services.identity.domain import (
    Caller,
    check_address,
    narrowed,
    parse,
    unknown_caller,
    verify,
)
from isthmus.services.identity.oidc import Visitors
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.quotas import Allowance
from isthmus.services.identity.signing import OUR_TYPE, SigningKeys, header_of, unverified_claims
from isthmus.services.identity.store import Sessions, Store
from isthmus.services.identity.support import Hospitality, is_guest
from isthmus.services.identity.usage import Sighting, Usage

# What ends a session has to hold everywhere within a second, the call that asks included.
_SESSION_AGE = 0.8


class Verifier:
    """Verifies API keys against the stored digests, access tokens by signature and session."""

    def __init__(
        self,
        store: Store,
        pepper: Pepper,
        signing: SigningKeys,
        visitors: Visitors,
        hospitality: Hospitality,
        *,
        usage: Usage,
        allowance: Allowance,
        clock: Clock,
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._signing = signing
        self._visitors = visitors
        self._hospitality = hospitality
        self._usage = usage
        self._allowance = allowance
        self._clock = clock

    async def caller(self, credential: str, address: str = "", calls: int = 0) -> Caller:
        """Return the holder of a key or a token.

        Args:
            credential: As the caller sent it.
            address: Where the call comes from.
            calls: Calls made with it since the service that asks has last asked.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, it has no effect.
            NotAllowed: `ADDRESS_NOT_ALLOWED`, the key has no effect there.
            RetryLater: `VAULT_UNREACHABLE`, it cannot be verified yet.
        """
        if credential.count(".") == 2:
            caller = await self._by_token(credential)
        else:
            caller = await self._by_key(credential, address, calls)
        return replace(caller, quotas=await self._allowance.of(caller.tenant_id))

    async def _by_key(self, api_key: str, address: str, calls: int) -> Caller:
        parsed = parse(api_key)
        pepper = await self._pepper.get()
        async with self._store.everything() as rows:
            found = await rows.key_record(parsed.api_key_id)
        record = verify(parsed, found, pepper, self._clock.now())
        check_address(address, record.key.allowed_networks)
        self._usage.note(Sighting(record.key.api_key_id, address, calls))
        held, scope = record.access.permissions, record.key.permissions
        return Caller(
            subject=record.holder.subject,
            tenant_id=record.holder.tenant_id,
            permissions=narrowed(held, scope) if scope else held,
            expire_time=record.key.expire_time,
            rate=record.key.requests_per_second,
        )

    async def _by_token(self, token: str) -> Caller:
        header = header_of(token)
        if header.get("typ") != OUR_TYPE:
            return await self._visitors.caller(unverified_claims(token), token)
        claims = await self._signing.verify(token)
        if is_guest(claims):
            return await self._hospitality.caller(claims)
        tenant_id, session_id = str(claims["tid"]), str(claims["sid"])
        async with self._store.of(tenant_id) as rows:
            known = await Sessions(rows.conn).with_user(tenant_id, session_id)
        now = self._clock.now()
        if known is None or not known[0].is_open(now) or known[1].is_disabled:
            raise unknown_caller()
        session, user, held = known
        end = now.fromtimestamp(claims["exp"], now.tzinfo)
        return Caller(
            subject=user.subject,
            tenant_id=tenant_id,
            permissions=held.permissions,
            expire_time=min(end, session.expire_time),
            kind="user",
            session_id=session_id,
            max_age=_SESSION_AGE,
        )


__all__ = ["Verifier"]
