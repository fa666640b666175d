"""Where secrets are kept, whatever keeps them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

ROOT = "isthmus/"
"""What every path of ours begins with, in a vault that others use, too."""


@dataclass(frozen=True, slots=True)
class VaultState:
    """How a vault is.

    Attributes:
        provider: `openbao`, `azure`, `environment` or `file`.
        place: Where it is, without anything secret.
        is_usable: Whether secrets can be read now.
        text: What is the matter, or that all is well.
    """

    provider: str
    place: str
    is_usable: bool
    text: str


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What everybody may know of one version of a key that signs.

    Attributes:
        version: Its number, from 1.
        public: The public key, 32 bytes of Ed25519.
        made: When the vault has made it.
    """

    version: int
    public: bytes
    made: datetime


class SigningKey(Protocol):
    """An Ed25519 key of a service that signs inside the vault and never leaves it."""

    @property
    def name(self) -> str:
        """What the vault calls it."""

    @property
    def owner(self) -> str:
        """For whom it signs, `service:monitoring` for example."""

    async def versions(self) -> list[PublicKey]:
        """Tell all versions; at least one.

        Raises:
            Missing: `SECRET_UNKNOWN`, there is no such key.
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """

    async def sign(self, data: bytes, version: int) -> bytes:
        """Return the signature of some bytes.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """


class Folder(Protocol):
    """Secrets below one path; each is a JSON object with numbered versions, from 1."""

    async def read(self, path: str, *, version: int | None = None) -> dict[str, Any]:
        """Return the secret at `path`.

        Args:
            path: Path below the folder.
            version: Which version; the newest by default.

        Raises:
            Missing: `SECRET_UNKNOWN`, nothing is stored there.
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """

    async def newest(self, path: str) -> tuple[dict[str, Any], int]:
        """Return the newest version of a secret with its number; nothing and 0 where there is none.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """

    async def write(self, path: str, data: dict[str, Any], *, after: int | None = None) -> int:
        """Store a new version of the secret at `path` and return the version's number.

        Args:
            path: Path below the folder.
            data: The secret.
            after: Write only when this is the newest version; 0 means only when there is none.

        Raises:
            Conflict: `SECRET_CHANGED`, the newest version is another one than `after`.
            Precondition: `VAULT_READ_ONLY`, this provider takes no secrets.
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`; the version may have been stored all the same.
        """

    async def delete(self, path: str) -> None:
        """Remove the secret with all its versions; nothing happens when there is none.

        Raises:
            Precondition: `VAULT_READ_ONLY`.
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """


class TenantVault(Folder, Protocol):
    """What one service keeps for one tenant, below `isthmus/tenants/<tenant>/<service>/`."""

    async def encrypt(self, plaintext: bytes) -> str:
        """Seal what has to lie in PostgreSQL; only the same tenant and service can open it again.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """

    async def decrypt(self, ciphertext: str) -> bytes:
        """Open what `encrypt` has sealed for the same tenant and service.

        Raises:
            DataLost: `SEALED_TEXT_BROKEN`, it was sealed for somebody else or by another provider, altered,
                or is none.
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """


class Vault(Folder, Protocol):
    """A service's own secrets, below `isthmus/<service>/`, and the way to those of its tenants."""

    def tenant(self, tenant_id: str) -> TenantVault:
        """Return what this service keeps for a tenant."""

    def signing_key(self, purpose: str) -> SigningKey | None:
        """Return a key of this service that signs in the vault; None where the provider does not sign.

        Args:
            purpose: What it signs; its name is `<service>-<purpose>`.
        """

    async def state(self) -> VaultState:
        """Find out how the vault is; never raises."""

    async def close(self) -> None:
        """Let go of connections."""


class Archive(Protocol):
    """All secrets of an installation, of all services and tenants; for copying them, not for services."""

    async def state(self) -> VaultState:
        """Find out how the vault is; never raises."""

    def paths(self) -> AsyncIterator[str]:
        """List whole paths, in no particular order."""

    async def versions(self, path: str) -> dict[int, dict[str, Any]]:
        """Return the versions that are kept of a secret, by number; none where there is no secret."""

    async def put(self, path: str, versions: Mapping[int, dict[str, Any]]) -> None:
        """Store a secret with exactly these versions under their numbers, in place of what is there.

        Raises:
            Precondition: `VAULT_READ_ONLY`.
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """

    async def close(self) -> None:
        """Let go of connections."""


__all__ = ["ROOT", "Archive", "Folder", "PublicKey", "SigningKey", "TenantVault", "Vault", "VaultState"]
