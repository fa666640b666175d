"""All secrets of ours in OpenBao or Vault, by a token that reaches every one of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from isthmus.kit.vault.openbao import MOUNT
from isthmus.kit.vault.port import ROOT, VaultState
from isthmus.kit.vault.refusal import fault_of
from isthmus.kit.vault.transport import client_of, trust_of
from isthmus.resilience.faults import Fault, Missing

T = TypeVar("T")
_SECONDS = 10


class OpenBaoArchive:
    """Reads and writes whole paths of the KV version 2 engine.

    Args:
        address: Where the vault listens.
        token: Gives the token.
        ca_file: Certificates that vouch for the vault; by default those that the system trusts.
    """

    def __init__(self, address: str, token: Callable[[], str], ca_file: Path | None = None) -> None:
        self._address = address
        self._token = token
        self._ca_file = ca_file
        self._client: Any = None

    async def state(self) -> VaultState:
        """Find out how the vault is; never raises."""
        try:
            await self._run(lambda client: client.auth.token.lookup_self())
        except Fault as fault:
            return VaultState("openbao", self._address, is_usable=False, text=fault.message)
        return VaultState("openbao", self._address, is_usable=True, text="unsealed, and takes the token")

    async def paths(self) -> AsyncIterator[str]:
        """List whole paths."""
        folders = [ROOT]
        while folders:
            folder = folders.pop()
            for name in await self._names(folder):
                if name.endswith("/"):
                    folders.append(folder + name)
                else:
                    yield folder + name

    async def versions(self, path: str) -> dict[int, dict[str, Any]]:
        """Return the versions that are kept of a secret, by number."""
        try:
            told = await self._engine(lambda kv: kv.read_secret_metadata(path, mount_point=MOUNT))
        except Missing:
            return {}
        found = {}
        for number, about in told["data"]["versions"].items():
            if not about["deletion_time"] and not about["destroyed"]:
                found[int(number)] = await self._version(path, int(number))
        return found

    async def put(self, path: str, versions: Mapping[int, dict[str, Any]]) -> None:
        """Store versions under their numbers; numbers in between are used up and destroyed."""
        await self._engine(lambda kv: kv.delete_metadata_and_all_versions(path, mount_point=MOUNT))
        newest = max(versions)
        for number in range(1, newest + 1):
            data = versions.get(number, {})
            await self._store(path, data)
        unused = [number for number in range(1, newest) if number not in versions]
        if unused:
            await self._engine(lambda kv: kv.destroy_secret_versions(path, unused, mount_point=MOUNT))

    async def close(self) -> None:
        """Nothing stays open between calls."""

    async def _store(self, path: str, data: dict[str, Any]) -> None:
        await self._engine(lambda kv: kv.create_or_update_secret(path, secret=data, mount_point=MOUNT))

    async def _version(self, path: str, number: int) -> dict[str, Any]:
        answer = await self._engine(
            lambda kv: kv.read_secret_version(
                path, version=number, mount_point=MOUNT, raise_on_deleted_version=True
            )
        )
        data: dict[str, Any] = answer["data"]["data"]
        return data

    async def _names(self, folder: str) -> list[str]:
        try:
            answer = await self._engine(lambda kv: kv.list_secrets(folder, mount_point=MOUNT))
        except Missing:
            return []
        return list(answer["data"]["keys"])

    async def _engine(self, work: Callable[[Any], T]) -> T:
        return await self._run(lambda client: work(client.secrets.kv.v2))

    async def _run(self, work: Callable[[Any], T]) -> T:
        return await asyncio.to_thread(self._try, work)

    def _try(self, work: Callable[[Any], T]) -> T:
        try:
            if self._client is None:
                client = client_of(self._address, trust_of(self._ca_file), _SECONDS)
                client.token = self._token().strip()
                self._client = client
            return work(self._client)
        except Exception as error:
            # Errors of the client carry the address and parts of the answer: they end here.
            raise fault_of(error) from None


__all__ = ["OpenBaoArchive"]
