"""Functions on spans of time and the many ways to write them."""

from __future__ import annotations

import re
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_number, need_text

_AREA = "time"
_LONGEST = 100
_MOST_SECONDS = 10_000 * 366 * 86_400
_AMOUNT = r"(\d{1,12}(?:[.,]\d{1,9})?)"
_ISO = re.compile(
    rf"([+-]?)P(?:{_AMOUNT}W)?(?:{_AMOUNT}D)?(?:T(?:{_AMOUNT}H)?(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?)?", re.ASCII
)
_ISO_UNITS = (604_800, 86_400, 3_600, 60, 1)
_CLOCK = re.compile(
    r"([+-]?)(?:(\d{1,9})(?: days?,? |\.))?(\d{1,9}):([0-5]?\d)(?::([0-5]?\d(?:[.,]\d{1,9})?))?", re.ASCII
)
_WORDS = re.compile(rf"{_AMOUNT}\s*([A-Za-zµμ]+)\s*,?\s*(?:and\s+)?", re.ASCII)
_UNITS = {
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "wk", "week", "weeks"), 604_800),
}
_STYLES = ("iso", "clock", "words")
_SHOWN = (("d", 86_400), ("h", 3_600), ("m", 60))


@function(
    "parse_duration",
    area=_AREA,
    takes="string",
    returns="span",
    cel="time.parseDuration",
    example=("parse_duration", "P1DT2H30M", 95_400),
    also=(
        ("parse_duration", "1h 30m", 5_400),
        ("parse_duration", "2 days, 3:00:00", 183_600),
        ("parse_duration", "-00:01:30.5", -90.5),
        ("parse_duration", "5 minutes and 10 seconds", 310),
    ),
)
def parse_duration() -> Step:
    """Reads a span of time in ISO 8601, as a clock, or in words and their abbreviations, and gives seconds.

    Months and years are refused, for they have no length of their own.
    """

    def step(value: Any) -> int | float:
        text = need_text(value).strip()
        seconds = _seconds(text) if 0 < len(text) <= _LONGEST else None
        if seconds is None or abs(seconds) > _MOST_SECONDS:
            raise Refusal("NOT_DURATION", "The text is no span of time such as PT1H30M, 1h 30m or 01:30:00.")
        return int(seconds) if seconds == int(seconds) else round(seconds, 9)

    return step


def _seconds(text: str) -> float | None:
    iso = _ISO.fullmatch(text)
    if iso and any(iso.groups()[1:]):
        amounts = zip(iso.groups()[1:], _ISO_UNITS, strict=True)
        return _signed(iso[1], sum(_number(amount) * unit for amount, unit in amounts if amount))
    clock = _CLOCK.fullmatch(text)
    if clock:
        sign, days, hours, minutes, seconds = clock.groups()
        whole = int(days or 0) * 86_400 + int(hours) * 3_600 + int(minutes) * 60
        return _signed(sign, whole + _number(seconds or "0"))
    sign, words = (text[0], text[1:].strip()) if text[0] in "+-" else ("", text)
    found = list(_WORDS.finditer(words))
    if "".join(match[0] for match in found) != words:
        return None
    sizes = [_UNITS.get(match[2].lower() if len(match[2]) > 1 else match[2]) for match in found]
    known = [size for size in sizes if size is not None]
    if not found or len(known) < len(found):
        return None
    numbers = [_number(match[1]) for match in found]
    return _signed(sign, sum(amount * size for amount, size in zip(numbers, known, strict=True)))


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _signed(sign: str, seconds: float) -> float:
    return -seconds if sign == "-" else seconds


@function(
    "format_duration",
    Param("style", "choice", "iso", options=_STYLES),
    area=_AREA,
    takes="span",
    returns="string",
    cel="time.formatDuration",
    example=("format_duration", 95_400, "P1DT2H30M"),
    also=(
        ({"format_duration": "clock"}, 95_400, "26:30:00"),
        ({"format_duration": "words"}, 95_401.5, "1d 2h 30m 1.5s"),
        ("format_duration", 0, "PT0S"),
    ),
)
def format_duration(style: str) -> Step:
    """Writes seconds as a span of time in ISO 8601, as a clock, or in abbreviated words."""

    def step(value: Any) -> str:
        seconds = need_number(value)
        if abs(seconds) > _MOST_SECONDS:
            raise Refusal("NOT_DURATION", "The span of time exceeds 10,000 years.")
        sign = "-" if seconds < 0 else ""
        return sign + _WRITERS[style](abs(seconds))

    return step


def _rest(seconds: float) -> str:
    """Seconds with as many digits as they need, nine at most."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".")


def _divided(seconds: float) -> list[tuple[str, str]]:
    shown = []
    for unit, size in _SHOWN:
        count, seconds = divmod(seconds, size)
        if count:
            shown.append((str(int(count)), unit))
    if seconds or not shown:
        shown.append((_rest(seconds), "s"))
    return shown


def _iso(seconds: float) -> str:
    parts = _divided(seconds)
    days = "".join(f"{count}D" for count, unit in parts if unit == "d")
    times = "".join(f"{count}{unit.upper()}" for count, unit in parts if unit != "d")
    return f"P{days}" + (f"T{times}" if times else "")


def _clock(seconds: float) -> str:
    hours, rest = divmod(seconds, 3_600)
    minutes, rest = divmod(rest, 60)
    whole, _, fraction = _rest(rest).partition(".")
    return f"{int(hours):02}:{int(minutes):02}:{whole:>02}" + (f".{fraction}" if fraction else "")


def _spelled(seconds: float) -> str:
    return " ".join(f"{count}{unit}" for count, unit in _divided(seconds))


_WRITERS = {"iso": _iso, "clock": _clock, "words": _spelled}
