"""Records as lines of text, and back: what `ENCODING_TEXT_LINES` of the contract describes.

A line holds the values of one record, separated by U+001F and ended by U+000A. Almost no text has to be
escaped for that, so lines are put together first and looked at together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from isthmus.mapper.errors import FieldError, Rejection
from isthmus.mapper.times import moment_at

STRING, INTEGER, BOOLEAN, LEFT_OUT = "string", "integer", "boolean", ""
DELIMITER: Final = "\x1f"
ABSENT: Final = "None"
_END: Final = "\n"
LONGEST_LINE: Final = 64 * 1024
_REST = 20
_FEWEST = 50
_STRIDE = 32
_KINDS = {str: STRING, int: INTEGER, bool: BOOLEAN}
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", DELIMITER: "\\" + DELIMITER})
_FIELD = re.compile(r"(?:[^\\\x1f]|\\.)*", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n", "r": "\r"}
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A member of mapped records that are written as lines.

    Attributes:
        name: The member's name.
        kind: `string`, `integer` or `boolean`.
        keeps_null: Whether a record without a value has the member all the same, as null.
    """

    name: str
    kind: str
    keeps_null: bool = False


@dataclass(frozen=True, slots=True)
class TextLines:
    """What became of a batch, like `Rows`, with the mapped records as lines of text.

    Attributes:
        text: All lines.
        columns: What the values of a line are. At least one of the records has a value for each of
            them, unless its nulls are kept.
        count: How many lines there are.
        indexes: For each line the input record that it came from.
        rejected: What could not be mapped.
        filtered: How many records the mapping leaves out.
    """

    text: bytes
    columns: tuple[TextColumn, ...]
    count: int
    indexes: Sequence[int] = ()
    rejected: Sequence[Rejection] = ()
    filtered: int = 0

    def part(self, begin: int, end: int) -> TextLines:
        """Some of the lines, by themselves."""
        chosen = self.text.split(b"\n")[begin:end]
        return TextLines(b"".join(line + b"\n" for line in chosen), self.columns, end - begin)


class OddValueError(BaseException):
    """A value is not what its column was taken for; no error of a record, so errors' handlers let it pass.

    Attributes:
        place: Which column.
        kind: What it is instead; None where lines cannot say it.
    """

    def __init__(self, place: int, value: object) -> None:
        super().__init__()
        self.place = place
        self.kind = _KINDS.get(value.__class__)


@dataclass(frozen=True, slots=True)
class MadeLines:
    """The lines of a batch in which nothing was refused.

    Attributes:
        text: All lines.
        indexes: For each of them the input record that it came from.
    """

    text: bytes
    indexes: Sequence[int]


WriteMany = Callable[["Written", Iterable[Any], datetime], Sequence[object]]
"""Generated code that writes many records, and tells of each column whether a value was met."""

WriteByColumn = Callable[[Sequence[Any], datetime, Sequence[str], frozenset[int]], MadeLines]
"""Writes many records where none is unusual, and raises where one is; see `isthmus.mapper.columnar`."""


