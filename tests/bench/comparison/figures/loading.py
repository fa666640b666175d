"""Whole loads: into nothing, once more, and of another size."""

from __future__ import annotations

import statistics

from comparison.figures.goals import Measured
from comparison.incidents import PAGE
from comparison.isthmus_runners import IsthmusRunner, ThroughHub, ThroughPostgres
from comparison.pages import expected_hash
from comparison.running import Bench, Run, Runner
from comparison.scripts import Reference
from comparison.series import turn

__all__ = ["first_load", "growth", "unchanged"]

_RECORDS = 100_000


def first_load(bench: Bench, rounds: int) -> list[Measured]:
    """Compares loads into an empty table with the reference's usual way."""
    ours, reference = ThroughPostgres(), Reference()
    ours.prepare(bench)
    reference.prepare(bench)
    ratios = []
    for _ in range(rounds):
        mine, theirs = (_into_nothing(bench, runner) for runner in (ours, reference))
        ratios.append(mine.rate / theirs.rate)
    is_sound = _is_exact(bench, ours, _RECORDS)
    what = f"first load of {_RECORDS:,} into an empty table ÷ reference"
    return [Measured(what, statistics.median(ratios), 1.0, 1.3, is_sound=is_sound)]


def unchanged(bench: Bench, rounds: int) -> list[Measured]:
    """Reads everything again that is there already, and compares with the rate of new rows."""
    found = []
    for runner in (ThroughPostgres(), ThroughHub()):
        runner.prepare(bench)
        ratios, written = [], 0
        for _ in range(rounds):
            new = turn(bench, runner, _RECORDS)
            bench.database.settle()
            mark = bench.database.mark()
            again = runner.run(bench, _RECORDS)
            ratios.append(again.rate / new.rate)
            written += bench.database.written_since(mark, [runner.table])
        is_sound = not written and _is_exact(bench, runner, _RECORDS)
        what = f"unchanged full re-read ÷ rate of new rows, {runner.name}"
        found += [
            Measured(what, statistics.median(ratios), 1.0, 1.3, is_sound=is_sound),
            Measured(f"rows written by the re-read, {runner.name}", written, 0, 0, digits=0, is_cost=True),
        ]
    return found


def growth(bench: Bench, rounds: int) -> list[Measured]:
    """Compares the peak memory of a large load with that of a smaller one."""
    found = []
    for runner in (ThroughPostgres(), ThroughHub()):
        runner.prepare(bench)
        peaks = []
        for records in (_RECORDS, bench.most_records):
            peaks.append(max(turn(bench, runner, records).peak_bytes for _ in range(rounds)))
        percent = (peaks[1] / peaks[0] - 1) * 100
        what = f"peak PSS, growth from {_RECORDS:,} to {bench.most_records:,} records, {runner.name}"
        found.append(Measured(what, percent, 15, 5, " %", 1, is_cost=True))
    return found


def _into_nothing(bench: Bench, runner: Runner) -> Run:
    """Loads into an empty destination; a page before makes sure that everything runs."""
    runner.clear(bench)
    bench.vendor.behave(records=PAGE)
    runner.run(bench, PAGE)
    runner.clear(bench)
    bench.vendor.behave(records=_RECORDS)
    bench.database.settle()
    return runner.run(bench, _RECORDS)


def _is_exact(bench: Bench, runner: IsthmusRunner, records: int) -> bool:
    return runner.result_hash(bench) == expected_hash(bench.cache, records, bench.progress)
