"""What `make bench` can be told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comparison.figures import FIGURES
from comparison.isthmus_runners import ThroughHub, ThroughPostgres
from comparison.running import Runner
from comparison.scripts import Dlt, DltAdbc, DltArrow, Reference, Singer

__all__ = ["RUNNERS", "Options", "read_options"]

RUNNERS: tuple[type[Runner], ...] = (
    Reference,
    ThroughPostgres,
    ThroughHub,
    DltAdbc,
    DltArrow,
    Dlt,
    Singer,
)
"""Who takes part, in the order of the table."""
_GROWTH = 1_000_000


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        sizes: Records in one run; one table for each.
        rounds: How often everybody runs.
        runners: Who takes part.
        figures: Names of the other figures to measure.
        growth: Records of the larger load that memory is compared at.
        cache: Folder for pages and environments.
        page: Where to write the results; None where not everything runs.
    """

    sizes: tuple[int, ...]
    rounds: int
    runners: tuple[type[Runner], ...]
    figures: tuple[str, ...]
    growth: int
    cache: Path
    page: Path | None

    @property
    def most_records(self) -> int:
        """As many records the source must have."""
        return max([*self.sizes, 100_000, *([self.growth] if "growth" in self.figures else [])])


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Reads the command line; what is wrong with it ends the program."""
    parser = argparse.ArgumentParser(prog="make bench", description="Compares Isthmus with others.")
    parser.add_argument("--records", default="200000", help="records in one run; several after commas")
    parser.add_argument("--runs", type=int, default=3, help="how often everybody runs")
    parser.add_argument("--only", default="", help="runners and figures, separated by commas")
    parser.add_argument("--growth", type=int, default=_GROWTH, help="records of the larger load of growth")
    parser.add_argument(
        "--cache", type=Path, default=Path(".bench"), help="folder for pages and environments"
    )
    parser.add_argument("--page", type=Path, default=None, help="file to write when everything runs")
    given = parser.parse_args(arguments)
    known = {runner.name: runner for runner in RUNNERS}
    only = [name for name in given.only.replace(" ", "").split(",") if name]
    if unknown := [name for name in only if name not in known and name not in FIGURES]:
        parser.error(f"ONLY knows {', '.join([*known, *FIGURES])}; not {', '.join(unknown)}")
    sizes = tuple(int(size) for size in given.records.split(","))
    if any(size % 1000 or size <= 0 for size in sizes):
        parser.error("RECORDS are whole thousands")
    return Options(
        sizes=sizes,
        rounds=given.runs,
        runners=tuple(runner for name, runner in known.items() if not only or name in only),
        figures=tuple(name for name in FIGURES if not only or name in only),
        growth=given.growth,
        cache=given.cache,
        page=None if only else given.page,
    )
