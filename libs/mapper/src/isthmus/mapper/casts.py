"""Casts: from whatever a source wrote to the type a target wants, without silent loss."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.limits import MAX_INTEGER, MAX_TEXT, MIN_INTEGER
from isthmus.mapper.times import day_of, is_to_the_second, timestamp_text
from isthmus.mapper.values import clean, kind_of, sentence, text_of

Cast = Callable[[Any], Any]

_FITS = 19
"""Texts of fewer digits than this always fit 64 bits."""
_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_TRUE = frozenset({"true", "yes", "on", "1", "y", "t"})
_FALSE = frozenset({"false", "no", "off", "0", "n", "f"})
_WORDS = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)


def to_string(value: Any) -> str:
    """Text of a scalar; lists and objects are refused, for `join` and `to_json` say what is meant."""
    return text_of(value)


def to_integer(value: Any) -> int:
    """A whole number from a number without fraction or from text of digits."""
    if value.__class__ is str and len(value) < _FITS and value.isdigit() and value.isascii():
        return int(value)
    if isinstance(value, bool):
        raise Refusal("NOT_INTEGER", "A boolean is no integer; use choose to turn it into numbers.")
    if isinstance(value, int):
        return in_range(value)
    if isinstance(value, float | Decimal):
        if not math.isfinite(value) or value != int(value):
            raise Refusal("NOT_INTEGER", "The number has a fraction; round it first.")
        return in_range(int(value))
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return in_range(int(value))
    raise Refusal("NOT_INTEGER", sentence(f"{kind_of(value)} was met that is no integer."))


def to_number(value: Any) -> int | float:
    """A finite number from a number or its text."""
    if isinstance(value, bool):
        raise Refusal("NOT_NUMBER", "A boolean is no number; use choose to turn it into numbers.")
    if isinstance(value, int):
        return in_range(value)
    if isinstance(value, str):
        text = value.strip()
        if _INTEGER.fullmatch(text):
            return in_range(int(text))
        if not _NUMBER.fullmatch(text):
            raise Refusal("NOT_NUMBER", "The text is no number.")
        value = float(text)
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            raise Refusal("NOT_NUMBER", "The number is not finite.")
        return float(value)
    raise Refusal("NOT_NUMBER", sentence(f"{kind_of(value)} was met that is no number."))


def to_boolean(value: Any) -> bool:
    """A boolean from itself, from 0 and 1, and from the usual words (true/false, yes/no, on/off)."""
    if value.__class__ is str and value in _WORDS:
        return _WORDS[value]
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return value == 1
    if isinstance(value, str):
        word = value.strip().lower() if len(value) < 16 else ""
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
    raise Refusal("NOT_BOOLEAN", sentence(f"{kind_of(value)} was met that is no boolean; use a table."))


def to_date(value: Any) -> str:
    """The calendar day, written 2026-01-31; a point in time gives its day in UTC."""
    if value.__class__ is str and is_to_the_second(value):
        return timestamp_text(value)[:10]
    return day_of(value).isoformat()


def to_json(value: Any) -> str:
    """Compact JSON text of any value, members in the order of the source."""
    clean(value, [0])
    return bounded(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def from_json(value: Any) -> Any:
    """The value that JSON text describes; a value that is no text passes as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(bounded(value), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refusal("NOT_JSON", "The text is not JSON.") from None


def to_list(value: Any) -> list[Any]:
    """The list itself; anything else is refused."""
    if isinstance(value, list):
        return value
    raise Refusal("NOT_LIST", sentence(f"{kind_of(value)} was met where a list is needed; use as_list."))


def to_object(value: Any) -> dict[str, Any]:
    """The object itself; anything else is refused."""
    if isinstance(value, dict):
        return value
    raise Refusal("NOT_OBJECT", sentence(f"{kind_of(value)} was met where an object is needed."))


def in_range(number: int) -> int:
    """Returns an integer of at most 64 bits and refuses a larger one."""
    if MIN_INTEGER <= number <= MAX_INTEGER:
        return number
    raise Refusal("NUMBER_OUT_OF_RANGE", "The integer does not fit 64 bits; cast it to string.")


def bounded(text: str) -> str:
    """Returns text within the length bound and refuses longer text."""
    if len(text) > MAX_TEXT:
        raise Refusal("TOO_LONG", f"The text would exceed {MAX_TEXT} characters.")
    return text


def _no_constant(_word: str) -> Any:
    raise ValueError


def _exactly(*kinds: type) -> Cast:
    def check(value: Any) -> Any:
        wrong_bool = isinstance(value, bool) and bool not in kinds
        if wrong_bool or not isinstance(value, kinds):
            raise Refusal(
                "WRONG_TYPE", sentence(f"{kind_of(value)} was met; an exact cast converts nothing.")
            )
        return value

    return check


def _exact_number(value: Any) -> Any:
    return to_number(_exactly(int, float)(value))


def _exact_integer(value: Any) -> Any:
    return in_range(_exactly(int)(value))


def _lenient_integer(value: Any) -> int:
    number = to_number(int(value) if isinstance(value, bool) else value)
    return in_range(int(number))


@dataclass(frozen=True, slots=True)
class CastType:
    """One target type: how values get there, and what is known about the result."""

    lossless: Cast
    exact: Cast
    kind: str
    lenient: Cast | None = None
    always_clean: bool = False

    def at(self, strictness: str) -> Cast:
        """The cast at one strictness; lenient turns what cannot be read into null."""
        if strictness == "exact":
            return self.exact
        if strictness == "lossless":
            return self.lossless
        attempt = self.lenient or self.lossless

        def lenient(value: Any) -> Any:
            try:
                return attempt(value)
            except Refusal:
                return None

        return lenient


STRICTNESS = ("exact", "lossless", "lenient")
CASTS = {
    "string": CastType(to_string, _exactly(str), "string"),
    "integer": CastType(to_integer, _exact_integer, "integer", _lenient_integer, always_clean=True),
    "number": CastType(to_number, _exact_number, "number", always_clean=True),
    "boolean": CastType(to_boolean, _exactly(bool), "boolean", always_clean=True),
    "timestamp": CastType(
        timestamp_text, lambda v: timestamp_text(_exactly(str)(v)), "timestamp", always_clean=True
    ),
    "date": CastType(to_date, lambda v: to_date(_exactly(str)(v)), "date", always_clean=True),
    "json": CastType(from_json, lambda v: from_json(_exactly(str)(v)), "any"),
    "array": CastType(to_list, to_list, "array"),
    "object": CastType(to_object, to_object, "object"),
}
