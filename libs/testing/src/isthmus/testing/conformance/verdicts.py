"""The checks of the kit, and what can come of one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from isthmus.testing.conformance.subject import Subject

__all__ = ["CHECKS", "Check", "Nonconforming", "NotApplicable", "check", "expect", "skip"]

Run = Callable[["Subject"], Awaitable[None]]


class Nonconforming(AssertionError):
    """The connector does not do what the contract says."""


class NotApplicable(Exception):
    """The check has nothing to say of this connector, or cannot be made here."""


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: `group.name`, the same in all versions.
        says: What a connector has to do, in one sentence.
        run: Raises `Nonconforming` or `NotApplicable`, or returns.
    """

    name: str
    says: str
    run: Run


CHECKS: dict[str, Check] = {}
"""Every check by its name."""


def check(name: str) -> Callable[[Run], Run]:
    """Add a check; the first line of its docstring is what it says."""

    def add(run: Run) -> Run:
        CHECKS[name] = Check(name, (run.__doc__ or name).strip().splitlines()[0], run)
        return run

    return add


def expect(holds: object, otherwise: str) -> None:
    """Go on only if something holds.

    Raises:
        Nonconforming: It does not.
    """
    if not holds:
        raise Nonconforming(otherwise)


def skip(why: str) -> NoReturn:
    """Leave a check that has nothing to say here."""
    raise NotApplicable(why)
