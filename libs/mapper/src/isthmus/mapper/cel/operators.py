"""Operators as functions: what generated code calls where a look at the class does not suffice."""

from __future__ import annotations

import math
from typing import Any

from isthmus.mapper.cel.limits import MAX_RESULT
from isthmus.mapper.cel.values import (
    HIGHEST,
    HIGHEST_UINT,
    LOWEST,
    BooleanKey,
    Duration,
    Failed,
    Optional,
    OverLimit,
    Timestamp,
    UInt,
    no_overload,
    to_key,
)

_EARLIEST = -62_135_596_800 * 10**9
_LATEST = 253_402_300_800 * 10**9 - 1
_LONGEST = 2**63 - 1
_NUMBERS = frozenset({int, UInt, float})
_ORDERED = frozenset({str, bytes, bool, Timestamp, Duration})


def whole(value: int) -> int:
    """The integer, if it fits 64 bits."""
    if LOWEST <= value <= HIGHEST:
        return value
    raise Failed("The integer does not fit 64 bits.")


def unsigned(value: int) -> UInt:
    """The integer without a sign, if it fits 64 bits."""
    if 0 <= value <= HIGHEST_UINT:
        return UInt(value)
    raise Failed("The unsigned integer does not fit 64 bits.")


def moment(nanoseconds: int) -> Timestamp:
    """The point in time, if it lies in the years 1 to 9999."""
    if _EARLIEST <= nanoseconds <= _LATEST:
        return Timestamp(nanoseconds)
    raise Failed("The timestamp lies outside of the years 1 to 9999.")


def span(nanoseconds: int) -> Duration:
    """The span of time, if it is no longer than 10,000 years."""
    if -_LONGEST <= nanoseconds <= _LONGEST:
        return Duration(nanoseconds)
    raise Failed("The duration exceeds 10,000 years.")


def _signed(*values: int) -> None:
    """Refuses integers that came from a record and are none in CEL."""
    for value in values:
        if not LOWEST <= value <= HIGHEST:
            raise Failed("The integer does not fit 64 bits.")


def joined(left: Any, right: Any) -> Any:
    """Two texts, bytes or lists as one, if that is not too long."""
    if len(left) + len(right) > MAX_RESULT:
        raise OverLimit(f"A text or list would exceed {MAX_RESULT} elements.")
    return left + right


def add(left: Any, right: Any) -> Any:
    """The sum, or one text, list or bytes after the other."""
    kind, other = left.__class__, right.__class__
    if kind is other:
        if kind is int:
            _signed(left, right)
            return whole(left + right)
        if kind is str or kind is list or kind is bytes:
            return joined(left, right)
        if kind is float:
            return left + right
        if kind is UInt:
            return unsigned(int(left) + int(right))
        if kind is Duration:
            return span(left.nanoseconds + right.nanoseconds)
    elif (kind is Timestamp and other is Duration) or (kind is Duration and other is Timestamp):
        return moment(left.nanoseconds + right.nanoseconds)
    raise no_overload("+", left, right)


def subtract(left: Any, right: Any) -> Any:
    """The difference."""
    kind, other = left.__class__, right.__class__
    if kind is other:
        if kind is int:
            _signed(left, right)
            return whole(left - right)
        if kind is float:
            return left - right
        if kind is UInt:
            return unsigned(int(left) - int(right))
        if kind is Duration or kind is Timestamp:
            return span(left.nanoseconds - right.nanoseconds)
    elif kind is Timestamp and other is Duration:
        return moment(left.nanoseconds - right.nanoseconds)
    raise no_overload("-", left, right)


def multiply(left: Any, right: Any) -> Any:
    """The product."""
    kind = left.__class__
    if kind is right.__class__:
        if kind is int:
            _signed(left, right)
            return whole(left * right)
        if kind is float:
            return left * right
        if kind is UInt:
            return unsigned(int(left) * int(right))
    raise no_overload("*", left, right)


