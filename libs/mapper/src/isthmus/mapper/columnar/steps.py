"""Steps of a mapping for whole columns.

Each tries a way that is quick for what is usual, and calls the step's own function for each value where that
does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from isthmus.mapper.columnar.reading import Column, Work
from isthmus.mapper.limits import MAX_TEXT

Call = Callable[..., Any]
Quick = Callable[[Column], Column]

_SEPARATOR = "\x1f"
_UNFIT = (TypeError, ValueError, KeyError)
_MOST_DIGITS = 18
_LARGE = 2**32
_DIGITS_AS_ZEROS = bytes(48 if 48 <= code < 58 else code for code in range(256))
_SPACED = b"0000-00-00 00:00:00Z\x1f"
_FINAL = b"0000-00-00T00:00:00Z\x1f"
_read_iso = datetime.fromisoformat


def each(call: Call) -> Work:
    """Calls a function for each value that is not null."""
    return lambda column, _now: [None if value is None else call(value) for value in column]


def each_at_time(call: Call) -> Work:
    """Calls a function for each value that is not null, with the evaluation time."""
    return lambda column, now: [None if value is None else call(value, now) for value in column]


def nulls_too(call: Call) -> Work:
    """Calls a function for each value."""
    return lambda column, _now: [call(value) for value in column]


def nulls_too_at_time(call: Call) -> Work:
    """Calls a function for each value, with the evaluation time."""
    return lambda column, now: [call(value, now) for value in column]


def quickly(quick: Quick, call: Call) -> Work:
    """Takes a quick way where it fits all values that are not null.

    Args:
        quick: Raises TypeError, ValueError or KeyError where something does not fit, null at least.
        call: What it stands for.
    """
    slow = each(call)

    def work(column: Column, now: datetime) -> Column:
        try:
            return quick(column)
        except _UNFIT:
            present = [value for value in column if value is not None]
        if len(present) in {0, len(column)}:
            return slow(column, now)
        try:
            done = iter(quick(present))
        except _UNFIT:
            return slow(column, now)
        return [None if value is None else next(done) for value in column]

    return work


def looked_up(entries: Mapping[str, Any]) -> Quick:
    """Looks texts up that are all in a table."""
    return lambda column: list(map(entries.__getitem__, column))


def joined(separator: str) -> Quick:
    """Writes lists of texts as one text each."""

    def quick(column: Column) -> Column:
        if set(map(type, column)) != {list}:
            raise TypeError
        return in_bounds(list(map(separator.join, column)))

    return quick


def trimmed(column: Column) -> Column:
    """Takes white space off both ends of texts."""
    return list(map(str.strip, column))


def lower(column: Column) -> Column:
    """Writes texts in lower case."""
    return in_bounds(list(map(str.lower, column)))


def upper(column: Column) -> Column:
    """Writes texts in upper case."""
    return in_bounds(list(map(str.upper, column)))


def texts(column: Column) -> Column:
    """Takes texts as they are."""
    "".join(column)
    return column


def integers(column: Column) -> Column:
    """Takes whole numbers of usual size as they are, and reads those that are written in digits."""
    kinds = set(map(type, column))
    if kinds == {int} and min(column) > -_LARGE and max(column) < _LARGE:
        return column
    if kinds != {str} or max(map(len, column)) > _MOST_DIGITS or "" in column:
        raise ValueError
    text = "".join(column)
    if not (text.isdigit() and text.isascii()):
        raise ValueError
    return list(map(int, column))


def booleans(column: Column) -> Column:
    """Takes booleans as they are."""
    if set(map(type, column)) != {bool}:
        raise ValueError
    return column


def moments(column: Column) -> Column:
    """Writes times to the second, in UTC or without offset and all spelled alike, in the usual form."""
    first = column[0]
    is_spaced, is_final = first[10:11] == " ", first[19:] == "Z"
    end = "" if is_final else "Z"
    # Text that matches the pattern has no separators but those that are put in here, one behind each value.
    text = (end + _SEPARATOR).join(column) + end
    pattern = (_SPACED if is_spaced else _FINAL) * len(column)
    if (is_spaced and is_final) or text.encode().translate(_DIGITS_AS_ZEROS) != pattern[:-1]:
        raise ValueError
    all(map(_read_iso, column))  # raises where the digits are no time
    if is_spaced:
        return text.replace(" ", "T").split(_SEPARATOR)
    return column if is_final else text.split(_SEPARATOR)


def in_bounds(column: Column) -> Column:
    """The texts, where none of them can be longer than any bound."""
    if len("".join(column)) > MAX_TEXT // 2:
        raise ValueError
    return column
