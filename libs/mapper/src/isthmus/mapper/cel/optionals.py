"""Functions on values that may be absent."""

from __future__ import annotations

from typing import Any

from isthmus.mapper.cel.operators import index, select
from isthmus.mapper.cel.values import NONE, Failed, Optional, no_overload, to_key

_NUMBERS = (int, float)


def of(value: Any) -> Optional:
    """A value that is there."""
    return Optional(value)


def of_non_zero(value: Any) -> Optional:
    """A value that is there unless it is zero, empty or null."""
    if value is None or value.__class__ in (str, bytes, list, dict, bool):
        return Optional(value) if value else NONE
    if isinstance(value, _NUMBERS):
        return Optional(value) if value else NONE
    if hasattr(value, "nanoseconds"):
        return Optional(value) if value.nanoseconds else NONE
    return Optional(value)


def none() -> Optional:
    """No value."""
    return NONE


def _optional(name: str, value: Any) -> Optional:
    if isinstance(value, Optional):
        return value
    raise no_overload(name, value)


def has_value(value: Any) -> bool:
    """Whether it is there."""
    return _optional("hasValue", value).has_value


def value_of(value: Any) -> Any:
    """The value, which must be there."""
    if _optional("value", value).has_value:
        return value.value
    raise Failed("The optional has no value.")


def or_value(value: Any, other: Any) -> Any:
    """The value, or another where it is absent."""
    return value.value if _optional("orValue", value).has_value else other


def or_else(value: Any, other: Any) -> Optional:
    """The first of two that is there."""
    return value if _optional("or", value).has_value else _optional("or", other)


def member(value: Any, name: str) -> Optional:
    """The member of a map, if it is there."""
    if value.__class__ is dict:
        return Optional(value[name]) if name in value else NONE
    if value.__class__ is Optional:
        if not value.has_value:
            return NONE
        if value.value.__class__ is dict:
            return member(value.value, name)
    return Optional(select(value, name))


def element(value: Any, place: Any) -> Optional:
    """The element of a list or value of a map, if it is there."""
    if value.__class__ is Optional:
        return element(value.value, place) if value.has_value else NONE
    if value.__class__ is list and place.__class__ is int:
        return Optional(value[place]) if 0 <= place < len(value) else NONE
    if value.__class__ is dict and place.__class__ in (str, bool, int):
        key = to_key(place)
        return Optional(value[key]) if key in value else NONE
    return Optional(index(value, place))


def at(value: Any, place: Any) -> Any:
    """The element of a list or map; of an optional one an optional element."""
    return element(value, place) if value.__class__ is Optional else index(value, place)


def extend(elements: list[Any], value: Any) -> None:
    """Adds an optional element to a list, if it is there."""
    if _optional("[?]", value).has_value:
        elements.append(value.value)
