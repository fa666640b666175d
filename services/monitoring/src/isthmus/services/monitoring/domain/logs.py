"""Lines of an integration's log."""

from dataclasses import dataclass
from datetime import datetime

MOST_ENTRIES = 1000


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line; `kind` is `info`, `warning`, `error` or `success`, `details` a JSON object or empty."""

    log_id: str
    time: datetime
    kind: str
    message: str
    instance_id: str = ""
    details: str = ""
    user_id: str = ""
    operation: str = ""
    execution_id: str = ""
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are wanted; what is empty does not restrict."""

    instance_id: str = ""
    execution_id: str = ""
    kinds: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None


__all__ = ["MOST_ENTRIES", "LogEntry", "LogFilter"]
