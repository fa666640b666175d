"""Processor time and memory of processes with their children."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import psutil
from isthmus.local.memory import pss_of

__all__ = ["PeakMemory", "cpu_of", "repeated"]

_EVERY_SECONDS = 0.1
_FAMILY_SECONDS = 0.5  # who belongs to whom is found out by a look at every process of the machine


def cpu_of(pid: int) -> float:
    """Tells the seconds of processor time that a process and its children, ended ones too, have used."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    return sum(_cpu(member) for member in family)


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(sum((times.user, times.system, times.children_user, times.children_system)))


def _families(pids: Sequence[int]) -> list[int]:
    """Processes with their children."""
    found = set(pids)
    for pid in pids:
        with suppress(psutil.Error):
            found.update(child.pid for child in psutil.Process(pid).children(recursive=True))
    return sorted(found)


@contextmanager
def repeated(act: Callable[[], None], seconds: float) -> Iterator[None]:
    """Does something again and again, in a thread of its own, while the block runs."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(seconds):
            act()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class PeakMemory:
    """Looks at the proportional memory of processes while the block runs and keeps the highest sum."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._family: Sequence[int] = ()
        self._known_at = -_FAMILY_SECONDS
        self._watch = repeated(self._look, _EVERY_SECONDS)
        self.bytes = 0

    def _look(self) -> None:
        if time.monotonic() - self._known_at >= _FAMILY_SECONDS:
            self._family, self._known_at = _families(self._pids), time.monotonic()
        self.bytes = max(self.bytes, sum(pss_of(pid, with_children=False) for pid in self._family))

    def __enter__(self) -> Self:
        self._look()
        self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.__exit__(kind, error, trace)
        self._look()
