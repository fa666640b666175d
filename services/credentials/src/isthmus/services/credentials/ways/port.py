"""What a rotation needs of an external system."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from isthmus.services.credentials.domain import AuthConfig

Values = Mapping[str, str]
"""The parts of a secret, as the vault holds them."""
REFERENCE = "reference"
"""The part of a secret that says what the system calls it."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """How a system took a new secret.

    Attributes:
        overlaps: It takes both until the old one is retired.
        made: The parts that the system has made itself; None where it took the proposed ones.
        expire_time: When it ends the new one; None when it does not.
    """

    overlaps: bool
    made: Values | None = field(default=None, repr=False)
    expire_time: datetime | None = None


class Way(Protocol):
    """Replaces the secrets of one kind of system; each step is safe to repeat."""

    def proposal(self, config: AuthConfig, old: Values) -> Values | None:
        """Give a new secret to propose; None where the system makes secrets itself."""

    async def renew(self, config: AuthConfig, old: Values, new: Values | None) -> Renewed:
        """Make the system take a new secret.

        Args:
            config: Whose; as it is with the old secret.
            old: What the system takes now.
            new: What is in the vault already, as proposed or as the system has made it; None at first
                where it makes secrets itself.

        Raises:
            Fault: It does not, or nobody can tell.
        """

    async def prove(self, config: AuthConfig, new: Values) -> None:
        """Find out whether a new secret works.

        Raises:
            Fault: It does not, or nobody can tell.
        """

    async def retire(self, config: AuthConfig, old: Values, new: Values) -> None:
        """Make the system refuse the old secret.

        Args:
            config: Whose; as it is with the new secret.
            old: What is to be refused.
            new: What is in force.

        Raises:
            Fault: It does not, or nobody can tell.
        """


__all__ = ["REFERENCE", "Renewed", "Values", "Way"]
