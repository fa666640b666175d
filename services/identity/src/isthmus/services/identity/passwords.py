"""Hashes and checks passwords: argon2id over a keyed hash, in a few threads, with a short queue."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from isthmus.resilience.faults import LimitReached
from isthmus.services.identity.pepper import Pepper

T = TypeVar("T")

_AT_ONCE = 2
_WAITING = 16
_RETRY_AFTER = 1.0


class Passwords:
    """Keeps passwords so that a stolen table opens nothing, and a flood of guesses stops nobody else.

    What argon2id is given is not the password but its keyed hash under the pepper, which is as short for
    a long password as for a short one. Each check takes memory and a fifth of a second on purpose, so only a
    few run at a time; who would have to wait long is asked to come back.

    Args:
        pepper: The key of the keyed hash.
        memory_kib: Memory of one check.
        passes: How often a check goes over that memory.
    """

    def __init__(self, pepper: Pepper, *, memory_kib: int, passes: int) -> None:
        self._pepper = pepper
        self._costs: dict[str, Any] = {"memory_cost": memory_kib, "time_cost": passes, "parallelism": 1}
        self._threads: ThreadPoolExecutor | None = None
        self._hasher: Any = None
        self._nobodys = ""
        self._inside = 0

    async def hash(self, password: str) -> str:
        """Return what is kept of a password.

        Raises:
            LimitReached: `PASSWORDS_BUSY`.
            RetryLater: `VAULT_UNREACHABLE`, the pepper is not known yet.
        """
        peppered = await self._peppered(password)
        return await self._in_thread(lambda: str(self._argon().hash(peppered)))

    async def verify(self, password: str, kept: str | None) -> bool:
        """Tell whether this is the password; where none is kept the answer takes as long.

        Raises:
            LimitReached: `PASSWORDS_BUSY`.
            RetryLater: `VAULT_UNREACHABLE`, the pepper is not known yet.
        """
        peppered = await self._peppered(password)
        return await self._in_thread(lambda: self._verify(peppered, kept))

    def is_outdated(self, kept: str) -> bool:
        """Tell whether a hash was made with other costs than those of today."""
        return bool(self._argon().check_needs_rehash(kept))

    async def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, peppered: str, kept: str | None) -> bool:
        from argon2.exceptions import VerificationError

        if not self._nobodys:
            self._nobodys = str(self._argon().hash("nobody's"))
        try:
            return bool(self._argon().verify(kept or self._nobodys, peppered)) and kept is not None
        except VerificationError:
            return False

    def _argon(self) -> Any:
        if self._hasher is None:
            from argon2 import PasswordHasher

            self._hasher = PasswordHasher(**self._costs)
        return self._hasher

    async def _peppered(self, password: str) -> str:
        pepper = await self._pepper.get()
        return hmac.digest(pepper, b"password:" + password.encode("utf-8", "replace"), hashlib.sha256).hex()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._inside >= _AT_ONCE + _WAITING:
            message = "Too many passwords are being checked at the moment; repeat the call."
            raise LimitReached("PASSWORDS_BUSY", message, retry_after=_RETRY_AFTER)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="passwords")
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._inside -= 1


__all__ = ["Passwords"]
