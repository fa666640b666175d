"""Bounds that hold for everything a connector does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from isthmus.resilience import LIMITS_SCHEMA, RetryPolicy
from isthmus.sdk.failures import ConfigurationFailure

Strategy = Literal["exponential", "fixed", "linear"]


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How often and how patiently a request is repeated.

    Attributes:
        attempts: Tries in all, the first included.
        first_wait: Seconds to wait after the first failure.
        longest_wait: No wait is longer.
        total: Seconds for all tries and waits together.
        strategy: Waits that double with full jitter, stay the same, or grow by the first one.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    total: float = 300.0
    strategy: Strategy = "exponential"

    def policy(self) -> RetryPolicy:
        """The tries and waits that these limits stand for."""
        if self.strategy == "exponential":
            return RetryPolicy.exponential(self.attempts, first=self.first_wait, longest=self.longest_wait)
        fixed = RetryPolicy.fixed(self.attempts, seconds=self.first_wait)
        grown = RetryPolicy.linear(self.attempts, first=self.first_wait, step=self.first_wait)
        steady = fixed if self.strategy == "fixed" else grown
        return RetryPolicy(self.attempts, lambda attempt: min(self.longest_wait, steady.wait(attempt)))


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
        total_seconds: The longest time for one call with its whole answer.
        max_pages: How many pages one reading may have before it counts as endless.
        check_seconds: The longest time that a check may take; less than whoever asks for it waits.
        rate: Most calls in a time, such as `10/s`; empty leaves it to the connector.
        concurrent: Most calls at a time.
    """

    max_answer_bytes: int = 64 * 1024 * 1024
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    write_seconds: float = 30.0
    total_seconds: float = 120.0
    max_pages: int = 1_000_000
    check_seconds: float = 20.0
    rate: str = ""
    concurrent: int = 16
    retry: RetryLimits = field(default_factory=RetryLimits)
    breaker: BreakerLimits = field(default_factory=BreakerLimits)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Limits":
        """Reads the limits of an instance, in the words of `LIMITS_SCHEMA`; the rest has its default.

        Raises:
            ConfigurationFailure: `LIMITS_INVALID`, when the schema does not allow them.
        """
        told = dict(document)
        # Scheduling keeps to this one, before there is a session; here it only has to be allowed.
        _fields({"executions": told.pop("executions", 1)})
        retry = _fields(told.pop("retry", {}), "retry")
        breaker = _fields(told.pop("breaker", {}), "breaker")
        timeouts = _fields(told.pop("timeouts", {}), "timeouts")
        return cls(
            **_fields(told),
            **timeouts,
            retry=RetryLimits(**{name.removesuffix("_seconds"): value for name, value in retry.items()}),
            breaker=BreakerLimits(**breaker),
        )


def _fields(told: Any, member: str = "") -> dict[str, Any]:
    """The values of one object of the document, once they are known to be allowed."""
    rules = LIMITS_SCHEMA["properties"]
    if member:
        rules = rules[member]["properties"]
    if not isinstance(told, Mapping):
        raise _invalid(member)
    for name, value in told.items():
        if name not in rules or not _allowed(value, rules[name]):
            raise _invalid(f"{member}.{name}".lstrip("."))
    return {
        name: int(value) if rules[name].get("type") == "integer" else value for name, value in told.items()
    }


def _allowed(value: Any, rule: Mapping[str, Any]) -> bool:
    if "enum" in rule:
        return value in rule["enum"]
    if "pattern" in rule:
        return isinstance(value, str) and re.search(rule["pattern"], value) is not None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if not rule["minimum"] <= value <= rule["maximum"]:
        return False
    return rule["type"] != "integer" or value == int(value)


def _invalid(path: str) -> ConfigurationFailure:
    where = f"limits.{path}".rstrip(".")
    message = f"`{where}` is not allowed; update the instance with limits that are."
    return ConfigurationFailure("LIMITS_INVALID", message, path=where)
