"""Reconciliations: their streams behind the hub's side of the connector contract, and their reports."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector_pb
from isthmus.kit import PageRequest, ReceivedEvent, current_principal, encode_token
from isthmus.kit.host_rights import flow_of_host, require_flow
from isthmus.kit.paging import fitting
from isthmus.kit.times import stamp
from isthmus.kit.validation import validating
from isthmus.records.v1 import reconciliation_pb2 as pb
from isthmus.records.v1 import reconciliation_pb2_grpc as pb_grpc
from isthmus.resilience.faults import Missing
from isthmus.services.records.domain.batches import MAX_BATCH_RECORDS
from isthmus.services.records.domain.keys import SEPARATOR
from isthmus.services.records.domain.positions import ReadMode, ReadPosition, parse_position
from isthmus.services.records.domain.reconciling import EXTRA, Opening, Report, Status, parse_stream
from isthmus.services.records.domain.records import Writer
from isthmus.services.records.servicer import messages
from isthmus.services.records.servicer.declaring import Declaring
from isthmus.services.records.store.reconciling import AnnouncementWriter, Comparisons, Reports
from isthmus.type.v1 import batch_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

_LONGEST_ID = 64
_LONGEST_NAME = 1000
_MOST_KEYS = 10_000
_MOST_KEY_FIELDS = 64
_LARGEST = 2**53
_ENDS = {"completed": Status.COMPLETED, "failed": Status.FAILED, "cancelled": Status.CANCELLED}


class Reconciling:
    """Takes announcements of what sides hold, and gives what is extra.

    Args:
        writer: Takes announcements.
        comparisons: Knows what is extra.
        reports: Are closed when executions end.
    """

    def __init__(self, writer: AnnouncementWriter, comparisons: Comparisons, reports: Reports) -> None:
        self.writer = writer
        self._comparisons = comparisons
        self._reports = reports

    async def open(self, target: Writer) -> Writer:
        """Get ready for announcements.

        Raises:
            Missing: `STREAM_UNKNOWN`, the stream cannot be written.
        """
        if parse_stream(target.stream).side is None:
            message = f"Stream {target.stream!r} can be read only."
            raise Missing("STREAM_UNKNOWN", message, path="stream")
        return replace(target, primary_key=())

    async def read(self, request: connector_pb.ReadRequest) -> AsyncIterator[connector_pb.ReadResponse]:
        """Give the records to be removed from the destination, as deletions.

        Raises:
            Missing: `STREAM_UNKNOWN` or `REPORT_UNKNOWN`.
            Precondition: `EXTRA_UNCERTAIN` or `TOO_MANY_DELETIONS`.
        """
        tenant_id = current_principal().tenant_id
        stream = parse_stream(request.stream)
        if stream.side is not None:
            message = f"Stream {request.stream!r} can be written only; `{EXTRA}` can be read."
            raise Missing("STREAM_UNKNOWN", message, path="stream")
        report = await self._reports.read(tenant_id, stream.report_id)
        report.check_removal()
        state, version = request.position.state, request.position.schema_version
        after = parse_position(state, version, ReadMode.FULL).after_key
        most = min(request.max_batch_records or MAX_BATCH_RECORDS, MAX_BATCH_RECORDS)
        given = sequence = 0
        while True:
            page = await self._comparisons.extras(tenant_id, stream.report_id, after, most)
            if page.places:
                after, given, sequence = page.places[-1], given + len(page.places), sequence + 1
                position = messages.position(ReadPosition(after_key=after), request.stream)
                yield connector_pb.ReadResponse(
                    batch=batch_pb2.Batch(
                        sequence=sequence,
                        encoding=batch_pb2.ENCODING_JSON,
                        records=[_of_key(place, report.destination_key) for place in page.places],
                        keys=page.keys,
                        operations=[batch_pb2.OPERATION_DELETE] * len(page.places),
                        position=position,
                    )
                )
            if page.is_last:
                break
        yield connector_pb.ReadResponse(end=connector_pb.ReadEnd(records=given, not_modified=not given))

    async def ended(self, connection: AsyncConnection, event: ReceivedEvent) -> None:
        """Close the report of an execution that has ended, however it did."""
        status = _ENDS.get(event.type.split(".")[-2])
        execution = event.data.get("execution", {})
        if status is not None and execution.get("executionId"):
            await self._reports.end(connection, event.tenant_id, _ending(execution, event.time), status)

    async def flow_deleted(self, connection: AsyncConnection, event: ReceivedEvent) -> None:
        """Forget what was announced for a flow that is gone."""
        await self._reports.forget(connection, event.tenant_id, event.subject)


def _of_key(place: str, paths: Any) -> bytes:
    """Give a record that holds nothing but its key, by which systems without keys of ours know it."""
    record: dict[str, Any] = {}
    parts = place.split(SEPARATOR)
    for path, part in zip(paths, parts, strict=len(paths) == len(parts)):
        *above, name = path.split(".")
        inner = record
        for one in above:
            inner = inner.setdefault(one, {})
        inner[name] = part
    return msgspec.json.encode(record)


def _ending(execution: Mapping[str, Any], time: datetime) -> dict[str, Any]:
    """Read out of an event what a report tells in the end; its 64-bit numbers are texts."""
    legs = {one.get("leg"): one.get("counts", {}) for one in execution.get("legs", ())}
    repaired, removed = legs.get("LEG_REPAIR", {}), legs.get("LEG_DELETE_EXTRA", {})
    options = execution.get("reconcile", {})
    return {
        "report": execution["executionId"],
        "flow": execution.get("flowId", ""),
        "name": execution.get("flowName", ""),
        "repair": bool(options.get("repair")),
        "delete_extra": bool(options.get("deleteExtra")),
        "repaired": int(repaired.get("created", 0)) + int(repaired.get("updated", 0)),
        "removed": int(removed.get("deleted", 0)),
        "refused": int(repaired.get("quarantined", 0)) + int(removed.get("quarantined", 0)),
        "error": execution.get("error", {}).get("message", ""),
        "ended": time.astimezone(UTC),
    }


class ReconciliationServicer(pb_grpc.ReconciliationServiceServicer):
    """Serves the reports, and what hosts ask while they reconcile.

    Args:
        reports: Keeps them.
        comparisons: Compares.
        declaring: Knows the classes of fields.
    """

    def __init__(self, reports: Reports, comparisons: Comparisons, declaring: Declaring) -> None:
        self._reports = reports
        self._comparisons = comparisons
        self._declaring = declaring

    async def GetReconciliation(
        self, request: pb.GetReconciliationRequest, context: object
    ) -> pb.GetReconciliationResponse:
        """Read a report; sensitive parts of keys are replaced."""
        _check(report_id=request.report_id)
        tenant_id = current_principal().tenant_id
        report = await self._reports.read(tenant_id, request.report_id)
        message = _message(report, samples=True)
        known = await self._declaring.scrubbers(tenant_id, [report.flow_id] if message.samples else [])
        if scrubber := known.get(report.flow_id):
            for one in message.samples:
                one.key = scrubber.key(one.key, report.destination_key)
                one.destination_key = scrubber.key(one.destination_key, report.destination_key)
        return pb.GetReconciliationResponse(reconciliation=message)

    async def ListReconciliations(
        self, request: pb.ListReconciliationsRequest, context: object
    ) -> pb.ListReconciliationsResponse:
        """List reports, newest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["report"])
        found = await self._reports.list(current_principal().tenant_id, request.flow_id, page)
        shown = fitting(map(_message, found), page.size)
        token = encode_token({"report": shown[-1].report_id}) if len(found) > len(shown) else ""
        return pb.ListReconciliationsResponse(reconciliations=shown, next_page_token=token)

    async def BeginReconciliation(
        self, request: pb.BeginReconciliationRequest, context: object
    ) -> pb.BeginReconciliationResponse:
        """Open a report, or go on with it."""
        require_flow(request.flow_id)
        if request.writer:
            require_flow(request.writer)
        _check(report_id=request.report_id, flow_id=request.flow_id)
        with validating() as check:
            for name in ("flow_name", "source", "destination", "writer"):
                check.text(name, getattr(request, name), required=False, longest=_LONGEST_NAME)
            check.within("fencing_token", request.fencing_token, least=1, most=_LARGEST)
            check.within("most_deletions", request.most_deletions, least=0, most=_LARGEST)
            check.count("destination_primary_key", request.destination_primary_key, most=_MOST_KEY_FIELDS)
            for index, path in enumerate(request.destination_primary_key):
                check.text(f"destination_primary_key[{index}]", path, longest=_LONGEST_NAME)
        opening = Opening(
            report_id=request.report_id,
            flow_id=request.flow_id,
            flow_name=request.flow_name,
            fencing_token=request.fencing_token,
            source=request.source,
            destination=request.destination,
            destination_key=tuple(request.destination_primary_key),
            repair=request.repair,
            delete_extra=request.delete_extra,
            begins_repair=request.begins_repair,
            writer_id=request.writer,
            most_deletions=request.most_deletions,
        )
        report = await self._reports.begin(current_principal().tenant_id, opening)
        return pb.BeginReconciliationResponse(reconciliation=_message(report))

    async def ConcludeComparison(
        self, request: pb.ConcludeComparisonRequest, context: object
    ) -> pb.ConcludeComparisonResponse:
        """Compare both sides."""
        _check(report_id=request.report_id)
        with validating() as check:
            check.within("unreadable", request.unreadable, least=0, most=_LARGEST)
        tenant_id = current_principal().tenant_id
        report = await self._comparisons.conclude(
            tenant_id, request.report_id, request.fencing_token, request.unreadable, flow_of_host()
        )
        return pb.ConcludeComparisonResponse(reconciliation=_message(report, samples=True))

    async def SelectDifferences(
        self, request: pb.SelectDifferencesRequest, context: object
    ) -> pb.SelectDifferencesResponse:
        """Tell which records have to be written."""
        _check(report_id=request.report_id)
        with validating() as check:
            check.count("keys", request.keys, most=_MOST_KEYS)
            for index, key in enumerate(request.keys):
                if "\0" in key:
                    check.add(f"keys[{index}]", "INVALID", "A key holds no NUL character.")
        tenant_id = current_principal().tenant_id
        require_flow((await self._reports.read(tenant_id, request.report_id)).flow_id)
        places = await self._comparisons.select(tenant_id, request.report_id, request.keys)
        return pb.SelectDifferencesResponse(places=places)


def _check(**ids: str) -> None:
    with validating() as check:
        for path, value in ids.items():
            check.text(path, value, longest=_LONGEST_ID)


def _message(report: Report, *, samples: bool = False) -> pb.Reconciliation:
    same = (
        "report_id flow_id flow_name source destination repair delete_extra is_compared missing extra "
        "different equal unrelated unreadable repaired removed refused error_message"
    )
    message = pb.Reconciliation(
        **{name: getattr(report, name) for name in same.split()},
        status=cast("pb.Reconciliation.Status.ValueType", int(report.status)),
        create_time=stamp(report.create_time),
        compare_time=stamp(report.compare_time),
        end_time=stamp(report.end_time),
    )
    for one in report.samples if samples else ():
        message.samples.add(
            kind=cast("pb.DifferenceSample.Kind.ValueType", one.kind),
            key=one.key,
            destination_key=one.destination_key,
            fields=one.fields,
        )
    return message


__all__ = ["ReconciliationServicer", "Reconciling"]
