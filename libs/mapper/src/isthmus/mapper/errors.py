"""What can be wrong with a definition, and what can be wrong with a record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One mistake in a mapping definition; `path` is a JSON pointer to what has to change."""

    path: str
    reason: str
    message: str


class MappingInvalid(Exception):
    """A definition cannot be compiled; `violations` lists every mistake found, in reading order."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        count = len(self.violations)
        first = (
            self.violations[0] if self.violations else Violation("", "INVALID", "The definition is invalid.")
        )
        more = f" ({count - 1} more)" if count > 1 else ""
        super().__init__(f"{first.path or 'definition'}: {first.message}{more}")


@dataclass(frozen=True, slots=True)
class FieldError:
    """Why one target field could not be made from one record.

    `value` is a short, scrubbed rendering of what was met, fit for logs and quarantine;
    it never holds more than a few dozen characters. `rule` names the rule that does not hold, if it is one.
    """

    target: str
    source: str
    reason: str
    message: str
    value: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One record of a batch that could not be mapped, by its position in the batch."""

    index: int
    errors: tuple[FieldError, ...]


class RecordRejected(Exception):
    """A record cannot be mapped; `errors` names every field that failed."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__(
            "; ".join(f"{e.target or e.source or 'record'}: {e.message}" for e in self.errors[:5])
        )


class MappingStopped(RecordRejected):
    """A rule does not hold that is to end everything; `errors` says which."""


class Refusal(Exception):
    """Raised by functions and casts: this value cannot be used here, for this reason.

    Whoever knows better than the field which source and value were met says so in `source` and `value`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.source = ""
        self.value: object = None

    def located(self, source: str, value: object) -> Refusal:
        """The same refusal, told where it arose unless it knows already."""
        if not self.source:
            self.source, self.value = source, value
        return self
