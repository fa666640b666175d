"""From a source's page to pieces: mapped, keyed and encoded, a thousand records at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec
from isthmus.host.attempt.deletions import Deletions
from isthmus.host.attempt.legs import RecordPlan
from isthmus.host.attempt.narrowing import NarrowedPlan
from isthmus.host.attempt.pieces import Limits, Piece, Reason, Reject
from isthmus.host.attempt.ranging import Range, RangedPlan
from isthmus.host.backend import Originals, SourcePage
from isthmus.mapper import Mapped, Plan, Rejection, Rows, TypedPlan, identity_plan
from isthmus.records.v1 import records_pb2 as records
from isthmus.sdk.diagnosis import refusal_of
from isthmus.sdk.keying import Keying
from isthmus.sdk.records import key_of
from isthmus.sdk.runtime import ShapedRecords, Shaper
from isthmus.type.v1 import batch_pb2 as batch

V = TypeVar("V")

_Stage = records.QuarantinedRecord
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_UNFIT = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
_TOO_LARGE = Reason(
    "RECORD_TOO_LARGE", "The record is larger than a batch may be; leave fields out in the mapping."
)
_PROPAGATED = Deletions()
_FEW = 5
_UNREADABLE = Reason("RECORD_INVALID", "The record is not a JSON object; mend the source.")


@dataclass(slots=True)
class _Slice:
    """Some records of a page while they are being mapped.

    `records`, `keys` and `places` grow side by side; a place counts from the start of the slice.
    """

    page: SourcePage
    start: int
    records: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    filtered: list[int] = field(default_factory=list)
    deletion: int = batch.OPERATION_DELETE

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
        reasons = (Reason(one.reason, one.message, one.target, one.source) for one in rejection.errors)
        self.reject(place, _Stage.STAGE_MAP, *reasons)


class PageMapper:
    """Applies a plan to pages.

    Args:
        plan: None passes records on unchanged.
        destination_key: Dotted paths in the mapped record; empty keeps the source's keys.
        maps_deletions: Deleted records come whole and are mapped like others.
        deletions: What becomes of deletions.
    """

    def __init__(
        self,
        plan: RecordPlan | None,
        destination_key: Sequence[str] = (),
        *,
        maps_deletions: bool = False,
        deletions: Deletions = _PROPAGATED,
    ) -> None:
        self._plan = plan
        self._deletions = deletions
        self._maps_deletions = maps_deletions or bool(deletions.field) or deletions.everything
        self._key = tuple(destination_key)
        self._keying = Keying(destination_key)

    @property
    def shaper(self) -> Shaper | None:
        """Gives the shape in which records are mapped fastest; None where they are wanted as they are."""
        return self._plan.typed if isinstance(self._plan, Plan) else None

    def leave_out(self, cut: Callable[[Any], Any]) -> None:
        """Map from now on what is left of each record by a function that never changes the record itself."""
        plan = self._plan or identity_plan()
        if isinstance(plan, RangedPlan):
            plan.plan = NarrowedPlan(plan.plan, cut)  # what is left need not hold the time any more
        else:
            self._plan = NarrowedPlan(plan, cut)

    def within(self, wanted: Range) -> None:
        """Leave out what does not belong to a range."""
        self._plan = RangedPlan(self._plan or identity_plan(), wanted)

    def pieces(self, page: SourcePage, partition: str, limits: Limits) -> Iterator[Piece]:
        """Give the pieces of a page, in order; the last one is its boundary."""
        total = len(page.records)
        if self._deletions.everything:
            page = replace(page, operations=[batch.OPERATION_DELETE] * total)
        rejects = [_unreadable(one.record, one.reason, one.message, one.path) for one in page.rejected]
        start = 0
        while True:
            stop = min(start + limits.records, total)
            cut = _cut(self._mapped(page, start, stop, limits), limits)
            cut[0].rejects.extend(rejects)
            cut[0].read += len(rejects)
            rejects = []
            if stop >= total:
                cut[-1].boundary, cut[-1].position, cut[-1].barrier = True, page.position, page.barrier
            for piece in cut:
                piece.partition = partition
            yield from cut
            start = stop
            if start >= total:
                return

    def _mapped(self, page: SourcePage, start: int, stop: int, limits: Limits) -> _Slice:
        places = list(range(stop - start))
        done = _Slice(page, start, deletion=self._deletions.operation)
        left_out = [place for place in places if self._deletions.ignores and done.is_deletion(place)]
        if left_out:
            places = [place for place in places if not done.is_deletion(place)]
        if self._plan is None and not self._key:
            self._pass(done, places)
        elif page.operations is not None and not self._key and not self._maps_deletions:
            # Of a deleted record only its key is read, so it keeps the form the source gave it.
            gone = _Slice(page, start)
            self._pass(gone, [place for place in places if done.is_deletion(place)])
            self._map(done, [place for place in places if not done.is_deletion(place)])
            done = _interleaved(done, gone)
        else:
            self._map(done, places)
        if self._deletions.field and page.operations is not None:
            self._mark_deleted(done)
        done.filtered.extend(left_out)
        _refuse_large(done, limits)
        return done

    def _mark_deleted(self, done: _Slice) -> None:
        for index, place in enumerate(done.places):
            if done.is_deletion(place):
                done.records[index] = self._deletions.marked(done.records[index])

    def _pass(self, done: _Slice, places: list[int]) -> None:
        """Take records as they are."""
        for place in places:
            record = done.source(place)
            if isinstance(record, bytes):
                if not _still_unreadable(done, place, record):
                    self._keep(done, place, record, None)
            else:
                self._encode(done, place, record)

    def _map(self, done: _Slice, places: list[int]) -> None:
        """Map records; each ends up kept, rejected or filtered."""
        if self._map_shaped(done, places):
            return
        objects, kept = _decoded(done, places)
        if self._plan is None:
            self._encode_all(done, kept, objects)
            return
        mapped = self._plan.apply_many(objects)
        self._encode_all(done, _picked(kept, mapped.indexes), mapped.records)
        _set_aside(done, kept, mapped)

    def _map_shaped(self, done: _Slice, places: list[int]) -> bool:
        """Map records of a shape; False, and nothing done, where one of them is odd."""
        shaped = done.page.records
        if not isinstance(shaped, ShapedRecords) or not isinstance(shaped.shape, TypedPlan):
            return False
        typed = shaped.shape
        rows = typed.rows(_picked(shaped, range(done.start, done.start + len(places))))
        try:
            encoded = [_encode(row) for row in rows.records]
        except _UNFIT:
            return False
        kept = _picked(places, rows.indexes)
        if self._key:
            getters = {path: typed.target(path) for path in self._key}
            keys = self._keying.keys_by(getters, rows.records)
        else:
            keys = _source_keys(done, kept)
        if keys is None:
            return False
        done.records.extend(encoded)
        done.keys.extend(keys)
        done.places.extend(kept)
        _set_aside(done, places, rows)
        return True

    def _encode_all(self, done: _Slice, places: list[int], mapped: Sequence[Any]) -> None:
        """Encode many at once; only when one of them does not fit, each is looked at by itself."""
        try:
            encoded = [_encode(record) for record in mapped]
            keys = self._keying.keys(mapped) if self._key else _source_keys(done, places)
        except _UNFIT:
            keys = None
        if keys is None:
            for place, record in zip(places, mapped, strict=True):
                self._encode(done, place, record)
            return
        done.records.extend(encoded)
        done.keys.extend(keys)
        done.places.extend(places)

    def _encode(self, done: _Slice, place: int, record: Any) -> None:
        try:
            encoded = _encode(record)
        except _UNFIT as error:
            message = f"The record cannot be written as JSON ({type(error).__name__}); mend the mapping."
            done.reject(place, _Stage.STAGE_VALIDATE, Reason("RECORD_NOT_JSON", message))
        else:
            self._keep(done, place, encoded, record)

    def _keep(self, done: _Slice, place: int, encoded: bytes, record: Any) -> None:
        if self._key:
            try:
                done.keys.append(key_of(record, self._key))
            except LookupError as missing:
                path = str(missing.args[0])
                message = f"The key field {path} is missing in the mapped record; map it."
                done.reject(place, _Stage.STAGE_MAP, Reason("KEY_MISSING", message, target_path=path))
                return
        elif done.page.keys:
            done.keys.append(done.page.keys[done.start + place])
        done.records.append(encoded)
        done.places.append(place)


def _set_aside(done: _Slice, places: list[int], mapped: Mapped | Rows) -> None:
    """Put aside what could not be mapped, and note what the mapping leaves out."""
    for rejection in mapped.rejected:
        done.reject_unmapped(places[rejection.index], rejection)
    if mapped.filtered:
        met = {*mapped.indexes, *(rejection.index for rejection in mapped.rejected)}
        done.filtered = [place for index, place in enumerate(places) if index not in met]


def _source_keys(done: _Slice, places: Sequence[int]) -> list[str]:
    """The keys that the source gave to records."""
    keys, start = done.page.keys, done.start
    return _picked(keys, [start + place for place in places]) if keys else []


def _picked(values: Sequence[V], places: Sequence[int]) -> list[V]:
    """The values at places in ascending order, which mostly follow one another."""
    if not places:
        return []
    first, last = places[0], places[-1]
    if last - first + 1 == len(places):
        return list(values[first : last + 1])
    return [values[place] for place in places]


def _decoded(done: _Slice, places: list[int]) -> tuple[list[Any], list[int]]:
    """The records as objects with their places; what cannot be read is rejected."""
    sources = [done.source(place) for place in places]
    if not any(isinstance(record, bytes) for record in sources):
        return sources, places
    objects: list[Any] = []
    kept: list[int] = []
    for place, record in zip(places, sources, strict=True):
        if _still_unreadable(done, place, record):
            continue
        try:
            objects.append(_decode(record) if isinstance(record, bytes) else record)
        except _UNFIT:
            done.reject(place, _Stage.STAGE_READ, _UNREADABLE)
        else:
            kept.append(place)
    return objects, kept


def _still_unreadable(done: _Slice, place: int, record: Any) -> bool:
    """Put a record out of quarantine aside again that was no JSON object when it came, and is none now."""
    if not done.page.quarantine_ids or not isinstance(record, bytes):
        return False
    refusal = refusal_of(record, "The record")
    if refusal is not None:
        told = f"{refusal.message} Then drop this one."
        done.reject(place, _Stage.STAGE_READ, Reason(refusal.reason, told, source_path=refusal.path))
    return refusal is not None


def _refuse_large(done: _Slice, limits: Limits) -> None:
    if not done.records or max(map(len, done.records)) <= limits.size:
        return
    large = [index for index, record in enumerate(done.records) if len(record) > limits.size]
    for index in reversed(large):
        done.reject(done.places[index], _Stage.STAGE_VALIDATE, _TOO_LARGE)
        del done.records[index], done.places[index]
        if done.keys:
            del done.keys[index]


def _cut(done: _Slice, limits: Limits) -> list[Piece]:
    """Cut a slice where it is too large; what did not get through is accounted for by the first part."""
    pieces = [_piece(done, begin, end) for begin, end in _ends(done.records, limits.size)]
    first = pieces[0]
    first.rejects = done.rejects
    first.filtered = len(done.filtered)
    first.read += len(done.rejects) + len(done.filtered)
    if done.filtered:
        shown = [done.start + place for place in done.filtered[:_FEW]]
        first.left_out = Originals(done.page, shown)
        first.left_out_keys = _picked(done.page.keys, shown) if done.page.keys else ()
    if done.page.quarantine_ids:
        first.settled_ids = [done.page.quarantine_ids[done.start + place] for place in done.filtered]
    return pieces


def _piece(done: _Slice, begin: int, end: int) -> Piece:
    page = done.page
    places = [done.start + place for place in done.places[begin:end]]
    keys = done.keys[begin:end]
    encoded = done.records[begin:end]
    return Piece(
        read=len(places),
        records=encoded,
        keys=keys if any(keys) else [],
        operations=_operations(done, places),
        sources=Originals(page, places),
        source_keys=_picked(page.keys, places) if page.keys else (),
        quarantine_ids=_picked(page.quarantine_ids, places) if page.quarantine_ids else (),
        size=sum(map(len, encoded)),
    )


def _operations(done: _Slice, places: list[int]) -> list[int] | None:
    """What is to happen to the records at places of the page."""
    given = done.page.operations
    if given is None:
        return None
    wanted = _picked(given, places)
    if done.deletion == batch.OPERATION_DELETE:
        return wanted
    return [done.deletion if one == batch.OPERATION_DELETE else one for one in wanted]


def _interleaved(one: _Slice, other: _Slice) -> _Slice:
    """Both slices in the order of the page, because the order is the order of effect."""
    done = _Slice(one.page, one.start, rejects=[*one.rejects, *other.rejects], filtered=one.filtered)
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


def _unreadable(record: Any, reason: str, message: str, path: str) -> Reject:
    return Reject(_Stage.STAGE_READ, record, "", (Reason(reason, message, source_path=path),))


__all__ = ["PageMapper"]
