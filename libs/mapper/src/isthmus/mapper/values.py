"""What values are: their kind, their text, whether two are the same, whether they are JSON at all."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

from isthmus.mapper.errors import Refusal
from isthmus.mapper.limits import MAX_DEPTH, MAX_INTEGER, MAX_OUTPUT, MIN_INTEGER

Meter = list[int]
"""One cell that adds up the size of the record being made."""

_LOW, _HIGH = MIN_INTEGER, MAX_INTEGER
_KINDS = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a text"),
    (list, "a list"),
    (dict, "an object"),
    (datetime, "a date-time object"),
    (date, "a date object"),
)


def sentence(words: str) -> str:
    """The words with a capital letter in front."""
    return words[:1].upper() + words[1:]


def kind_of(value: object) -> str:
    """The kind of a value in words, for messages."""
    if value is None:
        return "null"
    for kind, word in _KINDS:
        if isinstance(value, kind):
            return word
    return f"a {type(value).__name__}"


def text_of(value: Any) -> str:
    """The text that stands for a scalar: what a reader of the JSON would have seen, without quotes."""
    if isinstance(value, str):
        return value
    if value.__class__ is int and _LOW < value < _HIGH:
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise Refusal("NOT_JSON", "The number is not finite and has no text; mend the source.")
    if isinstance(value, int | float | Decimal):
        try:
            return str(value)
        except ValueError:
            raise Refusal("NUMBER_OUT_OF_RANGE", "The number has more digits than can be written.") from None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise Refusal(
        "NOT_TEXT", sentence(f"{kind_of(value)} is no text; use join, to_json, or a deeper source path.")
    )


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; `true` is not `1`, while `1` and `1.0` are one number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def clean(value: Any, meter: Meter, depth: int = 0) -> Any:
    """Returns the value if it is JSON that every destination can store, and adds its size to the meter.

    Raises:
        Refusal: it is not JSON, too deep, or makes the record too large.
    """
    kind = value.__class__
    if kind is str:
        meter[0] += len(value) + 2
        is_unicode(value)
    elif kind is int:
        meter[0] += 8
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise Refusal("NUMBER_OUT_OF_RANGE", "The integer does not fit 64 bits; cast it to string.")
    elif kind is float:
        meter[0] += 8
        if not math.isfinite(value):
            raise Refusal("NOT_JSON", "The number is not finite; mend the source or give a default.")
    elif kind is dict or kind is list:
        _clean_inside(value, meter, depth + 1)
    elif value is None or kind is bool:
        meter[0] += 4
    else:
        return _clean_unusual(value, meter, depth)
    if meter[0] > MAX_OUTPUT:
        raise Refusal(
            "OUTPUT_TOO_LARGE", f"The mapped record would exceed {MAX_OUTPUT} bytes; map fewer fields."
        )
    return value


def _clean_inside(value: Any, meter: Meter, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Refusal(
            "TOO_DEEP", f"The value is nested more than {MAX_DEPTH} deep; use a deeper source path."
        )
    # Almost everything is text or a small scalar, which are looked at in place.
    items: Iterable[Any] = value
    if value.__class__ is dict:
        for key in value:
            if not isinstance(key, str):
                raise Refusal("NOT_JSON", "The object has a member whose name is no text; mend the source.")
        items = chain(value, value.values())
    size = 2 + len(value)
    for item in items:
        kind = item.__class__
        if kind is str:
            size += len(item) + 2
            if not item.isascii():
                is_unicode(item)
        elif item is None or kind is bool:
            size += 4
        else:
            clean(item, meter, depth)
    meter[0] += size


def _clean_unusual(value: Any, meter: Meter, depth: int) -> Any:
    """Subclasses of JSON types become the plain type; everything else is refused."""
    plain: Any
    for plain in (str, int, float, list, dict):
        if isinstance(value, plain):
            return clean(plain(value), meter, depth)
    raise Refusal("NOT_JSON", sentence(f"{kind_of(value)} is not JSON; cast it to string or timestamp."))


def is_unicode(text: str) -> bool:
    """True, or a refusal of text that holds half of a surrogate pair and therefore has no UTF-8 form."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refusal(
                "TEXT_NOT_UNICODE", "The text holds a lone surrogate; mend the encoding at the source."
            ) from None
    return True


_SENSITIVE_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|authori[sz]ation|cookie|private|api[-_.]?key|access[-_.]?key|signature",
    re.IGNORECASE,
)
_SENSITIVE_TEXT = re.compile(
    r"-----BEGIN|^(bearer|basic)\s|^eyJ[\w-]+\.|^(ghp|gho|xox[abp]|sk|AKIA|ist)[-_]?\w{12}", re.I
)


_SHOWN = 80


def show(value: object, name: str = "") -> str:
    """A short rendering of a value for an error: truncated, and starred where it looks like a secret."""
    if isinstance(value, dict):
        return f"object with {len(value)} members"
    if isinstance(value, list):
        return f"list of {len(value)}"
    secret = value is not None and _SENSITIVE_NAME.search(name)
    if secret or (isinstance(value, str) and _SENSITIVE_TEXT.search(value[:_SHOWN])):
        return "***"
    if isinstance(value, str):
        shown = value[:_SHOWN] + ("…" if len(value) > _SHOWN else "")
        return json.dumps(shown, ensure_ascii=not value.isprintable())
    if isinstance(value, int) and value.bit_length() > 128:
        return "integer of more than 128 bits"
    return json.dumps(value) if value is None or isinstance(value, bool | int | float) else kind_of(value)
