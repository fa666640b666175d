"""Records as lines of text, decoded when somebody looks at them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NoReturn, overload

from isthmus.resilience.faults import FixRequest
from isthmus.sdk.failures import Failure

SEPARATOR = "\x1f"
"""Stands between the values of a line."""
ABSENT = "None"
"""Stands where a record has no value."""
# Where pairs of backslashes are taken away, each one that is left has to begin one of these.
_STRANGE = re.compile(r"\\(?:(?![\x1fnrN])|N(?!one[\x1f\n])|(?<=[^\x1f\n]\\)N)")
_BEGINNING = frozenset(b"\\\x1fnrN")
_VALUE = re.compile(r"\x1f((?:[^\\\x1f]|\\.)*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r"}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_BOOLEANS = {"True": True, "False": False}


class LinesInvalid(Failure, FixRequest):
    """The text of a batch is not what its description says; nothing of the batch was applied."""

    def __init__(self, message: str) -> None:
        FixRequest.__init__(self, "BATCH_INVALID", message, path="batch.records")


class LineType(Enum):
    """What the values of a column are."""

    STRING = auto()
    INTEGER = auto()
    BOOLEAN = auto()


@dataclass(frozen=True, slots=True)
class LineColumn:
    """A member of the records that lines stand for."""

    name: str
    type: LineType = LineType.STRING


class Lines(Sequence[dict[str, Any]]):
    """The records of a batch as text: one line each, values in the order of the columns.

    The text is what PostgreSQL's COPY takes as `delimiter U+001F, null 'None'`. A backslash stands before a
    backslash, before U+001F and before a text that is the word `None`; line breaks in a text are a backslash
    with `n` or `r`. As a sequence it holds the records, without members that have no value.

    Args:
        text: The lines, each with its line break.
        columns: What the values of a line are.
        count: How many lines there are.

    Raises:
        LinesInvalid: The text is plainly no lines, or a column is described twice. How many lines there are,
            and whether each has as many values as there are columns, and of their types, shows who reads it.
    """

    __slots__ = ("_count", "_records", "columns", "text")

    def __init__(self, text: bytes, columns: Sequence[LineColumn], count: int) -> None:
        self.text = text
        self.columns = tuple(columns)
        self._count = count
        self._records: list[dict[str, Any]] | None = None
        self._check()

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._decoded()[index]

    def __len__(self) -> int:
        return self._count

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def expected(self) -> int:
        """How many records there are."""
        return self._count

    @property
    def places(self) -> Sequence[int]:
        """Where each record stood when it arrived."""
        return range(self._count)

    @property
    def unreadable(self) -> Sequence[int]:
        """No place: a line that cannot be read spoils all others."""
        return ()

    def values(self, name: str) -> list[str | None]:
        """The values of one column as texts, for who needs no more than these.

        Raises:
            LinesInvalid: The text is none, or a line has too few values.
        """
        place = self.names.index(name)
        values = []
        for number, line in enumerate(self._texts()):
            given = _values(number, line) if "\\" in line else line.split(SEPARATOR, place + 1)
            if len(given) <= place:
                _refuse(number, f"has {len(given)} values for {len(self.columns)} columns")
            values.append(None if given[place] == ABSENT else _unescaped(given[place]))
        return values

    def _check(self) -> None:
        """Looks at the text as a whole, which costs next to nothing."""
        names = self.names
        if not names or len(set(names)) != len(names):
            raise LinesInvalid("`columns` must name each member of the records once.")
        if self._count < 1 or not self.text.endswith(b"\n"):
            raise LinesInvalid(f"The text is not {self._count} lines; end each with a line break.")
        if b"\r" in self.text:
            raise LinesInvalid("The text holds U+000D; write it as a backslash with `r`.")
        # What begins nothing would be an end of the text, or a line that goes on, to who copies it.
        text, found = self.text, self.text.find(b"\\")
        while found >= 0:
            if text[found + 1] not in _BEGINNING:
                raise LinesInvalid("A backslash in the text begins nothing; put another one before it.")
            found = text.find(b"\\", found + 2)

    def _texts(self) -> list[str]:
        try:
            texts = self.text[:-1].decode().split("\n")
        except UnicodeDecodeError:
            raise LinesInvalid("The text is not UTF-8; encode it so.") from None
        if len(texts) != self._count:
            raise LinesInvalid(f"The text has {len(texts)} lines, where {self._count} were announced.")
        return texts

    def _decoded(self) -> list[dict[str, Any]]:
        if self._records is None:
            records = []
            for place, line in enumerate(self._texts()):
                given = _values(place, line) if "\\" in line else line.split(SEPARATOR)
                if len(given) != len(self.columns):
                    _refuse(place, f"has {len(given)} values for {len(self.columns)} columns")
                pairs = zip(self.columns, given, strict=True)
                records.append({c.name: _value(place, c, text) for c, text in pairs if text != ABSENT})
            self._records = records
        return self._records


def _values(place: int, line: str) -> list[str]:
    """The values of a line in which something is escaped."""
    if _STRANGE.search("\n" + line.replace("\\\\", "__") + "\n"):
        _refuse(place, "has a backslash that begins nothing")
    return [found[1] for found in _VALUE.finditer(SEPARATOR + line)]


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text) if "\\" in text else text


def _value(place: int, column: LineColumn, text: str) -> str | int | bool:
    if column.type is LineType.STRING:
        return _unescaped(text)
    if column.type is LineType.BOOLEAN and text in _BOOLEANS:
        return _BOOLEANS[text]
    if column.type is LineType.INTEGER and _INTEGER.fullmatch(text):
        try:
            return int(text)
        except ValueError:  # Python reads no number of more than some thousand digits
            pass
    _refuse(place, f"has no {column.type.name.lower()} in column {column.name}")


def _refuse(place: int, why: str) -> NoReturn:
    raise LinesInvalid(f"Line {place + 1} {why}; send what `columns` describes.")


__all__ = ["LineColumn", "LineType", "Lines", "LinesInvalid"]
