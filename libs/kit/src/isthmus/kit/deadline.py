"""The deadline of the call being served, so that calls made on its behalf get no more time than it has."""

import time
from contextvars import ContextVar

_ends_at: ContextVar[float | None] = ContextVar("isthmus_deadline", default=None)


def start(seconds: float | None) -> None:
    """Give the current call this much time; None means it may take as long as it wants."""
    _ends_at.set(None if seconds is None else time.monotonic() + seconds)


def within(seconds: float) -> float:
    """Return `seconds`, or what is left of the current call's time when that is less."""
    ends_at = _ends_at.get()
    return seconds if ends_at is None else max(0.0, min(seconds, ends_at - time.monotonic()))


__all__ = ["start", "within"]
