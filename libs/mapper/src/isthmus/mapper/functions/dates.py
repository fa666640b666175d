"""Functions on points in time and days; every result is RFC 3339 in UTC or a date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_text
from isthmus.mapper.times import day_of, moment_of, out_of_range, parser, rfc3339

_AREA = "time"
_ZONE = Param("zone", "zone", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_UNITS = {
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}


@function(
    "parse_date",
    Param("format", "format"),
    _ZONE,
    area=_AREA,
    takes="string",
    cel="time.parse",
    returns="timestamp",
    example=({"parse_date": ["%d.%m.%Y %H:%M", "Europe/Zurich"]}, "31.01.2026 12:00", "2026-01-31T11:00:00Z"),
)
def parse_date(pattern: str, zone: tzinfo) -> Step:
    """Reads a time in a strptime format; where the text names no offset it is local time of `zone`."""
    parse = parser(pattern, zone)
    return lambda value: rfc3339(parse(need_text(value)))


@function(
    "format_date",
    Param("format", "format"),
    _ZONE,
    area=_AREA,
    takes="time",
    cel="time.format",
    returns="string",
    example=({"format_date": "%d %b %Y"}, "2026-01-31T11:00:00Z", "31 Jan 2026"),
)
def format_date(pattern: str, zone: tzinfo) -> Step:
    """Writes a time in a strftime format, as clocks in `zone` show it."""

    def step(value: Any) -> str:
        try:
            return moment_of(value).astimezone(zone).strftime(pattern)
        except (OverflowError, ValueError):
            raise out_of_range() from None

    return step


@function(
    "to_utc",
    _ZONE,
    area=_AREA,
    takes="time",
    cel="time.toUtc",
    returns="timestamp",
    example=({"to_utc": "America/New_York"}, "2026-07-01T08:00:00", "2026-07-01T12:00:00Z"),
)
def to_utc(zone: tzinfo) -> Step:
    """Turns a time into UTC; where it names no offset it is local time of `zone`."""
    return lambda value: rfc3339(moment_of(value, zone))


@function(
    "from_epoch",
    Param("unit", "choice", "s", options=("s", "ms", "us")),
    area=_AREA,
    takes="number",
    cel="time.fromEpoch",
    returns="timestamp",
    example=({"from_epoch": "ms"}, 1767225600000, "2026-01-01T00:00:00Z"),
)
def from_epoch(unit: str) -> Step:
    """Reads a number as seconds, milliseconds or microseconds since 1970."""

    def step(value: Any) -> str:
        if isinstance(value, str):
            raise Refusal("NOT_NUMBER", "A text was met where a number is needed; cast it to number first.")
        return rfc3339(moment_of(value, unit=unit))

    return step


@function(
    "to_epoch",
    Param("unit", "choice", "s", options=("s", "ms", "us")),
    area=_AREA,
    takes="time",
    cel="time.toEpoch",
    returns="integer",
    example=("to_epoch", "2026-01-01T00:00:00Z", 1767225600),
    also=(({"to_epoch": "ms"}, "2026-01-01T00:00:00.5Z", 1767225600500),),
)
def to_epoch(unit: str) -> Step:
    """Seconds, milliseconds or microseconds since 1970, fractions cut off."""
    size = _EPOCH_UNITS[unit]
    return lambda value: (moment_of(value) - _EPOCH) // size


@function(
    "add_days",
    Param("days", "number"),
    area=_AREA,
    returns="timestamp",
    example=({"add_days": 14}, "2026-01-31T11:00:00Z", "2026-02-14T11:00:00Z"),
)
def add_days(days: float) -> Step:
    """Moves a time by days, negative ones into the past."""
    return _shift(timedelta(days=days))


@function(
    "add_seconds",
    Param("seconds", "number"),
    area=_AREA,
    returns="timestamp",
    example=({"add_seconds": -60}, "2026-01-31T11:00:00Z", "2026-01-31T10:59:00Z"),
)
def add_seconds(seconds: float) -> Step:
    """Moves a time by seconds, negative ones into the past."""
    return _shift(timedelta(seconds=seconds))


def _shift(distance: timedelta) -> Step:
    def step(value: Any) -> str:
        try:
            return rfc3339(moment_of(value) + distance)
        except OverflowError:
            raise out_of_range() from None

    return step


@function(
    "date_in",
    Param("zone", "zone"),
    area=_AREA,
    takes="time",
    cel="time.dateIn",
    returns="date",
    example=({"date_in": "Asia/Tokyo"}, "2026-01-31T20:00:00Z", "2026-02-01"),
)
def date_in(zone: tzinfo) -> Step:
    """The calendar day on which a time falls in a zone."""
    return lambda value: day_of(value, zone).isoformat()


@function(
    "days_since",
    area=_AREA,
    returns="integer",
    needs_now=True,
    example=("days_since", "2026-01-01", 30),
)
def days_since() -> Step:
    """Whole days from the value to the evaluation time; negative for the future."""

    def step(value: Any, now: datetime) -> int:
        return (now - moment_of(value)) // timedelta(days=1)

    return step


@function(
    "is_past",
    area=_AREA,
    returns="boolean",
    needs_now=True,
    example=("is_past", "2026-01-01T00:00:00Z", True),
)
def is_past() -> Step:
    """Whether the time lies before the evaluation time."""
    return lambda value, now: moment_of(value) < now
