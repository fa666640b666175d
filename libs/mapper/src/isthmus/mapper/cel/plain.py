"""Results as JSON: what an expression gives is what a mapping stores."""

from __future__ import annotations

import base64
from typing import Any

from isthmus.mapper.cel.limits import MAX_PLAIN
from isthmus.mapper.cel.times import duration_text, timestamp_text
from isthmus.mapper.cel.values import Duration, Failed, Optional, OverLimit, Timestamp, UInt, from_key

_AS_THEY_ARE = frozenset({int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """A value as JSON: times as RFC 3339, durations in seconds, bytes as base64, an absent optional as null.

    Raises:
        Failed: it is a type, which has no JSON.
        OverLimit: it is larger than any record may be.
    """
    return _plain(value, [MAX_PLAIN])


def _plain(value: Any, left: list[int]) -> Any:
    kind = value.__class__
    left[0] -= len(value) + 1 if kind is str else 1
    if left[0] < 0:
        raise OverLimit(f"The result exceeds {MAX_PLAIN} characters and elements.")
    if kind is str or kind in _AS_THEY_ARE:
        return value
    if kind is list:
        return [_plain(element, left) for element in value]
    if kind is dict:
        return {_member(key): _plain(element, left) for key, element in value.items()}
    return _scalar(value, left)


def _scalar(value: Any, left: list[int]) -> Any:
    kind = value.__class__
    if kind is UInt:
        return int(value)
    if kind is Timestamp:
        return timestamp_text(value)
    if kind is Duration:
        return duration_text(value)
    if kind is bytes:
        left[0] -= len(value)
        return base64.b64encode(value).decode()
    if kind is Optional:
        return _plain(value.value, left) if value.has_value else None
    raise Failed("The result is a type, which has no JSON; write string(type(…)).")


def _member(key: Any) -> str:
    key = from_key(key)
    if key.__class__ is str:
        return str(key)
    if key.__class__ is bool:
        return "true" if key else "false"
    return str(int(key))
