"""The port over anything that keeps documents by path: folders, tenants, and sealing with a key of ours."""

import base64
import secrets
from typing import Any, Protocol

from isthmus.kit.vault.port import ROOT, VaultState
from isthmus.resilience.faults import DataLost, Missing, Precondition

_KEY_PATH = "data-key"
_MARK = "sealed:v1"
_NONCE_BYTES = 12


class Shelf(Protocol):
    """Keeps documents with numbered versions by whole path."""

    async def newest(self, path: str) -> tuple[dict[str, Any], int]:
        """Return the newest version with its number; nothing and 0 where there is none."""

    async def version(self, path: str, number: int) -> dict[str, Any]:
        """Return one version, or raise `Missing`."""

    async def add(self, path: str, data: dict[str, Any], after: int | None) -> int:
        """Store another version and return its number."""

    async def remove(self, path: str) -> None:
        """Remove a document with all its versions."""

    async def state(self) -> VaultState:
        """Find out how it is; never raises."""

    async def close(self) -> None:
        """Let go of connections."""


class _ShelfFolder:
    """Documents below one path."""

    def __init__(self, shelf: Shelf, folder: str) -> None:
        self._shelf = shelf
        self._folder = folder

    async def read(self, path: str, *, version: int | None = None) -> dict[str, Any]:
        """Return the secret at `path`; see the port."""
        if version is not None:
            return await self._shelf.version(self._folder + path, version)
        data, number = await self.newest(path)
        if not number:
            raise unknown()
        return data

    async def newest(self, path: str) -> tuple[dict[str, Any], int]:
        """Return the newest version of a secret with its number; see the port."""
        return await self._shelf.newest(self._folder + path)

    async def write(self, path: str, data: dict[str, Any], *, after: int | None = None) -> int:
        """Store a new version of the secret at `path`; see the port."""
        return await self._shelf.add(self._folder + path, data, after)

    async def delete(self, path: str) -> None:
        """Remove the secret with all its versions; see the port."""
        await self._shelf.remove(self._folder + path)


class DataKeys:
    """Keys that seal what lies in PostgreSQL, for providers that seal nothing themselves.

    The newest key seals; every key stays under its own name, so what was sealed with an older one opens.

    Args:
        own: The service's own folder, where the keys lie.
    """

    def __init__(self, own: _ShelfFolder) -> None:
        self._own = own
        self._newest = ""
        self._known: dict[str, bytes] = {}

    async def seal(self, plaintext: bytes, bound_to: str) -> str:
        """Seal a text for one tenant and service with AES-256-GCM."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name = self._newest or await self._choose()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._known[name]).encrypt(nonce, plaintext, bound_to.encode())
        return f"{_MARK}:{name}:{base64.b64encode(nonce + sealed).decode()}"

    async def open(self, sealed: str, bound_to: str) -> bytes:
        """Open what was sealed for the same.

        Raises:
            DataLost: `SEALED_TEXT_BROKEN`.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        mark, _, rest = sealed.rpartition(":")
        head, _, name = mark.rpartition(":")
        if head != _MARK:
            raise broken()
        try:
            whole = base64.b64decode(rest, validate=True)
            key = await self._key(name)
            return AESGCM(key).decrypt(whole[:_NONCE_BYTES], whole[_NONCE_BYTES:], bound_to.encode())
        except (InvalidTag, ValueError, Missing):
            raise broken() from None

    async def _choose(self) -> str:
        """Find the newest key, and make one where there is none.

        Of two who make one at the same time each keeps its own under its own name, so both open.
        """
        document, version = await self._own.newest(_KEY_PATH)
        if not version:
            document = {
                "name": secrets.token_hex(8),
                "key": base64.b64encode(secrets.token_bytes(32)).decode(),
            }
            await self._own.write(f"{_KEY_PATH}s/{document['name']}", document)
            await self._own.write(_KEY_PATH, document)
        self._newest = self._remember(document)
        return self._newest

    async def _key(self, name: str) -> bytes:
        if name not in self._known:
            document, _ = await self._own.newest(_KEY_PATH)
            if document.get("name") != name:
                document = await self._own.read(f"{_KEY_PATH}s/{name}")
            self._remember(document)
        return self._known[name]

    def _remember(self, document: dict[str, Any]) -> str:
        try:
            name, key = str(document["name"]), base64.b64decode(document["key"], validate=True)
        except (KeyError, ValueError, TypeError):
            name, key = "", b""
        if not name or ":" in name or len(key) != 32:
            message = (
                f"What is kept as `{_KEY_PATH}` is no key: it has a name, and 32 bytes in base64 as key."
            )
            raise Precondition("DATA_KEY_INVALID", message) from None
        self._known[name] = key
        return name


class ShelfTenantVault(_ShelfFolder):
    """What one service keeps for one tenant."""

    def __init__(self, shelf: Shelf, keys: DataKeys, tenant_id: str, service: str) -> None:
        super().__init__(shelf, f"{ROOT}tenants/{tenant_id}/{service}/")
        self._keys = keys
        self._bound_to = f"{service}/{tenant_id}"

    async def encrypt(self, plaintext: bytes) -> str:
        """Seal what has to lie in PostgreSQL; see the port."""
        return await self._keys.seal(plaintext, self._bound_to)

    async def decrypt(self, ciphertext: str) -> bytes:
        """Open what `encrypt` has sealed; see the port."""
        return await self._keys.open(ciphertext, self._bound_to)


class ShelfVault(_ShelfFolder):
    """A service's own secrets on a shelf.

    Args:
        shelf: Keeps them.
        service: Its name.
    """

    def __init__(self, shelf: Shelf, *, service: str) -> None:
        super().__init__(shelf, f"{ROOT}{service}/")
        self._service = service
        self._keys = DataKeys(self)

    def tenant(self, tenant_id: str) -> ShelfTenantVault:
        """Return what this service keeps for a tenant."""
        return ShelfTenantVault(self._shelf, self._keys, tenant_id, self._service)

    def signing_key(self, purpose: str) -> None:
        """There is none: what lies on a shelf can be taken from it."""

    async def state(self) -> VaultState:
        """Find out how the vault is; never raises."""
        return await self._shelf.state()

    async def close(self) -> None:
        """Let go of connections."""
        await self._shelf.close()


def unknown() -> Missing:
    """Say that nothing is stored there."""
    return Missing("SECRET_UNKNOWN", "The vault has no such secret; enter it again.")


def broken() -> DataLost:
    """Say that a sealed text cannot be opened."""
    message = "What was sealed cannot be opened: its key is gone or the text was altered."
    return DataLost("SEALED_TEXT_BROKEN", message)


__all__ = ["DataKeys", "Shelf", "ShelfTenantVault", "ShelfVault", "broken", "unknown"]
