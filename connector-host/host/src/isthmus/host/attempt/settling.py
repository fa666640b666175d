"""What happens when a unit is durable: rejects to quarantine, then counts, then the position."""

from collections.abc import Callable, Sequence
from typing import Protocol

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.attempt.findings import Findings
from isthmus.host.attempt.lease import Lease
from isthmus.host.attempt.pieces import Piece, Reason, Reject, Unit
from isthmus.host.attempt.privacy import Privacy
from isthmus.records.v1 import records_pb2 as records
from isthmus.resilience import Broken, DataLost
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1 import batch_pb2 as batch


class Shelf(Protocol):
    """Where records are put aside; `Quarantine` is one."""

    async def add(self, rejects: Sequence[Reject]) -> list[str]:
        """Put records aside durably and tell where they wait."""
        ...

    async def resolve(self, quarantine_ids: Sequence[str]) -> None:
        """Mark requeued records as delivered."""
        ...


class Settling:
    """Accounts for every record of an attempt.

    Args:
        lease: Takes notice of durable positions.
        quarantine: Takes what cannot arrive.
        is_requeue: Records come out of quarantine; there are no positions.
        most_quarantined: Fail beyond so many in the execution; 0 means no limit.
        quarantined_before: By earlier attempts.
        findings: Makes what counts what is wrong with records.

    Attributes:
        findings: What was wrong with records, as `counts` tells of all of them.
        durable_findings: The same as far as positions cover it.
    """

    def __init__(
        self,
        lease: Lease,
        quarantine: Shelf,
        *,
        is_requeue: bool = False,
        most_quarantined: int = 0,
        quarantined_before: int = 0,
        findings: Callable[[], Findings] = lambda: Findings(Privacy()),
    ) -> None:
        self._lease = lease
        self._quarantine = quarantine
        self._is_requeue = is_requeue
        self._most_quarantined = most_quarantined
        self._quarantined_before = quarantined_before
        self._ahead: dict[str, batch.Counts] = {}
        self._durable = batch.Counts()
        self.counts = batch.Counts()
        self._counting = findings
        self.findings, self.durable_findings = findings(), findings()
        self._findings_ahead: dict[str, Findings] = {}

    async def __call__(self, unit: Unit, ack: connector.BatchAck) -> None:
        """Settle a unit that the destination has acknowledged.

        Raises:
            Fault: Quarantine is away for too long, the counts do not add up, or too much is quarantined.
        """
        refused = _refused(unit, ack)
        rejects = rejects_of(unit, ack)
        ids = await self._quarantine.add(rejects) if rejects else []
        if self._is_requeue:
            await self._quarantine.resolve(_resolved(unit, refused, rejects, ids))
        self._find(unit, rejects)
        self._count(unit, ack, len(refused), len(rejects))
        self._note(unit.last)
        self._check_quarantined()

    def _find(self, unit: Unit, rejects: Sequence[Reject]) -> None:
        notes = [note for piece in unit.pieces for note in piece.notes]
        if not (rejects or notes):
            return
        partition = unit.last.partition
        for findings in (self.findings, self._findings_ahead.setdefault(partition, self._counting())):
            findings.rejected(rejects)
            findings.noted(notes)

    def _count(self, unit: Unit, ack: connector.BatchAck, refused: int, rejected: int) -> None:
        sent = unit.count
        told = ack.created + ack.updated + ack.unchanged + ack.deleted
        unchanged = ack.unchanged
        if ack.repeated_batch:
            unchanged += max(0, sent - refused - told)
            told = max(told, sent - refused)
        if told + refused != sent:
            message = (
                f"The destination accounts for {told + refused} of {sent} records; it has to tell of each."
            )
            raise Broken("COUNTS_MISMATCH", message)
        counts = batch.Counts(
            read=sum(piece.read for piece in unit.pieces),
            filtered=sum(piece.filtered for piece in unit.pieces),
            quarantined=rejected,
            created=ack.created,
            updated=ack.updated,
            unchanged=unchanged,
            deleted=ack.deleted,
            bytes_sent=unit.size,
            api_calls=ack.api_calls + sum(piece.usage.api_calls for piece in unit.pieces),
            retries=ack.retries + sum(piece.usage.retries for piece in unit.pieces),
            throttled=sum(piece.usage.throttled for piece in unit.pieces),
        )
        _add(self.counts, counts)
        _add(self._ahead.setdefault(unit.last.partition, batch.Counts()), counts)

    def _note(self, last: Piece) -> None:
        """Tell of a position, with what lies behind the positions of all partitions.

        What another partition did since its own position is not among it: it would be counted twice if
        this attempt died.
        """
        if not last.boundary:
            return
        if self._is_requeue:
            self.durable_findings = self.findings
            self._lease.note((), self.counts)
        elif last.position is not None or last.complete:
            _add(self._durable, self._ahead.pop(last.partition, batch.Counts()))
            if (found := self._findings_ahead.pop(last.partition, None)) is not None:
                self.durable_findings.add(found)
            checkpoint = scheduling.Checkpoint(
                partition=last.partition, position=last.position, is_complete=last.complete
            )
            self._lease.note((checkpoint,), self._durable)

    def _check_quarantined(self) -> None:
        total = self._quarantined_before + self.counts.quarantined
        if self._most_quarantined and total > self._most_quarantined:
            message = (
                f"{total} records of this execution are in quarantine, more than the flow's limit of "
                f"{self._most_quarantined}; look at their reasons and mend the mapping or the source."
            )
            raise DataLost("TOO_MANY_QUARANTINED", message)

    def check_complete(self) -> None:
        """Make sure that every record read is accounted for.

        Raises:
            Broken: `COUNTS_MISMATCH`.
        """
        read, accounted = self.counts.read, self._accounted
        if read != accounted:
            message = f"{read} records were read and {accounted} accounted for; report this."
            raise Broken("COUNTS_MISMATCH", message)

    @property
    def _accounted(self) -> int:
        counts = self.counts
        arrived = counts.created + counts.updated + counts.unchanged + counts.deleted
        return int(arrived + counts.filtered + counts.quarantined)


