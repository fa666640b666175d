"""What connectors give and take: pages, batches and events."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

import msgspec
from isthmus.sdk.documents import Documents
from isthmus.sdk.failures import DataFailure
from isthmus.sdk.lines import Lines
from isthmus.sdk.model import BatchId, Operation, WriteMode
from isthmus.sdk.shaped import ShapedRecords
from isthmus.sdk.tracking import Item, Outcome, Tracking, items_of
from pydantic import BaseModel, ValidationError

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Effect = Literal["created", "updated", "deleted"]


@dataclass(frozen=True, slots=True)
class ReadReject:
    """A record that the source gave and that cannot travel on; it belongs in quarantine."""

    record: Any
    reason: str
    message: str
    path: str = ""


class Page(Generic[T]):
    """Records that become one checkpoint.

    Args:
        records: Models or dictionaries, in the order in which they take effect.
        deleted: Records, or dictionaries with the key fields, that the system no longer has.
        rejected: Records that could not be read, with the reason.
        resume: How to go on after this page; injected as `resume` when a reading goes on.
            Leave it out with `Api.pages`, which keeps its own place.
    """

    __slots__ = ("deleted", "records", "rejected", "resume")

    def __init__(
        self,
        records: Iterable[T] = (),
        *,
        deleted: Iterable[Any] = (),
        rejected: Iterable[ReadReject] = (),
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        self.records: list[T] = records if isinstance(records, ShapedRecords) else list(records)
        self.deleted = list(deleted)
        self.rejected = list(rejected)
        self.resume = resume

    @classmethod
    def parse(cls, model: type[M], items: Iterable[Any], **more: Any) -> "Page[M]":
        """Builds models one by one; an item that does not fit is rejected and the rest goes on."""
        good: list[M] = []
        bad: list[ReadReject] = list(more.pop("rejected", ()))
        for item in items:
            try:
                good.append(model.model_validate(item))
            except ValidationError as error:
                bad.append(reject_of(item, error))
        return Page(good, rejected=bad, **more)


def reject_of(record: Any, error: ValidationError) -> ReadReject:
    """Turns a validation error into a reject that names the first field, without its value."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return ReadReject(record, "RECORD_INVALID", f"{path or 'record'}: {first['msg']}.", path)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that a destination refused; `index` counts from 0 in the batch."""

    index: int
    reason: str
    message: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a destination would do with a record; `index` counts from 0 in the batch.

    Attributes:
        effect: `created`, `updated` or `deleted`.
        before: What the system holds, as a JSON object; empty where it holds nothing.
        after: What it would hold in the same form; empty where it would hold nothing.
    """

    index: int
    effect: Effect
    before: str = ""
    after: str = ""


@dataclass
class Batch(Generic[T]):
    """Records for one stream, to be written together.

    Iterating gives the records that are to be created, replaced or changed;
    `deletions` gives those to be removed. Count with `created`, `updated`,
    `unchanged` and `deleted` where the system tells; what is not counted is
    taken as updated.

    `items` gives all of them with what is known of each at the system; a connector
    to a system that gives records ids of its own writes with it.

    Attributes:
        records: Models, or dictionaries; those of a stream with a preparer, and those that came as lines, are
            decoded when they are first looked at.
        prepared: What the stream's preparer made of the batch; None without one.
        tracking: What is known of each record at a system without transactions; None for all others.
        foreseen: What a previewer would do with some of the records.
    """

    records: Sequence[T]
    keys: Sequence[str] = ()
    operations: Sequence[Operation] = ()
    mode: WriteMode = WriteMode.UPSERT
    id: BatchId = field(default_factory=BatchId)
    primary_key: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    indexes: Sequence[int] = ()
    rejected: list[Rejected] = field(default_factory=list)
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    repeated: bool = False
    prepared: Any = field(default=None, repr=False, compare=False)
    tracking: Tracking | None = field(default=None, repr=False, compare=False)
    foreseen: list[Foreseen] = field(default_factory=list, repr=False, compare=False)
    _places: dict[int, int] | None = None

    def __iter__(self) -> Iterator[T]:
        """The records to write, in order."""
        if self.tracking is not None:
            return (item.record for item in self.items if not item.deletes)
        if not self.operations:
            return iter(self.records)
        return (r for r, o in zip(self.records, self.operations, strict=True) if o != Operation.DELETE)

    def __len__(self) -> int:
        """How many records the batch holds, deletions included."""
        return len(self.records)

    @property
    def items(self) -> Iterator[Item[T]]:
        """The records to write and to remove, in order; ask for the next when one is dealt with."""
        return items_of(self, self._deletions(), begins=True)

    def peek(self) -> Iterator[Item[T]]:
        """Like `items`, for somebody who only looks."""
        return items_of(self, self._deletions(), begins=False)

    def _deletions(self) -> list[bool]:
        everything = self.mode == WriteMode.DELETE
        operations = self.operations or [Operation.UPSERT] * len(self.records)
        return [everything or operation == Operation.DELETE for operation in operations]

    @property
    def encoded(self) -> Sequence[bytes]:
        """The JSON documents as they arrived, unread; none where the records came in another form."""
        return self.records.encoded if isinstance(self.records, Documents) else ()

    @property
    def lines(self) -> Lines | None:
        """The lines of text as they arrived, unread; None where the records came in another form."""
        return self.records if isinstance(self.records, Lines) else None

    @property
    def deletions(self) -> list[T]:
        """The records to remove; only their key fields are certain to be there."""
        if self.mode == WriteMode.DELETE:
            return list(self.records)
        if not self.operations:
            return []
        return [r for r, o in zip(self.records, self.operations, strict=False) if o == Operation.DELETE]

    def reject(self, record: T, message: str, *, reason: str = "REJECTED_BY_SYSTEM", path: str = "") -> None:
        """Sends one record to quarantine; the others of the batch stay good.

        Raises:
            DataFailure: When the record is not one of this batch.
        """
        self.reject_at(self.place_of(record), message, reason=reason, path=path)

    def reject_at(
        self, place: int, message: str, *, reason: str = "REJECTED_BY_SYSTEM", path: str = ""
    ) -> None:
        """Like `reject`, for the record at a place in `records`."""
        index = self.indexes[place] if self.indexes else place
        self.rejected.append(Rejected(index, reason, message.strip()[:2000] or reason, path))
        if self.tracking is not None:
            self.tracking.entries[place].outcome = Outcome.REJECTED

    def foresee_at(self, place: int, effect: Effect, before: str = "", after: str = "") -> None:
        """Says what would become of the record at a place in `records`; for a few records of a preview."""
        index = self.indexes[place] if self.indexes else place
        self.foreseen.append(Foreseen(index, effect, before, after))

    def wrote(self, record: T, *, external_id: object = "") -> None:
        """Says that the system holds a record now, and under which id of its own.

        Raises:
            DataFailure: When the record is not one of this batch.
        """
        place = self.place_of(record)
        if self.tracking is not None:
            entry = self.tracking.entries[place]
            entry.external_id, entry.outcome = str(external_id), Outcome.DONE

    @property
    def told(self) -> int:
        """How many records have an outcome so far."""
        return self.created + self.updated + self.unchanged + self.deleted + len(self.rejected)

    def trial(self) -> "Batch[T]":
        """The same records for one try of several; `settle` takes its outcome over."""
        return replace(self, rejected=list(self.rejected), foreseen=list(self.foreseen))

    def settle(self, trial: "Batch[T]") -> None:
        """Takes over what became of a trial."""
        self.rejected, self.repeated = trial.rejected, trial.repeated
        self.created, self.updated = trial.created, trial.updated
        self.unchanged, self.deleted = trial.unchanged, trial.deleted
        self.foreseen = trial.foreseen

    def place_of(self, record: T) -> int:
        """Where in `records` this very object stands."""
        if self._places is None:
            self._places = {id(candidate): place for place, candidate in enumerate(self.records)}
        try:
            return self._places[id(record)]
        except KeyError:
            raise DataFailure(
                "RECORD_UNKNOWN", "The record is not part of this batch; reject what it gave."
            ) from None


@dataclass(frozen=True)
class Event:
    """One inbound webhook, as received."""

    kind: str
    method: str
    target: str
    headers: Mapping[str, str]
    raw: bytes = field(repr=False)

    @property
    def body(self) -> Any:
        """The body as JSON.

        Raises:
            DataFailure: `BODY_INVALID`, when it is none.
        """
        try:
            return msgspec.json.decode(self.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataFailure(
                "BODY_INVALID", "The webhook's body is not JSON; keep it for a person."
            ) from error
