"""A compiled mapping and what applying it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isthmus.mapper.errors import FieldError, RecordRejected

Record = dict[str, Any]
Transform = Callable[[Any, datetime], Record | None]


@dataclass(frozen=True, slots=True)
class Rejection:
    """One record of a batch that could not be mapped, by its position in the batch."""

    index: int
    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of a batch: every record is in `records`, in `rejected`, or counted in `filtered`.

    `indexes` tells for each of `records` which input record it came from.
    """

    records: list[Record]
    indexes: list[int]
    rejected: list[Rejection]
    filtered: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which source paths one target field is made from."""

    target: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """A mapping compiled once, to be applied to any number of records from any thread.

    Attributes:
        fingerprint: Content hash of the definition; equal fingerprints map equally.
        sources: Source paths the mapping reads; empty for the identity plan, which reads all.
        lineage: For every target field, the source paths it is made from.
    """

    fingerprint: str
    transform: Transform
    sources: tuple[str, ...] = ()
    lineage: tuple[Lineage, ...] = ()

    def __repr__(self) -> str:
        return f"Plan({self.fingerprint[:12]}, {len(self.lineage)} fields)"

    def apply(self, record: object, *, now: datetime | None = None) -> Record | None:
        """Maps one record; `None` means that the mapping's `where` leaves it out.

        Args:
            record: The source record; it is never changed.
            now: The evaluation time that `now` and the age functions use; the present moment by default.

        Raises:
            RecordRejected: the record cannot be mapped; no other exception leaves this method.
        """
        return self.transform(record, _moment(now))

    def apply_many(self, records: Iterable[object], *, now: datetime | None = None) -> Mapped:
        """Maps a batch at one evaluation time; bad records are set aside and the rest goes on."""
        transform, moment = self.transform, _moment(now)
        done: list[Record] = []
        indexes: list[int] = []
        rejected: list[Rejection] = []
        filtered = 0
        for index, record in enumerate(records):
            try:
                result = transform(record, moment)
            except RecordRejected as refusal:
                rejected.append(Rejection(index, refusal.errors))
                continue
            if result is None:
                filtered += 1
            else:
                done.append(result)
                indexes.append(index)
        return Mapped(done, indexes, rejected, filtered)


def identity_plan() -> Plan:
    """The plan of a flow without a mapping: every object passes as it is."""
    return _IDENTITY


def _moment(now: datetime | None) -> datetime:
    if now is None:
        return datetime.now(UTC)
    return now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)


def _same_record(record: Any, _now: datetime) -> Record:
    if not isinstance(record, dict):
        raise RecordRejected([not_an_object(record)])
    return record


def not_an_object(record: object) -> FieldError:
    """The error for input that is no JSON object at all."""
    return FieldError(
        target="",
        source="$",
        reason="RECORD_NOT_OBJECT",
        message="A record must be a JSON object; mend the source or its records path.",
        value=type(record).__name__,
    )


_IDENTITY = Plan(fingerprint="identity", transform=_same_record)
