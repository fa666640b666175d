"""Structured logs: one JSON object a line, scrubbed of secrets.

log = logger(__name__)
log.info("lease granted", execution_id=execution.id, attempt=3)
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

from google.protobuf.message import Message
from isthmus.kit.principal import current_correlation_id, peek_principal
from isthmus.kit.redaction import STARS, loggable, scrub, scrub_personal
from isthmus.kit.trace import current_trace_id

_LONGEST_TEXT = 8_000
_DATA_LINES = ("DETAIL:", "CONTEXT:", "[SQL")  # where database errors quote rows
_SECRET_NAMES = ("secret", "password", "passwd", "token", "api_key", "apikey", "authorization", "credential")


class Logger:
    """Writes events with named fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, **fields: Any) -> None:
        """Write what only somebody who searches for a defect wants to read."""
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """Write what an operator may want to read later."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        """Write what an operator should look at when it goes on."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, error: BaseException | None = None, **fields: Any) -> None:
        """Write what somebody has to look at; `error` adds its traceback without secrets."""
        self._write(logging.ERROR, message, fields, error)

    def _write(
        self, level: int, message: str, fields: dict[str, Any], error: BaseException | None = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            failure = (type(error), error, error.__traceback__) if error else None
            self._logger.log(level, message, extra={"fields": fields}, exc_info=failure, stacklevel=3)


def logger(name: str) -> Logger:
    """Return the logger of a module."""
    return Logger(name)


class JsonFormatter(logging.Formatter):
    """Renders a record as one line of JSON without secrets."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record; a record that cannot be rendered still gives a line."""
        principal = peek_principal()
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": _text(_message(record)),
            "correlation_id": current_correlation_id(),
            "trace_id": current_trace_id(),
            "tenant_id": principal.tenant_id if principal else "",
        }
        line = {key: value for key, value in line.items() if value != ""}
        fields = getattr(record, "fields", None)
        if fields:
            line["fields"] = {key: _plain(key, value) for key, value in fields.items()}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = described(record.exc_info[1])
        return json.dumps(line, default=_fallback, separators=(",", ":"))


def described(error: BaseException) -> str:
    """Return an exception chain with its stack frames, and with messages that carry no data."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < 10:
        seen.add(id(current))
        frames = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"{frames}{type(current).__name__}: {safe_text(current)}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return _text("\ncaused by\n".join(parts))


def safe_text(error: BaseException) -> str:
    """Return an exception's message without the data that libraries like to put into it."""
    if type(error).__module__.startswith(("pydantic", "pydantic_core")) and hasattr(error, "errors"):
        found = error.errors(include_input=False, include_url=False, include_context=False)
        return scrub("; ".join(f"{'.'.join(map(str, item['loc']))}: {item['type']}" for item in found))
    try:
        text = str(error)
    except Exception:
        return "<no message>"
    kept = (line for line in text.splitlines() if not line.lstrip().startswith(_DATA_LINES))
    return scrub("\n".join(kept))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)


def _text(text: str) -> str:
    clean = scrub_personal(text)
    return clean if len(clean) <= _LONGEST_TEXT else clean[:_LONGEST_TEXT] + "…"


def _plain(name: str, value: Any) -> Any:
    if any(word in name.lower() for word in _SECRET_NAMES) and isinstance(value, str | bytes):
        return STARS
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Message):
        return loggable(value)
    if isinstance(value, dict):
        return {str(key): _plain(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(name, item) for item in value]
    return value if isinstance(value, int | float | bool | None) else _fallback(value)


def _fallback(value: object) -> str:
    if isinstance(value, BaseException):
        return safe_text(value)
    try:
        return _text(str(value))
    except Exception:
        return f"<{type(value).__name__}>"


def configure(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (stderr by default) as JSON lines.

    Args:
        service: Name written into each line.
        level: Least level to write.
        stream: Where the lines go.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "urllib3", "asyncio", "alembic", "nats"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


__all__ = ["JsonFormatter", "Logger", "configure", "described", "logger", "safe_text"]
