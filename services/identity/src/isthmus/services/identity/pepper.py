"""The key of the keyed hash, kept in the vault and in this process's memory."""

import asyncio
import hashlib
import hmac
import secrets
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from isthmus.resilience.faults import Missing


class Secrets(Protocol):
    """Where the pepper is kept."""

    async def read(self, path: str) -> dict[str, Any]:
        """Return what is stored; `Missing` when nothing is."""

    async def write(self, path: str, data: dict[str, Any]) -> int:
        """Store it and return the version's number."""


class Exclusive(Protocol):
    """Keeps other replicas out while the pepper is made."""

    def exclusive(self, purpose: str) -> AbstractAsyncContextManager[None]:
        """Hold a lock that all replicas share."""


class Pepper:
    """Reads the pepper once and makes it when the installation has none yet.

    Args:
        vault: Where it is kept.
        lock: Lets one replica at a time make it, so that none overwrites another's.
        path: Its path in the vault.
    """

    def __init__(self, vault: Secrets, lock: Exclusive, path: str) -> None:
        self._vault = vault
        self._lock = lock
        self._path = path
        self._value = b""
        self._once = asyncio.Lock()

    async def get(self) -> bytes:
        """Return the pepper; after the first time without asking the vault.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`.
        """
        if not self._value:
            async with self._once:
                self._value = self._value or await self._find()
        return self._value

    async def _find(self) -> bytes:
        try:
            return await self._read()
        except Missing:
            return await self._make()

    async def _make(self) -> bytes:
        async with self._lock.exclusive("pepper"):
            try:
                return await self._read()
            except Missing:
                value = secrets.token_bytes(32)
                await self._vault.write(self._path, {"pepper": value.hex()})
                return value

    async def _read(self) -> bytes:
        return bytes.fromhex((await self._vault.read(self._path))["pepper"])


def derived(pepper: bytes, *what: str) -> bytes:
    """A key of its own for what these words name; it tells nothing of the pepper."""
    told = b"\0".join(word.encode() for word in ("isthmus-key", *what))
    return hmac.digest(pepper, told, hashlib.sha256)


__all__ = ["Pepper", "derived"]
