"""How long to wait before repeating."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double, with full jitter: anything between nothing and the bound, so that crowds spread.

    Attributes:
        first: Bound of the first wait in seconds.
        longest: No wait is longer, unless the other side asked for more.
        factor: By how much the bound grows with every attempt.
    """

    first: float = 1.0
    longest: float = 60.0
    factor: float = 2.0
    chance: Callable[[], float] = field(default=random.random, repr=False)

    def bound(self, attempt: int) -> float:
        """The most that may be waited after the given failed attempt, counted from 1."""
        grown = self.first * self.factor ** min(attempt - 1, 64)
        return float(min(self.longest, grown))

    def wait(self, attempt: int, asked: float | None = None) -> float:
        """Seconds to wait after a failed attempt.

        Args:
            attempt: Counted from 1.
            asked: What the other side asked for (`Retry-After`); never waited less than that.
        """
        if asked is not None and asked > 0:
            return asked + self.chance() * min(1.0, self.first, asked / 10)
        return self.chance() * self.bound(attempt)
