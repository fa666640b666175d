"""Faults, retry, circuit breaker, token bucket, deadline and bulkhead; pure Python without I/O."""

from isthmus.resilience.faults import (
    AlreadyExists,
    Broken,
    Conflict,
    DataLost,
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
    Violation,
)

__all__ = [
    "AlreadyExists",
    "Broken",
    "Conflict",
    "DataLost",
    "Fault",
    "FixRequest",
    "LimitReached",
    "Missing",
    "NotAllowed",
    "NotAuthenticated",
    "OutOfTime",
    "Precondition",
    "RetryLater",
    "Unsupported",
    "Violation",
]
