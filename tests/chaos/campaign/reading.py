"""Finds out what is, past Isthmus: out of PostgreSQL's tables and the systems' own memory."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg

from campaign.accounting import (
    Account,
    Difference,
    compare_effects,
    compare_executions,
    compare_states,
    compare_versions,
)
from campaign.flows import HUB_STREAM
from campaign.incidents import Incidents
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
_EFFECTS = "select id, state from effects order by number"
_ROWS = "select id, to_jsonb(incidents) from incidents"


def account_for_mesh(url: str, incidents: Incidents) -> list[Account]:
    """Compare the hub, its quarantine and the executions."""
    versions: dict[str, list[State]] = defaultdict(list)
    with psycopg.connect(url) as connection:
        for key, _, is_deleted, data in connection.execute(_VERSIONS, {"stream": HUB_STREAM}):
            versions[key].append(None if is_deleted else data)
        executions = [
            (str(name), str(status), _sum(before, durable))
            for name, status, before, durable in connection.execute(_EXECUTIONS)
        ]
        waiting = [
            Difference("quarantine", str(name), "lost", str(why))
            for name, why in connection.execute(_QUARANTINED)
        ]
    return [
        compare_versions("hub, versions", incidents.journal.states, versions),
        compare_executions("executions, records read", executions),
        Account("quarantine", 0, tuple(waiting)),
    ]


def account_for_warehouse(url: str, journal: Journal) -> list[Account]:
    """Compare rows, and every effect that any transaction had on them."""
    effects: dict[str, list[State]] = defaultdict(list)
    with psycopg.connect(url) as connection:
        for key, state in connection.execute(_EFFECTS):
            effects[key].append(state)
        rows = list(connection.execute(_ROWS))
    expected = journal.without_deletions()
    return [
        compare_versions("postgres, effects", expected, effects),
        compare_states("postgres, rows", {key: states[-1] for key, states in expected.items()}, rows),
    ]


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
