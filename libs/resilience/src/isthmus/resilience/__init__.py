"""Faults, retry, circuit breaker, token bucket, deadline and bulkhead; pure Python without I/O."""

from isthmus.resilience.backoff import Backoff
from isthmus.resilience.breaker import BreakerState, CircuitBreaker
from isthmus.resilience.bucket import TokenBucket
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
    "Backoff",
    "BreakerState",
    "Broken",
    "CircuitBreaker",
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
    "TokenBucket",
    "Unsupported",
    "Violation",
]
