"""Mesh tokens: each process signs short-lived JWTs with its own key; a trust file says whose keys count."""

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from isthmus.kit.principal import Principal
from isthmus.resilience.faults import NotAuthenticated

_ALGORITHM = "Ed25519"
_LIFETIME = 300
_RENEW_BEFORE = 60
_SKEW = 30
_REMEMBERED = 1024


def new_key(key_id: str, subject: str, permissions: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make a key pair for one process of the mesh.

    Args:
        key_id: Unique name of the key.
        subject: Whom it identifies, for example `service:registry` or `host:files`.
        permissions: Patterns of what it may call.

    Returns:
        The private JWK for the process's key file, and the entry for the trust file's `keys`.
    """
    from joserfc.jwk import OKPKey

    key = OKPKey.generate_key("Ed25519", {"kid": key_id, "use": "sig"})
    private = {**key.as_dict(private=True), "subject": subject}
    entry = {**key.as_dict(private=False), "subject": subject, "permissions": sorted(permissions)}
    return private, entry


class Signer:
    """Signs this process's own tokens with the private JWK in a file."""

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        self._token = ""
        self._renew_at = 0.0

    def token(self) -> str:
        """Return a token that is good for at least another minute."""
        now = time.time()
        if now >= self._renew_at:
            self._token = self._sign(int(now))
            self._renew_at = now + _LIFETIME - _RENEW_BEFORE
        return self._token

    def _sign(self, now: int) -> str:
        subject = json.loads(self._key_file.read_text(encoding="utf-8"))["subject"]
        return signed(self._key_file, {"sub": subject}, now=now, lifetime=_LIFETIME)


def signed(key_file: Path, claims: Mapping[str, Any], *, now: int, lifetime: int, kind: str = "JWT") -> str:
    """Sign claims with a process's key.

    Args:
        key_file: Its private JWK.
        claims: What it says, besides who says it and until when.
        now: From when, in Unix seconds.
        lifetime: For how many seconds.
        kind: The `typ` of the header; what is of one kind does not pass for another.
    """
    from joserfc import jwt
    from joserfc.jwk import OKPKey

    jwk = json.loads(key_file.read_text(encoding="utf-8"))
    jwk.pop("subject")
    claims = {"iss": jwk["kid"], "iat": now, "exp": now + lifetime, **claims}
    header = {"alg": _ALGORITHM, "kid": jwk["kid"], "typ": kind}
    return jwt.encode(header, claims, OKPKey.import_key(jwk), algorithms=[_ALGORITHM])


class TrustStore:
    """Verifies mesh tokens against a JWKS file and follows its changes without a restart."""

    def __init__(self, trust_file: Path) -> None:
        self._file = trust_file
        self._stamp: tuple[int, int] = (0, 0)
        self._entries: dict[str, dict[str, Any]] = {}
        self._verified: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self.edition = object()
        """Another one as soon as the file was found changed; what was learned before may hold no more."""

    def verify(self, token: str) -> Principal:
        """Return who signed a token; its tenant is the token's `tid` claim or empty.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, whatever is wrong with it.
        """
        principal = self.find(token)
        if principal is None:
            raise refused()
        return principal

    def find(self, token: str) -> Principal | None:
        """Return who signed a token, or None when it names no key of the trust file.

        Raises:
            NotAuthenticated: `CALLER_UNKNOWN`, it names such a key and is not valid, or is no token at all.
        """
        self._follow()
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known and known[1] > time.time():
            return known[0]
        entry = self._entries.get(_key_id(token))
        if entry is None:
            return None
        principal, expires_at = self._check(token, entry)
        self._verified[digest] = (principal, expires_at)
        while len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return principal

    def _follow(self) -> None:
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return
            keys = json.loads(self._file.read_text(encoding="utf-8"))["keys"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # a file being replaced keeps the trust it gave before
        self._stamp = stamp
        self._entries = {entry["kid"]: entry for entry in keys}
        self._verified.clear()
        self.edition = object()

    def claims_of(
        self, text: str, *, kind: str, permission: str, lifetime: int, grace: int = 0
    ) -> dict[str, Any] | None:
        """Return what a process has signed that is no token; None for what does not count.

        Args:
            text: As it was sent.
            kind: The `typ` that it has to have.
            permission: What its signer has to be allowed.
            lifetime: For how many seconds it may be good.
            grace: How many seconds ago it may have ended.
        """
        try:
            entry = self._entries.get(_key_id(text))
            if entry is None:
                return None
            header, claims = _decoded(text, entry)
        except NotAuthenticated:
            return None
        counts = header.get("typ") == kind and _fresh(claims, lifetime, grace=grace)
        return claims if counts and _principal(entry).may(permission) else None

    def _check(self, token: str, entry: dict[str, Any]) -> tuple[Principal, float]:
        _, claims = _decoded(token, entry)
        if not _fresh(claims) or claims.get("sub") != entry["subject"]:
            raise refused()
        return _principal(entry, str(claims.get("tid", ""))), claims["exp"]


def _principal(entry: Mapping[str, Any], tenant_id: str = "") -> Principal:
    return Principal(entry["subject"], tenant_id, frozenset(entry.get("permissions", ())), "mesh")


def _decoded(text: str, entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of what an entry's key has signed in its own name."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import OKPKey

    try:
        decoded = jwt.decode(text, OKPKey.import_key(entry), algorithms=[_ALGORITHM])
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise refused() from error
    if decoded.claims.get("iss") != entry["kid"]:
        raise refused()
    return decoded.header, decoded.claims


def _key_id(token: str) -> str:
    import base64

    header = token.split(".", 1)[0]
    try:
        fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, RecursionError) as error:
        raise refused() from error
    return str(fields.get("kid", "")) if isinstance(fields, dict) else ""


def _fresh(claims: dict[str, Any], lifetime: int = _LIFETIME, grace: int = _SKEW) -> bool:
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        return False
    now = time.time()
    return issued - _SKEW <= now < expires + grace and expires - issued <= lifetime


def refused() -> NotAuthenticated:
    """Build the one answer that whatever opens nothing gets, so that nobody learns why from it."""
    message = (
        "The credential is not valid: it is unknown, expired or revoked. Log in again, send another API key "
        "as `authorization: Bearer ist_…`, or check a process's key file against the trust file."
    )
    return NotAuthenticated("CALLER_UNKNOWN", message)


__all__ = ["Signer", "TrustStore", "new_key", "refused", "signed"]
