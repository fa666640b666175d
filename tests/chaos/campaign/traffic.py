"""Keeps every flow running while faults strike, and brings each to a good end afterwards."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from isthmus.scheduling.v1 import scheduling_pb2

from campaign.mesh import ChaosMesh, StillDown

__all__ = ["Traffic"]

_COMPLETED = scheduling_pb2.Execution.STATUS_COMPLETED
_NAMES = scheduling_pb2.Execution.Status.Name


class Traffic:
    """Executions of the flows.

    Args:
        mesh: Where they run.
        flows: Ids by name.
        patience: Seconds that one execution may take, waiting for services included.
        tell: Gets a line for each execution that fails.

    Attributes:
        ended: How many executions ended in which status.
        failures: How many failed for which reason.
    """

    def __init__(
        self, mesh: ChaosMesh, flows: Mapping[str, str], patience: float, tell: Callable[[str], None]
    ) -> None:
        self._mesh = mesh
        self._flows = flows
        self._patience = patience
        self._tell = tell
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failures: list[Exception] = []
        self._lock = threading.Lock()
        self.ended: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def begin(self) -> None:
        """Start every flow again and again, whatever its executions come to."""
        self._over.clear()
        self._threads = [
            threading.Thread(target=self._repeat, args=(name,), daemon=True) for name in self._flows
        ]
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
        """Run flows to a good end, the ones of a step side by side.

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
            execution = self._run(name)
            if execution.status != _COMPLETED:
                status = _NAMES(execution.status)
                raise StillDown(f"{name} ended as {status} in a mesh that is well: {execution.error}")
        except Exception as failure:
            self._failures.append(failure)

    def _run(self, name: str) -> scheduling_pb2.Execution:
        execution = self._mesh.run(self._flows[name], self._patience)
        with self._lock:
            self.ended[_NAMES(execution.status).removeprefix("STATUS_").lower()] += 1
            if execution.status != _COMPLETED:
                self.failures[f"{execution.error.reason}"] += 1
                self._tell(f"    {name} failed: {execution.error.reason}: {execution.error.message}")
        return execution
