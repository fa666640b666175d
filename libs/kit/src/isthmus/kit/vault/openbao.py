"""Secrets in OpenBao or Vault, through the KV version 2 and the transit engine."""

import asyncio
import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from isthmus.kit.vault.login import Login
from isthmus.kit.vault.port import ROOT, PublicKey, VaultState
from isthmus.kit.vault.refusal import fault_of, unreachable
from isthmus.kit.vault.session import VaultSession
from isthmus.kit.vault.shelf import broken
from isthmus.resilience.faults import Fault, Missing

T = TypeVar("T")

_CALL_SECONDS = 0.95
_THREADS = 8
MOUNT = "secret"


class _Calls:
    """Calls that end within a second, also when the vault is gone.

    The client beneath blocks, so it works in threads of its own: a vault that
    swallows packets delays nobody but those who ask it.
    """

    def __init__(self, session: VaultSession) -> None:
        # Loaded here, once, so that the first call has its whole second for the vault.
        import hvac.exceptions  # noqa: F401

        self._session = session
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, tenant_id: str, work: Callable[[Any], T]) -> T:
        """Let a thread work with a client that has a token for the tenant, or for the service itself."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="vault")
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._try, tenant_id, work)
        try:
            return await asyncio.wait_for(future, _CALL_SECONDS)
        except TimeoutError:
            raise unreachable("did not answer in time") from None

    def _try(self, tenant_id: str, work: Callable[[Any], T]) -> T:
        """Work in a thread; where a token is refused once, for it may have been revoked, get another."""
        import hvac.exceptions as errors

        try:
            try:
                return work(self._session.client(tenant_id))
            except errors.Forbidden:
                self._session.forget()
                return work(self._session.client(tenant_id))
        except Exception as error:
            # Errors of the client carry the address and parts of the answer: they end here.
            raise fault_of(error) from None


class _Folder:
    """Secrets below one path."""

    def __init__(self, calls: _Calls, tenant_id: str, folder: str) -> None:
        self._calls = calls
        self._tenant_id = tenant_id
        self._folder = folder

    async def read(self, path: str, *, version: int | None = None) -> dict[str, Any]:
        """Return the secret at `path`.

        Args:
            path: Path below the folder.
            version: Which version; the newest by default.

        Raises:
            Missing: `SECRET_UNKNOWN`, nothing is stored there.
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """
        answer = await self._engine(
            lambda engine: engine.read_secret_version(
                self._folder + path, version=version, mount_point=MOUNT, raise_on_deleted_version=True
            )
        )
        data: dict[str, Any] = answer["data"]["data"]
        return data

    async def newest(self, path: str) -> tuple[dict[str, Any], int]:
        """Return the newest version of a secret with its number; nothing and 0 where there is none.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """
        try:
            answer = await self._engine(
                lambda engine: engine.read_secret_version(
                    self._folder + path, mount_point=MOUNT, raise_on_deleted_version=True
                )
            )
        except Missing:
            return {}, 0
        return answer["data"]["data"], int(answer["data"]["metadata"]["version"])

    async def write(self, path: str, data: dict[str, Any], *, after: int | None = None) -> int:
        """Store a new version of the secret at `path` and return the version's number.

        Args:
            path: Path below the folder.
            data: The secret.
            after: Write only when this is the newest version; 0 means only when there is none.

        Raises:
            Conflict: `SECRET_CHANGED`, the newest version is another one than `after`.
            RetryLater: `VAULT_UNREACHABLE`; the version may have been stored all the same.
        """
        answer = await self._engine(
            lambda engine: engine.create_or_update_secret(
                self._folder + path, secret=data, cas=after, mount_point=MOUNT
            )
        )
        return int(answer["data"]["version"])

    async def delete(self, path: str) -> None:
        """Remove the secret with all its versions; nothing happens when there is none.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """
        await self._engine(
            lambda engine: engine.delete_metadata_and_all_versions(self._folder + path, mount_point=MOUNT)
        )

    async def _engine(self, work: Callable[[Any], T]) -> T:
        return await self._calls.run(self._tenant_id, lambda client: work(client.secrets.kv.v2))


class OpenBaoTenantVault(_Folder):
    """What one service keeps for one tenant, reached by a token that reaches nothing else.

    Secrets lie below `isthmus/tenants/<tenant>/<service>/`. The key for `encrypt` never leaves the vault.
    """

    def __init__(self, calls: _Calls, tenant_id: str, service: str) -> None:
        super().__init__(calls, tenant_id, f"{ROOT}tenants/{tenant_id}/{service}/")
        self._key = f"{service}-{tenant_id}"

    async def encrypt(self, plaintext: bytes) -> str:
        """Seal what has to lie in PostgreSQL; the answer is text that begins with `vault:`.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """
        text = base64.b64encode(plaintext).decode()
        answer = await self._calls.run(
            self._tenant_id, lambda client: client.secrets.transit.encrypt_data(self._key, text)
        )
        return str(answer["data"]["ciphertext"])

    async def decrypt(self, ciphertext: str) -> bytes:
        """Open what `encrypt` has sealed for the same tenant and service.

        Raises:
            DataLost: `SEALED_TEXT_BROKEN`, it was sealed for somebody else, altered, or is none.
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """
        answer = await self._calls.run(
            self._tenant_id, lambda client: _decrypted(client, self._key, ciphertext)
        )
        if answer is None:
            raise broken()
        return answer


class OpenBaoSigningKey:
    """A key of the transit engine; the service may sign with it, and neither read, export nor change it.

    Args:
        calls: The way to the vault.
        name: What the engine calls it.
        owner: For whom it signs.
    """

    def __init__(self, calls: _Calls, name: str, owner: str) -> None:
        self._calls = calls
        self.name = name
        self.owner = owner

    async def versions(self) -> list[PublicKey]:
        """Tell all versions; see the port."""
        answer = await self._calls.run("", lambda client: client.secrets.transit.read_key(self.name))
        return [
            PublicKey(
                int(version),
                base64.b64decode(told["public_key"]),
                datetime.fromisoformat(told["creation_time"]),
            )
            for version, told in answer["data"]["keys"].items()
        ]

    async def sign(self, data: bytes, version: int) -> bytes:
        """Return the signature of some bytes; see the port."""
        text = base64.b64encode(data).decode()
        answer = await self._calls.run(
            "", lambda client: client.secrets.transit.sign_data(self.name, text, key_version=version)
        )
        # Written as `vault:v1:` and the signature.
        return base64.b64decode(str(answer["data"]["signature"]).rpartition(":")[2])


class OpenBaoVault(_Folder):
    """Reads and writes a service's own secrets, below `isthmus/<service>/`; every call ends within a second.

    Args:
        address: Where the vault listens.
        login: How the service shows who it is.
        service: Its name; tenants' secrets lie in a folder of that name.
        ca_file: Certificates that vouch for the vault; by default those that the system trusts.
    """

    def __init__(self, address: str, login: Login, *, service: str, ca_file: Path | None = None) -> None:
        super().__init__(_Calls(VaultSession(address, login, service, ca_file)), "", f"{ROOT}{service}/")
        self._service = service
        self._address = address

    def tenant(self, tenant_id: str) -> OpenBaoTenantVault:
        """Return what this service keeps for a tenant."""
        return OpenBaoTenantVault(self._calls, tenant_id, self._service)

    def signing_key(self, purpose: str) -> "OpenBaoSigningKey":
        """Return a key of this service that signs in the vault."""
        return OpenBaoSigningKey(self._calls, f"{self._service}-{purpose}", f"service:{self._service}")

    async def state(self) -> VaultState:
        """Find out whether it is there, unsealed, and takes this service's role or token."""
        try:
            await self._calls.run("", lambda client: client.auth.token.lookup_self())
        except Fault as fault:
            return VaultState("openbao", self._address, is_usable=False, text=fault.message)
        return VaultState("openbao", self._address, is_usable=True, text="unsealed, and lets this service in")

    async def close(self) -> None:
        """Nothing stays open between calls."""


def _decrypted(client: Any, key: str, ciphertext: str) -> bytes | None:
    import hvac.exceptions as errors

    try:
        answer = client.secrets.transit.decrypt_data(key, ciphertext)
    except errors.InvalidRequest:
        return None
    return base64.b64decode(answer["data"]["plaintext"])


__all__ = ["MOUNT", "OpenBaoSigningKey", "OpenBaoTenantVault", "OpenBaoVault"]
