"""W3C trace context, handed on whether or not tracing is switched on."""

import re
import sys
from contextvars import ContextVar

HEADER = "traceparent"
_SHAPE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SDK = "opentelemetry.sdk.trace"

_traceparent: ContextVar[str] = ContextVar("isthmus_traceparent", default="")


def continue_trace(traceparent: str) -> None:
    """Make the caller's trace the current one; a malformed header is ignored."""
    _traceparent.set(traceparent if _SHAPE.fullmatch(traceparent) else "")


def current_traceparent() -> str:
    """Return the W3C header for an outgoing call, or an empty string outside any trace."""
    if _SDK in sys.modules:
        from opentelemetry import trace

        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return _traceparent.get()


def current_trace_id() -> str:
    """Return the trace id that log lines carry, or an empty string outside any trace."""
    traceparent = current_traceparent()
    return traceparent.split("-")[1] if traceparent else ""


__all__ = ["HEADER", "continue_trace", "current_trace_id", "current_traceparent"]
