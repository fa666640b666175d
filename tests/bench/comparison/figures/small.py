"""Small syncs: how soon, and how many a second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from comparison.documents import LATENCY_STREAM, SMALL_STREAMS, flow
from comparison.figures.goals import Measured
from comparison.figures.restarting import Ended, restarted
from comparison.incidents import incident
from comparison.running import Bench

__all__ = ["latency", "nothing_changed", "small_syncs"]

_FLOWS = 64
_QUICK_FLOWS = len(SMALL_STREAMS)
_SECONDS = 8.0
_TRIES = 20
_POLL_SECONDS = 0.0005
_GIVE_UP_SECONDS = 60.0
_FIRST = str(incident(0)["sys_id"])


def latency(bench: Bench, rounds: int) -> list[Measured]:
    """Measures from the trigger until the first of 100 records can be read."""
    table, name = LATENCY_STREAM, "bench-latency"
    bench.database.fresh_table(table)
    bench.mesh.apply(
        flow(name, "small", "bench-database", table) + flow(f"{name}-hub", "small", "hub", table)
    )
    bench.vendor.behave(fresh=True)
    # The first ones find nothing warm.
    into_table = sql.SQL("SELECT title FROM {} WHERE id = %s").format(sql.Identifier(table))
    into_hub = "SELECT data::json->>'title' FROM records.records WHERE stream = %s AND key = %s"
    with psycopg.connect(bench.database.url, autocommit=True) as tables, bench.database.as_admin() as hub:
        found = [
            _median_latency(bench, name, lambda: tables.execute(into_table, (_FIRST,)).fetchone(), rounds),
            _median_latency(
                bench, f"{name}-hub", lambda: hub.execute(into_hub, (table, _FIRST)).fetchone(), rounds
            ),
        ]
    what = "warm trigger → first row visible, 100 records"
    return [
        Measured(f"{what}, {where}", milliseconds, 100, 25, " ms", 0, is_cost=True)
        for where, milliseconds in zip(("postgres", "hub"), found, strict=True)
    ]


def _median_latency(bench: Bench, name: str, look: Callable[[], object], rounds: int) -> float:
    flow_id = bench.mesh.flow_id(name)
    for _ in range(3):
        bench.mesh.run(flow_id)
    taken = []
    for _ in range(_TRIES * rounds):
        before, begun = look(), time.perf_counter()
        execution = bench.mesh.start(flow_id)
        while look() == before:
            if time.perf_counter() - begun > _GIVE_UP_SECONDS:
                raise RuntimeError(f"nothing arrived from {name} within {_GIVE_UP_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
        taken.append(time.perf_counter() - begun)
        bench.mesh.ended(execution)
    return statistics.median(taken) * 1000


def small_syncs(bench: Bench, rounds: int) -> list[Measured]:
    """Counts syncs of 100 changed records, many flows side by side."""
    found = []
    for instance in ("bench-database", "hub"):
        flow_ids = _many_flows(bench, instance, _FLOWS)
        bench.vendor.behave(fresh=True)
        restarted(bench.mesh, flow_ids, 0)
        ended = [restarted(bench.mesh, flow_ids, _SECONDS) for _ in range(rounds)]
        what = f"syncs of 100 records, {_FLOWS} flows side by side, {_short(instance)}"
        is_sound = not any(one.failed for one in ended)
        found.append(Measured(what, _rate(ended), 60, 150, "/s", 0, is_sound))
    return found


def nothing_changed(bench: Bench, rounds: int) -> list[Measured]:
    """Counts syncs of a source that answers with 304."""
    found = []
    for instance in ("bench-database", "hub"):
        flow_ids = _many_flows(bench, instance, _QUICK_FLOWS)
        bench.vendor.behave()
        restarted(bench.mesh, flow_ids, 0)
        bench.vendor.behave()
        mark = bench.database.mark()
        ended = [restarted(bench.mesh, flow_ids, _SECONDS) for _ in range(rounds)]
        written = bench.database.written_since(mark, _tables(instance))
        served = bench.vendor.stats()
        is_sound = served["unchanged"] == served["small"] and not any(one.failed for one in ended)
        what = f"syncs that find nothing changed, {_QUICK_FLOWS} flows side by side, {_short(instance)}"
        found.append(Measured(what, _rate(ended), 300, 1000, "/s", 0, is_sound and not written))
    return found


def _many_flows(bench: Bench, instance: str, count: int) -> list[str]:
    if instance != "hub":
        for table in SMALL_STREAMS:
            bench.database.fresh_table(table)
    names = {f"{instance}-{stream}": stream for stream in SMALL_STREAMS[:count]}
    bench.mesh.apply("".join(flow(name, "small", instance, stream) for name, stream in names.items()))
    return [bench.mesh.flow_id(name) for name in names]


def _rate(ended: Sequence[Ended]) -> float:
    return statistics.median(one.in_time / one.seconds for one in ended)


def _tables(instance: str) -> Sequence[str]:
    return ["records.records"] if instance == "hub" else SMALL_STREAMS


def _short(instance: str) -> str:
    return "hub" if instance == "hub" else "postgres"
