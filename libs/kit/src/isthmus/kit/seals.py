"""Statements that a process signs: whoever knows the public key can verify them, and they open nothing."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.kit.vault.port import PublicKey, SigningKey

_ALGORITHM = "Ed25519"


class Seals:
    """Has statements signed by a key that stays in the vault, and verifies them.

    Without such a key, this process's private JWK signs. Whoever steals that one could sign what never was,
    so once there is a key in the vault, it only vouches for what was signed before. A seal has a type of its
    own and never ends, so no process takes one for a token.

    Args:
        key_file: The private JWK; None signs nothing without the vault.
        trust_file: Whose keys count; None knows the vault's only.
        vault_key: The key in the vault.
    """

    def __init__(
        self, key_file: Path | None, trust_file: Path | None, vault_key: "SigningKey | None" = None
    ) -> None:
        self._key_file = key_file
        self._trust_file = trust_file
        self._vault_key = vault_key
        self._known: dict[str, PublicKey] = {}

    async def make(self, kind: str, claims: Mapping[str, Any], time: datetime) -> str:
        """Return a statement as a compact JSON Web Signature; empty where there is no key.

        Args:
            kind: What it is about.
            claims: What it says.
            time: When; one of its claims.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`: nothing is signed by a lesser key meanwhile.
        """
        said = {**claims, "time": time.astimezone(UTC).isoformat(timespec="seconds")}
        if self._vault_key is not None:
            return await self._by_vault(self._vault_key, kind, said)
        return "" if self._key_file is None else _by_process(self._key_file, kind, said)

    async def read(self, kind: str, subject: str, seal: str) -> dict[str, Any] | None:
        """Return what a seal says, or None when it is none of this kind by this process.

        Args:
            kind: What it has to be about.
            subject: Who has to have signed it, `service:monitoring` for example.
            seal: The signature.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`: the vault's public key is not known yet.
        """
        from joserfc import jws
        from joserfc.errors import JoseError
        from joserfc.jwk import OKPKey

        try:
            header = jws.extract_compact(seal.encode()).headers()
            entry = await self._entry(str(header.get("kid", "")), subject)
            if entry is None or header.get("typ") != _type(kind):
                return None
            opened = jws.deserialize_compact(seal, OKPKey.import_key(entry), algorithms=[_ALGORITHM])
            claims = json.loads(opened.payload)
            if "until" in entry and datetime.fromisoformat(claims["time"]).timestamp() >= entry["until"]:
                return None
        except (JoseError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return claims if isinstance(claims, dict) else None

    async def keys(self, subject: str) -> list[dict[str, Any]]:
        """Return the public keys by which anybody can verify a process's seals, as JWKs.

        One with `until`, in Unix seconds, vouches for earlier statements only.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, `VAULT_SEALED`.
        """
        await self._learn()
        own = [_jwk(key_id, key.public) for key_id, key in self._known.items()]
        return [*own, *(self._bounded(entry) for entry in self._trusted() if entry.get("subject") == subject)]

    async def _by_vault(self, key: "SigningKey", kind: str, claims: Mapping[str, Any]) -> str:
        await self._learn()
        key_id, newest = max(self._known.items(), key=lambda known: known[1].version)
        header = {"alg": _ALGORITHM, "kid": key_id, "typ": _type(kind)}
        body = {**claims, "iss": key_id, "sub": key.owner}
        signed = f"{_coded(json.dumps(header).encode())}.{_coded(json.dumps(body).encode())}"
        return f"{signed}.{_coded(await key.sign(signed.encode(), newest.version))}"

    async def _entry(self, key_id: str, subject: str) -> dict[str, Any] | None:
        if self._vault_key is not None:
            of_vault = key_id.rpartition(":")[0] == self._vault_key.name
            if not self._known or (of_vault and key_id not in self._known):
                await self._learn()
            if key_id in self._known and subject == self._vault_key.owner:
                return _jwk(key_id, self._known[key_id].public)
        found = (key for key in self._trusted() if key.get("kid") == key_id and key.get("subject") == subject)
        return next(map(self._bounded, found), None)

    async def _learn(self) -> None:
        if self._vault_key is not None:
            versions = await self._vault_key.versions()
            self._known = {f"{self._vault_key.name}:{one.version}": one for one in versions}

    def _bounded(self, entry: dict[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {name: entry[name] for name in ("kty", "crv", "x", "kid") if name in entry}
        begun = [key.made.timestamp() for key in self._known.values()]
        return {**kept, "until": min(begun)} if begun else kept

    def _trusted(self) -> list[dict[str, Any]]:
        if self._trust_file is None:
            return []
        keys: list[dict[str, Any]] = json.loads(self._trust_file.read_text(encoding="utf-8"))["keys"]
        return keys


def _by_process(key_file: Path, kind: str, claims: Mapping[str, Any]) -> str:
    from joserfc import jws
    from joserfc.jwk import OKPKey

    jwk = json.loads(key_file.read_text(encoding="utf-8"))
    body = {**claims, "iss": jwk["kid"], "sub": jwk.pop("subject")}
    header = {"alg": _ALGORITHM, "kid": jwk["kid"], "typ": _type(kind)}
    key = OKPKey.import_key(jwk)
    return jws.serialize_compact(header, json.dumps(body), key, algorithms=[_ALGORITHM])


def _jwk(key_id: str, public: bytes) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": _coded(public), "kid": key_id}


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _type(kind: str) -> str:
    return f"isthmus+{kind}"


__all__ = ["Seals"]
