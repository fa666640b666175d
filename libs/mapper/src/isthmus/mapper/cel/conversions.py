"""Functions that turn values of one type into another."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from isthmus.mapper.cel.operators import moment, unsigned, whole
from isthmus.mapper.cel.times import duration_text, parse_duration, parse_timestamp, timestamp_text
from isthmus.mapper.cel.values import (
    TYPES,
    CelType,
    Duration,
    Failed,
    Timestamp,
    UInt,
    Unsure,
    no_overload,
    type_name,
)

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_BOOLEANS = dict.fromkeys(("true", "True", "TRUE", "t", "1"), True) | dict.fromkeys(
    ("false", "False", "FALSE", "f", "0"), False
)
_SECOND = 10**9
_SMALLEST_PLAIN, _LEAST_SCIENTIFIC = 1e-4, 1e6


def to_int(value: Any) -> int:
    """An integer."""
    kind = value.__class__
    if kind is int or kind is UInt:
        return whole(int(value))
    if kind is str and _INTEGER.fullmatch(value):
        return whole(int(value))
    if kind is float:
        # The doubles at both ends of the range do not fit, though they look as if they did.
        if not -(2.0**63) < value < 2.0**63:
            raise Failed("The double does not fit an integer.")
        return int(value)
    if kind is Timestamp:
        return int(value.nanoseconds // _SECOND)
    raise Unsure("int() does not take this.")


def to_uint(value: Any) -> UInt:
    """An integer without a sign."""
    kind = value.__class__
    if kind is int or kind is UInt:
        return unsigned(int(value))
    if kind is str and _INTEGER.fullmatch(value):
        return unsigned(int(value))
    if kind is float:
        if not -1 < value < 2.0**64:
            raise Failed("The double does not fit an unsigned integer.")
        return unsigned(int(value)) if value >= 0 else _refuse_negative()
    raise Unsure("uint() does not take this.")


def _refuse_negative() -> UInt:
    raise Failed("A negative double has no unsigned integer.")


def to_double(value: Any) -> float:
    """A double."""
    kind = value.__class__
    if kind is float:
        return float(value)
    if kind is int or kind is UInt:
        return float(value)
    if kind is str and _NUMBER.fullmatch(value):
        return float(value)
    if kind is str and value in _SPECIAL:
        return _SPECIAL[value]
    raise Unsure("double() does not take this.")


def to_text(value: Any) -> str:
    """A text."""
    show = _TEXTS.get(value.__class__)
    if show is None:
        raise Unsure("string() does not take this.")
    return show(value)


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Failed("The bytes are no UTF-8 text.") from None


def _number_text(value: float) -> str:
    """The shortest text that reads as the double, with an exponent below 0.0001 and from a million on."""
    if not math.isfinite(value):
        raise Unsure("The library knows the text of this double.")
    shown = repr(value)
    if not value or _SMALLEST_PLAIN <= abs(value) < _LEAST_SCIENTIFIC:
        return shown.removesuffix(".0")
    sign, digits, exponent = Decimal(shown).normalize().as_tuple()
    assert isinstance(exponent, int)
    first, *others = map(str, digits)
    power = exponent + len(others)
    fraction = f".{''.join(others)}" if others else ""
    return f"{'-' * sign}{first}{fraction}e{'-' if power < 0 else '+'}{abs(power):02}"


_TEXTS: dict[type, Callable[[Any], str]] = {
    str: str,
    int: str,
    UInt: lambda value: str(int(value)),
    bool: lambda value: "true" if value else "false",
    bytes: _decoded,
    Timestamp: timestamp_text,
    Duration: duration_text,
    float: _number_text,
}


def to_bytes(value: Any) -> bytes:
    """Bytes; of a text its UTF-8."""
    if value.__class__ is bytes:
        return bytes(value)
    if value.__class__ is str:
        return bytes(value.encode())
    raise no_overload("bytes", value)


def to_bool(value: Any) -> bool:
    """A boolean."""
    if value.__class__ is bool:
        return bool(value)
    if value.__class__ is str and value in _BOOLEANS:
        return _BOOLEANS[value]
    raise Failed("The value is no boolean.")


def to_timestamp(value: Any) -> Timestamp:
    """A point in time, from text or from the seconds since 1970."""
    kind = value.__class__
    if kind is Timestamp:
        return Timestamp(value.nanoseconds)
    if kind is str:
        return parse_timestamp(value)
    if kind is int:
        return moment(value * _SECOND)
    raise no_overload("timestamp", value)


def to_duration(value: Any) -> Duration:
    """A span of time, from text or from seconds."""
    kind = value.__class__
    if kind is Duration:
        return Duration(value.nanoseconds)
    if kind is str:
        return parse_duration(value)
    raise Unsure("duration() does not take this.")


def type_of(value: Any) -> CelType:
    """The type of a value."""
    return TYPES[type_name(value)]


def same(value: Any) -> Any:
    """The value itself, of a type to be known later."""
    return value
