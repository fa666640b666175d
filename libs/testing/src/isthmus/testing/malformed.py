"""Spoils requests: values that are empty, huge, unprintable, out of range or of the wrong form."""

import base64
import json
import math
import random
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

__all__ = ["Spoiler"]

_MOST_SPOILT = 3
_DEEPEST = 4


def _token(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


_TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\0",
    "a\0b",
    "\x1b[31m\r\n\t",
    "x" * 100_000,
    "🦊" * 500,
    "\u202eabc\ufeff\u0300",
    "'; drop table instances; --",
    "%s%n{0}${x}\\",
    "../../../etc/passwd",
    "isthmus.v1.*.>",
    "*",
    "-1",
    "9" * 30,
    "ins_" + "0" * 26,
    "ist_key_" + "0" * 26 + "_" + "f" * 64,
    "null",
    "[]",
    "{}",
    "[{}]",
    '"text"',
    "{",
    '{"a":' * 2000,
    "[" * 100_000,
    '{"a": "\\u0000"}',
    '{"a": "\\ud800"}',
    '{"a": 1e999999, "b": NaN}',
    '{"a": 1' + "0" * 5000 + "}",
    '{"target": "a", "source": "(((((" }',
    '[{"target": "a.b.c", "source": "a[*].b", "transform": 7}]',
    '{"type": "object", "properties": {"a": {"$ref": "#"}}}',
    '{"pattern": "(a+)+$"}',
    "0 0 31 2 *",
    "* * * * * * *",
    "Mars/Olympus",
    "http://[::1",
    "http://127.0.0.1:9/\r\nX: y",
    "name = 'x' and (",
    "a = 1 or " * 3000,
    "()" * 3000,
    "=",
    _token({"id": 1}),
    _token({"id": "\0"}),
    _token({"id": [[]]}),
    _token({"id": 1 << 70}),
    _token({"time": "yesterday", "id": None}),
    _token([1]),
)
_BYTES = (
    b"",
    b"\xff\xfe\0",
    b"{",
    b'{"a": "\xff"}',
    b"x" * 100_000,
    b"[" * 50_000,
    b'{"after": -1}',
    b"{}",
    b"null",
)
_INTEGERS = (0, 1, -1, 1000, 1 << 31, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1, -(1 << 63), 1_000_000_007)
_FRACTIONS = (0.0, -1.0, math.nan, math.inf, -math.inf, 1e308, 5e-324)
_CHOICES: dict[int, Sequence[Any]] = {
    FieldDescriptor.TYPE_BOOL: (True, False),
    FieldDescriptor.TYPE_DOUBLE: _FRACTIONS,
    FieldDescriptor.TYPE_FLOAT: _FRACTIONS,
    FieldDescriptor.TYPE_ENUM: (-1, 0, 1, 2, 99, 1 << 30),
    FieldDescriptor.TYPE_STRING: _TEXTS,
    FieldDescriptor.TYPE_BYTES: _BYTES,
}
_RANGES: dict[int, tuple[int, int]] = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}


class Spoiler:
    """Spoils a few fields of a request at a time; the same seed spoils the same ones the same way.

    Args:
        seed: Decides everything.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- repeatable, not secret

    def spoil(self, message: Message) -> None:
        """Change one to three fields of the message, or of its parts."""
        for _ in range(self._random.randint(1, _MOST_SPOILT)):
            self._one(message, 0)

    def _one(self, message: Message, depth: int) -> None:
        fields: Sequence[Any] = message.DESCRIPTOR.fields
        if not fields:
            return
        field: FieldDescriptor = self._random.choice(fields)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._map(message, field)
        elif field.message_type is not None:
            self._part(message, field, depth)
        elif field.is_repeated:
            values = getattr(message, field.name)
            del values[:]
            values.extend([self._value(field)] * self._random.choice((0, 1, 2, 30)))
        else:
            setattr(message, field.name, self._value(field))

    def _map(self, message: Message, field: FieldDescriptor) -> None:
        """Put odd things under odd names; all maps of the contract hold plain values."""
        entry: Any = field.message_type
        names, values = entry.fields
        getattr(message, field.name)[self._value(names)] = self._value(values)

    def _part(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if depth > _DEEPEST or self._random.random() < 0.1:
            message.ClearField(field.name)
        elif field.is_repeated:
            parts: Any = getattr(message, field.name)
            if not parts or self._random.random() < 0.3:
                parts.add()
            self._one(self._random.choice(parts), depth + 1)
        else:
            part: Message = getattr(message, field.name)
            part.SetInParent()
            self._one(part, depth + 1)

    def _value(self, field: FieldDescriptor) -> Any:
        if field.cpp_type in _RANGES:
            least, most = _RANGES[field.cpp_type]
            return min(max(self._random.choice(_INTEGERS), least), most)
        return self._random.choice(_CHOICES[field.type])
