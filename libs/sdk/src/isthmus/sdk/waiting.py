"""How long a system asks to be left alone."""

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST = 86_400.0


def asked_to_wait(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds until the system wants to hear from us again; None where it does not tell.

    Reads `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3), then
    `RateLimit-Reset` in seconds, then `X-RateLimit-Reset` in seconds or as an
    epoch. A date is taken against the system's own `Date`, so that clocks that
    differ do no harm. The answer lies between 0 and one day.
    """
    told = headers.get("retry-after", "").strip()
    for text in (told, headers.get("ratelimit-reset", ""), headers.get("x-ratelimit-reset", "")):
        seconds = _number(text)
        if seconds is not None:
            # An epoch in place of a duration: no system asks to wait for thirty years.
            seconds = seconds - _there(headers, now) if seconds > 1e9 else seconds
            return min(max(seconds, 0.0), _LONGEST)
    moment = _date(told)
    if moment is None:
        return None
    return min(max(moment - _there(headers, now), 0.0), _LONGEST)


def _there(headers: Mapping[str, str], now: Callable[[], float]) -> float:
    """The present moment by the system's clock."""
    return _date(headers.get("date", "")) or now()


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.timestamp() if isinstance(moment, datetime) else None
