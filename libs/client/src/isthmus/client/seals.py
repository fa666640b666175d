"""Signed ends of chains of the audit trail, read and verified without the mesh."""

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from isthmus.client.problem import ExitCode, Problem

_ALGORITHM = "Ed25519"
_TYPE = "isthmus+audit-checkpoint"


class SealKeys:
    """The public keys that `isthmus audit seal --keys` has written down.

    Args:
        file: The JSON Web Key Set.

    Raises:
        Problem: `FILE_UNREADABLE`.
    """

    def __init__(self, file: Path) -> None:
        try:
            keys = json.loads(file.read_text(encoding="utf-8"))["keys"]
            self._keys: Mapping[str, dict[str, Any]] = {str(key["kid"]): key for key in keys}
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{file} holds no keys ({error}); `isthmus audit seal --keys` writes them."
            raise Problem("FILE_UNREADABLE", message, exit_code=ExitCode.USAGE) from error

    def insist(self, seals: Iterable[str]) -> None:
        """Insist that all signatures are true.

        Raises:
            Problem: `SEAL_INVALID`.
        """
        for seal in seals:
            if not self._is_true(seal):
                message = (
                    "A seal was not signed by any of the keys; leave it out, and ask who has put it there."
                )
                raise Problem("SEAL_INVALID", message, exit_code=ExitCode.FAILED)

    def _is_true(self, seal: str) -> bool:
        from joserfc import jws
        from joserfc.errors import JoseError
        from joserfc.jwk import OKPKey

        try:
            header = jws.extract_compact(seal.encode()).headers()
            known = self._keys[str(header["kid"])]
            opened = jws.deserialize_compact(seal, OKPKey.import_key(known), algorithms=[_ALGORITHM])
            time = datetime.fromisoformat(json.loads(opened.payload)["time"]).timestamp()
        except (JoseError, ValueError, KeyError, TypeError):
            return False
        return header.get("typ") == _TYPE and time < known.get("until", float("inf"))


def said(seal: str) -> dict[str, Any]:
    """Return what a signed end says, whether that is true or not.

    Raises:
        Problem: `CHECKPOINT_INVALID`, it is none.
    """
    body = seal.strip().split(".")[1:2]
    try:
        told = json.loads(base64.urlsafe_b64decode(body[0] + "=" * (-len(body[0]) % 4)))
        return {"tenant_id": told["tenant_id"], "sequence": int(told["sequence"]), "hash": str(told["hash"])}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        message = "A line of the file is no signed end of a chain; `isthmus audit seal` makes them."
        raise Problem("CHECKPOINT_INVALID", message, exit_code=ExitCode.USAGE) from error


def of_tenant(seals: Iterable[str], tenant_id: str) -> list[str]:
    """Return the signed ends of one tenant's chain; a file may hold those of many."""
    return [seal for seal in seals if said(seal).get("tenant_id") == tenant_id]


__all__ = ["SealKeys", "of_tenant", "said"]
