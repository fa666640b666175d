"""From a source's page to pieces: mapped, keyed and encoded, a thousand records at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from isthmus.host.attempt.deletions import Deletions
from isthmus.host.attempt.jsonlines import json_lines
from isthmus.host.attempt.legs import RecordPlan
from isthmus.host.attempt.narrowing import NarrowedPlan
from isthmus.host.attempt.pieces import Limits, Piece, Reason, Reject, is_large
from isthmus.host.attempt.ranging import Range, RangedPlan
from isthmus.host.attempt.slices import Slice, cut_up, interleaved, picked, refuse_large
from isthmus.host.attempt.splitting import keep_together, most_at_once
from isthmus.host.backend import SourcePage
from isthmus.mapper import LineWriter, Mapped, MappingStopped, Plan, Rows, TextLines, TypedPlan, identity_plan
from isthmus.records.v1 import records_pb2 as records
from isthmus.resilience import DataLost
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
_PROPAGATED = Deletions()
_UNREADABLE = Reason("RECORD_INVALID", "The record is not a JSON object; mend the source.")


class PageMapper:
    """Applies a plan to pages.

    Args:
        plan: None passes records on unchanged.
        destination_key: Dotted paths in the mapped record; empty keeps the source's keys.
        maps_deletions: Deleted records come whole and are mapped like others.
        deletions: What becomes of deletions.
        splits: The plan makes several records of one; the destination's key tells them apart.
    """

    def __init__(
        self,
        plan: RecordPlan | None,
        destination_key: Sequence[str] = (),
        *,
        maps_deletions: bool = False,
        deletions: Deletions = _PROPAGATED,
        splits: bool = False,
    ) -> None:
        self._plan = plan
        self._deletions = deletions
        self._splits = splits
        self._maps_deletions = maps_deletions or bool(deletions.field) or deletions.everything
        self._key = tuple(destination_key)
        self._keying = Keying(destination_key)
        self._writers: tuple[TypedPlan | None, LineWriter | None] = (None, None)

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

    def within(self, wanted: Range) -> RangedPlan:
        """Leave out what does not belong to a range, and return what decides it."""
        self._plan = ranged = RangedPlan(self._plan or identity_plan(), wanted)
        return ranged

    def pieces(self, page: SourcePage, partition: str, limits: Limits) -> Iterator[Piece]:
        """Give the pieces of a page, in order; the last one is its boundary.

        Raises:
            DataLost: A rule of the mapping is to end everything, and does not hold for a record that follows.
        """
        try:
            yield from self._pieces(page, partition, limits)
        except MappingStopped as stopped:
            (error,) = stopped.errors
            raise DataLost(error.reason, error.message) from stopped

    def _pieces(self, page: SourcePage, partition: str, limits: Limits) -> Iterator[Piece]:
        total = len(page.records)
        if self._deletions.everything:
            page = replace(page, operations=[batch.OPERATION_DELETE] * total)
        rejects = [_unreadable(one.record, one.reason, one.message, one.path) for one in page.rejected]
        start = 0
        while True:
            stop = min(start + (most_at_once(limits) if self._splits else limits.records), total)
            parts = cut_up(self._mapped(page, start, stop, limits), limits)
            parts[0].rejects.extend(rejects)
            parts[0].read += len(rejects)
            rejects = []
            if stop >= total:
                parts[-1].boundary, parts[-1].position, parts[-1].barrier = True, page.position, page.barrier
            for piece in parts:
                piece.partition = partition
            yield from parts
            start = stop
            if start >= total:
                break
        if isinstance(page.records, ShapedRecords):
            page.records.let_go()

    def _mapped(self, page: SourcePage, start: int, stop: int, limits: Limits) -> Slice:
        done = Slice(page, start, deletion=self._deletions.operation, splits=self._splits)
        if limits.takes_lines and page.operations is None and self._write_lines(done, stop, limits):
            return done
        places = list(range(stop - start))
        left_out = [place for place in places if self._deletions.ignores and done.is_deletion(place)]
        if left_out:
            places = [place for place in places if not done.is_deletion(place)]
        if self._plan is None and not self._key:
            self._pass(done, places)
        elif page.operations is not None and not self._key and not self._maps_deletions:
            # Of a deleted record only its key is read, so it keeps the form the source gave it.
            gone = Slice(page, start)
            self._pass(gone, [place for place in places if done.is_deletion(place)])
            self._map(done, [place for place in places if not done.is_deletion(place)])
            done = interleaved(done, gone)
        elif page.operations is None and limits.takes_json_lines:
            self._map(done, places, as_lines=limits)
        else:
            self._map(done, places)
        if self._deletions.field and page.operations is not None:
            self._mark_deleted(done)
        done.filtered.extend(left_out)
        refuse_large(done, limits)
        if self._splits:
            keep_together(done)
        return done

    def _mark_deleted(self, done: Slice) -> None:
        for index, place in enumerate(done.places):
            if done.is_deletion(place):
                done.records[index] = self._deletions.marked(done.records[index])

    def _pass(self, done: Slice, places: list[int]) -> None:
        """Take records as they are."""
        for place in places:
            record = done.source(place)
            if isinstance(record, bytes):
                if not _still_unreadable(done, place, record):
                    self._keep(done, place, record, None)
            else:
                self._encode(done, place, record)

    def _map(self, done: Slice, places: list[int], as_lines: Limits | None = None) -> None:
        """Map records; each ends up kept, rejected or filtered.

        Args:
            done: Gets what becomes of them.
            places: All records of the slice, or some of them.
            as_lines: Whole slices may become lines of JSON that fit into these limits.
        """
        if self._map_shaped(done, places, as_lines):
            return
        objects, kept = _decoded(done, places)
        if self._plan is None:
            self._encode_all(done, kept, objects)
            return
        mapped = self._plan.apply_many(objects)
        self._encode_all(done, picked(kept, mapped.indexes, repeats=self._splits), mapped.records)
        _set_aside(done, kept, mapped)

    def _map_shaped(self, done: Slice, places: list[int], as_lines: Limits | None) -> bool:
        """Map records of a shape; False, and nothing done, where one of them is odd."""
        shaped = done.page.records
        if not isinstance(shaped, ShapedRecords) or not isinstance(shaped.shape, TypedPlan):
            return False
        typed = shaped.shape
        rows = typed.rows(picked(shaped, range(done.start, done.start + len(places))))
        kept = picked(places, rows.indexes)
        if self._key:
            getters = {path: typed.target(path) for path in self._key}
            keys = self._keying.keys_by(getters, rows.records)
        else:
            keys = _source_keys(done, kept)
        if keys is None:
            return False
        try:
            if as_lines is not None and kept:
                done.lines = json_lines(rows.records, keys, kept, as_lines.size)
            encoded = [] if done.lines is not None else [_encode(row) for row in rows.records]
        except _UNFIT:
            return False
        if done.lines is None:
            done.records.extend(encoded)
            done.keys.extend(keys)
            done.places.extend(kept)
        _set_aside(done, places, rows)
        return True

    def _write_lines(self, done: Slice, stop: int, limits: Limits) -> bool:
        """Map records of a shape to lines of text; False, and nothing done, where that cannot be."""
        shaped = done.page.records
        if not self._key or not isinstance(shaped, ShapedRecords) or not isinstance(shaped.shape, TypedPlan):
            return False
        if self._writers[0] is not shaped.shape:
            self._writers = (shaped.shape, shaped.shape.line_writer(self._key))
        writer = self._writers[1]
        if writer is None:
            return False
        is_whole = stop - done.start == len(shaped)
        lines = writer.lines(shaped if is_whole else shaped[done.start : stop])
        if lines is None or is_large(lines, limits.size):
            return False
        if lines.count:
            done.lines, done.line_key = lines, self._key
        _set_aside(done, range(stop - done.start), lines)
        return True

    def _encode_all(self, done: Slice, places: list[int], mapped: Sequence[Any]) -> None:
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

    def _encode(self, done: Slice, place: int, record: Any) -> None:
        try:
            encoded = _encode(record)
        except _UNFIT as error:
            message = f"The record cannot be written as JSON ({type(error).__name__}); mend the mapping."
            done.reject(place, _Stage.STAGE_VALIDATE, Reason("RECORD_NOT_JSON", message))
        else:
            self._keep(done, place, encoded, record)

    def _keep(self, done: Slice, place: int, encoded: bytes, record: Any) -> None:
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


def _set_aside(done: Slice, places: Sequence[int], mapped: Mapped | Rows | TextLines) -> None:
    """Put aside what could not be mapped, and note what the mapping leaves out."""
    for rejection in mapped.rejected:
        done.reject_unmapped(places[rejection.index], rejection)
    for note in mapped.notes if isinstance(mapped, Mapped) else ():
        done.note(places[note.index], note)
    if mapped.filtered:
        met = {*mapped.indexes, *(rejection.index for rejection in mapped.rejected)}
        done.filtered = [place for index, place in enumerate(places) if index not in met]


def _source_keys(done: Slice, places: Sequence[int]) -> list[str]:
    """The keys that the source gave to records."""
    keys, start = done.page.keys, done.start
    return picked(keys, [start + place for place in places]) if keys else []


def _decoded(done: Slice, places: list[int]) -> tuple[list[Any], list[int]]:
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


def _still_unreadable(done: Slice, place: int, record: Any) -> bool:
    """Put a record out of quarantine aside again that was no JSON object when it came, and is none now."""
    if not done.page.quarantine_ids or not isinstance(record, bytes):
        return False
    refusal = refusal_of(record, "The record")
    if refusal is not None:
        told = f"{refusal.message} Then drop this one."
        done.reject(place, _Stage.STAGE_READ, Reason(refusal.reason, told, source_path=refusal.path))
    return refusal is not None


def _unreadable(record: Any, reason: str, message: str, path: str) -> Reject:
    return Reject(_Stage.STAGE_READ, record, "", (Reason(reason, message, source_path=path),))


__all__ = ["PageMapper"]
