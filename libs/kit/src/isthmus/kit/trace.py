"""W3C trace context, handed on whether or not tracing is switched on."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "traceparent"
_SHAPE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SDK = "opentelemetry.sdk.trace"

_traceparent: ContextVar[str] = ContextVar("isthmus_traceparent", default="")


def continue_trace(traceparent: str) -> None:
    """Make the caller's trace the current one; a malformed header is ignored."""
    _traceparent.set(traceparent if _SHAPE.fullmatch(traceparent) else "")


@contextmanager
def consuming(what: str, traceparent: str) -> Iterator[None]:
    """Work on a message inside the trace of whoever sent it; a span of its own when tracing is on.

    Args:
        what: Name of the span, for example `consume monitoring-executions`.
        traceparent: The message's W3C header, or empty.
    """
    continue_trace(traceparent)
    if _SDK not in sys.modules:
        yield
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract({HEADER: traceparent} if traceparent else {})
    tracer = trace.get_tracer("isthmus")
    with tracer.start_as_current_span(what, context=parent, kind=trace.SpanKind.CONSUMER):
        yield


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


__all__ = ["HEADER", "consuming", "continue_trace", "current_trace_id", "current_traceparent"]
