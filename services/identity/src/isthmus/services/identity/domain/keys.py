"""API keys: `ist_<api_key_id>_<64 characters>`, kept only as a keyed hash.

A slow password hash would make every call a quarter of a second of work and the
service an easy victim. The secret has 256 random bits, so a fast keyed hash is
as good: without the pepper, which lives in the vault, a stolen table is worth nothing.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from isthmus.resilience.faults import NotAuthenticated
from isthmus.services.identity.domain.access import Access
from isthmus.services.identity.domain.model import ApiKey, ServiceAccount

_KEY = re.compile(r"ist_(?P<id>key_[0-9a-hjkmnp-tv-z]{26})_(?P<secret>[0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """The two halves of an API key as a caller sent it."""

    api_key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is stored about a key and its holder."""

    key: ApiKey
    holder: ServiceAccount
    access: Access


def mint(api_key_id: str, pepper: bytes) -> tuple[str, bytes]:
    """Make the text of a new API key and the digest that is kept of it."""
    secret = secrets.token_hex(32)
    return f"ist_{api_key_id}_{secret}", keyed_digest(api_key_id, secret, pepper)


def parse(text: str) -> ParsedKey:
    """Take an API key apart.

    Raises:
        NotAuthenticated: `CALLER_UNKNOWN`, it has not the form of a key.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise unknown_caller()
    return ParsedKey(match["id"], match["secret"])


def verify(parsed: ParsedKey, record: KeyRecord | None, pepper: bytes, now: datetime) -> KeyRecord:
    """Return the record when the key is right and in force; every refusal looks and lasts the same.

    Raises:
        NotAuthenticated: `CALLER_UNKNOWN`, it is wrong, expired, revoked, or its account is disabled.
    """
    stored = record.key.digest if record else bytes(32)
    is_right = hmac.compare_digest(keyed_digest(parsed.api_key_id, parsed.secret, pepper), stored)
    if record is None or not is_right or not _is_in_force(record, now):
        raise unknown_caller()
    return record


def unknown_caller() -> NotAuthenticated:
    """Build the one answer that every credential without effect gets."""
    message = (
        "The credential is not valid: it is unknown, expired or revoked. Log in again, send another API key "
        "as `authorization: Bearer ist_…`, or check a process's key file against the trust file."
    )
    return NotAuthenticated("CALLER_UNKNOWN", message)


def _is_in_force(record: KeyRecord, now: datetime) -> bool:
    key = record.key
    return key.revoke_time is None and now < key.expire_time and not record.holder.is_disabled


def keyed_digest(id_: str, secret: str, pepper: bytes) -> bytes:
    """Return what is kept of a secret, bound to its id so that rows cannot be swapped."""
    return hmac.digest(pepper, f"{id_}:{secret}".encode(), hashlib.sha256)


__all__ = ["KeyRecord", "ParsedKey", "keyed_digest", "mint", "parse", "unknown_caller", "verify"]
