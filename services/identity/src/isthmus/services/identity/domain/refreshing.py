"""Refresh tokens: `isr_<refresh_token_id>_<64 characters>`, kept like API keys as a keyed hash."""

import hmac
import re
import secrets
from dataclasses import dataclass, field

from isthmus.resilience.faults import NotAuthenticated
from isthmus.services.identity.domain.keys import keyed_digest

_TOKEN = re.compile(r"isr_(?P<id>rft_[0-9a-hjkmnp-tv-z]{26})_(?P<secret>[0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The two halves of a refresh token as a client sent it."""

    refresh_token_id: str
    secret: str = field(repr=False)

    def matches(self, digest: bytes, pepper: bytes) -> bool:
        """Tell whether this is the token whose digest was kept."""
        return hmac.compare_digest(keyed_digest(self.refresh_token_id, self.secret, pepper), digest)


def mint_refresh(refresh_token_id: str, pepper: bytes) -> tuple[str, bytes]:
    """Make the text of a new refresh token and the digest that is kept of it."""
    secret = secrets.token_hex(32)
    return f"isr_{refresh_token_id}_{secret}", keyed_digest(refresh_token_id, secret, pepper)


def parse_refresh(text: str) -> RefreshToken:
    """Take a refresh token apart.

    Raises:
        NotAuthenticated: `SESSION_ENDED`, it has not the form of one.
    """
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise session_ended()
    return RefreshToken(match["id"], match["secret"])


def session_ended() -> NotAuthenticated:
    """Build the one answer that every refresh token without effect gets."""
    return NotAuthenticated("SESSION_ENDED", "The session is over or never was; log in again.")


__all__ = ["RefreshToken", "mint_refresh", "parse_refresh", "session_ended"]
