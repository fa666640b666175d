"""The other figures: each measures one promise and sets it beside its goal."""

from collections.abc import Callable, Mapping

from comparison.figures.failing import faults, killed, slow_source
from comparison.figures.goals import Measured
from comparison.figures.loading import first_load, growth, unchanged
from comparison.figures.small import latency, nothing_changed, small_syncs
from comparison.running import Bench

__all__ = ["FIGURES", "Measured"]

FIGURES: Mapping[str, Callable[[Bench, int], list[Measured]]] = {
    "first-load": first_load,
    "unchanged": unchanged,
    "latency": latency,
    "small-syncs": small_syncs,
    "nothing-changed": nothing_changed,
    "kill": killed,
    "slow-source": slow_source,
    "faults": faults,
    "growth": growth,
}
"""What `ONLY` can name besides runners; each takes the bench and the number of rounds."""
