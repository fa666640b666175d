"""What keeps a connection from asking too much of a system, shared by all sessions of one instance."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from isthmus.resilience import Bulkhead, CircuitBreaker, TokenBucket, parse_rate
from isthmus.sdk.limits import Limits

_MOST_WAITING = 1000
_LARGEST_BURST = 10.0


class Guards:
    """Circuit breakers, token buckets and the bulkhead of one connection.

    Sessions come and go, above all when a system fails; what was learnt about
    the system stays here.

    Args:
        limits: The numbers.
        clock: Seconds that only grow.
        sleep: Waits for a turn, or before a repetition.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limits = limits or Limits()
        self.clock = clock
        self.sleep = sleep
        self.bulkhead = Bulkhead(self.limits.concurrent, _MOST_WAITING, name="this connection")
        self.admitted: Callable[[], Awaitable[None]] | None = None
        """Waits until this process has a share of the limits; None where it has them for itself."""
        self.shares_rate: Callable[[], None] | None = None
        """Called once something keeps to a rate that the connector asks for; None where nobody cares."""
        self._share = 1.0
        self._breakers: dict[str, CircuitBreaker] = {}
        self._buckets: dict[tuple[str, str], TokenBucket] = {}

    def breaker(self, system: str) -> CircuitBreaker:
        """The breaker before one system, named as people know it."""
        if system not in self._breakers:
            numbers = self.limits.breaker
            self._breakers[system] = CircuitBreaker(
                numbers.failures, numbers.open_seconds, numbers.successes, name=system, clock=self.clock
            )
        return self._breakers[system]

    def bucket(self, system: str, rate: str = "") -> TokenBucket | None:
        """The bucket before one system; None where nothing limits the rate.

        Args:
            system: Which one.
            rate: What the connector asks for; the instance's own rate takes its place and holds
                for everything that the instance calls.

        Raises:
            ValueError: The rate is not one.
        """
        key = ("", self.limits.rate) if self.limits.rate else (system, rate)
        if not key[1]:
            return None
        if key not in self._buckets:
            if key[0] and self.shares_rate is not None:
                self.shares_rate()
            turns, burst = self._turns(key[1])
            self._buckets[key] = TokenBucket(turns, burst, clock=self.clock)
        return self._buckets[key]

    def take_share(self, share: float, places: int) -> None:
        """Go on with a part of the limits, because other processes have the rest.

        Args:
            share: Part of the rate, more than 0 and at most 1.
            places: Calls at a time.
        """
        self.bulkhead.resize(places)
        if share != self._share:
            self._share = share
            for (_, rate), bucket in self._buckets.items():
                bucket.change(*self._turns(rate))

    def _turns(self, rate: str) -> tuple[float, float]:
        """Turns per second and burst of this process's part of a rate."""
        turns = parse_rate(rate)
        burst = min(max(turns, 1.0), _LARGEST_BURST)
        return turns * self._share, max(1.0, burst * self._share)
