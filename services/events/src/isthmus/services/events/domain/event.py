"""Events as they are kept, and which of them are meant."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.resilience.faults import FixRequest

LARGEST_DATA = 256 * 1024
_LONGEST_TYPE = 200
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+")
_PATTERN = re.compile(r"[A-Za-z0-9_.-]*\*?")
_ABOUT = ("instanceId", "sourceInstanceId", "destinationInstanceId")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        event_id: CloudEvents `id`.
        type: CloudEvents `type`.
        source: CloudEvents `source`.
        subject: What it happened to.
        time: When it happened.
        data: The payload as a JSON object, written out.
        traceparent: Trace of what caused it.
        correlation_id: Ties together what one request caused.
        nats_subject: Where it was published.
        position: Its place among the tenant's events; 0 before it is stored.
    """

    event_id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: str
    traceparent: str
    correlation_id: str
    nats_subject: str
    position: int = 0


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are meant.

    Attributes:
        exact: Types; empty together with `prefixes` means all.
        prefixes: Beginnings of types.
        subject: Only events about this; empty means all.
        start_time: Not before.
        end_time: Before.
    """

    exact: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    subject: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None


def read_patterns(patterns: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split type patterns into exact types and beginnings.

    Raises:
        FixRequest: `FIELD_INVALID`, a pattern has its `*` elsewhere than at the end.
    """
    exact, prefixes = [], []
    for pattern in patterns:
        check_pattern(pattern, "filter.types")
        if pattern.endswith("*"):
            prefixes.append(pattern[:-1])
        else:
            exact.append(pattern)
    return tuple(exact), tuple(prefixes)


def check_pattern(pattern: str, path: str) -> None:
    """Refuse what can be no pattern of event types.

    Raises:
        FixRequest: `FIELD_INVALID`.
    """
    if not pattern or len(pattern) > _LONGEST_TYPE or not _PATTERN.fullmatch(pattern):
        message = f'"{pattern[:80]}" is no event type; write one, or its beginning with a `*` at the end.'
        raise FixRequest("FIELD_INVALID", message, path=path)


def check_own_type(name: str) -> None:
    """Refuse types that tenants may not publish.

    Raises:
        FixRequest: `EVENT_TYPE_RESERVED`, or `FIELD_INVALID` for what is no type at all.
    """
    if name.lower().startswith("isthmus.") or name.lower() == "isthmus":
        message = "Choose a type that does not begin with `isthmus.`; those belong to the mesh."
        raise FixRequest("EVENT_TYPE_RESERVED", message, path="type")
    if len(name) > _LONGEST_TYPE or not _TYPE.fullmatch(name):
        message = "Write a type such as com.example.order.created: words joined by dots."
        raise FixRequest("FIELD_INVALID", message, path="type")


def is_about(data: dict[str, Any], subject: str, instance_id: str) -> bool:
    """Whether an event concerns an instance: as its subject, or anywhere its payload names instances."""
    if subject == instance_id:
        return True
    nested = [value for value in data.values() if isinstance(value, dict)]
    return any(holder.get(name) == instance_id for holder in (data, *nested) for name in _ABOUT)


def causing_flow(data: dict[str, Any]) -> str:
    """Give the flow that caused an event; empty where its payload names none."""
    for holder in (data.get("execution"), data.get("flow"), data):
        if isinstance(holder, dict) and holder.get("flowId"):
            return str(holder["flowId"])
    return ""


__all__ = [
    "LARGEST_DATA",
    "Event",
    "EventFilter",
    "causing_flow",
    "check_own_type",
    "check_pattern",
    "is_about",
    "read_patterns",
]
