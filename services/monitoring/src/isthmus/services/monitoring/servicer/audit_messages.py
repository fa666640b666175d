"""Between the contract's messages of the audit trail and the domain's values."""

from collections.abc import Iterable
from datetime import datetime

from isthmus.kit.times import moment, stamp
from isthmus.kit.validation import Check
from isthmus.monitoring.v1 import audit_pb2 as pb
from isthmus.resilience.trail import Checkpoint, Finding
from isthmus.services.monitoring.domain import AuditFilter, AuditRecord

_KINDS = {pb.AuditRecord.KIND_CHANGE: "change", pb.AuditRecord.KIND_ACCESS: "access"}
_NUMBERS = {name: number for number, name in _KINDS.items()}
_LONGEST_WORD = 300
_LONGEST_DETAILS = 200_000


def record_of(record: pb.AuditRecord, place: int, check: Check, now: datetime, service: str) -> AuditRecord:
    """Reads one record; what is wrong with it is noted in `check`."""
    path = f"records[{place}]"
    check.text(f"{path}.record_id", record.record_id, longest=100)
    check.text(f"{path}.method", record.method, longest=_LONGEST_WORD)
    check.enum(f"{path}.kind", record.kind, known=_KINDS)
    return AuditRecord(
        record_id=record.record_id,
        time=moment(record.time, f"{path}.time") or now,
        service=service,
        method=record.method,
        kind=_KINDS.get(record.kind, "change"),
        subject=_word(record.subject),
        subject_kind=_word(record.subject_kind),
        outcome=_word(record.outcome) or "OK",
        reason=_word(record.reason),
        peer=_word(record.peer),
        correlation_id=_word(record.correlation_id),
        targets=tuple(map(_word, record.targets[:100])),
        details=_clean(record.details)[:_LONGEST_DETAILS],
    )


def record_message(record: AuditRecord) -> pb.AuditRecord:
    """Tells one record."""
    return pb.AuditRecord(
        record_id=record.record_id,
        sequence=record.sequence,
        time=stamp(record.time),
        service=record.service,
        method=record.method,
        kind=_NUMBERS[record.kind],
        subject=record.subject,
        subject_kind=record.subject_kind,
        outcome=record.outcome,
        reason=record.reason,
        peer=record.peer,
        correlation_id=record.correlation_id,
        targets=record.targets,
        details=record.details,
        previous_hash=record.previous_hash,
        hash=record.hash,
    )


def audit_filter_of(request: pb.ListAuditRecordsRequest) -> AuditFilter:
    """Reads which records are wanted."""
    return AuditFilter(
        subject=request.subject,
        service=request.service,
        method=request.method.lstrip("/"),
        target=request.target,
        kinds=tuple(_KINDS[kind] for kind in request.kinds if kind in _KINDS),
        only_refused=request.only_refused,
        correlation_id=request.correlation_id,
        start=moment(request.start_time, "start_time"),
        end=moment(request.end_time, "end_time"),
    )


def checkpoints_of(checkpoints: Iterable[pb.AuditCheckpoint]) -> list[Checkpoint]:
    """Reads what somebody has kept of a chain."""
    return [Checkpoint(one.sequence, one.hash) for one in checkpoints]


def checkpoint_message(end: Checkpoint, time: datetime) -> pb.AuditCheckpoint:
    """Tells what a chain ends with."""
    return pb.AuditCheckpoint(sequence=end.sequence, hash=end.hash, time=stamp(time))


def finding_message(finding: Finding) -> pb.AuditFinding:
    """Tells what is wrong with a chain."""
    kind = pb.AuditFinding.Kind.Value(f"KIND_{finding.kind.upper()}")
    return pb.AuditFinding(kind=kind, sequence=finding.sequence, message=finding.message)


def _word(text: str) -> str:
    return _clean(text)[:_LONGEST_WORD]


def _clean(text: str) -> str:
    """Return a text without what PostgreSQL or the list of targets cannot hold."""
    return text.replace("\0", "\ufffd").replace("\x1f", "\ufffd")


__all__ = [
    "audit_filter_of",
    "checkpoint_message",
    "checkpoints_of",
    "finding_message",
    "record_message",
    "record_of",
]
