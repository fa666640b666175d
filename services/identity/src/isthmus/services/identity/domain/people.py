"""People, their sessions, and what a password has to be."""

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_NAME = re.compile(r"[a-z0-9][a-z0-9.@_+-]{0,127}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
_SHORTEST, _LONGEST = 12, 256
_FEWEST_LETTERS = 5
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
FREE_ATTEMPTS = 5
FIRST_LOCK = timedelta(seconds=30)
LONGEST_LOCK = timedelta(minutes=15)
FORGET_FAILURES = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class User:
    """A person; roles say what the person may do."""

    tenant_id: str
    user_id: str
    name: str
    display_name: str
    email: str
    external_id: str
    roles: tuple[str, ...]
    is_disabled: bool
    password_hash: str | None = field(repr=False)
    must_change_password: bool
    created_by: str
    create_time: datetime
    update_time: datetime
    has_second_factor: bool = False
    last_step: int = 0
    last_login_time: datetime | None = None
    revision: int = 1

    @property
    def subject(self) -> str:
        """The stable name of this user in logs and audit."""
        return f"user:{self.user_id}"


@dataclass(frozen=True, slots=True)
class Session:
    """One stay of a user.

    Attributes:
        methods: How the user proved who it is, in the words of RFC 8176 where it has one.
        end_reason: Why somebody ended it; empty while nobody has.
    """

    tenant_id: str
    session_id: str
    user_id: str
    methods: tuple[str, ...]
    client_address: str
    create_time: datetime
    expire_time: datetime
    refresh_time: datetime | None = None
    end_time: datetime | None = None
    end_reason: str = ""

    def is_open(self, now: datetime) -> bool:
        """Tell whether the user is still in."""
        return self.end_time is None and now < self.expire_time


def user_name(text: str) -> str:
    """Return a user's name as it is kept: the same one whatever the case."""
    return text.strip().lower()


def is_user_name(name: str) -> bool:
    """Tell whether a name can be kept."""
    return _NAME.fullmatch(name) is not None


def is_email(text: str) -> bool:
    """Tell whether this may be an address for mail; only mail itself tells whether it is."""
    return _EMAIL.fullmatch(text) is not None


def password_trouble(password: str, name: str) -> str:
    """Say what is wrong with a password; empty when nothing is.

    Length is what makes a password hard to guess; rules about kinds of letters make people write it down.
    """
    if len(password) < _SHORTEST:
        return f"Use at least {_SHORTEST} characters."
    if len(password) > _LONGEST:
        return f"Use at most {_LONGEST} characters."
    folded = password.casefold()
    if len(set(folded)) < _FEWEST_LETTERS:
        return f"Use at least {_FEWEST_LETTERS} different characters."
    if name and name.partition("@")[0] in folded:
        return "Leave the user's name out of it."
    return ""


def made_up_password() -> str:
    """Make a password that can be read out on the telephone: 100 random bits in four groups."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


__all__ = [
    "FIRST_LOCK",
    "FORGET_FAILURES",
    "FREE_ATTEMPTS",
    "LONGEST_LOCK",
    "Session",
    "User",
    "is_email",
    "is_user_name",
    "made_up_password",
    "password_trouble",
    "user_name",
]
