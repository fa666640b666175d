"""A pair, the rules of its flow, and what can be decided about it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

from isthmus.services.records.domain.pairs.forms import Form, same


class Side(StrEnum):
    """One end of a flow."""

    SOURCE = "source"
    DESTINATION = "destination"

    @property
    def other(self) -> "Side":
        """The end over there."""
        return Side.DESTINATION if self is Side.SOURCE else Side.SOURCE


class Policy(StrEnum):
    """Which version of a record counts when both sides changed it."""

    SOURCE = "source"
    DESTINATION = "destination"
    NEWEST = "newest"
    MERGE = "merge"
    REVIEW = "review"


class DeleteKind(StrEnum):
    """What a deletion on one side means for the other."""

    PROPAGATE = "propagate"
    TOMBSTONE = "tombstone"
    IGNORE = "ignore"


class Status(IntEnum):
    """Where a pair is in its life; the numbers are the contract's."""

    IN_SYNC = 1
    CHANGED = 2
    WRITING = 3
    IN_REVIEW = 4
    HELD = 5
    PARTED = 6
    DELETED = 7


@dataclass(frozen=True, slots=True)
class Deletes:
    """What happens to deletions.

    Attributes:
        kind: What happens.
        field: The field that a tombstone sets.
        value: What it is set to.
        most: Deletions in one round beyond which nothing is written; 0 means no limit.
    """

    kind: DeleteKind = DeleteKind.PROPAGATE
    field: str = ""
    value: Any = True
    most: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What a flow's owner decided about disagreements.

    Attributes:
        policy: Which version counts.
        otherwise: What decides where the policy cannot.
        skew: Times that lie no further apart tell nothing.
        deletes: What happens to deletions.
        key: Dotted paths by which records of both sides are known to be the same.
    """

    policy: Policy = Policy.SOURCE
    otherwise: Policy = Policy.REVIEW
    skew: timedelta = timedelta()
    deletes: Deletes = field(default_factory=Deletes)
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What one side holds of a pair, as far as is known.

    Attributes:
        key: The record's key there; empty while it is not known.
        link: The key under which it is written there.
        form: The record; None where the side has none.
        time: When the side says that it was changed last.
        digest: Mark of what was read there last.
        refused: Mark of what the side refused to take; empty when it refused nothing.
    """

    key: str = ""
    link: str = ""
    form: Form | None = None
    time: datetime | None = None
    digest: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """One logical record that two systems hold.

    Attributes:
        pair_id: Never reused.
        base: What both sides held when they were last the same; None before.
        source: What the source holds.
        destination: What the destination holds.
        match: The values by which both sides' records are known to be the same; empty without them.
        is_parted: Deleted on one side, and left to itself on the other.
    """

    pair_id: str
    base: Form | None = None
    source: Held = field(default_factory=Held)
    destination: Held = field(default_factory=Held)
    match: str = ""
    is_parted: bool = False

    def held(self, side: Side) -> Held:
        """Give what one side holds."""
        return self.source if side is Side.SOURCE else self.destination

    def having(self, side: Side, held: Held) -> "Pair":
        """Give the pair in which one side holds something else."""
        return replace(self, source=held) if side is Side.SOURCE else replace(self, destination=held)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person has decided about two versions.

    Attributes:
        source: The source's version.
        destination: The destination's version.
        result: What both are to hold; None deletes the record.
    """

    source: Form | None
    destination: Form | None
    result: Form | None

    def fits(self, pair: Pair) -> bool:
        """Tell whether the decision was about what both sides hold now, or is carried out in part."""
        return _is_one_of(pair.source.form, self.source, self.result) and _is_one_of(
            pair.destination.form, self.destination, self.result
        )


def _is_one_of(form: Form | None, *others: Form | None) -> bool:
    return any(same(form, other) for other in others)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided about a record that both sides changed.

    Attributes:
        policy: Which rule decided, or sent it to review.
        reason: Why, in a sentence.
        fields: Dotted paths on which the versions disagree.
        waits: A person has to decide.
        result: What both sides get; None deletes the record.
    """

    policy: Policy
    reason: str
    fields: tuple[str, ...] = ()
    waits: bool = False
    result: Form | None = None


class Outcome(StrEnum):
    """What a decision comes to."""

    AGREED = "agreed"
    WRITE = "write"
    REVIEW = "review"
    PARTED = "parted"


@dataclass(frozen=True, slots=True)
class Decision:
    """What both sides of a pair are to hold.

    Attributes:
        outcome: What it comes to.
        wanted: What the sides below are to hold; None where the record is to go.
        sides: Who has to be written to.
        parts: The other side has deleted the record, and it is left to itself once this is written.
        ruling: Set where both sides had changed the record.
    """

    outcome: Outcome
    wanted: Form | None = None
    sides: frozenset[Side] = frozenset()
    parts: bool = False
    ruling: Ruling | None = None


__all__ = [
    "Choice",
    "Decision",
    "DeleteKind",
    "Deletes",
    "Held",
    "Outcome",
    "Pair",
    "Policy",
    "Rules",
    "Ruling",
    "Side",
    "Status",
]
