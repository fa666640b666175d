"""Keeps everything running while faults strike, and brings each to a good end afterwards."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from campaign.mesh import Ended, StillDown

__all__ = ["Traffic", "Work"]

Work = Callable[[float], Ended]
"""Starts something and waits for its end, no longer than so many seconds."""


class Traffic:
    """Executions of flows, runs of plans, and reconciliations.

    Args:
        works: Ways to start them, by name.
        patience: Seconds that one of them may take, waiting for services included.
        tell: Gets a line for each execution that fails.

    Attributes:
        ended: How many executions ended in which status.
        failures: How many failed for which reason.
    """

    def __init__(self, works: Mapping[str, Work], patience: float, tell: Callable[[str], None]) -> None:
        self._works = works
        self._patience = patience
        self._tell = tell
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failures: list[Exception] = []
        self._lock = threading.Lock()
        self.ended: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def begin(self, names: Sequence[str]) -> None:
        """Start each of them again and again, whatever it comes to."""
        self._over.clear()
        self._threads = [threading.Thread(target=self._repeat, args=(name,), daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Start nothing any more."""
        self._over.set()

    def end(self) -> None:
        """Wait for what is under way.

        Raises:
            StillDown: an execution did not come to its end.
        """
        self.stop()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def complete(self, *steps: Sequence[str]) -> None:
        """Bring everything to a good end, the ones of a step side by side.

        Raises:
            StillDown: one did not complete although nothing is broken any more.
        """
        for names in steps:
            threads = [threading.Thread(target=self._insist, args=(name,), daemon=True) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if self._failures:
                raise self._failures[0]

    def _repeat(self, name: str) -> None:
        try:
            while not self._over.is_set():
                self._run(name)
        except Exception as failure:
            self._failures.append(failure)

    def _insist(self, name: str) -> None:
        try:
            ended = self._run(name)
            if not ended.is_good:
                raise StillDown(f"{name} ended as {ended.status} in a mesh that is well: {ended.message}")
        except Exception as failure:
            self._failures.append(failure)

    def _run(self, name: str) -> Ended:
        ended = self._works[name](self._patience)
        with self._lock:
            self.ended[f"{ended.kind}{ended.status}"] += 1
            if not ended.is_good:
                self.failures[ended.reason] += 1
                self._tell(f"    {name} failed: {ended.reason}: {ended.message}")
        return ended
