"""Secrets in one file that a key seals: for the smallest set-ups, without a server."""

import asyncio
import base64
import binascii
import fcntl
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from isthmus.kit.vault.port import VaultState
from isthmus.kit.vault.shelf import unknown
from isthmus.resilience.faults import Conflict, DataLost, Fault, Precondition, RetryLater

T = TypeVar("T")
_Documents = dict[str, dict[str, dict[str, Any]]]

_MAGIC = b"isthmus-sealed-1\n"
_NONCE_BYTES, _KEY_BYTES = 12, 32
_MOST_VERSIONS = 10


def new_key() -> str:
    """Make a key for a sealed file, in base64."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


class SealedFile:
    """Documents in a file that AES-256-GCM seals as a whole; written beside it and put in its place.

    Several processes may use it: whoever writes has a lock, and whoever reads looks whether the file is
    still the one it knows.

    Args:
        path: The file; it is made with the first secret.
        key: Gives the key in base64; asked whenever the file has changed.
    """

    def __init__(self, path: Path, key: Callable[[], str]) -> None:
        self._path = path
        self._key = key
        self._seen: tuple[int, int, int] = (0, 0, 0)
        self._documents: _Documents = {}

    async def newest(self, path: str) -> tuple[dict[str, Any], int]:
        """Return the newest version with its number; nothing and 0 where there is none."""
        versions = await self.versions(path)
        number = max(versions, default=0)
        return versions.get(number, {}), number

    async def version(self, path: str, number: int) -> dict[str, Any]:
        """Return one version."""
        found = (await self.versions(path)).get(number)
        if found is None:
            raise unknown()
        return found

    async def add(self, path: str, data: dict[str, Any], after: int | None) -> int:
        """Store another version; the ten newest are kept."""

        def added(documents: _Documents) -> int:
            versions = documents.setdefault(path, {})
            newest = max(map(int, versions), default=0)
            if after is not None and after != newest:
                message = "Somebody else stored this secret meanwhile; read it again."
                raise Conflict("SECRET_CHANGED", message)
            versions[str(newest + 1)] = data
            for old in sorted(versions, key=int)[:-_MOST_VERSIONS]:
                del versions[old]
            return newest + 1

        return await self._changed(added)

    async def remove(self, path: str) -> None:
        """Remove a document with all its versions."""
        if await self.versions(path):
            await self._changed(lambda documents: documents.pop(path, None))

    async def state(self) -> VaultState:
        """Tell whether the file can be opened."""
        try:
            documents = await asyncio.to_thread(self._read)
        except Fault as fault:
            return VaultState("file", str(self._path), is_usable=False, text=fault.message)
        return VaultState("file", str(self._path), is_usable=True, text=f"{len(documents)} secrets, opened")

    async def close(self) -> None:
        """Forget what was read."""
        self._seen, self._documents = (0, 0, 0), {}

    async def paths(self) -> AsyncIterator[str]:
        """List whole paths."""
        for path in list(await asyncio.to_thread(self._read)):
            yield path

    async def versions(self, path: str) -> dict[int, dict[str, Any]]:
        """Return the versions that are kept of a secret, by number."""
        documents = await asyncio.to_thread(self._read)
        return {int(number): dict(data) for number, data in documents.get(path, {}).items()}

    async def put(self, path: str, versions: Mapping[int, dict[str, Any]]) -> None:
        """Store a secret with exactly these versions."""
        kept = {str(number): data for number, data in versions.items()}
        await self._changed(lambda documents: documents.update({path: kept}))

    async def _changed(self, change: Callable[[_Documents], T]) -> T:
        return await asyncio.to_thread(self._change, change)

    def _change(self, change: Callable[[_Documents], T]) -> T:
        with self._locked():
            documents: _Documents = json.loads(json.dumps(self._read()))
            result = change(documents)
            self._write(documents)
        return result

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out; the lock is a file of its own, because the sealed one is replaced."""
        lock = -1
        try:
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            if lock >= 0:
                os.close(lock)

    def _read(self) -> _Documents:
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._documents = self._opened(self._path.read_bytes())
                self._seen = seen
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from None
        return self._documents

    def _opened(self, content: bytes) -> _Documents:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        sealed = content.removeprefix(_MAGIC)
        try:
            opened = AESGCM(self._key_bytes()).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _MAGIC)
        except (InvalidTag, ValueError):
            message = f"The key does not open {self._path}: it is another one, or the file was altered."
            raise DataLost("SEALED_FILE_BROKEN", message) from None
        documents: _Documents = json.loads(opened)
        return documents

    def _write(self, documents: _Documents) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = json.dumps(documents, separators=(",", ":")).encode()
        sealed = AESGCM(self._key_bytes()).encrypt(nonce, plain, _MAGIC)
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_MAGIC + nonce + sealed)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _key_bytes(self) -> bytes:
        try:
            key = base64.b64decode(self._key().strip(), validate=True)
        except OSError as error:
            message = (
                f"The key of {self._path} cannot be read ({error.strerror}); set ISTHMUS_SECRETS_KEY_FILE."
            )
            raise RetryLater("VAULT_SEALED", message, retry_after=1.0) from None
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _KEY_BYTES:
            message = (
                f"The key of {self._path} has to be 32 bytes in base64; `isthmus secrets key` makes one."
            )
            raise Precondition("SETTING_INVALID", message)
        return key

    def _unusable(self, error: OSError) -> RetryLater:
        why = f"The file of secrets {self._path} cannot be used ({error.strerror})"
        message = f"{why}; repeat the call in a moment."
        return RetryLater("VAULT_UNREACHABLE", message, retry_after=1.0)


__all__ = ["SealedFile", "new_key"]
