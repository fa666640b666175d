"""Finds out whose API key a call carries."""

from isthmus.kit import Clock
from isthmus.services.identity.domain import (
    Caller,
    parse,
    permissions_of,
    use_is_worth_noting,
    verify,
)
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.store import Store


class Verifier:
    """Verifies API keys against the stored digests and notes their use."""

    def __init__(self, store: Store, pepper: Pepper, clock: Clock) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock

    async def caller(self, api_key: str) -> Caller:
        """Return the holder of a key.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, the key has no effect.
            RetryLater: `VAULT_UNREACHABLE`, the pepper is not known yet.
        """
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
            permissions=permissions_of(record.holder.roles),
            expire_time=record.key.expire_time,
        )


__all__ = ["Verifier"]
