"""Errors over HTTP as RFC 9457 problem details, and the one table from faults to statuses."""

import math
from collections.abc import Mapping

from isthmus.resilience.faults import (
    AlreadyExists,
    Conflict,
    Fault,
    FixRequest,
    LimitReached,
    Missing,
    NotAllowed,
    NotAuthenticated,
    OutOfTime,
    Precondition,
    RetryLater,
    Unsupported,
)
from starlette.responses import JSONResponse

_PROBLEM = "application/problem+json"
_TITLES = {
    400: "The request is not right",
    401: "Say who you are",
    403: "You may not do that",
    404: "There is nothing here",
    405: "This method is not offered here",
    408: "The request took too long to arrive",
    409: "It is there already",
    413: "The request is too large",
    415: "This kind of body is not read here",
    429: "Too many requests",
    503: "Not available for the moment",
    504: "The answer took too long",
}
_STATUSES: tuple[tuple[type[Fault], int], ...] = (
    (FixRequest, 400),
    (NotAuthenticated, 401),
    (NotAllowed, 403),
    (Missing, 404),
    (AlreadyExists, 409),
    (Precondition, 409),
    (Conflict, 409),
    (LimitReached, 429),
    (Unsupported, 501),
    (RetryLater, 503),
    (OutOfTime, 504),
)


def status_of(fault: Fault) -> int:
    """Return the HTTP status of a fault."""
    if fault.reason == "ETAG_MISMATCH":
        return 412
    return next((status for kind, status in _STATUSES if isinstance(fault, kind)), 500)


def headers_of(fault: Fault) -> dict[str, str]:
    """Return the headers that tell a client what to do next."""
    if isinstance(fault, NotAuthenticated):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(fault, RetryLater | LimitReached):
        return {"Retry-After": str(max(1, math.ceil(fault.retry_after or 1)))}
    return {}


def problem(
    status: int, detail: str, *, instance: str, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    """Write problem details; `more` are members beyond those of the RFC."""
    body = {
        "type": "about:blank",
        "title": _TITLES.get(status, "The request cannot be answered"),
        "status": status,
        "detail": detail,
        "instance": instance,
        **more,
    }
    return JSONResponse(body, status_code=status, media_type=_PROBLEM, headers=headers)


def fault_answer(fault: Fault, *, instance: str) -> JSONResponse:
    """Write a fault as problem details with its reason."""
    return problem(
        status_of(fault), fault.message, instance=instance, headers=headers_of(fault), reason=fault.reason
    )


__all__ = ["fault_answer", "headers_of", "problem", "status_of"]
