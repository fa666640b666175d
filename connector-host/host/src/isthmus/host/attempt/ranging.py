"""Backfills: of a source only the records of a range, whatever has been read before."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.legs import RecordPlan
from isthmus.host.modes import best_read_mode
from isthmus.mapper import FieldError, Mapped, Rejection
from isthmus.resilience import Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.sdk.records import at_path
from isthmus.sdk.runtime import Between
from isthmus.type.v1 import batch_pb2 as batch

_MILLISECONDS = 100_000_000_000
"""Numbers beyond it are milliseconds since 1970; as seconds they would be past the year 5000."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which records of a stream are wanted.

    Attributes:
        between: Their time.
        field: Dotted path of it in a record, as the source gives it.
        asks: The source is asked for no more than this.
    """

    between: Between
    field: str
    asks: bool

    def holds(self, record: Any) -> bool:
        """Tell whether a record belongs to the range.

        A record without a time belongs to none, unless the source that was asked has given it.

        Raises:
            ValueError: Its field holds something else.
        """
        return self.includes(self.time_of(record))

    def time_of(self, record: Any) -> Any:
        """Return what a record tells of its time; None where it tells nothing."""
        value = at_path(record, self.field) if isinstance(record, dict) else None
        return None if value == "" else value

    def includes(self, value: Any) -> bool:
        """Tell whether what `time_of` gave belongs to the range.

        Raises:
            ValueError: It is no time.
        """
        if value is None:
            return self.asks
        return self.between.start <= moment_of(value) < self.between.end


def range_of(wanted: scheduling.TimeRange, stream: connector.StreamSpec) -> Range:
    """Say how a range of a stream is read.

    Raises:
        Precondition: `RANGE_UNSUPPORTED`, nobody says where a record's time stands.
    """
    field = wanted.field or stream.range_field
    if not field:
        message = (
            f"Nothing says which field of {stream.stream} holds a record's time: name it with `--field`, "
            "or declare it in the instance's configuration."
        )
        raise Precondition("RANGE_UNSUPPORTED", message, metadata={"stream": stream.stream})
    between = Between(wanted.start_time.ToDatetime(UTC), wanted.end_time.ToDatetime(UTC))
    return Range(between, field, stream.asks_for_range and field == stream.range_field)


def range_mode(stream: connector.StreamSpec) -> int:
    """Return how a range is read: from its beginning, not from where others have come."""
    full = connector.READ_MODE_FULL
    return full if full in stream.read_modes else best_read_mode(stream)


def moment_of(value: Any) -> datetime:
    """Read a time; one without a zone counts as UTC, a number as seconds or milliseconds since 1970.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str):
        found = datetime.fromisoformat(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS else value, UTC)
        except (OverflowError, OSError) as error:
            raise ValueError(str(error)) from error
    else:
        raise ValueError("neither a text nor a number")  # noqa: TRY004 - what a record holds is a value
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


class RangedPlan:
    """Maps records of a range and leaves the others out.

    Args:
        plan: Maps them.
        wanted: Which they are.
    """

    def __init__(self, plan: RecordPlan, wanted: Range) -> None:
        self.plan = plan
        self._wanted = wanted
        self._given = 0
        self._timed = 0

    def apply_many(self, records: Iterable[object]) -> Mapped:
        """Map what belongs to the range; a record whose time cannot be read is rejected."""
        given = list(records)
        places: list[int] = []
        rejected: list[Rejection] = []
        self._given += len(given)
        for place, record in enumerate(given):
            value = self._wanted.time_of(record)
            self._timed += value is not None
            try:
                if self._wanted.includes(value):
                    places.append(place)
            except ValueError:
                rejected.append(Rejection(place, (self._unreadable(),)))
        mapped = self.plan.apply_many([given[place] for place in places])
        rejected += [Rejection(places[one.index], one.errors) for one in mapped.rejected]
        indexes = [places[index] for index in mapped.indexes]
        left_out = len(given) - len(set(indexes)) - len(rejected)
        notes = [replace(note, index=places[note.index]) for note in mapped.notes]
        return Mapped(mapped.records, indexes, sorted(rejected, key=lambda one: one.index), left_out, notes)

    def doubt(self, before: batch.Counts) -> str:
        """Say that the field is probably not the right one; empty where a record has it.

        Args:
            before: What earlier attempts did.
        """
        is_new = before.read == before.filtered  # else a record had the field, and this is only the rest
        if self._wanted.asks or self._timed or not self._given or not is_new:
            return ""
        return (
            f"None of the {self._given} records that were read has a time in the field "
            f"`{self._wanted.field}`, so all of them were left out; name the right one with `--field`."
        )

    def _unreadable(self) -> FieldError:
        message = (
            "The field holds no time, so nobody can tell whether the record belongs to the range; "
            "mend it at the source, or name another field."
        )
        return FieldError("", self._wanted.field, "RANGE_FIELD_INVALID", message)


__all__ = ["Range", "RangedPlan", "moment_of", "range_mode", "range_of"]
