"""Some records of a page on their way to pieces, and how they are cut into them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from isthmus.host.attempt.jsonlines import JsonLines
from isthmus.host.attempt.pieces import Limits, Noted, Piece, Reason, Reject
from isthmus.host.backend import Originals, SourcePage
from isthmus.mapper import FieldError, Note, Rejection, TextLines
from isthmus.records.v1 import records_pb2 as records
from isthmus.type.v1 import batch_pb2 as batch

V = TypeVar("V")

_Stage = records.QuarantinedRecord
_TOO_LARGE = Reason(
    "RECORD_TOO_LARGE", "The record is larger than a batch may be; leave fields out in the mapping."
)
_FEW = 5


@dataclass(slots=True)
class Slice:
    """Some records of a page while they are being mapped.

    `records`, `keys` and `places` grow side by side; a place counts from the start of the slice. With `lines`
    these are empty. So do `rejects` and `rejected_places`.
    """

    page: SourcePage
    start: int
    records: list[bytes] = field(default_factory=list)
    lines: TextLines | JsonLines | None = None
    line_key: tuple[str, ...] = ()
    keys: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    filtered: list[int] = field(default_factory=list)
    notes: list[Noted] = field(default_factory=list)
    rejected_places: list[int] = field(default_factory=list)
    deletion: int = batch.OPERATION_DELETE
    splits: bool = False

    def source(self, place: int) -> Any:
        """The record as the source gave it."""
        return self.page.original(self.start + place)

    def is_deletion(self, place: int) -> bool:
        """Tell whether the source deleted the record."""
        operations = self.page.operations
        return operations is not None and operations[self.start + place] == batch.OPERATION_DELETE

    def reject(self, place: int, stage: int, *reasons: Reason) -> None:
        """Put a record aside."""
        index, page = self.start + place, self.page
        self.rejected_places.append(place)
        self.rejects.append(
            Reject(
                stage=stage,
                record=page.original(index),
                key=page.keys[index] if page.keys else "",
                reasons=reasons,
                deletes=self.is_deletion(place),
                quarantine_id=page.quarantine_ids[index] if page.quarantine_ids else "",
            )
        )

    def reject_unmapped(self, place: int, rejection: Rejection) -> None:
        """Put a record aside that the mapping cannot map."""
        self.reject(place, _Stage.STAGE_MAP, *map(_reason, rejection.errors))

    def note(self, place: int, note: Note) -> None:
        """Tell of a record that goes on although a rule does not hold."""
        index = self.start + place
        key = self.page.keys[index] if self.page.keys else ""
        self.notes.append(Noted(_reason(note.error), note.consequence, self.page.original(index), key))


def _reason(error: FieldError) -> Reason:
    return Reason(error.reason, error.message, error.target, error.source, error.rule)


def picked(values: Sequence[V], places: Sequence[int], *, repeats: bool = False) -> list[V]:
    """The values at places in ascending order, which mostly follow one another.

    With `repeats` there may be several of one place.
    """
    if not places:
        return []
    first, last = places[0], places[-1]
    if last - first + 1 == len(places) and not repeats:
        return list(values[first : last + 1])
    return [values[place] for place in places]


def refuse_large(done: Slice, limits: Limits) -> None:
    """Put aside what no batch can hold."""
    if not done.records or max(map(len, done.records)) <= limits.size:
        return
    large = [index for index, record in enumerate(done.records) if len(record) > limits.size]
    for index in reversed(large):
        done.reject(done.places[index], _Stage.STAGE_VALIDATE, _TOO_LARGE)
        del done.records[index], done.places[index]
        if done.keys:
            del done.keys[index]


def cut_up(done: Slice, limits: Limits) -> list[Piece]:
    """Cut a slice where it is too large; what did not get through is accounted for by the first part."""
    if done.lines is not None:
        pieces = _line_piece(done, done.lines).split(limits)
    else:
        pieces = [_piece(done, begin, end) for begin, end in _ends(done.records, limits.size)]
    first = pieces[0]
    first.rejects, first.notes = done.rejects, done.notes
    first.filtered = len(done.filtered)
    first.read += len(done.rejects) + len(done.filtered)
    if done.filtered:
        shown = [done.start + place for place in done.filtered[:_FEW]]
        first.left_out = Originals(done.page, shown)
        first.left_out_keys = picked(done.page.keys, shown) if done.page.keys else ()
    if done.page.quarantine_ids:
        first.settled_ids = [done.page.quarantine_ids[done.start + place] for place in done.filtered]
    return pieces


def _piece(done: Slice, begin: int, end: int) -> Piece:
    page = done.page
    places = [done.start + place for place in done.places[begin:end]]
    keys = done.keys[begin:end]
    encoded = done.records[begin:end]
    repeats = done.splits
    return Piece(
        read=len(places),
        records=encoded,
        keys=keys if any(keys) else [],
        operations=_operations(done, places),
        sources=Originals(page, places),
        source_keys=picked(page.keys, places, repeats=repeats) if page.keys else (),
        quarantine_ids=picked(page.quarantine_ids, places, repeats=repeats) if page.quarantine_ids else (),
        size=sum(map(len, encoded)),
    )


def _line_piece(done: Slice, lines: TextLines | JsonLines) -> Piece:
    page, indexes, start = done.page, lines.indexes, done.start
    places: Sequence[int]
    if isinstance(indexes, range):
        places = range(start, start + len(indexes))
    else:
        places = [start + index for index in indexes]
    return Piece(
        read=lines.count,
        lines=lines,
        line_key=done.line_key,
        sources=Originals(page, places),
        source_keys=picked(page.keys, places) if page.keys else (),
        size=len(lines.text),
    )


def _operations(done: Slice, places: list[int]) -> list[int] | None:
    """What is to happen to the records at places of the page."""
    given = done.page.operations
    if given is None:
        return None
    wanted = picked(given, places, repeats=done.splits)
    if done.deletion == batch.OPERATION_DELETE:
        return wanted
    return [done.deletion if one == batch.OPERATION_DELETE else one for one in wanted]


def interleaved(one: Slice, other: Slice) -> Slice:
    """Both slices in the order of the page, because the order is the order of effect."""
    done = Slice(
        one.page, one.start, rejects=[*one.rejects, *other.rejects], filtered=one.filtered, notes=one.notes
    )
    keyed = bool(one.keys or other.keys)
    rows = [
        (place, record, part.keys[index] if part.keys else "")
        for part in (one, other)
        for index, (place, record) in enumerate(zip(part.places, part.records, strict=True))
    ]
    for place, record, key in sorted(rows, key=lambda row: row[0]):
        done.places.append(place)
        done.records.append(record)
        if keyed:
            done.keys.append(key)
    return done


def _ends(encoded: Sequence[bytes], size: int) -> list[tuple[int, int]]:
    if sum(map(len, encoded)) <= size:
        return [(0, len(encoded))]
    ends: list[tuple[int, int]] = []
    begin = total = 0
    for index, record in enumerate(encoded):
        if total + len(record) > size and index > begin:
            ends.append((begin, index))
            begin, total = index, 0
        total += len(record)
    return [*ends, (begin, len(encoded))]


__all__ = ["Slice", "cut_up", "interleaved", "picked", "refuse_large"]
