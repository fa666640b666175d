"""Access tokens: what is known of them, and when another one is due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from isthmus.resilience.faults import Fault, Precondition, RetryLater

_LEAST_LIFETIME = 1.0
_MOST_LIFETIME = 30 * 86_400.0
_LONGEST_MARGIN = timedelta(seconds=60)
_LONGEST_PAUSE = 300.0
_PERMANENT_PAUSE = 60.0


class TokenState(StrEnum):
    """Whether tokens can be had."""

    READY = "ready"
    AUTHORIZATION_NEEDED = "authorization_needed"
    REAUTHORIZATION_NEEDED = "reauthorization_needed"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token server has answered.

    Attributes:
        refresh_token: Empty where the server has sent none; the one before stays good then.
        scopes: What was granted; None where the server does not say, which means what was asked for.
    """

    access_token: str = field(repr=False)
    lifetime: timedelta
    refresh_token: str = field(default="", repr=False)
    scopes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What PostgreSQL knows of a configuration's tokens; the tokens themselves lie in the vault.

    Attributes:
        epoch: Grows when a person changes something, which makes tokens of before worthless.
        fencing_token: Grows with every try to get a token.
        is_held: Whether somebody is at it and has not been silent for too long.
        is_unfinished: Whether the last try was begun and nobody knows how it ended.
        version: The version in the vault that counts; 0 while there is none.
        is_resting: Whether a failure is so fresh that another try would only add to the server's load.
    """

    auth_config_id: str
    state: TokenState
    epoch: int
    fencing_token: int
    is_held: bool
    is_unfinished: bool
    version: int
    token_id: str
    issue_time: datetime | None
    expire_time: datetime | None
    refresh_time: datetime | None
    scopes: tuple[str, ...]
    failure_reason: str
    failure_message: str
    failure_is_permanent: bool
    failures: int
    is_resting: bool

    def is_good(self, now: datetime) -> bool:
        """Tells whether there is a token that holds for a while."""
        return bool(self.token_id) and self.refresh_time is not None and now < self.refresh_time

    def holds(self, now: datetime) -> bool:
        """Tells whether there is a token that has not ended."""
        return bool(self.token_id) and self.expire_time is not None and now < self.expire_time

    def failure_of(self, name: str) -> Fault:
        """Gives why there is no token.

        Args:
            name: The configuration's, for the message.
        """
        if not self.failure_reason:
            message = f"Nobody has authorized {name} yet; do so with `isthmus auth authorize`."
            return Precondition("REAUTHORIZATION_NEEDED", message)
        if self.failure_is_permanent:
            return Precondition(self.failure_reason, self.failure_message)
        return RetryLater(self.failure_reason, self.failure_message, retry_after=1.0)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token that may be lent."""

    token_id: str
    value: str = field(repr=False)
    expire_time: datetime
    refresh_time: datetime
    scopes: tuple[str, ...]


def token_of(document: Mapping[str, Any], asked: Sequence[str]) -> Token | None:
    """Reads the token that the vault keeps; None where there is none yet.

    The next one is due a tenth of its life, at most a minute, before it ends.

    Args:
        document: As `document_of` has written it.
        asked: The scopes that were asked for, which were granted where the server does not say.
    """
    if not document.get("access_token"):
        return None
    issued = datetime.fromisoformat(document["issue_time"])
    lifetime = timedelta(seconds=document["lifetime_seconds"])
    scopes = document.get("scopes")
    return Token(
        token_id=document["token_id"],
        value=document["access_token"],
        expire_time=issued + lifetime,
        refresh_time=issued + lifetime - min(lifetime / 10, _LONGEST_MARGIN),
        scopes=tuple(asked if scopes is None else scopes),
    )


def lifetime_of(told: Any, unknown: float) -> timedelta:
    """Reads `expires_in`, which servers also send as a text, or not at all."""
    try:
        seconds = float(told)
    except (TypeError, ValueError):
        seconds = unknown
    if not _LEAST_LIFETIME <= seconds <= _MOST_LIFETIME:
        seconds = unknown if seconds < _LEAST_LIFETIME or seconds != seconds else _MOST_LIFETIME  # noqa: PLR0124
    return timedelta(seconds=seconds)


def pause_after(fault: Fault, failures: int) -> float:
    """Gives how many seconds the token server is left alone after a failure."""
    if isinstance(fault, RetryLater):
        told = fault.retry_after or 0.0
        return min(max(told, 0.5 * 2.0 ** min(failures, 10)), _LONGEST_PAUSE)
    return _PERMANENT_PAUSE


def document_of(
    grant: Grant, token_id: str, issued: datetime, kept: Mapping[str, Any], epoch: int
) -> dict[str, Any]:
    """Writes what the vault keeps of a grant; a refresh token that was not replaced is kept."""
    return {
        "access_token": grant.access_token,
        "refresh_token": grant.refresh_token or kept.get("refresh_token", ""),
        "token_id": token_id,
        "issue_time": issued.isoformat(),
        "lifetime_seconds": grant.lifetime.total_seconds(),
        "scopes": list(grant.scopes) if grant.scopes is not None else None,
        "epoch": epoch,
    }


__all__ = [
    "Grant",
    "Token",
    "TokenRow",
    "TokenState",
    "document_of",
    "lifetime_of",
    "pause_after",
    "token_of",
]
