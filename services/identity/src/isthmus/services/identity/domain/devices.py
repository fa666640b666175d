"""Logins on machines without a browser: a code is shown there and confirmed elsewhere (RFC 8628)."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from isthmus.resilience.faults import LimitReached, Missing, NotAllowed, NotAuthenticated, Precondition

# Letters that nobody mistakes for others, and of which no words are made.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8
LIFETIME = timedelta(minutes=10)
POLL_SECONDS = 5.0
SLOWER_BY = 5.0
MOST_WAITING = 2_000
MOST_WAITING_HERE = 50
WAITING, CONFIRMED, DENIED = "waiting", "confirmed", "denied"


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """A login that has begun on one machine.

    Attributes:
        tenant_id: Whose user is let in; empty until that is known.
        digest: What is kept of the code that the machine asks with.
        user_digest: What is kept of the code that it shows; empty where a provider has made that code.
        provider_id: Who vouches; empty where a session here does.
        sealed: What the provider calls this login, and later what it says of the user; for nobody to read.
        poll_seconds: How long to wait between two questions.
    """

    tenant_id: str
    digest: bytes = field(repr=False)
    user_digest: bytes = field(repr=False)
    client_name: str
    client_address: str
    provider_id: str
    sealed: str = field(repr=False)
    poll_seconds: float
    state: str
    user_id: str
    methods: tuple[str, ...]
    create_time: datetime
    expire_time: datetime


def new_user_code() -> str:
    """Make a code for people to read and type, 34 random bits: `WDJB-MJHT`."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def typed(code: str) -> str:
    """Return a code as people type it in the one form that counts; empty when it cannot be one."""
    letters = "".join(one for one in code.upper() if one.isalnum())
    return letters if len(letters) == _LENGTH and set(letters) <= set(_LETTERS) else ""


def check_asked(login: DeviceLogin, now: datetime) -> None:
    """Refuse to go on with a login that was denied or is too old.

    Raises:
        NotAllowed: `DEVICE_LOGIN_DENIED`.
        Precondition: `DEVICE_LOGIN_EXPIRED`.
    """
    if login.state == DENIED:
        raise NotAllowed(
            "DEVICE_LOGIN_DENIED", "Whoever was asked said no; begin anew if that was a mistake."
        )
    if now >= login.expire_time:
        raise Precondition("DEVICE_LOGIN_EXPIRED", "The code was not confirmed in time; begin anew.")


def too_fast(seconds: float) -> LimitReached:
    """Build the answer to who asks more often than it may."""
    message = f"Ask less often: wait {seconds:g} s between two questions from now on."
    return LimitReached("SLOW_DOWN", message, retry_after=seconds)


def too_many() -> LimitReached:
    """Build the answer where too many logins wait."""
    message = "Too many logins wait for their codes; confirm one of them, or try again in a minute."
    return LimitReached("DEVICE_LOGINS_BUSY", message, retry_after=60.0)


def no_login() -> NotAuthenticated:
    """Build the one answer to every question about a login that is not there."""
    return NotAuthenticated("LOGIN_REFUSED", "There is no such login, or it has ended; begin anew.")


def no_code() -> Missing:
    """Build the answer about a code that nobody shows."""
    message = "No login waits for this code: look at it again, or begin anew."
    return Missing("DEVICE_LOGIN_UNKNOWN", message, path="user_code")


__all__ = [
    "CONFIRMED",
    "DENIED",
    "LIFETIME",
    "MOST_WAITING",
    "MOST_WAITING_HERE",
    "POLL_SECONDS",
    "SLOWER_BY",
    "WAITING",
    "DeviceLogin",
    "check_asked",
    "new_user_code",
    "no_code",
    "no_login",
    "too_fast",
    "too_many",
    "typed",
]
