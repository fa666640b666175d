"""The job's data: incidents as a vendor gives them, and the rows that must come of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

__all__ = [
    "COLUMNS",
    "PAGE",
    "PRIORITIES",
    "SALT",
    "STATES",
    "TABLE",
    "incident",
    "items_text",
    "row_text",
    "row_texts",
]

PAGE = 1000
"""Records in one page of the source."""
SALT = "rev00000"
"""Stands in the title of every record and nowhere else; other digits in its place are other contents."""
PRIORITIES = {"1": "critical", "2": "high", "3": "moderate", "4": "low", "5": "planning"}
STATES = {"1": "new", "2": "in_progress", "3": "on_hold", "6": "resolved", "7": "closed"}
COLUMNS = {
    "id": "text",
    "number": "text",
    "title": "text",
    "priority": "text",
    "state": "text",
    "category": "text",
    "opened_at": "timestamptz",
    "updated_at": "timestamptz",
    "resolved_at": "timestamptz",
    "caller": "text",
    "caller_email": "text",
    "assignment_group": "text",
    "tags": "text",
}
"""What the destination holds, with types of PostgreSQL."""
TABLE = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items()) + ", primary key (id)"
"""What stands between the brackets of CREATE TABLE."""

_CATEGORIES = ("hardware", "software", "network", "database", "inquiry")
_STATE_KEYS = tuple(STATES)
_NOTES = "Users report that the service answers slowly; the first look at the host showed nothing unusual. "
_ODD_TITLES = (
    r"Share \\filer\home is full",
    'Tab\there, "quotes" there',
    "Zürich: Drucker läuft über — 印刷",
)
_encode = msgspec.json.Encoder().encode


def incident(number: int, salt: str = SALT) -> dict[str, Any]:
    """Makes one incident, about 750 bytes of JSON; the same number always gives the same."""
    mixed = number * 2654435761 % 2**32
    person, group = mixed % 9973, mixed % 41
    state = _STATE_KEYS[mixed // 8 % 5]
    return {
        "sys_id": f"{number:012x}{mixed:08x}{mixed ^ 0x5BD1E995:08x}{person:04x}",
        "number": f"INC{number:07}",
        "short_description": f"{_title(number, mixed)} [{salt}]",
        "description": _NOTES,
        "priority": str(mixed // 64 % 5 + 1),
        "state": state,
        "category": _CATEGORIES[mixed // 512 % 5],
        "opened_at": _moment(mixed, 0),
        "sys_updated_on": _moment(mixed, 1),
        "resolved_at": _moment(mixed, 2) if state in {"6", "7"} else None,
        "caller": {
            "sys_id": f"usr{person:08}",
            "name": f"Person {person}",
            "email": f"person.{person}@example.com",
            "vip": person % 50 == 0,
        },
        "assignment_group": {
            "sys_id": f"grp{group:08}",
            "name": f"Service Desk {group}",
            "manager": {"name": f"Lead {group}", "phone": f"+41 44 555 {group:04}"},
        },
        "tags": [f"site-{mixed % 17}", "capacity", f"rack-{mixed % 211}"][: mixed % 3 + 1],
        "sla": {"name": "P3 resolution", "breached": mixed % 11 == 0, "seconds_left": mixed % 90000},
        "reassignment_count": mixed % 6,
    }


def row_text(number: int, salt: str = SALT) -> str:
    """Gives the row that an incident must become, as PostgreSQL's COPY writes it in UTC.

    Written apart from every runner, so that none of them checks itself.
    """
    given = incident(number, salt)
    caller = given["caller"]
    fields = [
        given["sys_id"],
        given["number"],
        f"{given['number']}: {given['short_description']}",
        PRIORITIES[given["priority"]],
        STATES[given["state"]],
        given["category"],
        f"{given['opened_at']}+00",
        f"{given['sys_updated_on']}+00",
        f"{given['resolved_at']}+00" if given["resolved_at"] else None,
        caller["name"],
        caller["email"],
        given["assignment_group"]["name"],
        ", ".join(given["tags"]),
    ]
    return "\t".join(r"\N" if field is None else _escaped(field) for field in fields) + "\n"


def row_texts(count: int, salt: str = SALT) -> Iterator[bytes]:
    """Gives the rows of the first incidents in order of their ids."""
    return (row_text(number, salt).encode() for number in range(count))


def items_text(first: int, last: int, salt: str = SALT) -> bytes:
    """Renders incidents from `first` up to, not including, `last` as a JSON array."""
    return _encode([incident(number, salt) for number in range(first, last)])


def _title(number: int, mixed: int) -> str:
    if number % 97 == 0:
        return _ODD_TITLES[number // 97 % len(_ODD_TITLES)]
    return f"Disk usage above threshold on host-{mixed % 5003}"


def _moment(mixed: int, step: int) -> str:
    day, second = mixed % 28 + 1, mixed % 60
    return f"2026-{mixed % 9 + 1 + step:02}-{day:02} {mixed % 24:02}:{mixed // 7 % 60:02}:{second:02}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
