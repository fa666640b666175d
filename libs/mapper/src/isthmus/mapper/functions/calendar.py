"""Functions on calendars and clocks of time zones: beginnings, parts, distances, other spellings."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_number, need_text
from isthmus.mapper.times import moment_of, out_of_range, parser, rfc3339

_AREA = "time"
_ZONE = Param("zone", "zone", "UTC")
_SECONDS = {
    "milliseconds": 0.001,
    "seconds": 1,
    "minutes": 60,
    "hours": 3_600,
    "days": 86_400,
    "weeks": 604_800,
}
_MONTHS = {"months": 1, "quarters": 3, "years": 12}
_BEGINNINGS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
_PARTS = ("year", "quarter", "month", "week", "day", "weekday", "day_of_year", "hour", "minute", "second")
_MOST_MONTHS = 120_000
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_FILETIME_NEVER = frozenset({0, 2**63 - 1})


def _local(value: Any, zone: tzinfo) -> datetime:
    try:
        return moment_of(value).astimezone(zone)
    except (OverflowError, ValueError):
        raise out_of_range() from None


@function(
    "parse_date_any",
    Param("formats", "formats"),
    _ZONE,
    area=_AREA,
    takes="string",
    returns="timestamp",
    cel="time.parseAny",
    example=(
        {"parse_date_any": [["%d/%m/%Y %H:%M", "%d %b %Y", "%Y%m%d"], "Europe/Zurich"]},
        "31 Jan 2026",
        "2026-01-30T23:00:00Z",
    ),
)
def parse_date_any(formats: list[str], zone: tzinfo) -> Step:
    """Reads a time in the first of several strptime formats that fits, or in ISO 8601 where none does."""
    parsers = [parser(pattern, zone) for pattern in formats]

    def step(value: Any) -> str:
        text = need_text(value)
        for parse in parsers:
            try:
                return rfc3339(parse(text))
            except Refusal:
                continue
        try:
            return rfc3339(moment_of(text, zone))
        except Refusal:
            told = ", ".join(formats)
            raise Refusal("NOT_TIMESTAMP", f"The text is no ISO 8601 and not of {told}.") from None

    return step


@function(
    "start_of",
    Param("unit", "choice", options=_BEGINNINGS),
    _ZONE,
    area=_AREA,
    takes="time",
    returns="timestamp",
    cel="time.startOf",
    example=({"start_of": ["day", "Europe/Zurich"]}, "2026-07-01T08:30:00Z", "2026-06-30T22:00:00Z"),
    also=(
        ({"start_of": "quarter"}, "2026-05-17T08:30:00Z", "2026-04-01T00:00:00Z"),
        ({"start_of": "week"}, "2026-01-31", "2026-01-26T00:00:00Z"),
    ),
)
def start_of(unit: str, zone: tzinfo) -> Step:
    """The beginning of the second, minute, hour, day, week (on Monday), month, quarter or year in a zone."""

    def step(value: Any) -> str:
        try:
            return rfc3339(_start(_local(value, zone), unit))
        except (OverflowError, ValueError):
            raise out_of_range() from None

    return step


def _start(local: datetime, unit: str) -> datetime:
    if unit in {"second", "minute", "hour"}:
        places = _BEGINNINGS.index(unit)
        zeros = ("microsecond", "second", "minute")[: places + 1]
        return local.replace(**dict.fromkeys(zeros, 0))  # type: ignore[arg-type]
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    match unit:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "year":
            return day.replace(month=1, day=1)
    return day


@function(
    "add_time",
    Param("amount", "whole", low=-(10**9), high=10**9),
    Param("unit", "choice", options=(*_SECONDS, *_MONTHS)),
    _ZONE,
    area=_AREA,
    takes="time",
    returns="timestamp",
    cel="time.add",
    example=({"add_time": [1, "months"]}, "2026-01-31T11:00:00Z", "2026-02-28T11:00:00Z"),
    also=(({"add_time": [1, "days", "Europe/Zurich"]}, "2026-03-28T12:00:00Z", "2026-03-29T11:00:00Z"),),
)
def add_time(amount: int, unit: str, zone: tzinfo) -> Step:
    """Moves a time, days and longer units by the calendar of a zone; short months end where they end."""

    def step(value: Any) -> str:
        try:
            return rfc3339(_added(_local(value, zone), amount, unit))
        except (OverflowError, ValueError):
            raise out_of_range() from None

    return step


def _added(local: datetime, amount: int, unit: str) -> datetime:
    if unit in _MONTHS:
        months = local.year * 12 + local.month - 1 + min(amount * _MONTHS[unit], _MOST_MONTHS)
        year, month = months // 12, months % 12 + 1
        return local.replace(year=year, month=month, day=min(local.day, monthrange(year, month)[1]))
    if unit in {"days", "weeks"}:
        # Adding to what clocks show keeps the hour where the offset of the zone changes.
        return local + timedelta(days=amount * (7 if unit == "weeks" else 1))
    return local.astimezone(UTC) + timedelta(seconds=amount * _SECONDS[unit])


@function(
    "time_since",
    Param("start", "time"),
    Param("unit", "choice", "seconds", options=tuple(_SECONDS)),
    area=_AREA,
    takes="time",
    returns="number",
    cel="time.since",
    example=({"time_since": ["2026-01-01T00:00:00Z", "hours"]}, "2026-01-02T12:00:00Z", 36.0),
)
def time_since(start: datetime, unit: str) -> Step:
    """How long a time lies behind a start, in units with fractions; negative before it."""
    return lambda value: (moment_of(value) - start).total_seconds() / _SECONDS[unit]


@function(
    "age",
    Param("unit", "choice", "days", options=tuple(_SECONDS)),
    area=_AREA,
    takes="time",
    returns="number",
    needs_now=True,
    example=({"age": "hours"}, "2026-01-31T06:00:00Z", 6.0),
)
def age(unit: str) -> Step:
    """How long ago a time was at the evaluation time, in units with fractions; negative for the future."""
    return lambda value, now: (now - moment_of(value)).total_seconds() / _SECONDS[unit]


@function(
    "is_before",
    Param("time", "time"),
    area=_AREA,
    takes="time",
    returns="boolean",
    cel="time.isBefore",
    example=({"is_before": "2026-01-01"}, "2025-12-31T23:00:00Z", True),
)
def is_before(time: datetime) -> Step:
    """Whether a time lies before another one."""
    return lambda value: moment_of(value) < time


@function(
    "is_after",
    Param("time", "time"),
    area=_AREA,
    takes="time",
    returns="boolean",
    cel="time.isAfter",
    example=({"is_after": "2026-01-01"}, "2025-12-31T23:00:00Z", False),
)
def is_after(time: datetime) -> Step:
    """Whether a time lies behind another one."""
    return lambda value: moment_of(value) > time


@function(
    "time_part",
    Param("part", "choice", options=_PARTS),
    _ZONE,
    area=_AREA,
    takes="time",
    returns="integer",
    cel="time.part",
    example=({"time_part": ["hour", "Asia/Tokyo"]}, "2026-01-31T20:00:00Z", 5),
    also=(({"time_part": "week"}, "2026-01-01", 1), ({"time_part": "weekday"}, "2026-01-31", 6)),
)
def time_part(part: str, zone: tzinfo) -> Step:
    """One part of a time as clocks and calendars in a zone show it; weeks are of ISO 8601, Monday is 1."""

    def step(value: Any) -> int:
        local = _local(value, zone)
        match part:
            case "quarter":
                return (local.month + 2) // 3
            case "week":
                return local.isocalendar().week
            case "weekday":
                return local.isoweekday()
            case "day_of_year":
                return local.timetuple().tm_yday
        return int(getattr(local, part))

    return step


@function(
    "iso_week",
    _ZONE,
    area=_AREA,
    takes="time",
    returns="string",
    cel="time.isoWeek",
    example=("iso_week", "2026-12-31T12:00:00Z", "2026-W53"),
)
def iso_week(zone: tzinfo) -> Step:
    """The week of ISO 8601 in which a time falls in a zone."""

    def step(value: Any) -> str:
        year, week, _ = _local(value, zone).isocalendar()
        return f"{year:04}-W{week:02}"

    return step


@function(
    "is_weekend",
    _ZONE,
    area=_AREA,
    takes="time",
    returns="boolean",
    cel="time.isWeekend",
    example=("is_weekend", "2026-01-31T12:00:00Z", True),
)
def is_weekend(zone: tzinfo) -> Step:
    """Whether a time falls on a Saturday or Sunday in a zone."""
    return lambda value: _local(value, zone).isoweekday() > 5


@function(
    "from_filetime",
    area=_AREA,
    takes="number",
    returns="timestamp",
    nullable=True,
    example=("from_filetime", 133775712000000000, "2024-12-02T00:00:00Z"),
    also=(("from_filetime", 0, None),),
)
def from_filetime() -> Step:
    """Reads a time of Windows, tenths of microseconds since 1601; null for those that mean never."""

    def step(value: Any) -> str | None:
        ticks = int(need_number(value))
        if ticks in _FILETIME_NEVER:
            return None
        try:
            return rfc3339(_FILETIME_EPOCH + timedelta(microseconds=ticks // 10))
        except OverflowError:
            raise out_of_range() from None

    return step
