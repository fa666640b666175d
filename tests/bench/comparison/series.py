"""Runs everybody in turns, so that a busy machine slows all of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from comparison.environments import Unavailable
from comparison.incidents import PAGE
from comparison.pages import expected_hash
from comparison.running import Bench, Run, Runner

__all__ = ["Series", "brief", "prepared", "run_series", "turn"]

_STALE = "rev99999"


@dataclass
class Series:
    """What came of a series.

    Attributes:
        records: Records in one run.
        runs: The runs of every runner, by its name, in order.
        titles: What runners are in words.
        absent: Why a runner has no runs, by its name.
    """

    records: int
    runs: dict[str, list[Run]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def median(self, name: str, figure: str) -> float:
        """Gives the median of a figure over a runner's runs."""
        return statistics.median(float(getattr(run, figure)) for run in self.runs[name])

    def ratio(self, name: str, other: str) -> float:
        """Gives how many times as fast a runner was as another, the median over the rounds."""
        rounds = zip(self.runs[name], self.runs[other], strict=True)
        return statistics.median(mine.rate / theirs.rate for mine, theirs in rounds)


def prepared(bench: Bench, runners: Sequence[Runner], series: Series) -> list[Runner]:
    """Prepares runners; those that cannot run here are noted with the reason and left out."""
    ready = []
    for runner in runners:
        bench.progress(f"preparing {runner.name}")
        series.titles[runner.name] = runner.title
        try:
            runner.prepare(bench)
            ready.append(runner)
        except Unavailable as reason:
            series.absent[runner.name] = f"skipped: {reason}"
    return ready


def run_series(bench: Bench, runners: Sequence[Runner], records: int, rounds: int) -> Series:
    """Lets every runner do the job once in each round; who fails is left out, with the reason."""
    series = Series(records)
    ready = prepared(bench, runners, series)
    wanted = expected_hash(bench.cache, records, bench.progress)
    for number in range(1, rounds + 1):
        for runner in ready:
            if runner.name in series.absent:
                continue
            where = f"{records:,} records, round {number} of {rounds}: {runner.name}"
            bench.progress(where)
            try:
                run = turn(bench, runner, records)
                if runner.result_hash(bench) != wanted:
                    raise RuntimeError("it ended with other rows")
            except Exception as error:
                series.absent[runner.name] = f"failed: {brief(error)}"
                series.runs.pop(runner.name, None)
                bench.progress(f"{where} failed: {error}\n")
                continue
            series.runs.setdefault(runner.name, []).append(run)
            bench.progress(f"{where} {run.rate:,.0f} records/s\n")
    return series


def brief(error: Exception) -> str:
    """Gives the first line of what an error says, short enough for a table."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def turn(
    bench: Bench, runner: Runner, records: int, behaviour: Mapping[str, int | str | bool] | None = None
) -> Run:
    """Lets a runner do the job once, into a destination that holds a page of older records.

    So everybody is warm, has its tables, and must really insert or update.
    """
    runner.clear(bench)
    bench.vendor.behave(records=PAGE, salt=_STALE)
    runner.run(bench, PAGE)
    bench.vendor.behave(records=records, **(behaviour or {}))
    bench.database.settle()
    return runner.run(bench, records)
