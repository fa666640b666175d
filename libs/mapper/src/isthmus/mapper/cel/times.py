"""Points in time and spans: their texts and their parts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from isthmus.mapper.cel.operators import moment, span
from isthmus.mapper.cel.values import Duration, Timestamp, Unsure, no_overload

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 10**9
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": _SECOND}
_UNITS |= {"m": 60 * _SECOND, "h": 3600 * _SECOND}
_PART = re.compile(r"(\d*)\.?(\d*)(\D+)", re.ASCII)
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_MAX_ZONE = 64
_MAX_DURATION = 64


def parse_timestamp(text: str) -> Timestamp:
    """The point in time that RFC 3339 text stands for."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise Unsure("The text is no timestamp.")
    day, time, fraction, zone = found.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{time}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        raise Unsure("The text is no timestamp.") from None
    since = whole - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    return moment(seconds * _SECOND + int((fraction or "0").ljust(9, "0")))


def timestamp_text(value: Timestamp) -> str:
    """RFC 3339 in UTC with as many digits as are needed."""
    seconds, rest = divmod(value.nanoseconds, _SECOND)
    whole = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    return f"{whole}{_fraction(rest)}Z"


def _fraction(nanoseconds: int) -> str:
    return f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""


def parse_duration(text: str) -> Duration:
    """The span that a text such as `1h30m` or `-2.5s` stands for."""
    bare = text[1:] if text[:1] in ("+", "-") else text
    parts = _DURATION.findall(bare) if len(text) <= _MAX_DURATION else []
    if "".join(parts) != bare or not bare:
        if bare == "0":
            return Duration(0)
        raise Unsure("The text is no duration.")
    total = 0
    for part in parts:
        found = _PART.fullmatch(part)
        assert found is not None
        unit = _UNITS[found[3]]
        total += int(found[1] or "0") * unit + int(found[2] or "0") * unit // 10 ** len(found[2])
    return span(-total if text[0] == "-" else total)


def duration_text(value: Duration) -> str:
    """The span in seconds."""
    sign = "-" if value.nanoseconds < 0 else ""
    seconds, rest = divmod(abs(value.nanoseconds), _SECOND)
    return f"{sign}{seconds}{_fraction(rest)}s"


def from_datetime(value: datetime) -> Timestamp:
    """The point in time of a datetime with a zone."""
    since = value - _EPOCH
    return Timestamp((since.days * 86_400 + since.seconds) * _SECOND + since.microseconds * 1_000)


def to_datetime(value: Timestamp) -> datetime:
    """The point in time as Python has it, to the microsecond."""
    return _EPOCH + timedelta(microseconds=value.nanoseconds // 1_000)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    if len(name) > _MAX_ZONE or not _ZONE.fullmatch(name):
        raise Unsure("There is no such time zone.")
    try:
        return ZoneInfo(name)
    except (OSError, ValueError):
        raise Unsure("There is no such time zone.") from None


def _part(
    name: str, of_time: Callable[[datetime], int], of_span: int = 0, most: int = 0
) -> Callable[..., int]:
    """A function that gives one part of a point in time, or of a span where that has it."""

    def part(value: Any, zone: Any = None) -> int:
        if value.__class__ is Timestamp:
            if zone is None:
                return of_time(to_datetime(value))
            if zone.__class__ is str:
                return of_time(to_datetime(value).astimezone(_zone(zone)))
        elif value.__class__ is Duration and of_span and zone is None:
            whole = abs(value.nanoseconds) // of_span
            whole = whole % most if most else whole
            return int(-whole if value.nanoseconds < 0 else whole)
        raise no_overload(name, value)

    return part


def _day_of_year(value: datetime) -> int:
    return value.timetuple().tm_yday - 1


PARTS: dict[str, Callable[..., int]] = {
    "getFullYear": _part("getFullYear", lambda at: at.year),
    "getMonth": _part("getMonth", lambda at: at.month - 1),
    "getDate": _part("getDate", lambda at: at.day),
    "getDayOfMonth": _part("getDayOfMonth", lambda at: at.day - 1),
    "getDayOfWeek": _part("getDayOfWeek", lambda at: at.isoweekday() % 7),
    "getDayOfYear": _part("getDayOfYear", _day_of_year),
    "getHours": _part("getHours", lambda at: at.hour, 3600 * _SECOND),
    "getMinutes": _part("getMinutes", lambda at: at.minute, 60 * _SECOND),
    "getSeconds": _part("getSeconds", lambda at: at.second, _SECOND),
    "getMilliseconds": _part("getMilliseconds", lambda at: at.microsecond // 1_000, 10**6, 1_000),
}
"""The parts of a point in time, as functions of it and of a time zone."""

__all__ = [
    "PARTS",
    "duration_text",
    "from_datetime",
    "parse_duration",
    "parse_timestamp",
    "timestamp_text",
    "to_datetime",
]
