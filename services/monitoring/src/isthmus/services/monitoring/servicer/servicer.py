"""Speaks the contract; decides nothing."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import grpc.aio
from isthmus.kit import Clock, Database, Page, PageRequest, current_principal, encode_token, new_id
from isthmus.kit.host_rights import require_told
from isthmus.kit.quotas import QuotaBook
from isthmus.kit.redacting import SENT, Redactor, TextPlace, Typed
from isthmus.kit.times import moment
from isthmus.kit.validation import validating
from isthmus.monitoring.v1 import monitoring_pb2 as pb
from isthmus.monitoring.v1 import monitoring_pb2_grpc
from isthmus.resilience.faults import LimitReached
from isthmus.services.monitoring.domain import LogEntry
from isthmus.services.monitoring.servicer.messages import (
    entry_of,
    filter_of,
    health_message,
    log_message,
    metrics_message,
    refuse_too_many,
    sample_of,
    timed,
)
from isthmus.services.monitoring.store import Logs, Runs, Usage

_PLACES = (
    TextPlace("executions", "runs", (Typed("instance_id"), Typed("execution_id")), (Typed("error"),)),
    SENT,
)
_TOLD_EVERY = timedelta(hours=1)
_MOST_TOLD = 10_000
Context = grpc.aio.ServicerContext[Any, Any]


class MonitoringServicer(monitoring_pb2_grpc.MonitoringServiceServicer):
    """Keeps what people need to see how integrations are doing."""

    def __init__(self, db: Database, clock: Clock, book: QuotaBook) -> None:
        self._db = db
        self._book = book
        self._told: dict[str, datetime] = {}
        self._clock = clock

    async def AppendLogs(self, request: pb.AppendLogsRequest, context: Context) -> pb.AppendLogsResponse:
        """Stores log entries."""
        refuse_too_many(len(request.logs))
        require_told(log.instance_id for log in request.logs)
        with validating() as check:
            entries = [entry_of(log, n, check, self._clock.now()) for n, log in enumerate(request.logs)]
        tenant_id = current_principal().tenant_id
        entries = self._within_quota(tenant_id, entries)
        if not entries:
            return pb.AppendLogsResponse()
        async with self._db.tenant(tenant_id) as conn:
            return pb.AppendLogsResponse(appended=await Logs(conn, tenant_id).append(entries))

    def _within_quota(self, tenant_id: str, entries: list[LogEntry]) -> list[LogEntry]:
        """Leave lines out beyond the quota, and say so once an hour: hosts have no use for a refusal."""
        try:
            self._book.charge(tenant_id, "log_lines_per_day", len(entries))
        except LimitReached as full:
            now = self._clock.now()
            told = self._told.get(tenant_id)
            if not entries or (told is not None and now - told < _TOLD_EVERY):
                return []
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told[tenant_id] = now
            message = f"Lines are left out: {full.message}"
            return [replace(entries[0], log_id=new_id("log"), kind="warning", message=message, details="")]
        return entries

    async def ListLogs(self, request: pb.ListLogsRequest, context: Context) -> pb.ListLogsResponse:
        """Lists log entries, newest first."""
        asked = timed(PageRequest.parse(request.page_size, request.page_token, keys=("time", "id")), "time")
        tenant_id = current_principal().tenant_id
        async with self._db.tenant(tenant_id) as conn:
            found = await Logs(conn, tenant_id).page(filter_of(request), asked)
        page = Page.of(found, asked, lambda entry: {"time": entry.time.isoformat(), "id": entry.log_id})
        return pb.ListLogsResponse(logs=map(log_message, page.items), next_page_token=page.next_token)

    async def RedactLogs(self, request: pb.RedactLogsRequest, context: Context) -> pb.RedactLogsResponse:
        """Replaces a text in some log entries."""
        with validating() as check:
            check.text("text", request.text, longest=1000)
        asked = PageRequest.parse(1, request.page_token, keys=("id",))
        tenant_id = current_principal().tenant_id
        async with self._db.tenant(tenant_id) as conn:
            after = str(asked.after["id"]) if asked.after else ""
            found, seen, last = await Logs(conn, tenant_id).redact(
                request.text.strip(), after, is_dry_run=request.is_dry_run
            )
        return pb.RedactLogsResponse(
            logs=map(log_message, found),
            looked_at=seen,
            next_page_token=encode_token({"id": last}) if last else "",
        )

    async def RedactTexts(self, request: pb.RedactTextsRequest, context: Context) -> pb.RedactTextsResponse:
        """Replaces a text in what is kept of executions' ends."""
        return await Redactor(self._db, _PLACES).answer(request, pb.RedactTextsResponse)

    async def RecordUsage(self, request: pb.RecordUsageRequest, context: Context) -> pb.RecordUsageResponse:
        """Adds up what instances did."""
        refuse_too_many(len(request.samples))
        require_told(sample.instance_id for sample in request.samples)
        with validating() as check:
            samples = [sample_of(s, n, check, self._clock.now()) for n, s in enumerate(request.samples)]
        tenant_id = current_principal().tenant_id
        async with self._db.tenant(tenant_id) as conn:
            await Usage(conn, tenant_id).record(samples)
        return pb.RecordUsageResponse()

    async def ListMetrics(self, request: pb.ListMetricsRequest, context: Context) -> pb.ListMetricsResponse:
        """Lists the counters of instances, newest hour first."""
        asked = timed(PageRequest.parse(request.page_size, request.page_token, keys=("hour", "id")), "hour")
        tenant_id = current_principal().tenant_id
        span = (moment(request.start_time, "start_time"), moment(request.end_time, "end_time"))
        async with self._db.tenant(tenant_id) as conn:
            found = await Usage(conn, tenant_id).page(request.instance_id, *span, asked)
        page = Page.of(found, asked, lambda item: {"hour": item.start.isoformat(), "id": item.instance_id})
        return pb.ListMetricsResponse(
            metrics=map(metrics_message, page.items), next_page_token=page.next_token
        )

    async def GetHealthSummary(
        self, request: pb.GetHealthSummaryRequest, context: Context
    ) -> pb.GetHealthSummaryResponse:
        """Tells how the tenant's integrations are doing."""
        asked = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        tenant_id = current_principal().tenant_id
        async with self._db.tenant(tenant_id) as conn:
            found = await Runs(conn, tenant_id).records(request.instance_id, asked)
        page = Page.of(found, asked, lambda record: {"id": record.instance_id})
        return pb.GetHealthSummaryResponse(
            instances=map(health_message, page.items), next_page_token=page.next_token
        )


__all__ = ["MonitoringServicer"]
