"""Records of the audit trail, each linked to the one before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from isthmus.resilience.trail import BEGINNING, Checkpoint, Entry, hash_of

MOST_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """Who did what, from where, and how it ended; the last three are set when it joins the chain."""

    record_id: str
    time: datetime
    service: str
    method: str
    kind: str
    subject: str = ""
    subject_kind: str = ""
    outcome: str = "OK"
    reason: str = ""
    peer: str = ""
    correlation_id: str = ""
    targets: tuple[str, ...] = ()
    details: str = "{}"
    sequence: int = 0
    previous_hash: str = ""
    hash: str = ""

    def content(self, tenant_id: str) -> dict[str, Any]:
        """Return what is hashed beside the place in the chain; exports have the same form."""
        return {
            "tenant_id": tenant_id,
            "record_id": self.record_id,
            "time": self.time.astimezone(UTC).isoformat(timespec="microseconds"),
            "service": self.service,
            "method": self.method,
            "kind": self.kind,
            "subject": self.subject,
            "subject_kind": self.subject_kind,
            "outcome": self.outcome,
            "reason": self.reason,
            "peer": self.peer,
            "correlation_id": self.correlation_id,
            "targets": list(self.targets),
            "details": self.details,
        }

    def entry(self, tenant_id: str) -> Entry:
        """Return it as a link of the tenant's chain."""
        return Entry(self.sequence, self.content(tenant_id), self.previous_hash, self.hash)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records are wanted; what is empty does not restrict."""

    subject: str = ""
    service: str = ""
    method: str = ""
    target: str = ""
    kinds: tuple[str, ...] = ()
    only_refused: bool = False
    correlation_id: str = ""
    start: datetime | None = None
    end: datetime | None = None


def linked(tenant_id: str, end: Checkpoint | None, records: Sequence[AuditRecord]) -> list[AuditRecord]:
    """Give records their places at the end of a chain.

    Args:
        tenant_id: Whose chain.
        end: What it ends with; None where it is empty.
        records: In the order in which they join.
    """
    sequence, before = (end.sequence, end.hash) if end else (0, BEGINNING)
    chain = []
    for record in records:
        sequence += 1
        own = hash_of(before, sequence, record.content(tenant_id))
        chain.append(replace(record, sequence=sequence, previous_hash=before, hash=own))
        before = own
    return chain


__all__ = ["MOST_RECORDS", "AuditFilter", "AuditRecord", "linked"]
