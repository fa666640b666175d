"""`make bench`: `python -m comparison --help` tells the options."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from comparison.bench import open_bench
from comparison.isthmus_runners import ThroughHub, ThroughPostgres
from comparison.report import markdown, table
from comparison.running import Runner
from comparison.scripts import Dlt, DltAdbc, DltArrow, Reference, Singer
from comparison.series import run_series

RUNNERS: tuple[type[Runner], ...] = (Reference, ThroughPostgres, ThroughHub, DltAdbc, DltArrow, Dlt, Singer)


def main() -> None:
    """Runs what is asked for and prints it."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--cache", type=Path, default=Path(".bench"))
    given = parser.parse_args()
    only = [name for name in given.only.split(",") if name]
    runners = [runner() for runner in RUNNERS if not only or runner.name in only]
    with open_bench(given.cache, given.records) as bench:
        series = run_series(bench, runners, given.records, given.runs)
    sys.stdout.write(markdown(table(series)) + "\n")


main()
