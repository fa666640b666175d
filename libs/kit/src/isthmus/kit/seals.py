"""Statements that a process signs: whoever knows its public key can verify them, and they open nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ALGORITHM = "Ed25519"


class Seals:
    """Signs statements with this process's private JWK, and verifies those of others by the trust file.

    A seal has a type of its own and never ends, so no process takes one for a token.

    Args:
        key_file: The private JWK; None signs nothing.
        trust_file: Whose keys count; None verifies nothing.
    """

    def __init__(self, key_file: Path | None, trust_file: Path | None) -> None:
        self._key_file = key_file
        self._trust_file = trust_file

    def make(self, kind: str, claims: Mapping[str, Any]) -> str:
        """Return a statement as a compact JSON Web Signature; empty where there is no key."""
        from joserfc import jws
        from joserfc.jwk import OKPKey

        if self._key_file is None:
            return ""
        jwk = json.loads(self._key_file.read_text(encoding="utf-8"))
        body = {**claims, "iss": jwk["kid"], "sub": jwk.pop("subject")}
        header = {"alg": _ALGORITHM, "kid": jwk["kid"], "typ": _type(kind)}
        key = OKPKey.import_key(jwk)
        return jws.serialize_compact(header, json.dumps(body), key, algorithms=[_ALGORITHM])

    def read(self, kind: str, subject: str, seal: str) -> dict[str, Any] | None:
        """Return what a seal says, or None when it is none of this kind by this process.

        Args:
            kind: What it has to be about.
            subject: Who has to have signed it, `service:monitoring` for example.
            seal: The signature.
        """
        from joserfc import jws
        from joserfc.errors import JoseError
        from joserfc.jwk import OKPKey

        try:
            header = jws.extract_compact(seal.encode()).headers()
            entry = self._entry(str(header.get("kid", "")), subject)
            if entry is None or header.get("typ") != _type(kind):
                return None
            opened = jws.deserialize_compact(seal, OKPKey.import_key(entry), algorithms=[_ALGORITHM])
            claims = json.loads(opened.payload)
        except (JoseError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return claims if isinstance(claims, dict) else None

    def _entry(self, key_id: str, subject: str) -> dict[str, Any] | None:
        if self._trust_file is None:
            return None
        keys = json.loads(self._trust_file.read_text(encoding="utf-8"))["keys"]
        found = (key for key in keys if key.get("kid") == key_id and key.get("subject") == subject)
        return next(found, None)


def _type(kind: str) -> str:
    return f"isthmus+{kind}"


__all__ = ["Seals"]
