"""How much time is left, as a value that is handed on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from isthmus.resilience.faults import OutOfTime


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which work has to be done; parts of the work get a share of what is left.

    Attributes:
        at: The moment, on the clock.
        clock: Seconds that only grow.
    """

    at: float
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)

    @classmethod
    def after(cls, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> Self:
        """Make a deadline that many seconds from now."""
        return cls(clock() + seconds, clock)

    def remaining(self) -> float:
        """Return the seconds left, never less than zero."""
        return max(0.0, self.at - self.clock())

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return self.remaining() <= 0

    def shrink(self, seconds: float) -> Self:
        """Return a deadline at most `seconds` from now and never later than this one."""
        return type(self)(min(self.at, self.clock() + max(0.0, seconds)), self.clock)

    def check(self) -> None:
        """Return while there is time.

        Raises:
            OutOfTime: `DEADLINE_EXCEEDED`.
        """
        if self.expired:
            message = "The time for this ran out before it was done; repeat with more time."
            raise OutOfTime("DEADLINE_EXCEEDED", message)
