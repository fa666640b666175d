"""How fast compiled mappings are beside what is written by hand: `python tests/bench/bench_mapper.py`.

Two series. In the first, records are dictionaries; the function by hand is what a careful author would write
for exactly these records: it converts, looks up and formats, and raises KeyError or ValueError on anything it
does not expect. In the second, the bytes of a page become the bytes of mapped records; the program by hand
decodes into structs of what it needs, makes structs of what it gives, and cuts times to form.

All in a series make the same 13 fields from the same records, in turns, so that a busy machine slows all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from isthmus.mapper import Plan, compile_mapping

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


class _Person(msgspec.Struct, gc=False):
    name: str
    email: str


class _Incident(msgspec.Struct, gc=False):
    sys_id: str
    number: str
    short_description: str
    severity: str
    state: str
    category: str
    opened_at: str
    sys_updated_on: str
    assigned_to: _Person
    tags: list[str]
    reopen_count: str


class _Owner(msgspec.Struct, gc=False):
    name: str
    mail: str


class _Ticket(msgspec.Struct, gc=False, rename="camel"):
    id: str
    number: str
    title: str
    severity: str
    state: str
    kind: str
    opened_utc: str
    updated_utc: str
    owner: _Owner
    label: str
    tags: str
    reopened: int


_decode_incidents = msgspec.json.Decoder(list[_Incident]).decode
_encode = msgspec.json.Encoder().encode


def page_by_hand(page: bytes) -> list[bytes]:
    """The second series by hand."""
    return [_encode(_ticket(incident)) for incident in _decode_incidents(page)]


def _ticket(incident: _Incident) -> _Ticket:
    assigned = incident.assigned_to
    return _Ticket(
        incident.sys_id,
        incident.number,
        incident.short_description.strip(),
        SEVERITY[incident.severity],
        STATE[incident.state],
        KIND.get(incident.category, "other"),
        _cut(incident.opened_at),
        _cut(incident.sys_updated_on),
        _Owner(assigned.name, assigned.email.lower()),
        f"{incident.number}: {incident.short_description}",
        ", ".join(incident.tags),
        int(incident.reopen_count or 0),
    )


def _cut(text: str) -> str:
    datetime.fromisoformat(text)
    return text if text[10] == "T" else text.replace(" ", "T") + "Z"


def page_of_dictionaries(plan: Plan, page: bytes, now: datetime) -> list[bytes]:
    """The second series by a plan."""
    return [_encode(record) for record in plan.apply_many(msgspec.json.decode(page), now=now).records]


def page_of_structs(plan: Plan) -> Callable[[bytes, datetime], list[bytes]]:
    """The second series by a typed plan."""
    typed = plan.typed(["sys_id", "sys_updated_on"])
    assert typed is not None
    decode, rows = msgspec.json.Decoder(list[typed.record_type]).decode, typed.rows  # type: ignore[name-defined]
    return lambda page, now: [_encode(row) for row in rows(decode(page), now=now).records]


def page_as_lines() -> Callable[[bytes, datetime], bytes]:
    """Much the same mapping as lines of text, where nothing may be nested: what travels to a table."""
    fields = [
        {**field, "target": field["target"].replace(".", "_")} for field in DEFINITION["field_mappings"]
    ]
    typed = compile_mapping({**DEFINITION, "field_mappings": fields}).typed(["sys_id", "sys_updated_on"])
    assert typed is not None
    writer = typed.line_writer(["id"])
    assert writer is not None
    decode = msgspec.json.Decoder(list[typed.record_type]).decode  # type: ignore[name-defined]

    def lines(page: bytes, now: datetime) -> bytes:
        found = writer.lines(decode(page), now=now)
        assert found is not None
        return found.text

    return lines


def incident(number: int) -> dict[str, Any]:
    """One of the records."""
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


def _best(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least CPU time of each, in turns; the first is measured twice a round for the A/A floor."""
    (first, again), best = next(iter(works.items())), dict[str, float]()
    for _ in range(rounds):
        for name, work in [*works.items(), (f"{first} again", again)]:
            start = time.process_time()
            work()
            best[name] = min(best.get(name, float("inf")), time.process_time() - start)
    return best


def _report(series: str, best: dict[str, float], count: int) -> float:
    """Prints one series and returns the ratio of the last compiled row to the one by hand."""
    (hand, least), *rows, (_, again) = best.items()
    sys.stdout.write(f"{series}: {hand} {least / count * 1e6:.2f} µs a record (A/A {least / again:.3f})\n")
    ratio = 0.0
    for name, took in rows:
        ratio = min(least, again) / took
        sys.stdout.write(f"  {name} {took / count * 1e6:.2f} µs, ratio {ratio:.2f}\n")
    return ratio


def main(rounds: int = 60, count: int = 1_000) -> tuple[float, float]:
    """Prints both series and returns the ratio of each: of the plan, and of the typed plan."""
    records = [incident(number) for number in range(count)]
    plan = compile_mapping(DEFINITION)
    now = datetime.now(UTC)
    assert plan.apply_many(records, now=now).records == [by_hand(record) for record in records]
    mapped = _best(
        {
            "by hand": lambda: [by_hand(record) for record in records],
            "compiled": lambda: plan.apply_many(records, now=now),
        },
        rounds,
    )
    page, structs = msgspec.json.encode([laden(record) for record in records]), page_of_structs(plan)
    lines = page_as_lines()
    assert lines(page, now).count(b"\n") == count
    assert page_by_hand(page) == page_of_dictionaries(plan, page, now) == structs(page, now)
    pages = _best(
        {
            "by hand": lambda: page_by_hand(page),
            "plan": lambda: page_of_dictionaries(plan, page, now),
            "lines of text": lambda: lines(page, now),
            "typed plan": lambda: structs(page, now),
        },
        rounds,
    )
    return (
        _report("dictionary to dictionary", mapped, count),
        _report(f"{len(page) // count} bytes to JSON", pages, count),
    )


def laden(record: dict[str, Any]) -> dict[str, Any]:
    """The record with what sources send besides and nobody maps."""
    note = "Users report that the service answers slowly; the first look at the host showed nothing unusual. "
    return {
        **record,
        "description": note * 2,
        "sla": {"name": "P3 resolution", "breached": False, "seconds_left": 7200},
        "company": {"name": "Example", "sys_id": "c" * 32},
        "work_notes": ["seen", "assigned", "called back"],
    }


if __name__ == "__main__":
    main()
