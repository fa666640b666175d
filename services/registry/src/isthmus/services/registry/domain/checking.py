"""What a check of an instance means for the instance."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from isthmus.resilience.faults import Fault
from isthmus.services.registry.domain.model import Instance, Status


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one step, as far as it matters here."""

    step: str
    has_failed: bool
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all steps together say; `trouble` is empty when the instance works."""

    trouble: str = ""

    @classmethod
    def of(cls, steps: Iterable[Step]) -> "Verdict":
        """Judge by the first step that failed; a check without steps proves nothing."""
        seen = list(steps)
        if not seen:
            return cls("The connector's check had no steps; tell the connector's author.")
        failed = next((step for step in seen if step.has_failed), None)
        return cls() if failed is None else cls(_sentence(failed))

    @classmethod
    def of_fault(cls, fault: Fault) -> "Verdict":
        """Judge by the fault that ended the check."""
        return cls(fault.message)


def _sentence(step: Step) -> str:
    words = " ".join(filter(None, (step.message, step.remedy)))
    return words or f"The step `{step.step}` failed."


def activated(instance: Instance, verdict: Verdict, now: datetime) -> Instance:
    """Return the instance as activation leaves it: active, or in error with the reason."""
    if verdict.trouble:
        return replace(instance, status=Status.ERROR, error_message=verdict.trouble, update_time=now)
    return replace(instance, status=Status.ACTIVE, error_message="", last_connected_time=now, update_time=now)


def observed(instance: Instance, verdict: Verdict, now: datetime) -> Instance:
    """Return the instance as a mere check leaves it: better informed, in the same state."""
    if verdict.trouble:
        return replace(instance, error_message=verdict.trouble)
    return replace(instance, error_message="", last_connected_time=now)


__all__ = ["Step", "Verdict", "activated", "observed"]
