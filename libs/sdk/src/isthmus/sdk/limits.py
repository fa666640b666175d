"""Bounds that hold for everything a connector does."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How often and how patiently a request is repeated."""

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a system that keeps failing is left alone, and when it is tried again."""

    failures: int = 5
    open_seconds: float = 60.0
    successes: int = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one session; the defaults suit most systems, an instance may override them.

    Attributes:
        max_answer_bytes: The largest answer taken from the system, after decompression.
        connect_seconds: How long a connection may take to come about.
        read_seconds: The longest silence inside an answer.
        total_seconds: The longest time for one request with its whole answer.
        max_pages: How many pages one reading may have before it counts as endless.
        check_seconds: The longest time that a check may take.
    """

    max_answer_bytes: int = 64 * 1024 * 1024
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    write_seconds: float = 30.0
    total_seconds: float = 120.0
    max_pages: int = 1_000_000
    check_seconds: float = 30.0
    retry: RetryLimits = field(default_factory=RetryLimits)
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