class Written:
    """What generated code makes of one slice of records."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.gone: list[int] = []
        self.rejected: list[Rejection] = []
        self.special: set[int] = set()

    def skip(self) -> None:
        """Note that the mapping leaves a record out."""
        self.gone.append(len(self.lines) + len(self.gone))

    def refuse(self, errors: Iterable[FieldError]) -> None:
        """Note that a record could not be mapped."""
        self.rejected.append(Rejection(len(self.lines) + len(self.gone), tuple(errors)))
        self.skip()

    def mark(self) -> None:
        """Note that a text of the present record is the word that stands for absent values."""
        self.special.add(len(self.lines))

    @property
    def indexes(self) -> Sequence[int]:
        """For each line the record that it came from."""
        places = range(len(self.lines) + len(self.gone))
        if not self.gone:
            return places
        gone = set(self.gone)
        return [place for place in places if place not in gone]


@dataclass(frozen=True, slots=True)
class LineSource:
    """What writing lines takes from a mapping.

    Attributes:
        columns: All targets, with what their values are taken for at first.
        open: Places of columns whose values may be something else.
        make: Gives the code for what columns are taken for, and for places of columns that need a value.
        row: Maps one record to its values, each UNSET where it has none.
        by_column: Does the same as the code, quicker, where nothing is unusual.
    """

    columns: tuple[TextColumn, ...]
    open: frozenset[int]
    make: Callable[[tuple[str, ...], frozenset[int]], WriteMany]
    row: Callable[[Any, datetime], Sequence[Any]]
    by_column: WriteByColumn


class LineWriter:
    """Writes the records of one reading as lines, and learns from them what values are.

    Args:
        source: The mapping's part.
        key: Columns in which every record needs a value.
    """

    def __init__(self, source: LineSource, key: Sequence[str] = ()) -> None:
        self._source = source
        self._kinds = tuple(column.kind for column in source.columns)
        self._columns = source.columns
        self._key = frozenset(place for place, column in enumerate(source.columns) if column.name in key)
        self._changes_left = 2 * len(source.columns) + 2
        self._resting = 0
        self._one_by_one = 0

    def lines(self, records: Sequence[Any], *, now: datetime | None = None) -> TextLines | None:
        """Maps a batch; what is refused or left out is the same as with `TypedPlan.rows`.

        Returns:
            None where a value cannot be said as text; most likely neither in the next batches, so these
            are not even looked at.
        """
        if self._resting:
            self._resting -= 1
            return None
        moment = moment_at(now)
        found = self._by_column(records, moment)
        if found is None:
            found = self._by_record(records, moment)
        if found is None:
            self._resting = _REST
        return found

    def _by_column(self, records: Sequence[Any], moment: datetime) -> TextLines | None:
        """The lines, unless a record is unusual; then the next ones probably are as well."""
        if self._one_by_one or len(records) < _FEWEST:
            self._one_by_one = max(0, self._one_by_one - 1)
            return None
        try:
            made = self._source.by_column(records, moment, self._kinds, self._key)
        except Exception:  # whatever is wrong with a record, mapping it by itself tells
            self._one_by_one = _REST
            return None
        count = len(made.indexes)
        return TextLines(made.text, self._columns, count, made.indexes, filtered=len(records) - count)

    def _by_record(self, records: Sequence[Any], moment: datetime) -> TextLines | None:
        changes: dict[int, str] | None = {}
        while changes is not None:
            self._take(changes)
            written = Written()
            try:
                met = self._source.make(self._kinds, self._key)(written, records, moment)
            except OddValueError as odd:
                can_change = odd.place in self._source.open and odd.kind is not None
                changes = self._affordable({odd.place: odd.kind or ""}) if can_change else None
                continue
            missing = self._missing(written, met, records, moment)
            if not missing:
                found = self._finished(written, records, moment)
                if found is not None:
                    return found
            changes = self._affordable(dict.fromkeys(missing, LEFT_OUT)) if missing else None
        return None

    def _affordable(self, changes: dict[int, str]) -> dict[int, str] | None:
        """The changes, unless what comes has changed its form too often already."""
        self._changes_left -= 1
        return changes if self._changes_left >= 0 else None

    def _take(self, changes: Mapping[int, str]) -> None:
        """Take some columns for something else from now on."""
        if not changes:
            return
        self._one_by_one = 0
        self._kinds = tuple(changes.get(place, kind) for place, kind in enumerate(self._kinds))
        self._columns = tuple(
            TextColumn(column.name, kind, column.keeps_null)
            for column, kind in zip(self._source.columns, self._kinds, strict=True)
            if kind != LEFT_OUT
        )

    def _missing(
        self, written: Written, met: Sequence[object], records: Sequence[Any], moment: datetime
    ) -> list[int]:
        """Places of columns for which no record has a value, so that they may not be named."""
        if not written.lines:
            return []
        # What was met may have been met in a record that was refused for another reason.
        is_sure = not written.rejected
        places = [
            place
            for place, column in enumerate(self._source.columns)
            if not (is_sure and met[place]) and not column.keeps_null and self._kinds[place] != LEFT_OUT
        ]
        for index in () if is_sure else written.indexes:
            if not places:
                break
            row = self._source.row(records[index], moment)
            places = [place for place in places if row[place] is msgspec.UNSET]
        return places

    def _finished(self, written: Written, records: Sequence[Any], moment: datetime) -> TextLines | None:
        lines, indexes = written.lines, written.indexes
        if not self._columns or max(map(len, lines), default=0) > LONGEST_LINE:
            return None
        delimiters = len(self._columns) - 1
        parts: list[bytes] = []
        try:
            for start in range(0, len(lines), _STRIDE):
                some = lines[start : start + _STRIDE]
                if written.special or not _is_plain("".join(some), len(some) * delimiters):
                    for place, line in enumerate(some, start):
                        if place in written.special or not _is_plain_but_for_backslashes(line, delimiters):
                            some[place - start] = self._careful(records[indexes[place]], moment)
                        elif "\\" in line:
                            some[place - start] = line.replace("\\", "\\\\")
                # One character beyond ASCII makes a whole text slow to encode, so it is kept to few lines.
                parts.append(_END.join(some).encode())
        except UnicodeEncodeError:
            return None
        if parts:
            parts.append(b"")
        return TextLines(
            b"\n".join(parts),
            self._columns,
            len(lines),
            indexes,
            written.rejected,
            len(written.gone) - len(written.rejected),
        )

    def _careful(self, record: Any, moment: datetime) -> str:
        """The line of a record whose values have to be looked at one by one."""
        values = zip(self._source.row(record, moment), self._kinds, strict=True)
        return DELIMITER.join(_written(value) for value, kind in values if kind != LEFT_OUT)


def _is_plain(text: str, delimiters: int) -> bool:
    """Whether nothing in the values of some lines has to be escaped."""
    return "\\" not in text and _END not in text and "\r" not in text and text.count(DELIMITER) == delimiters


def _is_plain_but_for_backslashes(line: str, delimiters: int) -> bool:
    return _END not in line and "\r" not in line and line.count(DELIMITER) == delimiters


def _written(value: Any) -> str:
    if value is None or value is msgspec.UNSET:
        return ABSENT
    if isinstance(value, str):
        return "\\" + ABSENT if value == ABSENT else value.translate(_ESCAPES)
    return str(value)


def json_of_lines(text: bytes, columns: Sequence[TextColumn]) -> list[bytes]:
    """The mapped records that lines stand for, as the JSON that they would have been written as."""
    return [_encode(record) for record in records_of_lines(text, columns)]


def records_of_lines(text: bytes, columns: Sequence[TextColumn]) -> list[dict[str, Any]]:
    """The mapped records that lines stand for."""
    return [
        {
            column.name: _meant(value, column.kind)
            for column, value in zip(columns, _values(line), strict=True)
            if value != ABSENT or column.keeps_null
        }
        for line in text.decode().split(_END)[:-1]
    ]


def _values(line: str) -> list[str]:
    """The values of a line, still escaped."""
    if "\\" not in line:
        return line.split(DELIMITER)
    values: list[str] = []
    at = 0
    while at <= len(line):
        end = _FIELD.match(line, at).end()  # type: ignore[union-attr]  # it matches nothing as well
        values.append(line[at:end])
        at = end + 1
    return values


def _meant(value: str, kind: str) -> Any:
    if value == ABSENT:
        return None
    if kind == INTEGER:
        return int(value)
    if kind == BOOLEAN:
        return value == str(True)
    return _ESCAPED.sub(lambda one: _MEANT.get(one[1], one[1]), value) if "\\" in value else value


__all__ = [
    "LineSource",
    "LineWriter",
    "MadeLines",
    "OddValueError",
    "TextColumn",
    "TextLines",
    "Written",
    "json_of_lines",
    "records_of_lines",
]
