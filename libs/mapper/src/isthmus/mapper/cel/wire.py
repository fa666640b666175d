"""Reads the wire format of protocol buffers, as far as checked expressions need it."""

from __future__ import annotations

from collections.abc import Iterator

Fields = dict[int, list[int | bytes]]
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BITS = 64


class WireInvalid(ValueError):
    """The bytes are no message."""


def fields(data: bytes) -> Fields:
    """Everything a message holds, by field number, in order.

    Raises:
        WireInvalid: the bytes end early or hold something else.
    """
    found: Fields = {}
    at, end = 0, len(data)
    try:
        while at < end:
            key, at = _varint(data, at)
            number, kind = key >> 3, key & 7
            value: int | bytes
            if kind == _VARINT:
                value, at = _varint(data, at)
            elif kind == _BYTES:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
            elif kind in (_FIXED64, _FIXED32):
                size = 8 if kind == _FIXED64 else 4
                value, at = data[at : at + size], at + size
            else:
                raise WireInvalid(f"There is no wire type {kind}.")
            found.setdefault(number, []).append(value)
    except IndexError:
        raise WireInvalid("The message ends early.") from None
    if at > end:
        raise WireInvalid("The message ends early.")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > _BITS:
            raise WireInvalid("A number is too long.")


def signed(value: int | bytes) -> int:
    """The 64-bit number with a sign that a varint stands for."""
    number = as_int(value)
    return number - (1 << _BITS) if number >> (_BITS - 1) else number


def as_int(value: int | bytes) -> int:
    """The number of a numeric field."""
    if isinstance(value, int):
        return value
    raise WireInvalid("A number is expected.")


def as_bytes(value: int | bytes) -> bytes:
    """The bytes of a field of bytes, text or message."""
    if isinstance(value, bytes):
        return value
    raise WireInvalid("Bytes are expected.")


def number(message: Fields, field: int) -> int:
    """The last number of a field; 0 where there is none."""
    found = message.get(field)
    return as_int(found[-1]) if found else 0


def text(message: Fields, field: int) -> str:
    """The last text of a field; empty where there is none."""
    found = message.get(field)
    return as_bytes(found[-1]).decode() if found else ""


def inner(message: Fields, field: int) -> Fields | None:
    """The last message of a field."""
    found = message.get(field)
    return fields(as_bytes(found[-1])) if found else None


def each(message: Fields, field: int) -> Iterator[Fields]:
    """Every message of a repeated field."""
    return (fields(as_bytes(item)) for item in message.get(field, ()))
