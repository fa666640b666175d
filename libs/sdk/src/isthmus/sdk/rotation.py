"""A change of the secret that an instance authenticates with, made with the system itself."""

from dataclasses import dataclass, field
from datetime import datetime

from isthmus.sdk.model import Credential


@dataclass(frozen=True, slots=True)
class Rotation:
    """Two secrets, of which one takes the other's place; the vault holds both.

    Attributes:
        old: What the system takes now; when it is retired, what it is to take no more.
        new: What Isthmus proposes; when the old one is retired, what is in force.
        old_reference: What the system calls the old secret, as `Rotated` said; empty where nobody knows.
        new_reference: The same of the new one.
    """

    old: Credential
    new: Credential
    old_reference: str = ""
    new_reference: str = ""


@dataclass(frozen=True, slots=True)
class Rotated:
    """How the system took a new secret.

    Attributes:
        overlaps: It takes both until the old one is retired.
        made: The secret that the system made itself; empty where it took the proposed one.
        reference: What the system calls the new secret.
        expire_time: When the system ends it; None when it does not.
    """

    overlaps: bool
    made: str = field(default="", repr=False)
    reference: str = ""
    expire_time: datetime | None = None


__all__ = ["Rotated", "Rotation"]
