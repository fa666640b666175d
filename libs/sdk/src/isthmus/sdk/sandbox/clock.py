"""The time of a sandbox, which passes only when somebody says so."""

from datetime import UTC, datetime, timedelta

__all__ = ["SandboxClock"]

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class SandboxClock:
    """Tells a time that is the same in every run.

    Attributes:
        step: How far it moves with each change, so that no two share a moment unless a test wants that.
    """

    def __init__(self, begin: datetime = _BEGIN, step: timedelta = timedelta(seconds=1)) -> None:
        self.step = step
        self._now = begin

    @property
    def now(self) -> datetime:
        """The present moment, in UTC."""
        return self._now

    def advance(self, span: timedelta) -> None:
        """Let time pass."""
        self._now += span

    def tick(self) -> datetime:
        """The moment of the next change."""
        self._now += self.step
        return self._now
