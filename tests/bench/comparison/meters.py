"""Processor time and memory of processes with their children."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import psutil
from isthmus.local.memory import pss_of

__all__ = ["PeakMemory", "cpu_of", "repeated"]

_EVERY_SECONDS = 0.1


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
        self._watch = repeated(self._look, _EVERY_SECONDS)
        self.bytes = 0

    def _look(self) -> None:
        self.bytes = max(self.bytes, sum(pss_of(pid) for pid in self._pids))

    def __enter__(self) -> Self:
        self._look()
        self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.__exit__(kind, error, trace)
        self._look()
