"""The `format` function of texts."""

from __future__ import annotations

import math
import re
from typing import Any

from isthmus.mapper.cel.conversions import to_text
from isthmus.mapper.cel.limits import MAX_RESULT
from isthmus.mapper.cel.values import CelType, Failed, OverLimit, UInt, Unsure, from_key, no_overload

_CLAUSE = re.compile(r"%(?:%|(?:\.(\d{1,2}))?([sdfebxXo]))|%")
_DIGITS = 6


def formatted(text: Any, values: Any) -> str:
    """The text with values in the places of its clauses, as `%s` or `%.2f`."""
    if text.__class__ is not str or values.__class__ is not list:
        raise no_overload("format", text, values)
    pieces: list[str] = []
    at = used = size = 0
    for clause in _CLAUSE.finditer(text):
        pieces.append(text[at : clause.start()])
        at = clause.end()
        if clause[0] == "%%":
            pieces.append("%")
            continue
        if clause[2] is None or used >= len(values):
            raise Unsure("The clauses do not fit the values.")
        pieces.append(_clause(clause[2], clause[1], values[used]))
        used += 1
        size += len(pieces[-1])
        if size > MAX_RESULT:
            raise OverLimit(f"A text would exceed {MAX_RESULT} characters.")
    return "".join((*pieces, text[at:]))


def _clause(letter: str, digits: str | None, value: Any) -> str:
    kind = value.__class__
    if letter in "fe":
        return _fixed(letter, _DIGITS if digits is None else int(digits), value)
    if digits is not None:
        raise Unsure("Only %f and %e take a precision.")
    if letter == "s":
        return _shown(value)
    if letter == "d" and kind is float:
        return _fixed("f", _DIGITS, value)
    return _digits(letter, value)


def _digits(letter: str, value: Any) -> str:
    kind = value.__class__
    if kind is int or kind is UInt:
        return format(int(value), letter)
    if kind is bool and letter == "b":
        return "1" if value else "0"
    if letter in "xX" and (kind is str or kind is bytes):
        shown = (value.encode() if kind is str else value).hex()
        return shown.upper() if letter == "X" else str(shown)
    raise Unsure("The clause does not take this value.")


def _fixed(letter: str, digits: int, value: Any) -> str:
    if value.__class__ not in (int, UInt, float):
        raise Unsure("The clause does not take this value.")
    number = float(value)
    return format(number, f".{digits}{letter}") if math.isfinite(number) else _special(number)


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _shown(value: Any) -> str:
    """A value in the way of `%s`, lists and maps with what is in them."""
    kind = value.__class__
    if value is None:
        return "null"
    if kind is list:
        return f"[{', '.join(map(_shown, value))}]"
    if kind is dict:
        entries = sorted(
            ((_shown(from_key(key)), each) for key, each in value.items()), key=lambda entry: entry[0]
        )
        return f"{{{', '.join(f'{key}: {_shown(each)}' for key, each in entries)}}}"
    if kind is float and not math.isfinite(value):
        return _special(value)
    if kind is CelType:
        return str(value.name)
    try:
        return to_text(value)
    except Failed:
        raise Unsure("The value has no text.") from None