def divide(left: Any, right: Any) -> Any:
    """The quotient; of integers cut towards zero."""
    kind = left.__class__
    if kind is right.__class__:
        if kind is int:
            _signed(left, right)
            quotient = abs(left) // abs(right)
            return whole(quotient if (left < 0) == (right < 0) else -quotient)
        if kind is UInt:
            return UInt(int(left) // int(right))
        if kind is float:
            return _float_quotient(left, right)
    raise no_overload("/", left, right)


def _float_quotient(left: float, right: float) -> float:
    if right:
        return left / right
    if not left or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def modulo(left: Any, right: Any) -> Any:
    """What a division of integers leaves; its sign is that of the dividend."""
    kind = left.__class__
    if kind is right.__class__:
        if kind is int:
            _signed(left, right)
            if left == LOWEST and right == -1:
                raise Failed("The integer does not fit 64 bits.")
            rest = abs(left) % abs(right)
            return -rest if left < 0 else rest
        if kind is UInt:
            return UInt(int(left) % int(right))
    raise no_overload("%", left, right)


def negate(value: Any) -> Any:
    """The number with the other sign."""
    kind = value.__class__
    if kind is int:
        _signed(value)
        return whole(-value)
    if kind is float:
        return -value
    raise no_overload("-", value)


def _ordered(name: str, left: Any, right: Any) -> tuple[Any, Any]:
    """The two values, so that Python compares them as CEL does: with a double only as doubles."""
    kind, other = left.__class__, right.__class__
    if kind is other:
        if kind in _ORDERED or kind in _NUMBERS:
            return left, right
    elif kind in _NUMBERS and other in _NUMBERS:
        return (float(left), float(right)) if float in (kind, other) else (left, right)
    raise no_overload(name, left, right)


def less(left: Any, right: Any) -> bool:
    """Whether the left is less."""
    first, second = _ordered("<", left, right)
    return bool(first < second)


def at_most(left: Any, right: Any) -> bool:
    """Whether the left is less or equal."""
    first, second = _ordered("<=", left, right)
    return bool(first <= second)


def more(left: Any, right: Any) -> bool:
    """Whether the left is greater."""
    first, second = _ordered(">", left, right)
    return bool(first > second)


def at_least(left: Any, right: Any) -> bool:
    """Whether the left is greater or equal."""
    first, second = _ordered(">=", left, right)
    return bool(first >= second)


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same; numbers of any kind by what they count, and `true` is not `1`."""
    kind, other = left.__class__, right.__class__
    if kind is bool or other is bool:
        return left is right
    if kind is list:
        return other is list and len(left) == len(right) and all(map(equal, left, right))
    if kind is dict:
        return (
            other is dict
            and len(left) == len(right)
            and all(key in right and equal(left[key], right[key]) for key in left)
        )
    if kind is Optional:
        if other is not Optional or left.has_value is not right.has_value:
            return False
        return not left.has_value or equal(left.value, right.value)
    return bool(left == right)


def differs(left: Any, right: Any) -> bool:
    """Whether two values are not the same."""
    return not equal(left, right)


def is_in(value: Any, container: Any) -> bool:
    """Whether a list has the element, or a map the key."""
    if container.__class__ is list:
        if value.__class__ is str:
            return value in container
        return any(equal(value, element) for element in container)
    if container.__class__ is dict:
        if value.__class__ is str:
            return value in container
        if value.__class__ is bool:
            return to_key(value) in container
        if value.__class__ in _NUMBERS:
            return value in container
    raise no_overload("in", value, container)


def index(container: Any, place: Any) -> Any:
    """The element of a list or the value of a map."""
    kind = place.__class__
    if container.__class__ is dict:
        if kind is not str and kind is not bool and kind not in _NUMBERS:
            raise no_overload("[]", container, place)
        key = to_key(place)
        if key in container:
            return container[key]
        raise Failed("There is no such key.")
    if container.__class__ is list:
        if kind is float and place.is_integer():
            place = int(place)
        elif kind is not int and kind is not UInt:
            raise no_overload("[]", container, place)
        if 0 <= place < len(container):
            return container[place]
        raise Failed("The index is out of range.")
    raise no_overload("[]", container, place)


def has(container: Any, name: str) -> bool:
    """Whether a map has the member; of an optional map, whether it is there and has it."""
    if container.__class__ is dict:
        return name in container
    if container.__class__ is Optional:
        return container.has_value and has(container.value, name)
    raise no_overload("has", container)


def select(container: Any, name: str) -> Any:
    """The member of a map; of an optional map an optional member."""
    if container.__class__ is dict:
        if name in container:
            return container[name]
        raise Failed(f"There is no such key: {name[:100]!r}.")
    if container.__class__ is Optional:
        if container.has_value and container.value.__class__ is dict:
            if name in container.value:
                return Optional(container.value[name])
            return Optional(has_value=False)
        if not container.has_value:
            return container
    raise no_overload("select", container)


def truth(value: Any) -> bool:
    """The boolean, and nothing else."""
    if value.__class__ is bool:
        return bool(value)
    raise no_overload("a condition", value)


def negation(value: Any) -> bool:
    """The other boolean."""
    return not truth(value)


def size(value: Any) -> int:
    """How many characters, bytes, elements or entries there are."""
    if value.__class__ in (str, bytes, list, dict):
        return len(value)
    raise no_overload("size", value)


def range_of(value: Any) -> Any:
    """What a macro goes through: the elements of a list or the keys of a map."""
    if value.__class__ is list:
        return value
    if value.__class__ is dict:
        # Nobody promises an order, but the same record should give the same list.
        if all(key.__class__ is str for key in value):
            return sorted(value)
        return [key.value if key.__class__ is BooleanKey else key for key in value]
    raise no_overload("a macro", value)


def failing() -> Any:
    """What stands for an operand that has no value where the others do not decide without it."""
    raise Failed("An operand of a condition has no value.")


def map_of(*entries: Any) -> dict[Any, Any]:
    """A map from keys and values by turns."""
    made: dict[Any, Any] = {}
    for key, value in zip(entries[::2], entries[1::2], strict=True):
        put(made, key, value)
    return made


def put(made: dict[Any, Any], key: Any, value: Any) -> None:
    """Adds an entry to a map; no key may come twice."""
    kind = key.__class__
    if kind is not str and kind is not int and kind is not bool and kind is not UInt:
        raise no_overload("a map key", key)
    known = to_key(key)
    if known in made:
        raise Failed("A key of the map comes twice.")
    made[known] = value
