"""What is remembered of a stream's schema and of its changes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from isthmus.mapper.drift import Change, ChangeKind

_PER_RECORD = frozenset({ChangeKind.FIELD_REMOVED, ChangeKind.TYPE_CHANGED})


class Verdict(StrEnum):
    """Whether a flow may go on."""

    PASS = "pass"  # noqa: S105 - a verdict
    STOP = "stop"
    QUARANTINE = "quarantine"


class Status(StrEnum):
    """What became of a change."""

    PASSED = "passed"
    WAITING = "waiting"
    ACCEPTED = "accepted"
    QUARANTINING = "quarantining"
    AWAITS_MAPPING = "awaits_mapping"
    MAPPED = "mapped"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"

    @property
    def is_open(self) -> bool:
        """Whether it stops a flow or sends records to quarantine."""
        return self in {Status.WAITING, Status.QUARANTINING, Status.AWAITS_MAPPING}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a flow does when schemas change."""

    keeps_unknown: bool = True
    stops_on_additive: bool = False
    quarantines_breaking: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A stream as a flow knows it.

    Attributes:
        expected: JSON Schema of what is expected; empty until the first records came.
        declared: What the source declared last; empty where it declares nothing.
        primary_key: Fields that identify a record.
        cursor_field: Field that tells progress.
        records: How many records it was learnt from.
        dropped: Paths of fields that are left out; each was reported once.
        change_id: The open change.
        first_seen: When the stream was first met.
        last_seen: When it was last looked at.
    """

    flow_id: str
    instance_id: str
    stream: str
    first_seen: datetime
    last_seen: datetime
    expected: str = ""
    declared: str = ""
    primary_key: tuple[str, ...] = ()
    cursor_field: str = ""
    records: int = 0
    dropped: tuple[str, ...] = ()
    change_id: str = ""

    @property
    def fingerprint(self) -> str:
        """Content hash of what is expected."""
        return sha256(self.expected.encode()).hexdigest() if self.expected else ""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A change of a stream's schema, with all it takes to go on once it is decided.

    Attributes:
        after: The stream as it will be known when the change is accepted.
        before_schema: JSON Schema that was expected.
        mapping_fingerprint: The mapping that it met.
    """

    change_id: str
    flow_id: str
    instance_id: str
    stream: str
    status: Status
    differences: tuple[Change, ...]
    after: Known
    before_schema: str
    mapping_fingerprint: str
    create_time: datetime
    decided_by: str = ""
    decide_time: datetime | None = None

    @property
    def is_breaking(self) -> bool:
        """Whether it would harm data."""
        return any(one.is_breaking for one in self.differences)

    @property
    def shows_in_records(self) -> bool:
        """Whether records that show it can be told from others."""
        return all(one.kind in _PER_RECORD for one in self.differences if one.is_breaking)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a host has met.

    Attributes:
        declared: What the source declares; empty where it declares nothing, and in the course of an attempt.
        seen: Schema of a page of records; empty at the start of an attempt.
        records: How many the page has.
        source_paths: What the mapping reads; None stands for everything.
    """

    flow_id: str
    instance_id: str
    stream: str
    now: datetime
    declared: str = ""
    seen: str = ""
    records: int = 0
    primary_key: tuple[str, ...] = ()
    cursor_field: str = ""
    source_paths: tuple[str, ...] | None = None
    mapping_fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from an observation.

    Attributes:
        known: The stream as it is remembered from now on.
        change: The change that is new or has become something else; None when there is none.
        settled: The open change so far, with what became of it; None where it stays or there was none.
    """

    verdict: Verdict
    known: Known
    change: SchemaChange | None = None
    settled: SchemaChange | None = None


def packed(differences: Iterable[Change]) -> list[dict[str, Any]]:
    """Differences as they are stored."""
    return [
        {
            "kind": one.kind.value,
            "path": one.path,
            "before": one.before,
            "after": one.after,
            "is_read": one.is_read,
            "is_breaking": one.is_breaking,
        }
        for one in differences
    ]


def unpacked(stored: Iterable[dict[str, Any]]) -> tuple[Change, ...]:
    """Differences as they were before they were stored."""
    return tuple(Change(**{**one, "kind": ChangeKind(one["kind"])}) for one in stored)


__all__ = [
    "Judgement",
    "Known",
    "Observation",
    "Policy",
    "SchemaChange",
    "Status",
    "Verdict",
    "packed",
    "unpacked",
]
