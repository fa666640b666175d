"""Notices that a process has more to do than it can, before its callers do."""

import asyncio
from collections.abc import Callable

from isthmus.kit.logs import logger
from isthmus.kit.metrics import counter

_INTERVAL = 0.1
_LATE_SECONDS = 0.3
_DATABASE_SECONDS = 1.0
_WELL_AGAIN = 0.5
_MOST_STRAIN = 2.0

_log = logger(__name__)
_times = counter("isthmus.overloads", "Times that a process had more to do than it could")


class Overload:
    """Watches how late the event loop is and how long transactions wait for a connection.

    It looks ten times a second while calls are worked on, and not at all while there are none.

    Args:
        busy: Tells whether there is anything to watch.
        database_wait: How long the transaction that waits longest has waited for its connection.
        tell: Called with True when it begins and with False when it has passed.
    """

    def __init__(
        self, busy: Callable[[], bool], database_wait: Callable[[], float], tell: Callable[[bool], None]
    ) -> None:
        self._busy = busy
        self._database_wait = database_wait
        self._tell = tell
        self._strain = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.is_overloaded = False
        self.is_watching = False

    def watch(self) -> None:
        """Look from now on, until nothing is worked on any more."""
        self.is_watching = True
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_INTERVAL, self._look, loop.time() + _INTERVAL)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def note(self, late: float, database_wait: float) -> None:
        """Judge by what one look has found, smoothed over a few; one hiccup, however long, is none."""
        worst = max(late / _LATE_SECONDS, database_wait / _DATABASE_SECONDS)
        self._strain += 0.5 * (min(max(worst, 0.0), _MOST_STRAIN) - self._strain)
        overloaded = self._strain > (_WELL_AGAIN if self.is_overloaded else 1.0)
        if overloaded == self.is_overloaded:
            return
        self.is_overloaded = overloaded
        if overloaded:
            _times.add(1)
            _log.warning("overloaded", late=round(late, 3), database_wait=round(database_wait, 3))
        else:
            _log.info("no longer overloaded")
        self._tell(overloaded)

    def _look(self, planned: float) -> None:
        self.note(asyncio.get_running_loop().time() - planned, self._database_wait())
        if self._busy() or self.is_overloaded:
            self.watch()
        else:
            self._strain, self.is_watching = 0.0, False


__all__ = ["Overload"]
