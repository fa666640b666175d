"""Executions as monitoring remembers them, out of their events."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ENDS = frozenset({"completed", "failed", "cancelled"})
"""What the events say that tell of an execution's end."""


@dataclass(frozen=True, slots=True)
class Run:
    """How one execution ended for the instances on both its ends."""

    execution_id: str
    flow_id: str
    flow_name: str
    instances: tuple[str, ...]
    status: str
    end: datetime
    quarantined: int
    error: str


def run_of(verb: str, data: Mapping[str, Any], time: datetime) -> Run | None:
    """Reads a `sync.completed`, `sync.failed` or `sync.cancelled` event; None for anything else.

    Args:
        verb: The last word of the event's type before its version.
        data: The payload as canonical proto JSON, in which numbers of 64 bits are texts.
        time: When the event happened.
    """
    if verb not in ENDS:
        return None
    execution = data.get("execution") or {}
    ends = (data.get("sourceInstanceId", ""), data.get("destinationInstanceId", ""))
    return Run(
        execution_id=execution.get("executionId", ""),
        flow_id=execution.get("flowId", ""),
        flow_name=execution.get("flowName", ""),
        instances=tuple(dict.fromkeys(filter(None, ends))),
        status=verb,
        end=time,
        quarantined=int((execution.get("counts") or {}).get("quarantined", 0)),
        error=(execution.get("error") or {}).get("message", ""),
    )


__all__ = ["ENDS", "Run", "run_of"]
