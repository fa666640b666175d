"""A compiled mapping and what applying it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any, ClassVar, cast

import msgspec
from isthmus.mapper.errors import FieldError, MappingStopped, RecordRejected, Rejection
from isthmus.mapper.outcomes import Lineage, Mapped, Note, Record, Rows
from isthmus.mapper.privacy.classes import WHOLE, Classes, DataClass
from isthmus.mapper.shapes import Shape, row_getter
from isthmus.mapper.textlines import LineSource, LineWriter
from isthmus.mapper.times import moment_at

Transform = Callable[[Any, datetime], Record | None]
MapRows = Callable[[Sequence[Any], datetime], tuple[list[Any], Sequence[int]] | None]
"""Maps many records to rows where none is unusual; see `isthmus.mapper.columnar`."""

MapMany = Callable[[Iterator[Any], datetime, list[Any], Callable[[Any], bool], Callable[[], None]], None]
"""Maps usual records straight through; see `isthmus.mapper.generation.batches`.

Takes records, the evaluation time, the list of what is made, what to call with an unusual record, which
tells whether to stop, and what to call for one that is left out.
"""

_MOST_TYPED = 16
"""How many typed plans a plan keeps; a stream of flows with keys of their own may not fill the memory."""


class Batches:
    """The way for many records, which is made once a plan has mapped so many that it is worth its making.

    Attributes:
        worth: How many records that takes.
    """

    __slots__ = ("_left", "_made", "_make")
    worth: ClassVar[int] = 2_000

    def __init__(self, make: Callable[[], MapMany | None] | None = None) -> None:
        """`make` makes it; `None` where there is no such way."""
        self._make = make
        self._left = self.worth
        self._made: MapMany | None = None

    def ready(self, count: int) -> MapMany | None:
        """The function, once there is one; `count` records are about to be mapped."""
        if self._make is not None:
            self._left -= count
            if self._left <= 0:
                make, self._make = self._make, None
                self._made = make()
        return self._made


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """A mapping compiled once, to be applied to any number of records from any thread.

    Attributes:
        fingerprint: Content hash of the definition; equal fingerprints map equally.
        sources: Source paths the mapping reads; empty for the identity plan, which reads all.
        lineage: For every target field, the source paths it is made from.
        keeps_unmapped: Whether fields that no rule names are passed on.
        unclassified: Class of source fields that have none of their own.
        source_classes: Classes of source fields, as far as the mapping's source schema tells.
        plugins: Versions by name of the plug-ins whose functions it calls.
        notes: Whether it has rules that let records pass and are told of.
        splits: Whether it makes several of one record; then `parts` gives what `apply` cannot.
    """

    fingerprint: str
    transform: Transform
    sources: tuple[str, ...] = ()
    lineage: tuple[Lineage, ...] = ()
    keeps_unmapped: bool = False
    unclassified: DataClass = DataClass.INTERNAL
    source_classes: Mapping[str, DataClass] = field(default_factory=dict, compare=False)
    plugins: Mapping[str, str] = field(default_factory=dict, compare=False)
    notes: bool = False
    splits: bool = False
    _deriving: Callable[[Classes], Classes] | None = field(default=None, compare=False)
    _lowering: Callable[[Classes], Sequence[tuple[str, DataClass, DataClass]]] | None = field(
        default=None, compare=False
    )
    _typing: Callable[[tuple[str, ...]], TypedPlan | None] | None = field(default=None, compare=False)
    _batches: Batches = field(default_factory=Batches, compare=False)
    _typed: dict[tuple[str, ...], TypedPlan | None] = field(default_factory=dict, init=False, compare=False)

    def __repr__(self) -> str:
        return f"Plan({self.fingerprint[:12]}, {len(self.lineage)} fields)"

    def classes(self, source: Classes) -> Classes:
        """The classes of what the mapping makes of records of these classes."""
        return source if self._deriving is None else self._deriving(source)

    def lowered(self, source: Classes) -> Sequence[tuple[str, DataClass, DataClass]]:
        """Target fields that are less sensitive than their sources because the mapping says so.

        Returns:
            For each the path, the class of what it is made from, and the class that it has.
        """
        return () if self._lowering is None else self._lowering(source)

    def read_classes(self, declared: Mapping[str, DataClass]) -> Classes:
        """The classes of the records it reads: as declared, and else as the mapping says of all others.

        Of what the source and the mapping say of all other fields the stricter counts.
        """
        strictest = {
            path: max(kind, declared.get(path, DataClass.PUBLIC))
            for path, kind in self.source_classes.items()
        }
        both = {**declared, **strictest}
        whole = both.pop(WHOLE, None)
        if whole is None:
            return Classes(both, self.unclassified)
        is_said = self.unclassified is not DataClass.INTERNAL
        return Classes(both, max(whole, self.unclassified) if is_said else whole)

    def apply(self, record: object, *, now: datetime | None = None) -> Record | None:
        """Maps one record; `None` means that the mapping's `where` leaves it out.

        Args:
            record: The source record; it is never changed.
            now: The evaluation time that `now` and the age functions use; the present moment by default.

        Raises:
            RecordRejected: the record cannot be mapped; no other exception leaves this method. It is a
                `MappingStopped` where a rule is to end everything.
        """
        made: Any = self.transform(record, moment_at(now))
        if made.__class__ is list:
            hint = "The mapping splits this record into several, where one is asked for."
            raise RecordRejected([FieldError("", "$", "RECORD_SPLIT", hint)])
        return cast("Record | None", made)

    def parts(self, record: object, *, now: datetime | None = None) -> list[Record]:
        """Maps one record to as many as the mapping makes of it, none where it leaves the record out.

        Raises:
            RecordRejected: the record cannot be mapped, like `apply`.
        """
        made: Any = self.transform(record, moment_at(now))
        if made.__class__ is list:
            return list(made)
        return [] if made is None else [made]

    def apply_many(self, records: Iterable[object], *, now: datetime | None = None) -> Mapped:
        """Maps a batch at one evaluation time; bad records are set aside and the rest goes on.

        Of a record that is split, several records follow one another, with the same index.

        Raises:
            MappingStopped: a rule is to end everything; nothing is known of the batch.
        """
        if self.notes or self.splits:
            return _apply_noting(self.transform, records, now, splits=self.splits)
        return _apply_many(self.transform, records, now, self._batches)

    def typed(self, extra_paths: Sequence[str] = ()) -> TypedPlan | None:
        """The plan for records decoded into structs of only what it reads; made once and kept.

        Args:
            extra_paths: Dotted paths to be read besides, such as those of key and cursor.

        Returns:
            The typed plan, or `None` where the mapping reads records as a whole.
        """
        if self._typing is None:
            return None
        paths = tuple(dict.fromkeys(extra_paths))
        try:
            return self._typed[paths]
        except KeyError:
            if len(self._typed) >= _MOST_TYPED:
                self._typed.clear()
            # Of two threads that come at once both get the plan of the first, hence one record type.
            return self._typed.setdefault(paths, self._typing(paths))


@dataclass(frozen=True, slots=True, repr=False)
class TypedPlan:
    """A plan for records that msgspec decoded from JSON into `record_type`, and for no others.

    Missing members are null, which is what they mean to a mapping. Records whose members are of
    another shape than the paths need do not decode; for these there is the plan itself. It gives the
    same results and the same errors.

    Attributes:
        record_type: Holds the places that the mapping and the extra paths read, under generated names.
        getters: For each extra path, the function that reads it; null where it leads nowhere.
    """

    record_type: type[msgspec.Struct]
    getters: Mapping[str, Callable[[Any], Any]]
    transform: Transform
    _row_transform: Callable[[Any, datetime], Any]
    _row_shape: Shape | None
    _line_source: LineSource | None = None
    _by_column: MapRows | None = None
    _batches: Batches = field(default_factory=Batches)
    _row_batches: Batches = field(default_factory=Batches)

    def __repr__(self) -> str:
        return f"TypedPlan({', '.join(self.getters)})"

    def apply(self, record: msgspec.Struct, *, now: datetime | None = None) -> Record | None:
        """Maps one record, like `Plan.apply`.

        Raises:
            RecordRejected: the record cannot be mapped.
        """
        return self.transform(record, moment_at(now))

    def apply_many(self, records: Iterable[msgspec.Struct], *, now: datetime | None = None) -> Mapped:
        """Maps a batch at one evaluation time, like `Plan.apply_many`."""
        return _apply_many(self.transform, records, now, self._batches)

    def rows(self, records: Sequence[msgspec.Struct], *, now: datetime | None = None) -> Rows:
        """Maps a batch that is to be encoded at once; what is refused or left out is the same."""
        made = self._by_column(records, moment_at(now)) if self._by_column is not None else None
        if made is not None:
            rows, indexes = made
            return Rows(rows, list(indexes), [], len(records) - len(rows))
        mapped = _apply_many(self._row_transform, records, now, self._row_batches)
        return Rows(mapped.records, mapped.indexes, mapped.rejected, mapped.filtered)

    def line_writer(self, key: Sequence[str] = ()) -> LineWriter | None:
        """What maps the batches of one reading straight to lines of text; `None` where lines cannot say it.

        Args:
            key: Targets that identify a record; batches in which one of them has no value are not written.
        """
        source = self._line_source
        if source is None or not {column.name for column in source.columns}.issuperset(key):
            return None
        return LineWriter(source, key)

    def target(self, path: str) -> Callable[[Any], Any]:
        """The function that reads a dotted path of a row; null where it leads nowhere."""
        return row_getter(self._row_shape, path)


def _apply_many(
    transform: Transform, records: Iterable[object], now: datetime | None, batches: Batches
) -> Mapped:
    moment = moment_at(now)
    done: list[Record] = []
    gone: set[int] = set()
    rejected: list[Rejection] = []
    left = iter(records)
    many = batches.ready(len(records) if isinstance(records, Sized) else 1)
    if many is not None:
        odd = _Odd(transform, moment, done, gone, rejected)
        many(left, moment, done, odd.one, odd.skip)
    for index, record in enumerate(left, len(done) + len(gone)):
        try:
            result = transform(record, moment)
        except MappingStopped:
            raise
        except RecordRejected as refusal:
            rejected.append(Rejection(index, refusal.errors))
            gone.add(index)
            continue
        if result is None:
            gone.add(index)
        else:
            done.append(result)
    places = range(len(done) + len(gone))
    indexes = [index for index in places if index not in gone] if gone else list(places)
    return Mapped(done, indexes, rejected, len(gone) - len(rejected))


_SOME_ODD = 32


@dataclass(slots=True)
class _Odd:
    """Maps records one by one that are unusual among many.

    Where every second one is, the way for many is no shorter, and is left for the rest of the batch.
    """

    transform: Transform
    moment: datetime
    done: list[Record]
    gone: set[int]
    rejected: list[Rejection]
    count: int = 0

    def one(self, record: Any) -> bool:
        """Maps a record; tells whether there are too many of its kind."""
        self.count += 1
        index = len(self.done) + len(self.gone)
        try:
            result = self.transform(record, self.moment)
        except RecordRejected as refusal:
            self.rejected.append(Rejection(index, refusal.errors))
            result = None
        if result is None:
            self.gone.add(index)
        else:
            self.done.append(result)
        return self.count > _SOME_ODD and 2 * self.count > index

    def skip(self) -> None:
        """Leaves a record out."""
        self.gone.add(len(self.done) + len(self.gone))


def _apply_noting(
    transform: Callable[..., Any], records: Iterable[object], now: datetime | None, *, splits: bool
) -> Mapped:
    """Maps a batch with a mapping that tells of records which it lets pass, or makes several of one."""
    notes: list[Note] = []
    found: list[tuple[FieldError, str]] = []
    places = count()

    def noting(record: Any, moment: datetime) -> Record | None:
        place = next(places)
        found.clear()
        made: Record | None = transform(record, moment, found)
        notes.extend(Note(place, error, consequence) for error, consequence in found)
        return made or None if splits else made

    mapped = replace(_apply_many(noting, records, now, Batches()), notes=notes)
    if not splits:
        return mapped
    parts: list[Any] = mapped.records
    indexes = [index for index, made in zip(mapped.indexes, parts, strict=True) for _ in made]
    return replace(mapped, records=[one for made in parts for one in made], indexes=indexes)


def identity_plan() -> Plan:
    """The plan of a flow without a mapping: every object passes as it is."""
    return _IDENTITY


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


_IDENTITY = Plan(fingerprint="identity", transform=_same_record, keeps_unmapped=True)
