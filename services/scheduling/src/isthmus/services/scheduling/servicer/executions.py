"""RPCs of executions, for people and programs."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from isthmus.kit import PageRequest, current_correlation_id, current_principal, encode_token, once
from isthmus.kit.deed import Deed, current_deed, done_from_here
from isthmus.kit.errors import refusal_of
from isthmus.kit.idempotency import check_request_id, fingerprint_of
from isthmus.kit.paging import fitting
from isthmus.kit.trace import current_traceparent
from isthmus.kit.validation import validating
from isthmus.resilience.faults import Fault, Missing, RetryLater
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain import Execution, Trigger
from isthmus.services.scheduling.engine import Cause, InstanceFacts, Wish
from isthmus.services.scheduling.engine.refusals import OtherInstances, execution_unknown
from isthmus.services.scheduling.servicer.checks import (
    check_asked,
    check_id,
    check_reconcile,
    check_several,
    read_priority,
)
from isthmus.services.scheduling.servicer.desk import Context, Rpcs
from isthmus.services.scheduling.servicer.each import each
from isthmus.services.scheduling.store import executions as rows
from isthmus.services.scheduling.store import leases
from isthmus.services.scheduling.translate import (
    read_asked,
    read_reconcile,
    read_statuses,
    write_attempt,
    write_execution,
)
from isthmus.services.scheduling.translate.findings import tell_kept

_RATE_SECONDS = 5.0
_PROGRESS_SECONDS = 0.2  # no eye follows what changes more often
_CHANGES_MEANWHILE = 4
_MOST_KNOWN = 10_000


class ExecutionRpcs(Rpcs):
    """Translates the RPCs of executions."""

    async def StartExecution(
        self, request: pb.StartExecutionRequest, _: Context
    ) -> pb.StartExecutionResponse:
        """Start a flow now."""
        return await self._begin(request)

    async def StartExecutions(
        self, request: pb.StartExecutionsRequest, _: Context
    ) -> pb.StartExecutionsResponse:
        """Start several flows now."""
        check_several("starts", request.starts)
        deed = current_deed()
        parts = [_Part(one, deed.part(one) if deed is not None else None) for one in request.starts]
        results = await each(self._begin_part, parts, ())
        if deed is not None:
            told = zip(parts, results, strict=True)
            deed.refused += [(part.deed, one) for part, one in told if part.deed and isinstance(one, Fault)]
        return pb.StartExecutionsResponse(
            results=[
                pb.StartResult(refusal=refusal_of(one))
                if isinstance(one, Fault)
                else pb.StartResult(started=one)
                for one in results
            ]
        )

    async def _begin_part(self, part: "_Part") -> pb.StartExecutionResponse:
        done_from_here(part.deed)
        return await self._begin(part.request)

    async def _begin(self, request: pb.StartExecutionRequest) -> pb.StartExecutionResponse:
        check_id("flow_id", request.flow_id)
        check_request_id(request.request_id)
        check_reconcile(request)
        caller = current_principal()
        check_asked(request)
        trigger = Trigger.EVENT if request.event_id else Trigger.MANUAL
        reconcile = read_reconcile(request.reconcile) if request.HasField("reconcile") else None
        cause = Cause(
            trigger,
            caller.subject,
            asked=read_asked(request),
            reconcile=reconcile,
            priority=read_priority(request),
        )
        return await self._desk.starts(
            Wish(
                request.flow_id,
                cause,
                request.request_id,
                fingerprint_of(request) if request.request_id else b"",
                current_correlation_id(),
                current_traceparent(),
                _started,
                partial(self._start_alone, request, cause),
                current_deed(),
            )
        )

    async def _start_alone(
        self, request: pb.StartExecutionRequest, cause: Cause
    ) -> pb.StartExecutionResponse:
        caller, needs = current_principal(), self._desk.executions.needs
        for _again in range(_CHANGES_MEANWHILE):
            # The registry is asked before the transaction, so that no row is locked meanwhile.
            wanted = needs.get((caller.tenant_id, request.flow_id), ())
            found = await asyncio.gather(*map(self._fact, wanted))
            try:
                return await self._start(request, dict(zip(wanted, found, strict=True)), cause)
            except OtherInstances as other:
                needs[caller.tenant_id, request.flow_id] = other.wanted
                while len(needs) > _MOST_KNOWN:
                    del needs[next(iter(needs))]
        raise RetryLater("FLOW_CHANGING", "The flow is being changed; start it again in a moment.")

    async def _start(
        self, request: pb.StartExecutionRequest, found: dict[str, InstanceFacts | Missing], cause: Cause
    ) -> pb.StartExecutionResponse:
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:

            async def start() -> pb.StartExecutionResponse:
                execution = await self._desk.executions.start_on_request(
                    conn, tenant_id, request.flow_id, found, cause
                )
                return _started(execution)

            return await once(conn, "StartExecution", request, start, pb.StartExecutionResponse)

    async def _fact(self, instance_id: str) -> InstanceFacts | Missing:
        try:
            return await self._desk.instances.facts(instance_id)
        except Missing as fault:
            return fault

    async def GetExecution(self, request: pb.GetExecutionRequest, _: Context) -> pb.GetExecutionResponse:
        """Read an execution."""
        check_id("execution_id", request.execution_id)
        execution = await self._read(current_principal().tenant_id, request.execution_id)
        shown = write_execution(execution)
        tell_kept(shown, execution.preview, is_dry_run=execution.asked.dry_run)
        return pb.GetExecutionResponse(execution=shown)

    async def _read(self, tenant_id: str, execution_id: str) -> Execution:
        async with self._desk.db.tenant(tenant_id) as conn:
            execution = await rows.get_execution(conn, tenant_id, execution_id)
        if execution is None:
            raise execution_unknown(execution_id)
        return execution

    async def ListExecutions(
        self, request: pb.ListExecutionsRequest, _: Context
    ) -> pb.ListExecutionsResponse:
        """List executions, newest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["execution"])
        with validating() as check:
            for index, status in enumerate(request.statuses):
                check.enum(f"statuses[{index}]", status, known=pb.Execution.Status.values())
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            found = await rows.list_executions(
                conn,
                tenant_id,
                flow_id=request.flow_id,
                statuses=read_statuses(request.statuses),
                after=str(page.after["execution"]) if page.after else "",
                limit=page.size + 1,
            )
        shown = fitting(map(write_execution, found), page.size)
        token = encode_token({"execution": shown[-1].execution_id}) if len(found) > len(shown) else ""
        return pb.ListExecutionsResponse(executions=shown, next_page_token=token)

    async def WatchExecution(
        self, request: pb.WatchExecutionRequest, _: Context
    ) -> AsyncIterator[pb.WatchExecutionResponse]:
        """Send the execution now and at every change, until it has ended."""
        check_id("execution_id", request.execution_id)
        tenant_id, rate, seen = current_principal().tenant_id, Rate(), 0
        news = self._desk.changes.watch(tenant_id, request.execution_id)
        told: Execution | None = None
        try:
            while True:
                execution = told or await self._read(tenant_id, request.execution_id)
                speed = rate.after(self._desk.clock.monotonic(), execution.counts.read)
                if execution.revision > seen:
                    seen = execution.revision
                    message = write_execution(execution)
                    yield pb.WatchExecutionResponse(execution=message, records_per_second=speed)
                if not execution.status.is_live:
                    return
                # Changes made through other replicas are found by looking.
                told = await news.heard(self._desk.watch_seconds, _PROGRESS_SECONDS)
        finally:
            self._desk.changes.leave(tenant_id, request.execution_id, news)

    async def CancelExecution(
        self, request: pb.CancelExecutionRequest, _: Context
    ) -> pb.CancelExecutionResponse:
        """Ask an execution to stop."""
        check_id("execution_id", request.execution_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            execution = await self._desk.executions.cancel(conn, tenant_id, request.execution_id)
        return pb.CancelExecutionResponse(execution=write_execution(execution))

    async def ListAttempts(self, request: pb.ListAttemptsRequest, _: Context) -> pb.ListAttemptsResponse:
        """List the attempts at an execution, first to last."""
        check_id("execution_id", request.execution_id)
        page = PageRequest.parse(request.page_size, request.page_token, keys={"attempt": int})
        after = _number(page.after["attempt"]) if page.after else 0
        tenant_id = current_principal().tenant_id
        await self._read(tenant_id, request.execution_id)
        async with self._desk.db.tenant(tenant_id) as conn:
            found = await leases.list_attempts(
                conn, tenant_id, request.execution_id, after=after, limit=page.size + 1
            )
        shown = fitting(map(write_attempt, found), page.size)
        token = encode_token({"attempt": shown[-1].attempt}) if len(found) > len(shown) else ""
        return pb.ListAttemptsResponse(attempts=shown, next_page_token=token)


@dataclass(frozen=True, slots=True)
class _Part:
    """One of several starts that a call asks for, and the deed that it is to the audit trail."""

    request: pb.StartExecutionRequest
    deed: Deed | None


class Rate:
    """Records per second over the last seconds."""

    def __init__(self, seconds: float = _RATE_SECONDS) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, int]] = deque()

    def after(self, now: float, records: int) -> float:
        """Note how many records there are now and give the present rate; 0 while it is unknown."""
        if self._samples and records < self._samples[-1][1]:
            # A new attempt starts from what is durable; what was lost is not negative speed.
            self._samples.clear()
        self._samples.append((now, records))
        while now - self._samples[0][0] > self._seconds:
            self._samples.popleft()
        then, before = self._samples[0]
        return (records - before) / (now - then) if now > then else 0.0


def _started(execution: Execution) -> pb.StartExecutionResponse:
    return pb.StartExecutionResponse(execution=write_execution(execution))


def _number(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


__all__ = ["ExecutionRpcs", "Rate"]
