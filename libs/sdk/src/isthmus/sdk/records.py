"""Records as dictionaries, their keys and the order of their cursors."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

KEY_SEPARATOR = "\u001f"
_MISSING = object()
_SHORTEST_MOMENT = len("2026-01-01T00:00:00Z")
_NUMBER = re.compile(r"-?\d{1,40}(\.\d{1,40})?", re.ASCII)


def as_dict(record: Any) -> dict[str, Any]:
    """A record as the dictionary that travels.

    Raises:
        TypeError: When it is neither a model nor a mapping.
    """
    if isinstance(record, dict):
        return record
    if isinstance(record, BaseModel):
        return record.model_dump(mode="json", by_alias=True)
    if isinstance(record, Mapping):
        return dict(record)
    raise TypeError(f"a record is a model or a dictionary, not {type(record).__name__}")


def at_path(record: Any, path: str, default: Any = None) -> Any:
    """What stands at a dotted path; a field whose own name has dots is found too."""
    if isinstance(record, Mapping) and path in record:
        return record[path]
    here = record
    for part in path.split("."):
        if isinstance(here, Mapping):
            here = here.get(part, _MISSING)
        elif (
            isinstance(here, Sequence)
            and not isinstance(here, str)
            and part.isdecimal()
            and int(part) < len(here)
        ):
            here = here[int(part)]
        else:
            return default
        if here is _MISSING:
            return default
    return here


def key_of(record: Mapping[str, Any], primary_key: Sequence[str]) -> str:
    """The record's key, parts joined by the unit separator; empty for streams without one.

    Raises:
        LookupError: Its argument is the path of the part that is missing.
    """
    parts = []
    for path in primary_key:
        value = at_path(record, path)
        if value is None or value == "" or isinstance(value, Mapping | list):
            raise LookupError(path)
        parts.append(key_text(value))
    return KEY_SEPARATOR.join(parts)


def key_text(value: Any) -> str:
    """A part of a key as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace(KEY_SEPARATOR, "\ufffd")


def cursor_order(value: Any) -> tuple[int, Any]:
    """Makes cursor values comparable: numbers as numbers, ISO dates as moments, the rest as text."""
    if isinstance(value, bool):
        return (2, str(value))
    if isinstance(value, int | float | Decimal):
        return (0, value)
    if isinstance(value, datetime):
        return (1, _moment(value))
    text = str(value)
    if _NUMBER.fullmatch(text):
        return (0, Decimal(text))
    try:
        return (1, _moment(datetime.fromisoformat(text)))
    except ValueError:
        return (2, text)


def later(one: Any, other: Any) -> Any:
    """The greater of two cursor values; None counts as least."""
    return greatest((other,), one)


def greatest(values: Iterable[Any], start: Any = None) -> Any:
    """The greatest of many cursor values, `start` included; None where there is none."""
    best, order = start, None if start is None else cursor_order(start)
    for value in values:
        if value is None or (type(value) is type(best) and value == best):
            continue
        # Most values are moments of one form, whose texts compare as the moments do.
        if _same_form(value, best):
            if value > best:
                best, order = value, None
            continue
        order = order or (None if best is None else cursor_order(best))
        candidate = cursor_order(value)
        if order is None or candidate > order:
            best, order = value, candidate
    return best


def _same_form(value: Any, best: Any) -> bool:
    if (
        type(value) is not str
        or type(best) is not str
        or len(value) != len(best)
        or len(value) < _SHORTEST_MOMENT
    ):
        return False
    return value[-1] == best[-1] == "Z" and value[10] == best[10] == "T" and value[19] == best[19]


def _moment(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
