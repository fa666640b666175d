"""How a sandbox misbehaves: by chance that is the same in every run, or exactly when a test says so."""

import random
from collections import deque
from enum import StrEnum

__all__ = ["LEVELS", "Faults", "Misbehaviour"]


class Misbehaviour(StrEnum):
    """A way in which real systems fail once in a while."""

    RATE_LIMITED = "rate-limited"
    """429 with `Retry-After` in seconds."""
    RATE_LIMITED_UNTIL = "rate-limited-until"
    """429 with `Retry-After` as a date."""
    UNAVAILABLE = "unavailable"
    """503."""
    ERROR = "error"
    """500."""
    TRUNCATED = "truncated"
    """Half of the answer, then the connection ends."""
    RESET = "reset"
    """The connection ends before any answer."""
    NOT_JSON = "not-json"
    """An error page of a proxy, with status 200."""
    HALF_DONE = "half-done"
    """The request takes effect, and its answer is lost."""


LEVELS = {"none": 0.0, "light": 0.02, "heavy": 0.15}
"""The share of requests that go wrong, by what `--faults` says."""


class Faults:
    """Decides for each request whether it goes wrong.

    Args:
        level: One of `LEVELS`.
        seed: The same one goes wrong at the same requests.

    Attributes:
        count: How many requests have gone wrong.
    """

    def __init__(self, level: str = "none", seed: int = 7) -> None:
        if level not in LEVELS:
            raise ValueError(f"There is no level of faults {level!r}; choose one of {', '.join(LEVELS)}.")
        self.count = 0
        self._share = LEVELS[level]
        self._random = random.Random(seed)  # noqa: S311
        self._next: deque[Misbehaviour] = deque()

    def next(self, *kinds: Misbehaviour) -> None:
        """Let the next requests go wrong, one in each of these ways."""
        self._next.extend(kinds)

    def clear(self) -> None:
        """Forget what was still to go wrong."""
        self._next.clear()

    @property
    def waiting(self) -> int:
        """How many of the wanted ones have not happened yet."""
        return len(self._next)

    def draw(self, *, changes: bool) -> Misbehaviour | None:
        """What goes wrong with the next request; None where nothing does.

        Args:
            changes: The request changes something, so that its answer may be lost behind its effect.
        """
        if self._next:
            self.count += 1
            return self._next.popleft()
        if self._random.random() >= self._share:
            return None
        self.count += 1
        harmless = [kind for kind in Misbehaviour if changes or kind is not Misbehaviour.HALF_DONE]
        return self._random.choice(harmless)
