"""Records that wait for a decision: how they are named and what may become of them."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Any

from isthmus.resilience.faults import FixRequest

MAX_RECORDS = 1000
MAX_BYTES = 1 << 20
MAX_RECORD_BYTES = 64 << 20
# A record of this size still fits into an answer beside others; base64 of what a batch may hold is smaller.
SHOWN_BYTES = 3 << 19
MAX_FLOW_BYTES = 255
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LETTERS = 26


class Stage(IntEnum):
    """Where in its way a record failed; the numbers are the contract's."""

    UNKNOWN = 0
    READ = 1
    MAP = 2
    VALIDATE = 3
    DELIVER = 4


class Status(IntEnum):
    """Where a quarantined record is in its life; the numbers are the contract's."""

    WAITING = 1
    REQUEUED = 2
    DELIVERED = 3
    DROPPED = 4


# What a person may still decide about: a requeued record too, since its execution may have failed.
OPEN = (Status.WAITING, Status.REQUEUED)
REQUEUABLE = (Status.WAITING, Status.REQUEUED, Status.DROPPED)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that could not be mapped, validated or delivered, whole.

    Attributes:
        flow_id: Which flow it belongs to.
        execution_id: Which execution put it here last.
        stage: Where it failed.
        key: Its key in the source, where it has one.
        record: JSON text, or base64 where `is_binary`.
        is_binary: The source's bytes are no JSON text.
        reasons: What is wrong, as plain values.
        mapping_id: The mapping used.
        mapping_version: Its version.
        quarantine_id: Derived; empty before it is stored.
        status: Where it is in its life.
        attempts: How often it has failed.
        create_time: When it came here first.
        update_time: When its state last changed.
        decided_by: Who requeued or dropped it.
        size: Bytes of the whole `record`, also where an answer leaves it out.
        classes: Classes of its fields, as they are stored.
    """

    flow_id: str
    execution_id: str
    stage: Stage
    key: str
    record: str
    is_binary: bool
    reasons: Sequence[dict[str, Any]]
    mapping_id: str = ""
    mapping_version: int = 0
    quarantine_id: str = ""
    status: Status = Status.WAITING
    attempts: int = 1
    create_time: datetime | None = None
    update_time: datetime | None = None
    decided_by: str = ""
    size: int = 0
    classes: str = ""


def admit(records: Sequence[Quarantined], tenant_id: str) -> list[Quarantined]:
    """Make records ready to be stored: each gets its id, and text that is no JSON becomes base64.

    Raises:
        FixRequest: `BATCH_INVALID`, too many at once, or one without a flow.
    """
    if len(records) > MAX_RECORDS:
        message = f"Send at most {MAX_RECORDS} records at once, not {len(records)}."
        raise FixRequest("BATCH_INVALID", message, path="records")
    size = sum(len(record.record.encode()) for record in records)
    if size > MAX_BYTES:
        raise FixRequest("BATCH_INVALID", f"Send at most {MAX_BYTES} bytes at once, not {size}.")
    for index, record in enumerate(records):
        _check_flow(record, f"records[{index}].flow_id")
    return [_named(_spelled(record), tenant_id) for record in records]


def admit_large(record: Quarantined, tenant_id: str) -> Quarantined:
    """Make one record ready that came in pieces.

    Raises:
        FixRequest: `BATCH_INVALID` or `RECORD_TOO_LARGE`.
    """
    _check_flow(record, "record.flow_id")
    size = len(record.record.encode())
    check_size(size * 3 // 4 if record.is_binary else size)
    return _named(_spelled(record), tenant_id)


def check_size(size: int) -> None:
    """Refuse a record that is too large to be kept.

    Raises:
        FixRequest: `RECORD_TOO_LARGE`.
    """
    if size > MAX_RECORD_BYTES:
        message = f"A quarantined record may have {MAX_RECORD_BYTES:,} bytes; have the source give less."
        raise FixRequest("RECORD_TOO_LARGE", message, path="record")


def _check_flow(record: Quarantined, path: str) -> None:
    if not 0 < len(record.flow_id.encode()) <= MAX_FLOW_BYTES:
        message = f"Name the flow of every record in at most {MAX_FLOW_BYTES} bytes."
        raise FixRequest("BATCH_INVALID", message, path=path)


def _named(record: Quarantined, tenant_id: str) -> Quarantined:
    return replace(record, quarantine_id=quarantine_id(tenant_id, record))


def _spelled(record: Quarantined) -> Quarantined:
    if record.is_binary or _is_json(record.record):
        return record
    packed = base64.b64encode(record.record.encode()).decode()
    return replace(record, record=packed, is_binary=True)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


def quarantine_id(tenant_id: str, record: Quarantined) -> str:
    """Derive the id from tenant, flow, stage and content, so that repetition adds nothing."""
    digest = hashlib.sha256()
    for part in (tenant_id, record.flow_id, str(int(record.stage)), record.record):
        packed = part.encode()
        digest.update(len(packed).to_bytes(8, "big"))
        digest.update(packed)
    number = int.from_bytes(digest.digest()[:17], "big")
    return "qrn_" + "".join(_LETTERS[number >> 5 * place & 31] for place in range(_ID_LETTERS))


@dataclass(frozen=True, slots=True)
class Selection:
    """Quarantined records a decision is about: some ids, or all that wait in a flow."""

    quarantine_ids: Sequence[str]
    flow_id: str

    def check(self) -> None:
        """Refuse a selection that names nothing, or too much.

        Raises:
            FixRequest: `SELECTION_EMPTY` or `FIELD_INVALID`.
        """
        if not self.quarantine_ids and not self.flow_id:
            raise FixRequest("SELECTION_EMPTY", "Name quarantine ids or a flow.", path="quarantine_ids")
        check_ids(self.quarantine_ids)


@dataclass(frozen=True, slots=True)
class Decided:
    """What happened to quarantined records of one flow.

    Attributes:
        verb: `added`, `requeued` or `dropped`.
        flow_id: Which flow.
        quarantine_ids: At most 1,000 of them.
        count: How many in all.
        who: The subject that did it.
    """

    verb: str
    flow_id: str
    quarantine_ids: Sequence[str]
    count: int
    who: str


def check_ids(quarantine_ids: Sequence[str]) -> None:
    """Refuse more ids than one call may name.

    Raises:
        FixRequest: `FIELD_INVALID`.
    """
    if len(quarantine_ids) > MAX_RECORDS:
        message = f"Name at most {MAX_RECORDS} ids at once, not {len(quarantine_ids)}."
        raise FixRequest("FIELD_INVALID", message, path="quarantine_ids")


__all__ = [
    "MAX_RECORD_BYTES",
    "OPEN",
    "REQUEUABLE",
    "SHOWN_BYTES",
    "Decided",
    "Quarantined",
    "Selection",
    "Stage",
    "Status",
    "admit",
    "admit_large",
    "check_ids",
    "check_size",
    "quarantine_id",
]
