"""Why attempts do not succeed, in words for people."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from isthmus.services.scheduling.domain.counts import Counts
from isthmus.services.scheduling.domain.flow import FailurePolicy


class FailureKind(StrEnum):
    """What kind of failure, which decides whether another attempt follows."""

    CONFIGURATION = "configuration"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    TRANSIENT = "transient"
    RATE_LIMITED = "rate_limited"
    NOT_FOUND = "not_found"
    DATA = "data"
    FATAL = "fatal"
    STOPPED = "stopped"

    @property
    def passes(self) -> bool:
        """Whether waiting may help."""
        return self in {FailureKind.TRANSIENT, FailureKind.RATE_LIMITED}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt did not succeed."""

    kind: FailureKind
    reason: str
    message: str
    retry_after: timedelta | None = None


def exceeds(policy: FailurePolicy, counts: Counts) -> bool:
    """Whether more records are in quarantine than the flow's owner accepts."""
    return 0 < policy.max_quarantined < counts.quarantined


def too_many_quarantined(policy: FailurePolicy) -> Failure:
    """Say why an execution was given up over its quarantined records."""
    message = (
        f"More than {policy.max_quarantined} records went to quarantine; "
        "mend the mapping or the records, requeue them, or raise max_quarantined."
    )
    return Failure(FailureKind.DATA, "TOO_MANY_QUARANTINED", message)


def lease_expired(host_id: str) -> Failure:
    """Say that a host went silent."""
    message = f"Host {host_id} has not renewed its lease; the execution is handed on."
    return Failure(FailureKind.STOPPED, "LEASE_EXPIRED", message)


def stopped_unasked() -> Failure:
    """Say that a host gave back what nobody wanted back."""
    message = "The host ended the attempt though nobody asked for it; the execution is handed on."
    return Failure(FailureKind.STOPPED, "STOPPED_UNASKED", message)


def unreconciled(total: Counts) -> Failure:
    """Say that records are missing from the account."""
    message = (
        f"{total.read} records were read and {total.arrived + total.quarantined} are accounted for; "
        "reset the flow to read everything again, and report this with the execution's id."
    )
    return Failure(FailureKind.FATAL, "COUNTS_DO_NOT_RECONCILE", message)


__all__ = [
    "Failure",
    "FailureKind",
    "exceeds",
    "lease_expired",
    "stopped_unasked",
    "too_many_quarantined",
    "unreconciled",
]
