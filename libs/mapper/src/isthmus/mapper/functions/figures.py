"""Functions on how numbers are written, and on numbers that are made of bits."""

from __future__ import annotations

import re
from typing import Any

from isthmus.mapper.casts import in_range
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, checked_number, function, need_number, need_text

_AREA = "numbers"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST = 100
_PLAIN = re.compile(r"\d{1,40}(\.\d{0,40})?|\.\d{1,40}", re.ASCII)
_PREFIXES = {16: "0x", 8: "0o", 2: "0b"}


def _one(name: str, text: str) -> str:
    if len(text) > 1 or text.isdigit():
        raise ValueError(f"The {name} is one character that is no digit, or nothing.")
    return text


@function(
    "parse_number",
    Param("decimal", "text", "."),
    Param("thousands", "text", ","),
    area=_AREA,
    takes="string",
    returns="number",
    cel="number.parse",
    example=({"parse_number": [",", "."]}, "1.234.567,89 €", 1234567.89),
    also=(("parse_number", "(1,200)", -1200), ({"parse_number": [".", "'"]}, "CHF -12'000.50", -12000.5)),
)
def parse_number(decimal: str, thousands: str) -> Step:
    """Reads a number as people write it: with separators, a sign or brackets below zero, a currency or %."""
    point, gap = _one("decimal separator", decimal), _one("thousands separator", thousands)
    if point == gap:
        raise ValueError("The two separators are different characters.")

    def step(value: Any) -> int | float:
        text = need_text(value).strip()
        if len(text) > _LONGEST:
            raise _no_number()
        bare = re.sub(r"[^\W\d_]|[\s$€£¥₹%]", "", text).replace("−", "-")
        is_less = bare.startswith("-") or bare.endswith("-") or (bare[:1] == "(" and bare[-1:] == ")")
        digits = bare.strip("+-()").replace(gap or " ", "")
        digits = digits.replace(point, ".") if point else digits
        if not _PLAIN.fullmatch(digits):
            raise _no_number()
        number: int | float = int(digits) if digits.isdigit() else float(digits)
        return checked_number(-number if is_less else number)

    return step


def _no_number() -> Refusal:
    return Refusal("NOT_NUMBER", "The text is no number with these separators; name those of the source.")


@function(
    "format_number",
    Param("digits", "whole", 0, low=0, high=15),
    Param("decimal", "text", "."),
    Param("thousands", "text", ""),
    area=_AREA,
    takes="number",
    returns="string",
    cel="number.format",
    example=({"format_number": [2, ",", "."]}, 1234567.891, "1.234.567,89"),
    also=(({"format_number": 2}, 5, "5.00"),),
)
def format_number(digits: int, decimal: str, thousands: str) -> Step:
    """Writes a number with so many digits behind the point, and separators."""
    point, gap = _one("decimal separator", decimal), _one("thousands separator", thousands)
    table = str.maketrans({".": point, ",": gap})
    return lambda value: f"{need_number(value):,.{digits}f}".translate(table)


@function(
    "from_base",
    Param("base", "whole", 16, low=2, high=36),
    area=_AREA,
    takes="string",
    returns="integer",
    cel="number.fromBase",
    example=("from_base", "0xFF", 255),
)
def from_base(base: int) -> Step:
    """Reads an integer written in another base, 0x, 0o and 0b in front or not."""

    def step(value: Any) -> int:
        text = need_text(value).strip().lower()
        digits = text.removeprefix(_PREFIXES.get(base, ""))
        if not 0 < len(digits) <= 64 or not set(digits) <= set(_DIGITS[:base]):
            raise Refusal("NOT_INTEGER", f"The text is no integer in base {base}; check the base.")
        return in_range(int(digits, base))

    return step


@function(
    "to_base",
    Param("base", "whole", 16, low=2, high=36),
    Param("length", "whole", 1, low=1, high=64),
    area=_AREA,
    takes="integer",
    returns="string",
    cel="number.toBase",
    example=({"to_base": [16, 4]}, 255, "00ff"),
)
def to_base(base: int, length: int) -> Step:
    """Writes an integer in another base, with zeros in front up to a length."""

    def step(value: Any) -> str:
        number = _integer(value)
        digits = ""
        rest = abs(number)
        while rest or not digits:
            rest, digit = divmod(rest, base)
            digits = _DIGITS[digit] + digits
        return ("-" if number < 0 else "") + digits.rjust(length, "0")

    return step


def _integer(value: Any) -> int:
    number = need_number(value)
    if not isinstance(number, int):
        raise Refusal("NOT_INTEGER", "A number with a fraction was met where an integer is needed; cast it.")
    return number


@function(
    "has_bits",
    Param("bits", "whole", low=0, high=2**63 - 1),
    area=_AREA,
    takes="integer",
    returns="boolean",
    cel="number.hasBits",
    example=({"has_bits": 2}, 514, True),
)
def has_bits(bits: int) -> Step:
    """Whether all these bits are set in an integer, such as 2 for disabled in userAccountControl."""
    return lambda value: _integer(value) & bits == bits


@function(
    "percent_of",
    Param("total", "number"),
    Param("digits", "whole", 1, low=0, high=12),
    area=_AREA,
    takes="number",
    returns="number",
    cel="number.percentOf",
    example=({"percent_of": 8}, 3, 37.5),
)
def percent_of(total: float, digits: int) -> Step:
    """How many hundredths of a total the number is."""
    if total == 0:
        raise ValueError("Nothing is a share of zero; give another total.")
    return lambda value: checked_number(round(need_number(value) * 100 / total, digits))


@function(
    "is_between",
    Param("low", "number"),
    Param("high", "number"),
    area="checks",
    takes="number",
    returns="boolean",
    cel="number.isBetween",
    example=({"is_between": [1, 10]}, 10, True),
)
def is_between(low: float, high: float) -> Step:
    """Whether a number lies between two bounds or is one of them."""
    if low > high:
        raise ValueError("The lower bound must not be above the upper one.")
    return lambda value: low <= need_number(value) <= high
