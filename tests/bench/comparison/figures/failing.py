"""What trouble costs: killed processes, a slow source, a source that fails."""

from __future__ import annotations

import statistics
import time

from isthmus.testing import kill9

from comparison.figures.goals import Measured
from comparison.incidents import PAGE
from comparison.isthmus_runners import IsthmusRunner, ThroughHub, ThroughPostgres
from comparison.pages import expected_hash
from comparison.running import Bench
from comparison.scripts import Reference
from comparison.series import turn

__all__ = ["faults", "killed", "slow_source"]

_RECORDS = 100_000
_STAGES = (0.1, 0.5, 0.9)
_PAGE_MS = 50
_SEED = 7
_GIVE_UP_SECONDS = 120.0


def killed(bench: Bench, rounds: int) -> list[Measured]:
    """Kills source host or destination in the middle and counts what the source had to give again."""
    found = []
    for runner in (ThroughPostgres(), ThroughHub()):
        runner.prepare(bench)
        for victim in (runner.source_process, runner.destination_process):
            again, is_sound = 0, True
            for stage in _STAGES * rounds:
                where = f"kill: {victim} at {stage:.0%} of {runner.name}"
                begun, found_again = time.monotonic(), _reread_after_kill(bench, runner, victim, stage)
                # The lease of a dead host has to end first, which takes a while: say that something happens.
                bench.progress(f"{where}: {found_again:,} again, {time.monotonic() - begun:.0f} s\n")
                again = max(again, found_again)
                is_sound = is_sound and _is_exact(bench, runner)
            what = f"read again after kill -9 of {victim}, {runner.name}"
            found.append(Measured(what, again, 15_000, 5_000, " records", 0, is_sound, is_cost=True))
    return found


def _reread_after_kill(bench: Bench, runner: IsthmusRunner, victim: str, stage: float) -> int:
    turn(bench, runner, PAGE)
    runner.clear(bench)
    bench.vendor.behave(records=_RECORDS)
    pid = bench.mesh.pid(victim)
    execution = runner.start(bench)
    given_up = time.monotonic() + _GIVE_UP_SECONDS
    while bench.vendor.stats()["pages"] < _RECORDS // PAGE * stage:
        if time.monotonic() > given_up:
            raise RuntimeError(f"{execution} did not get to {stage:.0%} within {_GIVE_UP_SECONDS:.0f} s")
        time.sleep(0.001)
    kill9(pid)
    bench.mesh.ended(execution, _GIVE_UP_SECONDS)
    return int(bench.vendor.stats()["pages"]) * PAGE - _RECORDS


def slow_source(bench: Bench, rounds: int) -> list[Measured]:
    """Reads from a source that needs its time for every page."""
    own = _RECORDS / PAGE * _PAGE_MS / 1000
    found = []
    for runner in (ThroughPostgres(), ThroughHub()):
        runner.prepare(bench)
        runs = [turn(bench, runner, _RECORDS, {"page_ms": _PAGE_MS}) for _ in range(rounds)]
        over = statistics.median(run.seconds for run in runs) - own
        what = f"over the own time of a source that needs {_PAGE_MS} ms a page, {runner.name}"
        found.append(Measured(what, over, 1.5, 0.8, " s", is_sound=_is_exact(bench, runner), is_cost=True))
    return found


def faults(bench: Bench, rounds: int) -> list[Measured]:
    """Reads from a source that fails by a schedule, and compares with the reference under the same."""
    ours, reference = ThroughPostgres(), Reference()
    ours.prepare(bench)
    reference.prepare(bench)
    ratios, attempts, is_exact = [], 0, True
    for number in range(rounds):
        behaviour = {"fault_seed": _SEED + number}
        theirs = turn(bench, reference, _RECORDS, behaviour)
        mine = turn(bench, ours, _RECORDS, behaviour)
        ratios.append(mine.seconds / theirs.seconds)
        attempts = max(attempts, ours.attempts)
        is_exact = is_exact and _is_exact(bench, ours) and _is_exact(bench, reference)
    tried = "attempts needed under a schedule of faults"
    slower = "time ÷ reference under the same schedule"
    return [
        Measured(tried, attempts, 1, 1, digits=0, is_sound=is_exact, is_cost=True),
        Measured(slower, statistics.median(ratios), 1.1, 1.1, is_sound=is_exact, is_cost=True),
    ]


def _is_exact(bench: Bench, runner: IsthmusRunner | Reference) -> bool:
    return runner.result_hash(bench) == expected_hash(bench.cache, _RECORDS, bench.progress)
