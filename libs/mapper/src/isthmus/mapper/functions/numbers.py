"""Functions on numbers; a text is never taken for a number, so cast first."""

from __future__ import annotations

import math
from collections.abc import Callable

from isthmus.mapper.functions.registry import Param, Step, checked_number, function, need_number

_AREA = "numbers"
Number = int | float


def _arithmetic(operate: Callable[[Number], Number]) -> Step:
    return lambda value: checked_number(operate(need_number(value)))


@function(
    "round",
    Param("digits", "whole", 0, low=0, high=15),
    area=_AREA,
    takes="number",
    cel="number.round",
    returns="number",
    example=({"round": 1}, 9.86, 9.9),
)
def rounded(digits: int) -> Step:
    """Rounds half to even; without digits the result is an integer."""
    return _arithmetic((lambda number: round(number, digits)) if digits else round)


@function("floor", area=_AREA, returns="integer", example=("floor", 9.9, 9))
def floor() -> Step:
    """The largest integer that is not above."""
    return _arithmetic(math.floor)


@function("ceil", area=_AREA, returns="integer", example=("ceil", 9.1, 10))
def ceil() -> Step:
    """The smallest integer that is not below."""
    return _arithmetic(math.ceil)


@function("abs", area=_AREA, returns="number", example=("abs", -3, 3))
def absolute() -> Step:
    """The number without its sign."""
    return _arithmetic(abs)


@function("add", Param("number", "number"), area=_AREA, returns="number", example=({"add": 2}, 40, 42))
def add(number: Number) -> Step:
    """Adds a number."""
    return _arithmetic(lambda value: value + number)


@function(
    "subtract", Param("number", "number"), area=_AREA, returns="number", example=({"subtract": 2}, 44, 42)
)
def subtract(number: Number) -> Step:
    """Takes a number away."""
    return _arithmetic(lambda value: value - number)


@function(
    "multiply",
    Param("number", "number"),
    area=_AREA,
    returns="number",
    example=({"multiply": 8}, 128, 1024),
)
def multiply(number: Number) -> Step:
    """Multiplies by a number."""
    return _arithmetic(lambda value: value * number)


@function(
    "divide", Param("number", "number"), area=_AREA, returns="number", example=({"divide": 1024}, 512, 0.5)
)
def divide(number: Number) -> Step:
    """Divides by a number; the result has a fraction, also where it is zero."""
    _not_zero(number)
    return _arithmetic(lambda value: value / number)


@function("modulo", Param("number", "number"), area=_AREA, returns="number", example=({"modulo": 7}, 30, 2))
def modulo(number: Number) -> Step:
    """The remainder of a division; its sign is the divisor's."""
    _not_zero(number)
    return _arithmetic(lambda value: value % number)


@function(
    "clamp",
    Param("low", "number"),
    Param("high", "number"),
    area=_AREA,
    takes="number",
    cel="number.clamp",
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
