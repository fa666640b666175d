"""Leaves alone what keeps failing."""

import time
from collections.abc import Callable
from enum import StrEnum

from isthmus.resilience.faults import RetryLater


class BreakerState(StrEnum):
    """Whether calls are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Opens after failures in a row, tries again after a while, closes after successes in a row.

    While it tries again only a few calls at a time are let through. A call that is given
    up without an outcome has to say so with `forgotten`.

    Args:
        failures: Failures in a row that open it.
        open_seconds: How long it stays open.
        successes: Successes in a row that close it again.
        probes: Calls let through at a time while it tries again.
        name: What to name in the refusal.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        failures: int = 5,
        open_seconds: float = 60.0,
        successes: int = 3,
        *,
        probes: int = 3,
        name: str = "the system",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures = failures
        self._open_seconds = open_seconds
        self._successes = successes
        self._probes = probes
        self._name = name
        self._clock = clock
        self._failed = 0
        self._succeeded = 0
        self._opened_at: float | None = None
        self._trying = 0

    @property
    def state(self) -> BreakerState:
        """Where the breaker stands now."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        passed = self._clock() - self._opened_at
        return BreakerState.OPEN if passed < self._open_seconds else BreakerState.HALF_OPEN

    @property
    def held_for(self) -> float:
        """Seconds for which it lets nobody through; 0 when it is closed or tries again."""
        return (
            0.0 if self._opened_at is None else max(0.0, self._opened_at + self._open_seconds - self._clock())
        )

    def before(self) -> None:
        """Returns when a call may be made; every call has to tell its outcome afterwards.

        Raises:
            RetryLater: `CIRCUIT_OPEN`, with the seconds until it tries again.
        """
        state = self.state
        if state is BreakerState.CLOSED:
            return
        if state is BreakerState.OPEN or self._trying >= self._probes:
            left = self.held_for
            message = (
                f"Calls to {self._name} are held back, because the last ones failed; repeat in {left:.0f} s."
            )
            raise RetryLater("CIRCUIT_OPEN", message, retry_after=left)
        self._trying += 1

    def succeeded(self) -> None:
        """The call went well; a late answer from before it opened does not count."""
        state = self.state
        self.forgotten()
        self._failed = 0
        if state is not BreakerState.HALF_OPEN:
            return
        self._succeeded += 1
        if self._succeeded >= self._successes:
            self._opened_at = None
            self._succeeded = 0

    def failed(self) -> None:
        """The call failed in a way that says something about the other side's health."""
        state = self.state
        self.forgotten()
        if state is BreakerState.OPEN:
            return
        self._succeeded = 0
        self._failed += 1
        if state is BreakerState.HALF_OPEN or self._failed >= self._failures:
            self._opened_at = self._clock()
            self._failed = 0
            self._trying = 0

    def forgotten(self) -> None:
        """The call was given up and says nothing about the other side."""
        self._trying = max(0, self._trying - 1)
