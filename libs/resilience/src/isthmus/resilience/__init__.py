"""Faults, retry, circuit breaker, token bucket, deadline and bulkhead; pure Python without I/O."""

from isthmus.resilience.backoff import Backoff
from isthmus.resilience.breaker import BreakerState, CircuitBreaker
from isthmus.resilience.bucket import TokenBucket, parse_rate
from isthmus.resilience.bulkhead import Bulkhead
from isthmus.resilience.deadline import Deadline
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
from isthmus.resilience.limits import LIMITS_SCHEMA
from isthmus.resilience.retry import Retry, RetryPolicy, passes_by_itself, retries_off

__all__ = [
    "LIMITS_SCHEMA",
    "AlreadyExists",
    "Backoff",
    "BreakerState",
    "Broken",
    "Bulkhead",
    "CircuitBreaker",
    "Conflict",
    "DataLost",
    "Deadline",
    "Fault",
    "FixRequest",
    "LimitReached",
    "Missing",
    "NotAllowed",
    "NotAuthenticated",
    "OutOfTime",
    "Precondition",
    "Retry",
    "RetryLater",
    "RetryPolicy",
    "TokenBucket",
    "Unsupported",
    "Violation",
    "parse_rate",
    "passes_by_itself",
    "retries_off",
]
