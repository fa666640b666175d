"""Lines of text out of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from typing import Any

from isthmus.mapper.columnar.reading import Column, Columns, Read, ReadPlaces
from isthmus.mapper.textlines import (
    ABSENT,
    BOOLEAN,
    DELIMITER,
    INTEGER,
    LEFT_OUT,
    LONGEST_LINE,
    STRING,
    MadeLines,
)
from isthmus.mapper.values import clean

_STRIDE = 128
_MIXED_STRIDE = 32
_LARGE = 2**32
_CLASSES = {INTEGER: int, BOOLEAN: bool}
_WORDS = {True: str(True), False: str(False)}
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), (DELIMITER, "\\" + DELIMITER))

Keep = Callable[[Sequence[Any], datetime], list[bool]]


class UnusualError(Exception):
    """The records have to be mapped one by one."""


@dataclass(frozen=True, slots=True)
class ColumnField:
    """One target field.

    Attributes:
        read: Gives its values.
        is_required: Whether none of them may be null.
        keeps_null: Whether all of them may be.
        may_be_word: Whether a text may be the word that stands for absent values.
    """

    read: Read
    is_required: bool
    keeps_null: bool
    may_be_word: bool


class LinesByColumn:
    """Writes records as lines, column by column.

    Args:
        fields: The target fields.
        places: Reads what they are made from.
        keep: Tells which records are mapped at all; `None` where all are.
    """

    def __init__(self, fields: Sequence[ColumnField], places: ReadPlaces, keep: Keep | None) -> None:
        self.fields = fields
        self._places = places
        self._keep = keep

    def __call__(
        self, records: Sequence[Any], now: datetime, kinds: Sequence[str], key: frozenset[int]
    ) -> MadeLines:
        """The lines of some records of one type.

        Args:
            records: At least one.
            now: The evaluation time.
            kinds: What the values of each field are taken for.
            key: Places of fields in which every record needs a value.

        Raises:
            Exception: The records have to be mapped one by one, because one of them is refused or unusual.
        """
        indexes, page = self._page(records, now)
        columns: list[Sequence[str]] = []
        are_ascii = True
        for place, (field, kind) in enumerate(zip(self.fields, kinds, strict=True)):
            column = field.read(page, now)
            if kind != LEFT_OUT:
                said, is_ascii = _said(column, field, kind, is_key=place in key)
                columns.append(said)
                are_ascii = are_ascii and is_ascii
            elif column.count(None) != len(column):
                raise UnusualError
        return MadeLines(_text(columns, are_ascii=are_ascii), indexes)

    def values(self, records: Sequence[Any], now: datetime) -> tuple[Sequence[int], list[Column]]:
        """The values of each field for the records that are mapped at all, and which records these are.

        Raises:
            Exception: The records have to be mapped one by one, as for lines.
        """
        indexes, page = self._page(records, now)
        return indexes, [field.read(page, now) for field in self.fields]

    def _page(self, records: Sequence[Any], now: datetime) -> tuple[Sequence[int], Columns]:
        """The records that are mapped at all, and their places among all."""
        indexes: Sequence[int] = range(len(records))
        if self._keep is not None:
            kept = self._keep(records, now)
            if not all(kept):
                indexes = list(compress(indexes, kept))
                records = list(compress(records, kept))
        if not records:
            raise UnusualError
        return indexes, Columns(records, self._places(records))


def _text(columns: Sequence[Sequence[str]], *, are_ascii: bool) -> bytes:
    """The lines as one text."""
    lines = list(map(DELIMITER.join, zip(*columns, strict=True)))
    # One character beyond ASCII makes a whole text slow to encode, so it is kept to few lines.
    stride = _STRIDE if are_ascii else _MIXED_STRIDE
    parts = ["\n".join(lines[at : at + stride]).encode() for at in range(0, len(lines), stride)]
    if not lines or (max(map(len, parts)) > LONGEST_LINE and max(map(len, lines)) > LONGEST_LINE):
        raise UnusualError
    return b"\n".join([*parts, b""])


def _said(column: Column, field: ColumnField, kind: str, *, is_key: bool) -> tuple[Sequence[str], bool]:
    """The values of a column as they stand in lines, and whether these are ASCII."""
    text = ""
    present = column
    if kind == STRING:
        present, text = _texts(column)
    else:
        present = _of_class(column, _CLASSES[kind])
    if (is_key or field.is_required) and len(present) < len(column):
        raise UnusualError
    if not (present or field.keeps_null):
        raise UnusualError
    said: Sequence[str]
    if kind == STRING:
        if is_key and "" in present:
            raise UnusualError
        said = _escaped(present, text, field)
    elif kind == INTEGER:
        said = _digits(present)
    elif is_key:
        raise UnusualError
    else:
        said = list(map(_WORDS.__getitem__, present))
    if len(present) < len(column):
        following = iter(said)
        said = [ABSENT if value is None else next(following) for value in column]
    return said, text.isascii()


def _texts(column: Column) -> tuple[Column, str]:
    """The texts of a column without its nulls, and all of them as one."""
    try:
        return column, "".join(column)
    except TypeError:
        present = [value for value in column if value is not None]
        return present, "".join(present)


def _of_class(column: Column, wanted: type) -> Column:
    """The values of a column without its nulls, all of one class."""
    kinds = set(map(type, column)) - {wanted}
    if not kinds:
        return column
    if kinds != {type(None)}:
        raise UnusualError
    return [value for value in column if value is not None]


def _escaped(values: Sequence[str], text: str, field: ColumnField) -> Sequence[str]:
    for mark, escaped in _ESCAPES:
        if mark in text:
            values = [value.replace(mark, escaped) if mark in value else value for value in values]
    # One character is looked for in a whole text sooner than a word in a list.
    if field.may_be_word and ABSENT[0] in text and ABSENT in values:
        values = ["\\" + ABSENT if value == ABSENT else value for value in values]
    return values


def _digits(values: Sequence[int]) -> list[str]:
    if values and not -_LARGE < min(values) <= max(values) < _LARGE:
        return [str(clean(value, [0])) for value in values]
    return list(map(str, values))


__all__ = ["ColumnField", "LinesByColumn", "UnusualError"]
