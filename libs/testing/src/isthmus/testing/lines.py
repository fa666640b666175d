"""Batches of text, as a source writes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.sdk import LineColumn, Lines, LineType

__all__ = ["lines_of"]

_TYPES = {str: LineType.STRING, int: LineType.INTEGER, bool: LineType.BOOLEAN}
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\x1f": "\\\x1f"})


def lines_of(records: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> Lines:
    """Writes records as lines.

    Args:
        records: Each member has one type in all of them, or no value.
        names: Members that are to be columns, whether a record has them or not.
    """
    names = list(dict.fromkeys([*names, *(name for record in records for name in record)]))
    types = {name: type(value) for record in records for name, value in record.items() if value is not None}
    columns = [LineColumn(name, _TYPES[types.get(name, str)]) for name in names]
    lines = ["\x1f".join(_text(record.get(name)) for name in names) + "\n" for record in records]
    return Lines("".join(lines).encode(), columns, len(lines))


def _text(value: Any) -> str:
    if value is None:
        return "None"
    return "\\None" if value == "None" else str(value).translate(_ESCAPES)
