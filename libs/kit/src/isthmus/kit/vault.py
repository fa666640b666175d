"""Secrets in OpenBao or Vault, through the KV version 2 engine."""

from pathlib import Path
from typing import Any


class Vault:
    """Reads and writes secrets; every call ends within a second or two, also when the vault is gone."""

    def __init__(self, address: str, token_file: Path, *, mount: str = "secret") -> None:
        self._address = address
        self._token_file = token_file
        self._mount = mount

    async def read(self, path: str) -> dict[str, Any]:
        """Return the secret at `path`.

        Raises:
            Missing: `SECRET_UNKNOWN`, nothing is stored there.
            RetryLater: `VAULT_UNREACHABLE`.
        """
        raise NotImplementedError

    async def write(self, path: str, data: dict[str, Any]) -> int:
        """Store a new version of the secret at `path` and return the version's number."""
        raise NotImplementedError

    async def delete(self, path: str) -> None:
        """Remove the secret with all its versions; nothing happens when there is none."""
        raise NotImplementedError


__all__ = ["Vault"]
