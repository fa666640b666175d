"""Finds out whose API key or access token a call carries."""

from isthmus.kit import Clock
from isthmus.services.identity.domain import (
    Caller,
    parse,
    unknown_caller,
    use_is_worth_noting,
    verify,
)
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.signing import SigningKeys
from isthmus.services.identity.store import Sessions, Store

# What ends a session has to hold everywhere within a second, the call that asks included.
_SESSION_AGE = 0.8


class Verifier:
    """Verifies API keys against the stored digests, access tokens by signature and session."""

    def __init__(self, store: Store, pepper: Pepper, signing: SigningKeys, clock: Clock) -> None:
        self._store = store
        self._pepper = pepper
        self._signing = signing
        self._clock = clock

    async def caller(self, credential: str) -> Caller:
        """Return the holder of a key or a token.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, it has no effect.
            RetryLater: `VAULT_UNREACHABLE`, it cannot be verified yet.
        """
        if credential.count(".") == 2:
            return await self._by_token(credential)
        return await self._by_key(credential)

    async def _by_key(self, api_key: str) -> Caller:
        parsed = parse(api_key)
        pepper = await self._pepper.get()
        now = self._clock.now()
        async with self._store.everything() as rows:
            record = verify(parsed, await rows.key_record(parsed.api_key_id), pepper, now)
            if use_is_worth_noting(record.key.last_used_time, now):
                await rows.note_use(record.key.api_key_id, now)
        return Caller(
            subject=record.holder.subject,
            tenant_id=record.holder.tenant_id,
            permissions=record.access.permissions,
            expire_time=record.key.expire_time,
        )

    async def _by_token(self, token: str) -> Caller:
        claims = await self._signing.verify(token)
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
