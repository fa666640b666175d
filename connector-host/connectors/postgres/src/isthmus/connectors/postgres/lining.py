"""Lines of text that a table takes as they are, and documents of those that it does not."""

from collections.abc import Mapping

import msgspec
from isthmus.connectors.postgres.rows import Rows
from isthmus.connectors.postgres.shapes import Kind, Shape
from isthmus.sdk import Lines, LineType

_encode = msgspec.json.Encoder().encode
# The same values as JSON documents may bring, where their text is that of the line.
_TYPES: Mapping[Kind, frozenset[LineType]] = {
    Kind.TEXT: frozenset({LineType.STRING, LineType.INTEGER}),
    Kind.INTEGER: frozenset({LineType.STRING, LineType.INTEGER}),
    Kind.NUMBER: frozenset({LineType.STRING, LineType.INTEGER}),
    Kind.FLOAT: frozenset({LineType.STRING}),
    Kind.BOOLEAN: frozenset({LineType.STRING, LineType.BOOLEAN}),
    Kind.OTHER: frozenset({LineType.STRING}),
}
_KEY_TYPES: Mapping[Kind, frozenset[LineType]] = {
    Kind.TEXT: frozenset({LineType.STRING}),
    Kind.INTEGER: frozenset({LineType.INTEGER}),
    Kind.NUMBER: frozenset({LineType.STRING, LineType.INTEGER}),
    Kind.OTHER: frozenset({LineType.STRING}),
}
_NOTHING: frozenset[LineType] = frozenset()


def rows_of_lines(shape: Shape, lines: Lines) -> Rows | None:
    """The lines as they are; None where the table does not take them so.

    Nobody has looked at a key: whether two lines have the same is left to the database.
    """
    if not shape.is_keyed or not _fits(shape, lines):
        return None
    names = lines.names
    return Rows(
        shape, names, shape.chosen(frozenset(names)), lines.text, len(lines), len(lines), is_distinct=False
    )


def documents_of(shape: Shape, lines: Lines) -> list[bytes]:
    """The records as documents that say of each column of the table what becomes of it."""
    held = shape.names | shape.others
    absent = dict.fromkeys(name for name in lines.names if name in held)
    return [_encode({**absent, **record}) for record in lines]


def _fits(shape: Shape, lines: Lines) -> bool:
    known = {column.name: column.kind for column in shape.columns}
    if not set(shape.key) <= set(lines.names) <= known.keys():
        return False
    return all(
        column.type in (_KEY_TYPES if column.name in shape.key else _TYPES).get(known[column.name], _NOTHING)
        for column in lines.columns
    )


__all__ = ["documents_of", "rows_of_lines"]
