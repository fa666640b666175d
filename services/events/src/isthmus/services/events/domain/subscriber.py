"""Programs of a tenant's that take events from NATS itself."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A user of NATS that hears one tenant's events.

    Attributes:
        subscriber_id: Its id, and what its user and its consumer are called.
        tenant_id: Whose events it hears.
        name: What it is for.
        created_by: Subject of whoever made it.
        create_time: Events before are not for it.
    """

    subscriber_id: str
    tenant_id: str
    name: str
    created_by: str
    create_time: datetime


def new_password() -> str:
    """Make a password that nobody can guess, so a plain hash keeps it."""
    return secrets.token_hex(32)


def hashed(password: str) -> bytes:
    """Return what is kept of a password."""
    return hashlib.sha256(password.encode()).digest()


def is_password(password: str, kept: bytes) -> bool:
    """Tell whether a password is the one that something was kept of."""
    return hmac.compare_digest(hashed(password), kept)


__all__ = ["Subscriber", "hashed", "is_password", "new_password"]
