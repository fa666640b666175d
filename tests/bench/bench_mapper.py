"""How fast a compiled mapping is beside a function written by hand: `python tests/bench/bench_mapper.py`.

Both make the same 13 fields from the same records and take turns, so that a busy machine slows both. The
hand-written function is what a careful author would write for exactly these records: it converts, looks up
and formats, and raises KeyError or ValueError on anything it does not expect.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from isthmus.mapper import compile_mapping

SEVERITY = {"1": "critical", "2": "high", "3": "medium", "4": "low"}
STATE = {"New": "open", "In Progress": "open", "Resolved": "closed", "Closed": "closed"}
KIND = {"hardware": "device", "software": "application"}
DEFINITION: dict[str, Any] = {
    "version": "isthmus/v1",
    "transformations": {"tables": {"severity": {"entries": SEVERITY}, "state": {"entries": STATE}}},
    "field_mappings": [
        {"target": "id", "source": "sys_id", "required": True},
        {"target": "number", "source": "number", "required": True},
        {"target": "title", "source": "short_description", "steps": ["trim"]},
        {"target": "severity", "source": "severity", "table": "severity"},
        {"target": "state", "source": "state", "table": "state"},
        {"target": "kind", "source": "category", "enum": KIND, "default": "other"},
        {"target": "openedUtc", "source": "opened_at", "cast": "timestamp"},
        {"target": "updatedUtc", "source": "sys_updated_on", "cast": "timestamp"},
        {"target": "owner.name", "source": "assigned_to.name"},
        {"target": "owner.mail", "source": "assigned_to.email", "steps": ["lower"]},
        {"target": "label", "template": "{number}: {short_description}"},
        {"target": "tags", "source": "tags", "steps": [{"join": ", "}]},
        {"target": "reopened", "source": "reopen_count", "cast": "integer", "default": 0},
    ],
}


def by_hand(record: dict[str, Any]) -> dict[str, Any]:
    """The same mapping, written by hand."""
    assigned = record["assigned_to"]
    return {
        "id": record["sys_id"],
        "number": record["number"],
        "title": record["short_description"].strip(),
        "severity": SEVERITY[record["severity"]],
        "state": STATE[record["state"]],
        "kind": KIND.get(record["category"], "other"),
        "openedUtc": _utc(record["opened_at"]),
        "updatedUtc": _utc(record["sys_updated_on"]),
        "owner": {"name": assigned["name"], "mail": assigned["email"].lower()},
        "label": f"{record['number']}: {record['short_description']}",
        "tags": ", ".join(record["tags"]),
        "reopened": int(record["reopen_count"] or 0),
    }


def _utc(text: str) -> str:
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat().removesuffix("+00:00") + "Z"


def _record(number: int) -> dict[str, Any]:
    return {
        "sys_id": f"{number:032x}",
        "number": f"INC{number:07d}",
        "short_description": f"Disk of server {number} nearly full ",
        "severity": str(number % 4 + 1),
        "state": list(STATE)[number % 4],
        "category": ["hardware", "software"][number % 2],
        "opened_at": f"2026-01-{number % 28 + 1:02d} 08:30:00",
        "sys_updated_on": f"2026-01-{number % 28 + 1:02d}T09:15:00Z",
        "assigned_to": {"name": f"Person {number % 50}", "email": f"Person.{number % 50}@Example.com"},
        "tags": ["disk", "server", f"rack-{number % 9}"],
        "reopen_count": str(number % 3),
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(rounds: int = 30, count: int = 5_000) -> float:
    """Prints records a second of both and returns their ratio."""
    records = [_record(number) for number in range(count)]
    plan = compile_mapping(DEFINITION)
    now = datetime.now(UTC)
    assert plan.apply_many(records, now=now).records == [by_hand(record) for record in records]
    hand = min(_seconds(lambda: [by_hand(record) for record in records]) for _ in range(2))
    mapped = hand
    again = hand
    for turn in range(rounds):
        took = _seconds(lambda: [by_hand(record) for record in records])
        mine = _seconds(lambda: plan.apply_many(records, now=now))
        hand, again = (min(hand, took), again) if turn % 2 else (hand, min(again, took))
        mapped = mine if turn == 0 else min(mapped, mine)
    ratio = min(hand, again) / mapped
    floor = hand / again
    rates = f"by hand {count / hand:,.0f}/s (A/A {floor:.3f}), compiled {count / mapped:,.0f}/s"
    sys.stdout.write(f"{rates}, ratio {ratio:.2f}\n")
    return ratio


if __name__ == "__main__":
    main()