def rejects_of(unit: Unit, ack: connector.BatchAck) -> list[Reject]:
    """Give the records of a unit that cannot arrive: not fit to be sent, or refused by the destination."""
    rejects = [reject for piece in unit.pieces for reject in piece.rejects]
    return rejects + [_reject(piece, place, outcome) for piece, place, outcome in _refused(unit, ack)]


def _add(counts: batch.Counts, more: batch.Counts) -> None:
    for told, value in more.ListFields():
        setattr(counts, told.name, getattr(counts, told.name) + value)


def _refused(unit: Unit, ack: connector.BatchAck) -> list[tuple[Piece, int, batch.RecordOutcome]]:
    """The records that the destination refused, each with its piece and its place there."""
    refused = {
        outcome.index: outcome
        for outcome in ack.outcomes
        if outcome.result == batch.RecordOutcome.RESULT_REJECTED
    }
    found: list[tuple[Piece, int, batch.RecordOutcome]] = []
    start = 0
    for piece in unit.pieces:
        end = start + piece.count
        found += [(piece, index - start, refused[index]) for index in sorted(refused) if start <= index < end]
        start = end
    if len(found) != len(refused):
        message = "The destination rejects records that were not sent; report this to the connector's author."
        raise Broken("ACKNOWLEDGEMENT_INVALID", message)
    return found


def _reject(piece: Piece, place: int, outcome: batch.RecordOutcome) -> Reject:
    reason = Reason(outcome.reason or "REJECTED_BY_SYSTEM", outcome.message, target_path=outcome.path)
    operation = piece.operations[place] if piece.operations is not None else batch.OPERATION_UPSERT
    return Reject(
        stage=records.QuarantinedRecord.STAGE_DELIVER,
        record=piece.sources[place],
        key=piece.source_keys[place] if piece.source_keys else "",
        reasons=(reason,),
        deletes=operation == batch.OPERATION_DELETE,
        quarantine_id=piece.quarantine_ids[place] if piece.quarantine_ids else "",
    )


def _resolved(
    unit: Unit,
    refused: Sequence[tuple[Piece, int, batch.RecordOutcome]],
    rejects: Sequence[Reject],
    ids: Sequence[str],
) -> list[str]:
    """Requeued records that wait no more: delivered, left out by the mapping, or waiting under a new id."""
    still = {(id(piece), place) for piece, place, _ in refused}
    done: list[str] = []
    for piece in unit.pieces:
        done += piece.settled_ids
        done += [one for place, one in enumerate(piece.quarantine_ids) if (id(piece), place) not in still]
    moved = zip(rejects, ids, strict=False)
    done += [reject.quarantine_id for reject, now in moved if reject.quarantine_id not in {"", now}]
    # Of a record that is split one part may have arrived, and another one not.
    waiting = set(ids)
    return list(dict.fromkeys(one for one in done if one not in waiting)) if waiting else done


__all__ = ["Settling", "Shelf", "rejects_of"]
