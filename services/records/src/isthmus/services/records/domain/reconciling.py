"""Reconciliations: what hosts announce of a record, and what a report tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

import msgspec
from isthmus.resilience.faults import FixRequest, Missing, Precondition

PREFIX = "compare:"
MOST_SAMPLES = 20
_MARK_BYTES = 4
_LONGEST_NAMES = 10_000


class Side(IntEnum):
    """Whose records were announced."""

    SOURCE = 1
    DESTINATION = 2


class Status(IntEnum):
    """Where a reconciliation is in its life; the numbers are the contract's."""

    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELLED = 4


class SampleKind(IntEnum):
    """How both sides disagree; the numbers are the contract's."""

    MISSING = 1
    EXTRA = 2
    DIFFERENT = 3


_SIDES = {"source": Side.SOURCE, "destination": Side.DESTINATION}
EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class CompareStream:
    """A stream of a reconciliation: a side is written into its own, what is extra is read.

    Attributes:
        report_id: Of which reconciliation.
        side: Whose records are announced; None for the extra ones.
    """

    report_id: str
    side: Side | None


def is_compare_stream(stream: str) -> bool:
    """Tell whether a stream's name is one of these."""
    return stream.startswith(PREFIX)


def parse_stream(stream: str) -> CompareStream:
    """Read a stream's name, `compare:<report>:<side>`.

    Raises:
        Missing: `STREAM_UNKNOWN`.
    """
    report_id, _, name = stream.removeprefix(PREFIX).rpartition(":")
    if not report_id or (name != EXTRA and name not in _SIDES):
        message = f"Stream {stream!r} belongs to no reconciliation; choose another name."
        raise Missing("STREAM_UNKNOWN", message, path="stream")
    return CompareStream(report_id, _SIDES.get(name))


class Announced(msgspec.Struct, forbid_unknown_fields=True):
    """One record as its host announces it; values never travel.

    Attributes:
        digest: Of all its fields.
        marks: A short mark of each field, one behind the other.
        shape: Names the list of its fields.
        names: That list, where the host has not told it before.
        key: Its key in the flow; empty means the key under which the side gave it.
    """

    digest: bytes
    marks: bytes = b""
    shape: str = ""
    names: list[str] = []
    key: str = ""


_decode = msgspec.json.Decoder(Announced).decode


def announced(record: bytes) -> Announced:
    """Read what a host announced.

    Raises:
        FixRequest: `BATCH_INVALID`.
    """
    try:
        found = _decode(record)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        message = f"The announcement cannot be read ({error}); send digests as this version does."
        raise FixRequest("BATCH_INVALID", message, path="batch.records") from error
    if sum(map(len, found.names)) > _LONGEST_NAMES or any("\0" in name for name in (*found.names, found.key)):
        raise FixRequest("BATCH_INVALID", "The names of fields are too long, or hold NUL.", path="batch")
    return found


def differing(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """Name the fields that only one of two records has, or whose marks differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def by_name(names: Sequence[str], marks: bytes) -> dict[str, bytes]:
    """Give the mark of each field by the field's name."""
    return {name: marks[place * _MARK_BYTES : (place + 1) * _MARK_BYTES] for place, name in enumerate(names)}


@dataclass(frozen=True, slots=True)
class Opening:
    """What a host says when an attempt begins; see the contract."""

    report_id: str
    flow_id: str
    flow_name: str
    fencing_token: int
    source: str = ""
    destination: str = ""
    destination_key: Sequence[str] = ()
    repair: bool = False
    delete_extra: bool = False
    begins_repair: bool = False
    writer_id: str = ""
    most_deletions: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One record on which both sides disagree."""

    kind: int
    key: str
    destination_key: str = ""
    fields: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A reconciliation as stored; see the contract for what the figures mean."""

    report_id: str
    flow_id: str
    flow_name: str
    writer_id: str
    status: Status
    source: str
    destination: str
    destination_key: Sequence[str]
    repair: bool
    delete_extra: bool
    most_deletions: int
    fencing_token: int
    is_compared: bool
    is_repairing: bool
    missing: int
    extra: int
    different: int
    equal: int
    unrelated: int
    unreadable: int
    samples: Sequence[Sample]
    repaired: int
    removed: int
    refused: int
    error_message: str
    create_time: datetime
    compare_time: datetime | None
    end_time: datetime | None

    @property
    def hub_stream(self) -> str:
        """The hub's stream that is the destination; empty where it is another system's."""
        instance, _, stream = self.destination.partition("/")
        return stream if instance == "hub" else ""

    def admit(self, fencing_token: int) -> None:
        """Let only the present attempt go on.

        Raises:
            Precondition: `FENCED` or `REPORT_CLOSED`.
        """
        if fencing_token < self.fencing_token:
            message = (
                f"Attempt {self.fencing_token} reconciles this flow now; attempt {fencing_token} must stop."
            )
            metadata = {"fencing_token": str(self.fencing_token)}
            raise Precondition("FENCED", message, metadata=metadata)
        if self.status is not Status.RUNNING:
            message = f"Reconciliation {self.report_id} has ended; start another one."
            raise Precondition("REPORT_CLOSED", message, metadata={"report_id": self.report_id})

    def check_removal(self) -> None:
        """Refuse to remove what may not be extra after all.

        Raises:
            Precondition: `EXTRA_UNCERTAIN` or `TOO_MANY_DELETIONS`.
        """
        if not self.is_compared or self.unreadable:
            message = (
                f"{self.unreadable} records could not be read or mapped, and each of them may be what looks "
                "extra; mend them, then reconcile again."
            )
            raise Precondition("EXTRA_UNCERTAIN", message)
        if 0 < self.most_deletions < self.extra:
            message = (
                f"{self.extra} records would be removed, more than the limit of {self.most_deletions}; "
                "look at the report, and raise `deletes.most` if they are to go."
            )
            raise Precondition("TOO_MANY_DELETIONS", message)


def report_unknown(report_id: str) -> Missing:
    """Say that there is no such report."""
    message = f"There is no reconciliation {report_id}; ListReconciliations shows what there is."
    return Missing("REPORT_UNKNOWN", message)


__all__ = [
    "EXTRA",
    "MOST_SAMPLES",
    "PREFIX",
    "Announced",
    "CompareStream",
    "Opening",
    "Report",
    "Sample",
    "SampleKind",
    "Side",
    "Status",
    "announced",
    "by_name",
    "differing",
    "is_compare_stream",
    "parse_stream",
    "report_unknown",
]
