"""Functions on numbers; a text is never taken for a number, so cast first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from isthmus.mapper.casts import in_range
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function
from isthmus.mapper.values import kind_of, sentence

_GROUP = "numbers"
Number = int | float


def _need_number(value: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal("NOT_NUMBER", sentence(f"{kind_of(value)} was met where a number is needed; cast it."))
    return _checked(value)


def _checked(value: Number) -> Number:
    if isinstance(value, int):
        return in_range(value)
    if not math.isfinite(value):
        raise Refusal("NUMBER_OUT_OF_RANGE", "The number is not finite.")
    return value


def _arithmetic(operate: Callable[[Number], Number]) -> Step:
    return lambda value: _checked(operate(_need_number(value)))


@function(
    "round",
    Param("digits", "whole", 0, low=0, high=15),
    group=_GROUP,
    returns="number",
    example=({"round": 1}, 9.86, 9.9),
)
def rounded(digits: int) -> Step:
    """Rounds half to even; without digits the result is an integer."""
    return _arithmetic((lambda number: round(number, digits)) if digits else round)


@function("floor", group=_GROUP, returns="integer", example=("floor", 9.9, 9))
def floor() -> Step:
    """The largest integer that is not above."""
    return _arithmetic(math.floor)


@function("ceil", group=_GROUP, returns="integer", example=("ceil", 9.1, 10))
def ceil() -> Step:
    """The smallest integer that is not below."""
    return _arithmetic(math.ceil)


@function("abs", group=_GROUP, returns="number", example=("abs", -3, 3))
def absolute() -> Step:
    """The number without its sign."""
    return _arithmetic(abs)


@function("add", Param("number", "number"), group=_GROUP, returns="number", example=({"add": 2}, 40, 42))
def add(number: Number) -> Step:
    """Adds a number."""
    return _arithmetic(lambda value: value + number)


@function(
    "subtract", Param("number", "number"), group=_GROUP, returns="number", example=({"subtract": 2}, 44, 42)
)
def subtract(number: Number) -> Step:
    """Takes a number away."""
    return _arithmetic(lambda value: value - number)


@function(
    "multiply",
    Param("number", "number"),
    group=_GROUP,
    returns="number",
    example=({"multiply": 8}, 128, 1024),
)
def multiply(number: Number) -> Step:
    """Multiplies by a number."""
    return _arithmetic(lambda value: value * number)


@function(
    "divide", Param("number", "number"), group=_GROUP, returns="number", example=({"divide": 1024}, 512, 0.5)
)
def divide(number: Number) -> Step:
    """Divides by a number; the result has a fraction, also where it is zero."""
    _not_zero(number)
    return _arithmetic(lambda value: value / number)


@function("modulo", Param("number", "number"), group=_GROUP, returns="number", example=({"modulo": 7}, 30, 2))
def modulo(number: Number) -> Step:
    """The remainder of a division; its sign is the divisor's."""
    _not_zero(number)
    return _arithmetic(lambda value: value % number)


@function(
    "clamp",
    Param("low", "number"),
    Param("high", "number"),
    group=_GROUP,
    returns="number",
    example=({"clamp": [0, 10]}, 11.5, 10),
)
def clamp(low: Number, high: Number) -> Step:
    """Brings the number between two bounds."""
    if low > high:
        raise ValueError("The lower bound must not be above the upper one.")
    return _arithmetic(lambda value: min(max(value, low), high))


def _not_zero(number: Number) -> None:
    if number == 0:
        raise ValueError("Division by zero; give another number.")
