"""Time as a collaborator, so that tests decide what time it is."""

import time
from datetime import UTC, datetime


class Clock:
    """The wall clock and the monotonic clock of this machine."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for measuring durations."""
        return time.monotonic()


__all__ = ["Clock"]
