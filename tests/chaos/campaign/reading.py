"""Finds out what is, past Isthmus: out of PostgreSQL's tables and the systems' own memory."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import psycopg

from campaign.accounting import (
    Account,
    Difference,
    compare_effects,
    compare_executions,
    compare_figures,
    compare_runs,
    compare_states,
    compare_versions,
)
from campaign.flows import ARCHIVE, COPIES, HUB_STREAM, STEPS
from campaign.journal import Journal, State
from campaign.sides import Side
from campaign.tickets import Tickets

__all__ = ["account_for_mesh", "account_for_sides", "account_for_tickets", "account_for_warehouse"]

_OWN = ("number", "correlation")
_VERSIONS = """
select key, version, is_deleted, data::json from records.records where stream = %(stream)s
union all
select key, version, is_deleted, data::json from records.record_history where stream = %(stream)s
order by key, version
"""
_EXECUTIONS = "select execution_id, status, counts_before, counts_durable from scheduling.executions"
_QUARANTINED = "select quarantine_id, reasons::text from records.quarantine"
_RUNS = """
select r.run_id, r.status, e.plan_step, e.status, e.create_time, e.end_time from scheduling.plan_runs r
left join scheduling.executions e on e.plan_run_id = r.run_id order by r.run_id, e.create_time
"""
_REPORTS = """
select distinct on (flow_name) flow_name, missing, different, extra, equal, unreadable
from records.reconciliations where is_compared order by flow_name, create_time desc
"""
_OPEN_REPORTS = "select report_id from records.reconciliations where status = 1"
_CLOSING_SECONDS = 30.0
_EFFECTS = "select id, state from effects where place = %s order by number"
_ROWS = "select id, to_jsonb(incidents) from incidents"
_ARCHIVED = "select id, to_jsonb(archive) from archive"


def account_for_mesh(url: str, journal: Journal) -> list[Account]:
    """Compare the hub, its quarantine, executions, runs of the plan, and what reconciliations have found."""
    with psycopg.connect(url) as connection:
        versions = {stream: _versions(connection, stream) for stream in (HUB_STREAM, COPIES)}
        executions = [
            (str(name), str(status), _sum(before, durable))
            for name, status, before, durable in connection.execute(_EXECUTIONS)
        ]
        waiting = [
            Difference("quarantine", str(name), "lost", str(why))
            for name, why in connection.execute(_QUARANTINED)
        ]
        runs = list(connection.execute(_RUNS))
        open_reports = _open_reports(connection)
        reports = {str(name): figures for name, *figures in connection.execute(_REPORTS)}
    living, removed = len(journal.living()), len(journal.states) - len(journal.living())
    # The warehouse's flow is not told of deletions.
    expected = {"to-warehouse": [0, 0, removed, living, 0], "to-archive": [0, 0, 0, living, 0]}
    return [
        compare_versions("hub, versions", journal.states, versions[HUB_STREAM]),
        compare_versions("hub, versions of copies", journal.states, versions[COPIES]),
        compare_executions("executions, records read", executions),
        compare_runs("plan, steps", tuple(STEPS), runs),
        compare_figures("reconciliations, records", expected, reports, open_reports),
        Account("quarantine", 0, tuple(waiting)),
    ]


def _open_reports(connection: psycopg.Connection) -> list[str]:
    """Name the reports that stay open: an event closes one, shortly after its execution has ended."""
    deadline = time.monotonic() + _CLOSING_SECONDS
    while True:
        found = [str(name) for (name,) in connection.execute(_OPEN_REPORTS)]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def _versions(connection: psycopg.Connection, stream: str) -> dict[str, list[State]]:
    versions: dict[str, list[State]] = defaultdict(list)
    for key, _, is_deleted, data in connection.execute(_VERSIONS, {"stream": stream}):
        versions[key].append(None if is_deleted else data)
    return versions


def account_for_warehouse(url: str, journal: Journal) -> list[Account]:
    """Compare rows, and every effect that any transaction had on them."""
    with psycopg.connect(url) as connection:
        effects, archived = (_effects(connection, place) for place in (HUB_STREAM, ARCHIVE))
        rows, archive = list(connection.execute(_ROWS)), list(connection.execute(_ARCHIVED))
    expected = journal.without_deletions()
    return [
        compare_versions("postgres, effects", expected, effects),
        compare_states("postgres, rows", {key: states[-1] for key, states in expected.items()}, rows),
        compare_versions("archive, effects", journal.states, archived),
        compare_states("archive, rows", journal.living(), archive),
    ]


def _effects(connection: psycopg.Connection, place: str) -> dict[str, list[State]]:
    effects: dict[str, list[State]] = defaultdict(list)
    for key, state in connection.execute(_EFFECTS, (place,)):
        effects[key].append(state)
    return effects


def account_for_tickets(tickets: Tickets, journal: Journal) -> list[Account]:
    """Compare the tickets that were ever made, and those that there are."""
    with tickets.lock:
        held = [(str(ticket.get("id")), _without(ticket)) for ticket in tickets.tickets.values()]
        created = list(tickets.created)
    return [
        compare_effects("tickets, made", journal.states, created),
        compare_states("tickets, content", journal.living(), held),
    ]


def account_for_sides(left: Side, right: Side, journal: Journal) -> list[Account]:
    """Compare both sides, and look for writes that nobody's change justifies."""
    accounts = []
    for name, side in (("left", left), ("right", right)):
        with side.lock:
            accounts.append(compare_states(f"{name}, items", journal.living(), list(side.items.items())))
            effects = list(side.effects)
        unjustified = [
            Difference(f"{name}, effects", key, "wrong", f"written without reason: {state}")
            for key, state in effects
            if state not in journal.states.get(key, [])
        ]
        accounts.append(Account(f"{name}, effects", len(effects), tuple(unjustified)))
    return accounts


def _sum(*parts: dict[str, Any] | None) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for part in parts:
        for name, number in (part or {}).items():
            total[name] += int(number)
    return total


def _without(ticket: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in ticket.items() if name not in _OWN}
