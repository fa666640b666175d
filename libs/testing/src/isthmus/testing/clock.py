"""Time that passes only while somebody waits, so that no test waits for it."""

__all__ = ["StandingClock"]


class StandingClock:
    """Gives the time as a call, and makes it pass with `sleep`; for everything that takes both.

    Attributes:
        now: Seconds; a test may move it.
        waits: Every wait, in order.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.waits.append(seconds)
        self.now += seconds
