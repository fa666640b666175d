"""RPCs of the audit trail."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
from isthmus.kit import Clock, Database, PageRequest, current_principal, encode_token
from isthmus.kit.deed import INSTALLATION
from isthmus.kit.paging import fitting
from isthmus.kit.validation import validating
from isthmus.monitoring.v1 import audit_pb2 as pb
from isthmus.monitoring.v1 import audit_pb2_grpc
from isthmus.resilience.faults import Fault, FixRequest, Precondition
from isthmus.resilience.trail import BEGINNING, Checkpoint, Finding, Inspection, canonical
from isthmus.services.monitoring.domain import MOST_RECORDS, AuditFilter
from isthmus.services.monitoring.sealing import Notary
from isthmus.services.monitoring.servicer.audit_messages import (
    audit_filter_of,
    checkpoint_message,
    checkpoints_of,
    finding_message,
    record_message,
    record_of,
)
from isthmus.services.monitoring.store import Trail

Context = grpc.aio.ServicerContext[Any, Any]
Told = Callable[[], Awaitable[list[Checkpoint]]]
_PORTION = 500
_MOST_CHECKPOINTS = 10_000
_MOST_FINDINGS = 1000
_SERVICE = "service:"


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """Answers the RPCs of the audit trail.

    Args:
        db: Where the trail is kept.
        clock: The time.
        appended: Told of a tenant whose chain has grown.
        told: Gives what events have told of the acting tenant's chain.
        notary: Signs ends of chains.
    """

    def __init__(
        self, db: Database, clock: Clock, appended: Callable[[str], None], told: Told, notary: Notary
    ) -> None:
        self._notary = notary
        self._db = db
        self._clock = clock
        self._appended = appended
        self._told = told

    async def AppendAuditRecords(
        self, request: pb.AppendAuditRecordsRequest, context: Context
    ) -> pb.AppendAuditRecordsResponse:
        """Adds records to the end of the tenant's chain."""
        if len(request.records) > MOST_RECORDS:
            message = f"Send at most {MOST_RECORDS:,} records in one call, not {len(request.records):,}."
            raise FixRequest("BATCH_INVALID", message)
        principal, now = current_principal(), self._clock.now()
        service = principal.subject.removeprefix(_SERVICE)
        with validating() as check:
            records = [record_of(one, n, check, now, service) for n, one in enumerate(request.records)]
        async with self._db.tenant(principal.tenant_id) as conn:
            appended = await Trail(conn, principal.tenant_id).append(records)
        if appended:
            self._appended(principal.tenant_id)
        return pb.AppendAuditRecordsResponse(appended=appended)

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        """Lists records, newest first."""
        shown, token = await self._page(current_principal().tenant_id, audit_filter_of(request), request)
        return pb.ListAuditRecordsResponse(records=shown, next_page_token=token)

    async def ListInstallationRecords(
        self, request: pb.ListInstallationRecordsRequest, context: Context
    ) -> pb.ListInstallationRecordsResponse:
        """Lists records that concern no tenant, newest first."""
        wanted = AuditFilter(
            subject=request.subject, method=request.method, only_refused=request.only_refused
        )
        shown, token = await self._page(INSTALLATION, wanted, request)
        return pb.ListInstallationRecordsResponse(records=shown, next_page_token=token)

    async def SealAuditTrail(
        self, request: pb.SealAuditTrailRequest, context: Context
    ) -> pb.SealAuditTrailResponse:
        """Signs what the chain ends with."""
        tenant_id, now = current_principal().tenant_id, self._clock.now()
        async with self._db.tenant(tenant_id) as conn:
            end = await Trail(conn, tenant_id).end()
        if end is None:
            raise Precondition("TRAIL_EMPTY", "There is nothing to sign yet: nobody has changed anything.")
        seal = await self._notary.sign(tenant_id, end, now)
        if not seal:
            message = (
                "Start the monitoring service with a vault, or with ISTHMUS_SERVICE_KEY_FILE; it has no key."
            )
            raise Precondition("SIGNING_UNAVAILABLE", message)
        return pb.SealAuditTrailResponse(
            checkpoint=checkpoint_message(end, now), seal=seal, keys=await self._notary.keys()
        )

    async def VerifyAuditTrail(
        self, request: pb.VerifyAuditTrailRequest, context: Context
    ) -> AsyncIterator[pb.VerifyAuditTrailResponse]:
        """Computes the chain anew and says what is wrong with it."""
        with validating() as check:
            check.count("checkpoints", request.checkpoints, most=MOST_RECORDS)
            check.count("seals", request.seals, most=MOST_RECORDS)
        tenant_id = current_principal().tenant_id
        given = set(checkpoints_of(request.checkpoints)) | await self._notary.ends(tenant_id, request.seals)
        checkpoints, remark = await self._checkpoints(tenant_id)
        checkpoints |= given
        places: dict[str, int] = {}
        inspection = Inspection(places.get, checkpoints)
        findings = 0
        async for found in self._inspected(tenant_id, inspection, places):
            for finding in found:
                findings += 1
                if findings <= _MOST_FINDINGS:
                    shown = finding_message(finding)
                    yield pb.VerifyAuditTrailResponse(verified=inspection.verified, finding=shown)
            yield pb.VerifyAuditTrailResponse(verified=inspection.verified)
        yield pb.VerifyAuditTrailResponse(
            verified=inspection.verified,
            is_intact=not findings,
            end=checkpoint_message(inspection.last, self._clock.now()) if inspection.last else None,
            compared=inspection.compared,
            remark=remark,
        )

    async def ExportAuditRecords(
        self, request: pb.ExportAuditRecordsRequest, context: Context
    ) -> AsyncIterator[pb.ExportAuditRecordsResponse]:
        """Sends records as JSON Lines, oldest first."""
        async for lines in self._lines(current_principal().tenant_id, request.first_sequence):
            yield pb.ExportAuditRecordsResponse(lines=lines)

    async def ExportInstallationRecords(
        self, request: pb.ExportInstallationRecordsRequest, context: Context
    ) -> AsyncIterator[pb.ExportInstallationRecordsResponse]:
        """Sends records that concern no tenant as JSON Lines, oldest first."""
        async for lines in self._lines(INSTALLATION, request.first_sequence):
            yield pb.ExportInstallationRecordsResponse(lines=lines)

    async def _page(
        self, tenant_id: str, wanted: AuditFilter, request: Any
    ) -> tuple[list[pb.AuditRecord], str]:
        asked = PageRequest.parse(request.page_size, request.page_token, keys={"sequence": int})
        async with self._db.tenant(tenant_id) as conn:
            found = await Trail(conn, tenant_id).page(wanted, asked)
        shown = fitting(map(record_message, found), asked.size)
        more = len(found) > len(shown)
        return shown, encode_token({"sequence": shown[-1].sequence}) if more else ""

    async def _lines(self, tenant_id: str, first: int) -> AsyncIterator[bytes]:
        after = max(first, 1) - 1
        while True:
            async with self._db.tenant(tenant_id) as conn:
                records = await Trail(conn, tenant_id).after(after, _PORTION)
            for record in records:
                line = {
                    **record.content(tenant_id),
                    "sequence": record.sequence,
                    "previous_hash": record.previous_hash,
                    "hash": record.hash,
                }
                yield canonical(line) + b"\n"
            if len(records) < _PORTION:
                return
            after = records[-1].sequence

    async def _inspected(
        self, tenant_id: str, inspection: Inspection, places: dict[str, int]
    ) -> AsyncIterator[list[Finding]]:
        """Look at the chain by portions and give what is wrong with each, then with the whole."""
        last = Checkpoint(0, BEGINNING)
        while True:
            async with self._db.tenant(tenant_id) as conn:
                trail = Trail(conn, tenant_id)
                entries = [record.entry(tenant_id) for record in await trail.after(last.sequence, _PORTION)]
                before = [last.hash, *(entry.hash for entry in entries)]
                strange = [
                    entry.previous_hash
                    for entry, one in zip(entries, before, strict=False)
                    if entry.previous_hash != one
                ]
                if strange:
                    places |= await trail.places(strange)
            yield [finding for entry in entries for finding in inspection.take(entry)]
            if len(entries) < _PORTION:
                break
            last = Checkpoint(entries[-1].sequence, entries[-1].hash)
        yield list(inspection.end())

    async def _checkpoints(self, tenant_id: str) -> tuple[set[Checkpoint], str]:
        """Return what is known of the chain, here and elsewhere, and what is not known."""
        async with self._db.tenant(tenant_id) as conn:
            known = set(await Trail(conn, tenant_id).checkpoints(_MOST_CHECKPOINTS))
        try:
            return known | set(await self._told()), ""
        except Fault as fault:
            return known, f"What events have told of the chain was not compared: {fault.message}"


__all__ = ["AuditServicer"]
