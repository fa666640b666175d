"""How an instance is doing, and why."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HealthState(StrEnum):
    """In one word."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """What the executions of the last 24 hours say about an instance."""

    instance_id: str
    succeeded: int
    failed: int
    quarantined: int
    last_status: str
    last_error: str
    last_success: datetime | None
    last_failure: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state with its explanation in one sentence."""

    state: HealthState
    explanation: str


def judge(record: InstanceRecord) -> Verdict:
    """Gives the state of an instance: the last execution counts most, then failures, then quarantine."""
    if not record.succeeded and not record.failed:
        return Verdict(HealthState.IDLE, "Nothing has run in the last 24 hours.")
    if record.last_status == "failed":
        why = f": {record.last_error}" if record.last_error else "."
        return Verdict(HealthState.FAILING, f"The last execution failed{why}")
    if record.failed:
        return Verdict(
            HealthState.DEGRADED,
            f"{record.failed} of {record.failed + record.succeeded} executions failed in the last 24 hours.",
        )
    if record.quarantined:
        return Verdict(
            HealthState.DEGRADED, f"{record.quarantined} records went to quarantine in the last 24 hours."
        )
    return Verdict(HealthState.HEALTHY, f"All {record.succeeded} executions of the last 24 hours succeeded.")


__all__ = ["HealthState", "InstanceRecord", "Verdict", "judge"]
