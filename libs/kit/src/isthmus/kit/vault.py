"""Secrets in OpenBao or Vault, through the KV version 2 engine."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from isthmus.resilience.faults import Conflict, Fault, Missing, RetryLater

T = TypeVar("T")

_CONNECT_SECONDS = 0.5
_ANSWER_SECONDS = 0.8
_CALL_SECONDS = 0.95
_THREADS = 8
_RETRY_AFTER = 1.0


class Vault:
    """Reads and writes secrets; every call ends within a second, also when the vault is gone.

    The client beneath blocks, so it works in threads of its own: a vault that
    swallows packets delays nobody but those who ask it.

    Args:
        address: Where the vault listens.
        token_file: Holds the token; read again when the vault refuses the one in use.
        mount: Where the KV version 2 engine is mounted.
    """

    def __init__(self, address: str, token_file: Path, *, mount: str = "secret") -> None:
        # Loaded here, once, so that the first call has its whole second for the vault.
        import hvac.exceptions  # noqa: F401

        self._address = address
        self._token_file = token_file
        self._mount = mount
        self._clients = threading.local()
        self._threads: ThreadPoolExecutor | None = None

    async def read(self, path: str, *, version: int | None = None) -> dict[str, Any]:
        """Return the secret at `path`.

        Args:
            path: Path below the engine's mount.
            version: Which version; the newest by default.

        Raises:
            Missing: `SECRET_UNKNOWN`, nothing is stored there.
            RetryLater: `VAULT_UNREACHABLE`.
        """
        answer = await self._call(
            lambda engine: engine.read_secret_version(
                path, version=version, mount_point=self._mount, raise_on_deleted_version=True
            )
        )
        data: dict[str, Any] = answer["data"]["data"]
        return data

    async def newest(self, path: str) -> tuple[dict[str, Any], int]:
        """Return the newest version of a secret with its number; nothing and 0 where there is none.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`.
        """
        try:
            answer = await self._call(
                lambda engine: engine.read_secret_version(
                    path, mount_point=self._mount, raise_on_deleted_version=True
                )
            )
        except Missing:
            return {}, 0
        return answer["data"]["data"], int(answer["data"]["metadata"]["version"])

    async def write(self, path: str, data: dict[str, Any], *, after: int | None = None) -> int:
        """Store a new version of the secret at `path` and return the version's number.

        Args:
            path: Path below the engine's mount.
            data: The secret.
            after: Write only when this is the newest version; 0 means only when there is none.

        Raises:
            Conflict: `SECRET_CHANGED`, the newest version is another one than `after`.
            RetryLater: `VAULT_UNREACHABLE`; the version may have been stored all the same.
        """
        answer = await self._call(
            lambda engine: engine.create_or_update_secret(
                path, secret=data, cas=after, mount_point=self._mount
            )
        )
        return int(answer["data"]["version"])

    async def delete(self, path: str) -> None:
        """Remove the secret with all its versions; nothing happens when there is none.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`.
        """
        await self._call(
            lambda engine: engine.delete_metadata_and_all_versions(path, mount_point=self._mount)
        )

    async def _call(self, work: Callable[[Any], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="vault")
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._try, work)
        try:
            return await asyncio.wait_for(future, _CALL_SECONDS)
        except TimeoutError:
            raise _unreachable("did not answer in time") from None

    def _try(self, work: Callable[[Any], T]) -> T:
        """Work in a thread; a refused token is read again once, for it may have been renewed."""
        import hvac.exceptions as errors

        try:
            try:
                return work(self._engine())
            except errors.Forbidden:
                self._clients.engine = None
                return work(self._engine())
        except Exception as error:
            # Errors of the client carry the address and parts of the answer: they end here.
            raise _fault_of(error) from None

    def _engine(self) -> Any:
        engine = getattr(self._clients, "engine", None)
        if engine is None:
            import hvac

            token = self._token_file.read_text().strip()
            limits: Any = (_CONNECT_SECONDS, _ANSWER_SECONDS)
            client = hvac.Client(url=self._address, token=token, timeout=limits)
            engine = self._clients.engine = client.secrets.kv.v2
        return engine


def _fault_of(error: Exception) -> Fault:
    import hvac.exceptions as errors

    if isinstance(error, errors.InvalidPath):
        return Missing("SECRET_UNKNOWN", "The vault has no such secret; enter it again.")
    if isinstance(error, errors.InvalidRequest) and "check-and-set" in str(error):
        return Conflict("SECRET_CHANGED", "Somebody else stored this secret meanwhile; read it again.")
    if isinstance(error, errors.VaultDown):
        return _unreachable("is sealed or starting")
    if isinstance(error, errors.Forbidden | errors.Unauthorized):
        return _unreachable("refuses this service's token")
    if isinstance(error, errors.VaultError):
        return _unreachable(f"answered with an error ({type(error).__name__})")
    return _unreachable("cannot be reached")


def _unreachable(why: str) -> RetryLater:
    message = f"The vault {why}; repeat the call in a moment."
    return RetryLater("VAULT_UNREACHABLE", message, retry_after=_RETRY_AFTER)


__all__ = ["Vault"]
