"""RPCs of executions, for hosts."""

import asyncio
from dataclasses import replace

from isthmus.kit import current_principal
from isthmus.kit.errors import fault_of, refusal_of
from isthmus.kit.logs import logger
from isthmus.kit.permissions import require
from isthmus.kit.times import stamp
from isthmus.resilience.faults import Fault
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.engine import Demand, Finish
from isthmus.services.scheduling.engine.leases import Acquired, Renewed, moving_flow
from isthmus.services.scheduling.servicer.checks import (
    check_id,
    check_lease_request,
    check_progress,
    check_room,
    check_several,
)
from isthmus.services.scheduling.servicer.desk import Context, Rpcs
from isthmus.services.scheduling.servicer.each import each
from isthmus.services.scheduling.servicer.passes import Pair, connector_of
from isthmus.services.scheduling.store.executions import get_execution
from isthmus.services.scheduling.store.leases import Progress
from isthmus.services.scheduling.translate import (
    read_checkpoint,
    read_counts,
    read_failure,
    read_outcome,
    write_checkpoint,
    write_execution,
    write_leg,
    write_round,
    write_spec,
)
from isthmus.services.scheduling.translate.findings import pack_findings

_log = logger(__name__)


class LeaseRpcs(Rpcs):
    """Translates the RPCs of leases."""

    async def AcquireLease(self, request: pb.AcquireLeaseRequest, _: Context) -> pb.AcquireLeaseResponse:
        """Take a pending execution over."""
        return await self._acquire(request)

    async def AcquireLeases(self, request: pb.AcquireLeasesRequest, _: Context) -> pb.AcquireLeasesResponse:
        """Take several pending executions over."""
        check_several("leases", request.leases)
        results = await each(self._acquire, request.leases, request.origins)
        return pb.AcquireLeasesResponse(
            results=[
                pb.LeaseResult(refusal=refusal_of(one))
                if isinstance(one, Fault)
                else pb.LeaseResult(lease=one)
                for one in results
            ]
        )

    async def _acquire(self, request: pb.AcquireLeaseRequest) -> pb.AcquireLeaseResponse:
        check_lease_request(request)
        connector_id = connector_of(current_principal(), request.connector_id)
        demand = Demand(request.execution_id, request.host_id, connector_id)
        return await self._lease(await self._desk.grants(demand))

    async def _lease(self, acquired: Acquired) -> pb.AcquireLeaseResponse:
        passes = await self._desk.passes.of(current_principal().tenant_id, acquired.execution)
        return _lease(acquired, passes)

    async def RenewLease(self, request: pb.RenewLeaseRequest, _: Context) -> pb.RenewLeaseResponse:
        """Move a lease's end."""
        check_progress(request)
        progress = Progress(
            execution_id=request.execution_id,
            token=request.fencing_token,
            counts=read_counts(request.counts),
            expected_records=request.expected_records,
            tells_counts=request.HasField("counts"),
            connector_id=connector_of(current_principal(), ""),
        )
        renewed = await self._renew(progress)
        passes = await self._passes(request) if request.wants_tickets else None
        return pb.RenewLeaseResponse(
            lease_expire_time=stamp(renewed.expires),
            is_cancel_requested=renewed.stop,
            source_ticket=passes.source if passes else "",
            destination_ticket=passes.destination if passes else "",
        )

    async def _passes(self, request: pb.RenewLeaseRequest) -> Pair | None:
        """Give new tickets to whoever holds the lease still; the leg that it was given may be over."""
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            execution = await get_execution(conn, tenant_id, request.execution_id)
        if execution is None or execution.fencing_token != request.fencing_token:
            return None
        return await self._desk.passes.of(tenant_id, execution)

    async def CommitCheckpoint(
        self, request: pb.CommitCheckpointRequest, _: Context
    ) -> pb.CommitCheckpointResponse:
        """Store positions and the counts that belong to them."""
        check_progress(request)
        renewed = await self._renew(_progress(request))
        return pb.CommitCheckpointResponse(
            lease_expire_time=stamp(renewed.expires), is_cancel_requested=renewed.stop
        )

    async def _renew(self, progress: Progress) -> Renewed:
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            return await self._desk.leases.renew(conn, tenant_id, progress)

    async def GetRound(self, request: pb.GetRoundRequest, _: Context) -> pb.GetRoundResponse:
        """Tell how a two-way flow's round stands."""
        check_id("flow_id", request.flow_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            current = await self._desk.leases.round(conn, tenant_id, request.flow_id)
        return write_round(current)

    async def FinishAttempt(self, request: pb.FinishAttemptRequest, _: Context) -> pb.FinishAttemptResponse:
        """End an attempt."""
        return await self._finish(request)

    async def FinishAttempts(
        self, request: pb.FinishAttemptsRequest, _: Context
    ) -> pb.FinishAttemptsResponse:
        """End several attempts."""
        check_several("attempts", request.attempts)
        check_room(request)
        if request.room:
            require("scheduling.leases.acquire", current_principal())
        results, handed_over = await asyncio.gather(
            each(self._finish, request.attempts, request.origins), self._hand_over(request)
        )
        return pb.FinishAttemptsResponse(
            handed_over=handed_over,
            results=[
                pb.FinishResult(refusal=refusal_of(one))
                if isinstance(one, Fault)
                else pb.FinishResult(closed=one)
                for one in results
            ],
        )

    async def _hand_over(self, request: pb.FinishAttemptsRequest) -> list[pb.HandedOver]:
        """Give a host what it has room for; where that fails, jobs are sent."""
        if not request.room:
            return []
        caller = current_principal()
        which = (caller.tenant_id, request.host_id, connector_of(caller, request.connector_id))
        try:
            given = await self._desk.grants.hand_over(*which, request.room, len(request.attempts))
        except Exception as error:
            if (fault := fault_of(error)) is None:
                raise
            _log.info("nothing is handed over", host_id=request.host_id, reason=fault.reason)
            return []
        return [
            pb.HandedOver(
                lease=await self._lease(one),
                origin=pb.Origin(correlation_id=origin.correlation_id, traceparent=origin.traceparent),
            )
            for one, origin in given
        ]

    async def _finish(self, request: pb.FinishAttemptRequest) -> pb.FinishAttemptResponse:
        check_progress(request)
        failure = read_failure(request.error) if request.HasField("error") else None
        execution = await self._desk.ends(Finish(_progress(request), read_outcome(request.outcome), failure))
        return pb.FinishAttemptResponse(execution=write_execution(execution))


def _lease(acquired: Acquired, passes: Pair) -> pb.AcquireLeaseResponse:
    """Write down what a host is given."""
    execution = acquired.execution
    flow = write_spec(moving_flow(execution))
    flow.flow_id = execution.flow_id
    return pb.AcquireLeaseResponse(
        execution=write_execution(execution),
        flow=flow,
        attempt=execution.attempts,
        fencing_token=execution.fencing_token,
        lease_expire_time=stamp(acquired.expires),
        checkpoints=map(write_checkpoint, acquired.checkpoints),
        quarantine_ids=execution.quarantine_ids,
        leg=write_leg(execution.leg),
        source_etag=acquired.etags.get(flow.source.instance_id, ""),
        destination_etag=acquired.etags.get(flow.destination.instance_id, ""),
        source_ticket=passes.source,
        destination_ticket=passes.destination,
    )


def _progress(request: pb.CommitCheckpointRequest | pb.FinishAttemptRequest) -> Progress:
    progress = Progress(
        execution_id=request.execution_id,
        token=request.fencing_token,
        counts=read_counts(request.counts),
        checkpoints=tuple(map(read_checkpoint, request.checkpoints)),
        connector_id=connector_of(current_principal(), ""),
    )
    if isinstance(request, pb.CommitCheckpointRequest):
        return progress
    return replace(
        progress,
        preview=request.preview.SerializeToString(),
        findings=pack_findings(request.findings) if request.findings else b"",
        note=request.note,
    )


__all__ = ["LeaseRpcs"]
