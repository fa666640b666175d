"""Rows out of columns: structs that hold what each record was mapped to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from isthmus.mapper.columnar.reading import Column
from isthmus.mapper.columnar.texts import LinesByColumn, UnusualError
from isthmus.mapper.limits import MAX_OUTPUT

_FEWEST = 50
_REST = 20
_LARGE = 2**32
# Half of what a record may have leaves room for what is around its texts.
_LARGEST = MAX_OUTPUT // 2
_PLAIN = {str, int, bool, type(None)}


class RowsByColumn:
    """Maps records to rows, column by column, as long as they hold nothing but texts, integers and booleans.

    Args:
        columns: Maps records to columns.
        row: Makes a row of one value for each field, UNSET where there is none.
    """

    def __init__(self, columns: LinesByColumn, row: Callable[..., Any]) -> None:
        self._columns = columns
        self._row = row
        self._resting = 0

    def __call__(self, records: Sequence[Any], now: datetime) -> tuple[list[Any], Sequence[int]] | None:
        """The rows, and for each the record that it came from.

        Returns:
            None where the records have to be mapped one by one; most likely the next ones have to be as well.
        """
        if self._resting or len(records) < _FEWEST:
            self._resting = max(0, self._resting - 1)
            return None
        try:
            indexes, columns = self._columns.values(records, now)
            told = [
                _told(column, is_required=field.is_required, keeps_null=field.keeps_null)
                for field, column in zip(self._columns.fields, columns, strict=True)
            ]
            if sum(size for _, size in told) > _LARGEST and sum(map(_longest, columns)) > _LARGEST:
                raise UnusualError
            return list(map(self._row, *(column for column, _ in told))), indexes
        except Exception:  # whatever is wrong with a record, mapping it by itself tells
            self._resting = _REST
            return None


def _told(column: Column, *, is_required: bool, keeps_null: bool) -> tuple[Column, int]:
    """The values of a column as they stand in rows, and how many characters they have."""
    try:
        return column, len("".join(column))
    except TypeError:
        kinds = set(map(type, column))
    if not kinds <= _PLAIN:
        raise UnusualError
    if int in kinds and any(type(value) is int and not -_LARGE < value < _LARGE for value in column):
        raise UnusualError
    size = sum(len(value) for value in column if type(value) is str) + 16 * len(column)
    if type(None) not in kinds or keeps_null:
        return column, size
    if is_required:
        raise UnusualError
    return [msgspec.UNSET if value is None else value for value in column], size


def _longest(column: Column) -> int:
    return max((len(value) for value in column if type(value) is str), default=0)


__all__ = ["RowsByColumn"]
