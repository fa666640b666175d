"""What is known of each record of a batch at a system without transactions, and what came of writing it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from isthmus.sdk.context import WORK

if TYPE_CHECKING:
    from isthmus.sdk.page import Batch

T = TypeVar("T")


class Outcome(StrEnum):
    """What came of writing one record."""

    DONE = "done"
    DELETED = "deleted"
    REJECTED = "rejected"
    UNTOUCHED = "untouched"
    UNKNOWN = "unknown"
    SET_ASIDE = "set_aside"


@dataclass(slots=True)
class Entry:
    """One record of a batch in hand.

    Attributes:
        key: Which record.
        correlation_id: The same for every attempt at this record; no two records share one.
        external_id: The system's own id; empty where it is not known.
        exists: The system is known to hold the record.
        in_doubt: An earlier attempt may have created it.
        was_found: It was in doubt, and the lookup has found it.
        open_for: Seconds since that attempt.
        outcome: None while nothing has been said.
        began_at: The count of requests that may have had an effect when the record was handed out; None
            before that.
    """

    key: str = ""
    correlation_id: str = ""
    external_id: str = ""
    exists: bool = False
    in_doubt: bool = False
    was_found: bool = False
    open_for: float = 0.0
    outcome: Outcome | None = None
    began_at: int | None = None


@dataclass(slots=True)
class Tracking:
    """The entries of a batch, one for each of its records.

    Attributes:
        entries: In the order of the records.
        check: Raises when this attempt may not write any more.
        stepwise: The connector takes the records one after another, so those behind the one in hand are
            untouched when something fails.
    """

    entries: Sequence[Entry]
    check: Callable[[], None] = lambda: None
    stepwise: bool = False

    def begin(self, place: int) -> Entry:
        """Notes that the record at a place is about to be written.

        Raises:
            Failure: This attempt may not write any more.
        """
        self.stepwise = True
        self.check()
        entry = self.entries[place]
        work = WORK.get()
        entry.began_at = work.effects if work is not None else 0
        return entry


@dataclass(frozen=True, slots=True, eq=False)
class Item(Generic[T]):
    """One record to write, with what is known of it at the system.

    Attributes:
        record: The record; of a deletion only its key fields are certain to be there.
        deletes: It is to be removed.
    """

    record: T
    deletes: bool
    _batch: "Batch[T]" = field(repr=False)
    _place: int = 0
    _entry: Entry = field(default_factory=Entry)

    @property
    def key(self) -> str:
        """The record's key; empty where it has none."""
        return self._entry.key

    @property
    def external_id(self) -> str:
        """The system's own id of the record; empty for one that is to be created."""
        return self._entry.external_id

    @property
    def correlation_id(self) -> str:
        """Stays the same for every attempt at this record; write it where `lookup` finds it."""
        return self._entry.correlation_id

    @property
    def was_found(self) -> bool:
        """Whether `lookup` has found the record: an earlier attempt wrote it, maybe in another form."""
        return self._entry.was_found

    @property
    def in_doubt(self) -> bool:
        """Whether an earlier attempt may have created the record and nobody has looked."""
        return self._entry.in_doubt

    def begin(self) -> None:
        """Says that it is about to be written; `Batch.items` does it for connectors that take one by one.

        Raises:
            Failure: This attempt may not write any more.
        """
        if self._batch.tracking is not None:
            self._batch.tracking.begin(self._place)

    def wrote(self, external_id: object = "") -> None:
        """Says that the system holds the record now, and under which id."""
        self._entry.external_id = str(external_id) if external_id is not None else ""
        self._entry.outcome = Outcome.DELETED if self.deletes else Outcome.DONE

    def reject(self, message: str, *, reason: str = "REJECTED_BY_SYSTEM", path: str = "") -> None:
        """Sends the record to quarantine; the others of the batch stay good."""
        self._batch.reject_at(self._place, message, reason=reason, path=path)


def items_of(batch: "Batch[T]", deletions: Sequence[bool], *, begins: bool) -> Iterator[Item[T]]:
    """The records of a batch one after another; where writing begins, each is noted when it is handed out."""
    tracking = batch.tracking
    for place, record in enumerate(batch.records):
        if tracking is None:
            entry = Entry(batch.keys[place] if batch.keys else "")
        else:
            entry = tracking.begin(place) if begins else tracking.entries[place]
        yield Item(record, deletes=deletions[place], _batch=batch, _place=place, _entry=entry)


__all__ = ["Entry", "Item", "Outcome", "Tracking", "items_of"]
