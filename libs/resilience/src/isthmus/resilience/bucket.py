"""Keeps to a rate."""

import re
import time
from collections.abc import Callable
from typing import Self

_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(s|sec|second|m|min|minute|h|hour|d|day)\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_rate(rate: str) -> float:
    """Return turns per second out of a text such as `10/s`, `100/min`, `5000/hour`.

    Raises:
        ValueError: the text is not a rate greater than zero.
    """
    match = _RATE.fullmatch(rate)
    turns = float(match[1]) / _SECONDS[match[2][0]] if match else 0.0
    if turns <= 0:
        raise ValueError(f"write a rate as 10/s, 100/min or 5000/hour, not {rate!r}")
    return turns


class TokenBucket:
    """Hands out turns at a rate, with a burst after quiet times.

    `take` never refuses: it tells how long to wait for the turn that it
    reserved, so turns are given in the order in which they were asked for.

    Args:
        rate: Turns per second.
        burst: Turns that may be taken at once; the rate of one second by default, at least 1.
        clock: Seconds that only grow.
    """

    def __init__(
        self, rate: float, burst: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if rate <= 0:
            raise ValueError("a rate is greater than zero")
        self.rate = rate
        self.burst = max(1.0, rate if burst is None else burst)
        self._clock = clock
        self._tokens = self.burst
        self._at = clock()

    @classmethod
    def parse(
        cls, rate: str, burst: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> Self:
        """Make a bucket from a rate as people write it, for example `100/min`."""
        return cls(parse_rate(rate), burst, clock=clock)

    def take(self, turns: float = 1.0) -> float:
        """Reserves turns and gives the seconds to wait until they come."""
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        self._tokens -= turns
        return max(0.0, -self._tokens / self.rate)

    def change(self, rate: float, burst: float) -> None:
        """Go on at another rate; what has been saved up is cut to the new burst.

        Turns that are reserved already come when they were said to come.
        """
        if rate <= 0:
            raise ValueError("a rate is greater than zero")
        self.take(0.0)
        if self._tokens < 0:
            self._tokens *= rate / self.rate
        self.rate, self.burst = rate, max(1.0, burst)
        self._tokens = min(self._tokens, self.burst)

    def pause(self, seconds: float) -> None:
        """Gives nobody a turn for a while, because the other side asked for it."""
        self._tokens = min(self._tokens, -seconds * self.rate)
        self._at = self._clock()
