"""Open SDK sessions, shared by everything that works on the same instance."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from isthmus.host.backend import Bound
from isthmus.kit.logs import logger
from isthmus.sdk.failures import AuthenticationFailure, Fatal, TransientFailure
from isthmus.sdk.runtime import Session

# After one of these the connection itself may be what is wrong, so the next user gets a fresh one.
_SPOILING = (AuthenticationFailure, TransientFailure, Fatal)
_MOST_SESSIONS = 64
_log = logger(__name__)
_Key = tuple[str, str, int, tuple[int, str]]


@dataclass(slots=True)
class Held:
    """A session with those who use it.

    Attributes:
        credential: Tenant and id of the credential that it works with.
        spent: Not to be handed out again; it is closed when its last user leaves.
    """

    session: Session
    credential: tuple[str, str] = ("", "")
    users: int = 0
    spent: bool = False
    last_used: float = field(default_factory=time.monotonic)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sessions:
    """Keeps one session for each instance, configuration revision and secret.

    Args:
        make: Makes a session that is not connected yet.
        idle_seconds: How long an unused session stays open.
    """

    def __init__(self, make: Callable[[Bound], Session], *, idle_seconds: float = 60.0) -> None:
        self._make = make
        self._idle_seconds = idle_seconds
        self._held: dict[_Key, Held] = {}

    @asynccontextmanager
    async def use(self, bound: Bound) -> AsyncIterator[Held]:
        """Lend a connected session for the length of the block.

        Raises:
            Failure: What stands in the way of connecting.
        """
        held = await self._take(bound)
        try:
            async with held.opening:
                await held.session.connect()
            yield held
        except Exception as error:
            held.spent = held.spent or isinstance(error, _SPOILING)
            raise
        finally:
            held.users -= 1
            held.last_used = time.monotonic()
            if held.spent:
                await self._retire(held)

    async def sweep(self) -> None:
        """Close what nobody has used for a while."""
        now = time.monotonic()
        for held in list(self._held.values()):
            if not held.users and now - held.last_used > self._idle_seconds:
                await self._retire(held)

    async def revoke(self, tenant_id: str, auth_config_id: str) -> None:
        """Let no session send another request with a credential; each is closed when its users have left."""
        for held in list(self._held.values()):
            if held.credential == (tenant_id, auth_config_id):
                held.session.revoke()
                await self._retire(held)

    async def close(self) -> None:
        """Close every session, used or not."""
        for held in list(self._held.values()):
            held.users = 0
            await self._retire(held)

    async def _take(self, bound: Bound) -> Held:
        if not bound.instance_id:
            return Held(self._make(bound), (bound.tenant_id, bound.auth_config_id), users=1, spent=True)
        key = (bound.tenant_id, bound.instance_id, bound.revision, bound.secret_identity)
        held = self._held.get(key)
        if held is None or held.spent:
            held = self._held[key] = Held(self._make(bound), (bound.tenant_id, bound.auth_config_id))
        held.users += 1
        if held.users == 1:
            await self._make_room(key)
        return held

    async def _make_room(self, newest: _Key) -> None:
        """Retire older forms of the same instance, and the longest unused beyond the limit."""
        older = [held for key, held in self._held.items() if key[:2] == newest[:2] and key != newest]
        idle = sorted((held for held in self._held.values() if not held.users), key=lambda one: one.last_used)
        surplus = idle[: max(0, len(self._held) - _MOST_SESSIONS)]
        for held in [*older, *surplus]:
            await self._retire(held)

    async def _retire(self, held: Held) -> None:
        held.spent = True
        if held.users:
            return
        for key in [key for key, known in self._held.items() if known is held]:
            del self._held[key]
        try:
            async with asyncio.timeout(5.0):
                await held.session.close()
        except Exception as error:
            _log.warning("a connection did not close well", why=str(error))


__all__ = ["Held", "Sessions"]
