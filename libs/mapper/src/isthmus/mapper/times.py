"""Points in time and calendar days: reading them from anything sources write, writing them in one form."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from isthmus.mapper.errors import Refusal

DIRECTIVES = frozenset("YymdHIMSfpjbBaAzZ%")
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000}
_OFFSET_WITHOUT_COLON = re.compile(r"([+-]\d\d)(\d\d)?$")
_LONG_FRACTION = re.compile(r"(\.\d{6})\d+")
_MAX_TIME_TEXT = 100
_read_iso = datetime.fromisoformat


def zone_named(name: str) -> tzinfo:
    """The time zone of that IANA name or fixed offset such as `+02:00`.

    Raises:
        ValueError: there is no such zone.
    """
    if name in {"UTC", "Z"}:
        return UTC
    if offset := re.fullmatch(r"([+-])(\d\d):(\d\d)", name):
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    if not re.fullmatch(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*", name):
        raise ValueError(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as problem:
        raise ValueError(name) from problem


def rfc3339(moment: datetime) -> str:
    """The one way Isthmus writes a point in time: RFC 3339 in UTC, fraction only where there is one."""
    if moment.tzinfo is not UTC:
        try:
            moment = moment.astimezone(UTC)
        except (OverflowError, ValueError):
            raise Refusal(
                "TIME_OUT_OF_RANGE", "The point in time lies outside the years 1 to 9999."
            ) from None
    # In UTC the text always ends in +00:00.
    return moment.isoformat()[:-6] + "Z"


def moment_at(now: datetime | None) -> datetime:
    """The evaluation time in UTC: the given one, or the present moment."""
    if now is None:
        return datetime.now(UTC)
    return now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)


def moment_of(value: object, zone: tzinfo = UTC, unit: str = "s") -> datetime:
    """Reads a point in time from ISO 8601 text, an epoch number or a date-time object.

    Args:
        value: What the source wrote.
        zone: Assumed where the value names no offset.
        unit: What epoch numbers count: `s`, `ms` or `us`.

    Raises:
        Refusal: the value is no point in time.
    """
    if isinstance(value, str):
        moment = _parse_text(value)
    elif isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return _from_epoch(value, unit)
    else:
        raise _no_moment()
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment


def _parse_text(text: str) -> datetime:
    text = text.strip()
    if len(text) > _MAX_TIME_TEXT or not text.isascii():
        raise _no_moment()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    # Postgres writes `2026-01-01 00:00:00+00`, AWS nine digits of fraction; both are ISO 8601 after this.
    relaxed = _OFFSET_WITHOUT_COLON.sub(lambda m: f"{m[1]}:{m[2] or '00'}", _LONG_FRACTION.sub(r"\1", text))
    try:
        return datetime.fromisoformat(relaxed)
    except ValueError:
        raise _no_moment() from None


def _from_epoch(value: float, unit: str) -> datetime:
    try:
        micro = round(value * (1_000_000 // _UNITS[unit]))
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micro)
    except (OverflowError, ValueError):
        raise Refusal(
            "TIME_OUT_OF_RANGE", f"The number is no epoch time in {unit}; check the unit."
        ) from None


def out_of_range() -> Refusal:
    """The refusal of a time that calendars do not reach."""
    return Refusal("TIME_OUT_OF_RANGE", "The point in time lies outside the years 1 to 9999.")


def _no_moment() -> Refusal:
    return Refusal(
        "NOT_TIMESTAMP",
        "The value is no ISO 8601 time; read other spellings with parse_date and their format.",
    )


def timestamp_text(value: Any) -> str:
    """RFC 3339 UTC text of what `moment_of` reads; the usual spellings are checked and then cut to form."""
    if value.__class__ is str:
        # The separators of 2026-01-31T12:00:00Z at 7, 10, 13 and 16, and what follows the seconds.
        shape = value[7:20:3]
        if shape in _USUAL_SHAPES:
            try:
                _read_iso(value)
            except ValueError:
                return rfc3339(moment_of(value))
            if KNOWS_24_HOURS and value[11:13] == "24":
                return rfc3339(moment_of(value))
            if shape == "- ::":
                return value.replace(" ", "T") + "Z"
            return value if shape == "-T::Z" else value + "Z"
        if shape in _LONGER_SHAPES:
            return _cut_to_form(value)
    return rfc3339(moment_of(value))


def is_to_the_second(text: str) -> bool:
    """Whether text is spelled like a time to the second in UTC or without offset."""
    return text[7:20:3] in _USUAL_SHAPES


def _cut_to_form(text: str) -> str:
    """RFC 3339 UTC text of a time with a fraction or offset; the usual ones need no arithmetic."""
    try:
        moment = _read_iso(text)
    except ValueError:
        moment = moment_of(text)
    if moment.tzinfo is not UTC or len(text) > _LONGEST_USUAL or (KNOWS_24_HOURS and text[11:13] == "24"):
        return rfc3339(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)
    # What stands for zero is Z, +00:00, +0000 or +00.
    fraction = text[19:].rstrip("Z").partition("+")[0].rstrip("0")
    if fraction == "." or not fraction:
        return text[:19] + "Z"
    if fraction[0] != "." or len(fraction) > _FRACTION or not fraction[1:].isdigit():
        return rfc3339(moment)
    return text[:19] + fraction.ljust(_FRACTION, "0") + "Z"


def _knows_24_hours() -> bool:
    """Whether this Python reads 24:00 as midnight of the next day."""
    try:
        datetime.fromisoformat("2026-01-31T24:00:00")
    except ValueError:
        return False
    return True


KNOWS_24_HOURS = _knows_24_hours()
"""Where Python reads hour 24, such text is of the next day and cannot be cut to form."""
_USUAL_SHAPES = frozenset({"-T::Z", "- ::", "-T::"})
_LONGER_SHAPES = frozenset({"-T::+", "-T::."})
_LONGEST_USUAL = len("2026-01-31T12:00:00.123456+00:00")
_FRACTION = len(".123456")


def day_of(value: object, zone: tzinfo = UTC) -> date:
    """The calendar day of a value: a date as it is, a point in time as the day it falls on in `zone`."""
    if isinstance(value, str) and len(value) == 10:
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise Refusal("NOT_DATE", "The value is no date of the form 2026-01-31.") from None
    try:
        return moment_of(value, zone).astimezone(zone).date()
    except OverflowError:
        raise Refusal("TIME_OUT_OF_RANGE", "The date lies outside the years 1 to 9999.") from None


def check_format(text: str) -> str:
    """Returns a strptime/strftime format unchanged if it uses only directives that behave alike everywhere.

    Raises:
        ValueError: naming the directive that is not known.
    """
    for directive in re.findall(r"%(.?)", text, re.DOTALL):
        if directive not in DIRECTIVES:
            raise ValueError(f"%{directive} is not known; use %{', %'.join(sorted(DIRECTIVES - {'%'}))}.")
    try:
        datetime(2026, 1, 31, tzinfo=UTC).strftime(text).encode()
        parser(text, UTC)(datetime(2026, 1, 31, tzinfo=UTC).strftime(text))
    except Refusal:
        # Some formats write what they cannot read (two dates in one); they may serve format_date.
        pass
    except ValueError as problem:
        raise ValueError(f"The format cannot be used: {problem}.") from None
    return text


def parser(pattern: str, zone: tzinfo) -> Callable[[str], datetime]:
    """A function that reads text of one format; text without an offset is taken to be in `zone`."""

    def parse(text: str) -> datetime:
        if len(text) > _MAX_TIME_TEXT:
            raise Refusal("NOT_TIMESTAMP", f"The text is not of the format {pattern}.")
        try:
            moment = datetime.strptime(text.strip(), pattern)
        except (ValueError, re.error, OverflowError):
            raise Refusal("NOT_TIMESTAMP", f"The text is not of the format {pattern}.") from None
        return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment

    return parse
