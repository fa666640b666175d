"""Ends of chains of the audit trail, signed by this service and verified again."""

import asyncio
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from isthmus.kit.seals import Seals
from isthmus.resilience.faults import FixRequest
from isthmus.resilience.trail import Checkpoint

_KIND = "audit-checkpoint"
_SUBJECT = "service:monitoring"


class Notary:
    """Signs what chains end with, keeps the signatures outside of the database, and recognises them.

    Args:
        seals: Signs and verifies.
        file: Where signatures are added to, one a line; None keeps them nowhere.
    """

    def __init__(self, seals: Seals, file: Path | None = None) -> None:
        self._seals = seals
        self._file = file

    async def sign(self, tenant_id: str, end: Checkpoint, time: datetime) -> str:
        """Return the end of a tenant's chain as a signature; empty where this service has no key.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """
        claims = {"tenant_id": tenant_id, "sequence": end.sequence, "hash": end.hash}
        return await self._seals.make(_KIND, claims, time)

    async def keys(self) -> str:
        """Return the public keys by which signatures are verified elsewhere, as a JSON Web Key Set.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """
        return json.dumps({"keys": await self._seals.keys(_SUBJECT)})

    async def keep(self, seal: str) -> None:
        """Add a signature to the file."""
        if self._file is not None and seal:
            await asyncio.to_thread(self._append, self._file, seal)

    async def ends(self, tenant_id: str, seals: Iterable[str]) -> set[Checkpoint]:
        """Return what signatures say of a tenant's chain; those of other tenants say nothing.

        Raises:
            FixRequest: `SEAL_INVALID`, this service has not signed that.
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """
        ends = set()
        for place, seal in enumerate(seals):
            claims = await self._seals.read(_KIND, _SUBJECT, seal)
            sequence, own = (claims or {}).get("sequence"), (claims or {}).get("hash")
            if claims is None or not isinstance(sequence, int) or not isinstance(own, str):
                message = (
                    "The seal was not made by this installation; send it as `isthmus audit seal` gave it."
                )
                raise FixRequest("SEAL_INVALID", message, path=f"seals[{place}]")
            if claims.get("tenant_id") == tenant_id:
                ends.add(Checkpoint(sequence, own))
        return ends

    @staticmethod
    def _append(file: Path, seal: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="ascii") as kept:
            kept.write(f"{seal}\n")


__all__ = ["Notary"]
