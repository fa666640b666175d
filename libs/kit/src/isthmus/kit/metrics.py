"""Counters and histograms kept in this process, handed to OpenTelemetry when telemetry is on.

_calls = counter("isthmus.rpc.calls", "RPCs answered")
_calls.add(1, method="/isthmus…", code="OK")
"""

import bisect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MOST_SERIES = 2000

Labels = tuple[tuple[str, str], ...]


class Counter:
    """A number that only grows, per combination of labels."""

    def __init__(self, name: str, description: str) -> None:
        self.name = name
        self.description = description
        self.series: dict[Labels, float] = {}

    def add(self, amount: float = 1, **labels: str) -> None:
        """Count something; new label combinations are ignored once there are too many."""
        key = tuple(sorted(labels.items()))
        if key in self.series or len(self.series) < _MOST_SERIES:
            self.series[key] = self.series.get(key, 0) + amount

    def value(self, **labels: str) -> float:
        """Return the count for exactly these labels."""
        return self.series.get(tuple(sorted(labels.items())), 0)


@dataclass(slots=True)
class Distribution:
    """What a histogram knows about one combination of labels."""

    count: int = 0
    total: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS) + 1))


class Histogram:
    """How long things take, in seconds, per combination of labels."""

    def __init__(self, name: str, description: str) -> None:
        self.name = name
        self.description = description
        self.series: dict[Labels, Distribution] = {}
        self.forward: Callable[[float, dict[str, str]], None] | None = None

    def record(self, seconds: float, **labels: str) -> None:
        """Note one duration; new label combinations are ignored once there are too many."""
        key = tuple(sorted(labels.items()))
        known = self.series.get(key)
        if known is None:
            if len(self.series) >= _MOST_SERIES:
                return
            known = self.series[key] = Distribution()
        known.count += 1
        known.total += seconds
        known.buckets[bisect.bisect_left(_BOUNDS, seconds)] += 1
        if self.forward is not None:
            self.forward(seconds, labels)


_counters: dict[str, Counter] = {}
_histograms: dict[str, Histogram] = {}


def counter(name: str, description: str) -> Counter:
    """Return the counter of this name, made on first use."""
    return _counters.setdefault(name, Counter(name, description))


def histogram(name: str, description: str) -> Histogram:
    """Return the histogram of this name, made on first use."""
    return _histograms.setdefault(name, Histogram(name, description))


def every_metric() -> Iterator[Counter | Histogram]:
    """Yield all metrics of this process."""
    return itertools.chain(_counters.values(), _histograms.values())


__all__ = ["Counter", "Distribution", "Histogram", "counter", "every_metric", "histogram"]
