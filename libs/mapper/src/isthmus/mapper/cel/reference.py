"""The library's own evaluator, which has the last word on values and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from isthmus.mapper.cel.limits import MAX_PLAIN
from isthmus.mapper.cel.times import from_datetime, to_datetime
from isthmus.mapper.cel.values import (
    TYPES,
    Duration,
    Failed,
    Optional,
    OverLimit,
    Timestamp,
    UInt,
    Unsure,
    to_key,
)

if TYPE_CHECKING:
    from isthmus.mapper.cel.environment import Checked

_TYPE_NAMES = {
    "BOOL": "bool",
    "BYTES": "bytes",
    "DOUBLE": "double",
    "DURATION": "google.protobuf.Duration",
    "INT": "int",
    "NULL": "null_type",
    "STRING": "string",
    "TIMESTAMP": "google.protobuf.Timestamp",
    "TYPE": "type",
    "UINT": "uint",
}
_BUDGET = "Iteration budget"


class Unaskable(Exception):
    """The library would misread these values."""


def evaluate(checked: Checked, values: Mapping[str, Any]) -> Any:
    """The value of an expression.

    Raises:
        Failed: it has none; the message is the library's.
        OverLimit: the library gave up.
        Unaskable: a value cannot be told to the library.
    """
    data = {name: _told(value) for name, value in values.items()}
    try:
        answer = checked.compiled.eval(data=data)
    except RuntimeError as problem:
        if _BUDGET in str(problem):
            raise OverLimit("The loops of the expression turn too often.") from None
        raise Failed(_message(str(problem))) from None
    return _value(answer, [MAX_PLAIN])


def _told(value: Any) -> Any:
    """A value as the library takes it."""
    kind = value.__class__
    if kind is str:
        if "\0" in value:
            # The library would take what stands before it for the whole.
            raise Unaskable("A text holds a character 0.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unaskable("A text holds half a character.") from None
        return value
    if kind is dict:
        return {_told(key): _told(each) for key, each in value.items()}
    if kind is list:
        return [_told(each) for each in value]
    if kind is Timestamp:
        return to_datetime(value)
    if kind is Duration:
        return timedelta(microseconds=value.nanoseconds // 1_000)
    return int(value) if kind is UInt else value


def hosted(call: Callable[..., Any]) -> Callable[..., Any]:
    """A function of ours as the library calls it, which has points in time and spans as Python has them."""

    def impl(*operands: Any) -> Any:
        return _handed(call(*map(_own, operands)))

    return impl


def _own(operand: Any) -> Any:
    if isinstance(operand, datetime):
        return from_datetime(operand)
    return _span(operand) if isinstance(operand, timedelta) else operand


def _handed(value: Any) -> Any:
    """A result of ours as the library takes it; it would cut a text at a character 0."""
    try:
        return _told(value)
    except Unaskable as problem:
        raise Failed(str(problem)) from None


def _span(held: timedelta) -> Duration:
    return Duration((held.days * 86_400 + held.seconds) * 10**9 + held.microseconds * 1_000)


def _message(told: str) -> str:
    """The library's message without its status."""
    _, mark, rest = told.partition(": ")
    return (rest if mark else told).partition(" [")[0]


def _value(answer: Any, budget: list[int]) -> Any:
    """What the library gave, as this package has values.

    Null is told by its type: asking for its value drops a reference to `None` that nobody had taken,
    and after some thousands of times CPython 3.11 stops for it.
    """
    name = answer.type().name()
    if name == "NULL":
        return None
    budget[0] -= 1
    if budget[0] < 0:
        raise OverLimit(f"The result exceeds {MAX_PLAIN} elements.")
    held = answer.value()
    if name == "ERROR":
        raise Failed(_message(held))
    if name.startswith("LIST"):
        return [_value(each, budget) for each in held]
    if name.startswith("MAP"):
        return {to_key(key): _value(each, budget) for key, each in held.items()}
    if name.startswith("optional_type"):
        return Optional(held)
    return _scalar(name, held)


def _scalar(name: str, held: Any) -> Any:
    if name == "UINT":
        return UInt(held)
    if name == "BYTES":
        return bytes(held)
    if isinstance(held, datetime):
        return from_datetime(held)
    if isinstance(held, timedelta):
        return _span(held)
    if name.startswith("TYPE"):
        return _type(held)
    return held


def _type(held: Any) -> Any:
    name = held.name()
    kind = _TYPE_NAMES.get(name) or name.partition("<")[0].lower()
    if kind not in TYPES:
        raise Unsure("The library gives a type that is not known here.")
    return TYPES[kind]
