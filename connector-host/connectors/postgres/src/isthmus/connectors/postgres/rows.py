"""JSON documents to the text that COPY takes, a batch at a time.

The text is that of `copy … with (delimiter U+001F, null 'None')`: JSON allows no raw control
characters, so neither the delimiter nor a line break can come out of a document that holds no
backslash; and Python writes null as `None` by itself.
"""

import bisect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from isthmus.connectors.postgres.shapes import Column, Kind, Shape

DELIMITER = "\x1f"
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", DELIMITER: "\\" + DELIMITER})
_MOST_LAYOUTS = 64
_STRIDE = 32
_decode_record = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_UNFIT = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


class _Json(str):
    """A value of a JSON column, as text."""

    __slots__ = ()


_TYPES: Mapping[Kind, Any] = {
    Kind.TEXT: str | int,
    Kind.INTEGER: int | float | str,
    Kind.NUMBER: int | float | str,
    Kind.FLOAT: int | float | str,
    Kind.BOOLEAN: bool | str,
    Kind.JSON: _Json,
    Kind.STORED_JSON: _Json,
    Kind.OTHER: str,
}
# Of two values of a key it must be plain whether they are one, so they come in one form only.
_KEY_TYPES: Mapping[Kind, Any] = {Kind.TEXT: str, Kind.INTEGER: int, Kind.OTHER: str}


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch as COPY takes it.

    Attributes:
        shape: The table for which the rows were made.
        order: Names of the columns, as the values stand in a line.
        columns: These, in the table's order.
        text: One line for each key; of one key the last record counts.
        lines: How many.
        records: How many records they come from.
        is_distinct: No two lines have a key that is written in the same way.
    """

    shape: Shape
    order: tuple[str, ...]
    columns: tuple[Column, ...]
    text: bytes
    lines: int
    records: int
    is_distinct: bool = True


class _Layout:
    """How records with certain columns become rows."""

    def __init__(self, key: tuple[str, ...], columns: tuple[Column, ...]) -> None:
        self.columns = columns
        fields = [(f"c{place}", *_field(column, key)) for place, column in enumerate(columns)]
        # Fields that must be given come first, and none may be unknown: it would be lost unseen.
        fields.sort(key=lambda described: described[2].default is not msgspec.NODEFAULT)
        record = msgspec.defstruct("Record", fields, forbid_unknown_fields=True, gc=False)
        self.decode = msgspec.json.Decoder(record, dec_hook=_as_json).decode
        self.row = _function(DELIMITER.join(f"{{r.c{place}}}" for place in range(len(columns))), text=True)
        self.names = names = tuple(column.name for column in columns)
        self.key = _function(", ".join(f"r.c{names.index(name)}" for name in key))
        self.floats = any(column.kind is Kind.FLOAT for column in columns)

    def careful_row(self, record: Any) -> str:
        """A row of values that have to be looked at one by one."""
        values = (getattr(record, f"c{place}") for place in range(len(self.columns)))
        return DELIMITER.join(_written(v, c.kind) for v, c in zip(values, self.columns, strict=True))


def rows_of(shape: Shape, documents: Sequence[bytes]) -> Rows | None:
    """Makes rows of documents; None where only a look at each record can tell what becomes of it.

    Args:
        shape: The table.
        documents: One JSON object each.
    """
    try:
        names = frozenset(_decode_record(documents[0]))
        try:
            return _rows(shape, names, documents)
        except msgspec.ValidationError:
            every = names.union(*(_decode_record(document) for document in documents))
            return _rows(shape, every, documents) if every != names else None
    except _UNFIT:
        return None


def _rows(shape: Shape, names: frozenset[str], documents: Sequence[bytes]) -> Rows | None:
    if not shape.names >= names or not names.issuperset(shape.key):
        return None
    layout = shape.layouts.get(names)
    if layout is None:
        if len(shape.layouts) >= _MOST_LAYOUTS:
            shape.layouts.clear()
        layout = shape.layouts[names] = _Layout(shape.key, shape.chosen(names))
    records = list(map(layout.decode, documents))
    rows = list(map(layout.row, records))
    _escape(layout, documents, records, rows)
    if layout.floats and any("-0.0" in row for row in rows):
        rows = [layout.careful_row(r) if "-0.0" in row else row for r, row in zip(records, rows, strict=True)]
    last = dict(zip(map(layout.key, records), rows, strict=True))
    lines = rows if len(last) == len(rows) else list(last.values())
    return Rows(shape, layout.names, layout.columns, _encoded(lines), len(lines), len(documents))


def _escape(layout: _Layout, documents: Sequence[bytes], records: Sequence[Any], rows: list[str]) -> None:
    """Escapes what has to be; most documents give no reason to."""
    joined = b",".join(documents)
    if b'"None"' in joined:
        for place in (place for place, document in enumerate(documents) if b'"None"' in document):
            rows[place] = layout.careful_row(records[place])
    found = joined.find(b"\\")
    ends = list(itertools.accumulate(len(document) + 1 for document in documents)) if found >= 0 else []
    while found >= 0:
        place = bisect.bisect_right(ends, found)
        if b"\\u" in documents[place] or b'"None"' in documents[place]:
            rows[place] = layout.careful_row(records[place])
        else:
            rows[place] = rows[place].replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        found = joined.find(b"\\", ends[place])


def _encoded(lines: Sequence[str]) -> bytes:
    # One character beyond ASCII makes a whole string slow to encode, so it is kept to few lines.
    parts = ["\n".join(lines[start : start + _STRIDE]).encode() for start in range(0, len(lines), _STRIDE)]
    return b"\n".join(parts) + b"\n"


def _written(value: Any, kind: Kind) -> str:
    if value is None:
        return "None"
    if isinstance(value, str):
        return "\\None" if value == "None" else value.translate(_ESCAPES)
    # Numbers of JSON have passed through the database's `numeric` ever since, which knows no negative zero.
    return "0.0" if kind is Kind.FLOAT and value == 0 and isinstance(value, float) else str(value)


def _field(column: Column, key: tuple[str, ...]) -> tuple[Any, Any]:
    if column.name in key:
        return _KEY_TYPES.get(column.kind, int | str), msgspec.field(name=column.name)
    return _TYPES[column.kind] | None, msgspec.field(name=column.name, default=None)


def _as_json(_type: type, value: Any) -> _Json:
    return _Json(_encode(value).decode())


def _function(body: str, *, text: bool = False) -> Callable[[Any], Any]:
    """Compiles a function of one record, which names nothing but its fields c0, c1 and so on."""
    source = f"lambda r: f{body!r}" if text else f"lambda r: ({body})"
    function: Callable[[Any], Any] = eval(source, {"__builtins__": {}})  # noqa: S307
    return function


__all__ = ["DELIMITER", "Rows", "rows_of"]
