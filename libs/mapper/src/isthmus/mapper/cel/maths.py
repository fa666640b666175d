"""Functions on numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from isthmus.mapper.cel.operators import whole
from isthmus.mapper.cel.values import LOWEST, Failed, UInt, Unsure, no_overload

_NUMBERS = (int, UInt, float)
_ALL_BITS = 2**64 - 1
_BITS = 64


def _extreme(name: str, better: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    def extreme(*values: Any) -> Any:
        if len(values) == 1 and values[0].__class__ is list:
            values = tuple(values[0])
        if not values:
            raise Failed(f"{name} needs a number.")
        best = values[0]
        for value in values:
            if value.__class__ not in _NUMBERS:
                raise no_overload(name, value)
            if value.__class__ is float and math.isnan(value):
                raise Unsure("A number that is none has no order.")
            if better(value, best):
                best = value
        return best

    return extreme


greatest = _extreme("math.greatest", lambda value, best: bool(value > best))
least = _extreme("math.least", lambda value, best: bool(value < best))


def _rounding(name: str, change: Callable[[float], int]) -> Callable[[Any], float]:
    def rounded(value: Any) -> float:
        if value.__class__ is not float:
            raise no_overload(name, value)
        if not math.isfinite(value):
            return float(value)
        return math.copysign(float(change(value)), value)

    return rounded


def _half_away(value: float) -> int:
    below = math.floor(abs(value))
    near = below + (abs(value) - below >= 0.5)
    return -near if value < 0 else near


ceil = _rounding("math.ceil", math.ceil)
floor = _rounding("math.floor", math.floor)
trunc = _rounding("math.trunc", math.trunc)
round_half_away = _rounding("math.round", _half_away)


def absolute(value: Any) -> Any:
    """The number without its sign."""
    if value.__class__ is int:
        return whole(abs(value))
    if value.__class__ in _NUMBERS:
        return value if value.__class__ is UInt else abs(value)
    raise no_overload("math.abs", value)


def sign(value: Any) -> Any:
    """-1, 0 or 1 in the type of the number."""
    kind = value.__class__
    if kind not in _NUMBERS:
        raise no_overload("math.sign", value)
    if kind is float and math.isnan(value):
        return value
    if kind is int:
        whole(value)
    return kind((value > 0) - (value < 0))


def _asking(name: str, ask: Callable[[float], bool]) -> Callable[[Any], bool]:
    def asked(value: Any) -> bool:
        if value.__class__ is not float:
            raise no_overload(name, value)
        return ask(value)

    return asked


is_nan = _asking("math.isNaN", math.isnan)
is_inf = _asking("math.isInf", math.isinf)
is_finite = _asking("math.isFinite", math.isfinite)


def _bitwise(name: str, change: Callable[[int, int], int]) -> Callable[[Any, Any], int]:
    def changed(left: Any, right: Any) -> int:
        kind = left.__class__
        if kind is not right.__class__ or (kind is not int and kind is not UInt):
            raise no_overload(name, left, right)
        made = change(int(left), int(right))
        return UInt(made) if kind is UInt else whole(made)

    return changed


bit_and = _bitwise("math.bitAnd", lambda left, right: left & right)
bit_or = _bitwise("math.bitOr", lambda left, right: left | right)
bit_xor = _bitwise("math.bitXor", lambda left, right: left ^ right)


def bit_not(value: Any) -> int:
    """The number with every bit the other way."""
    if value.__class__ is int:
        return whole(~value)
    if value.__class__ is UInt:
        return UInt(int(value) ^ _ALL_BITS)
    raise no_overload("math.bitNot", value)


def shift_left(value: Any, count: Any) -> int:
    """The bits moved up; what leaves the 64 is gone."""
    _check_shift(value, count)
    moved = (int(value) << count) & _ALL_BITS if count < _BITS else 0
    return _with_sign(value, moved)


def shift_right(value: Any, count: Any) -> int:
    """The bits moved down, with zeros after them."""
    _check_shift(value, count)
    moved = (int(value) & _ALL_BITS) >> count if count < _BITS else 0
    return _with_sign(value, moved)


def _check_shift(value: Any, count: Any) -> None:
    if value.__class__ not in (int, UInt) or count.__class__ is not int:
        raise no_overload("math.bitShift", value, count)
    if count < 0:
        raise Failed("Bits are shifted by 0 or more.")


def _with_sign(value: Any, bits: int) -> int:
    if value.__class__ is UInt:
        return UInt(bits)
    return bits + 2 * LOWEST if bits > _ALL_BITS // 2 else bits


def square_root(value: Any) -> float:
    """The square root; of a negative number none."""
    if value.__class__ not in _NUMBERS:
        raise no_overload("math.sqrt", value)
    return math.sqrt(value) if value >= 0 else math.nan
