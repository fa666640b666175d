"""Leases: how hosts take executions over, report, and hand them back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from isthmus.kit import Clock, Database
from isthmus.kit.db.database import after_commit
from isthmus.resilience.faults import Missing, Precondition
from isthmus.services.scheduling.domain import (
    Checkpoint,
    Ending,
    Execution,
    Failure,
    FailureKind,
    FlowSpec,
    Leg,
    Outcome,
    Report,
    RetryRules,
    Round,
    Status,
    Stop,
    end_attempt,
    exceeds,
    first_leg,
    lease_expired,
    lineage_of,
    resume_points,
)
from isthmus.services.scheduling.domain.flow import FailurePolicy
from isthmus.services.scheduling.engine.at_work import AtWorks, note_progress
from isthmus.services.scheduling.engine.executions import Executions
from isthmus.services.scheduling.engine.ports import Announcer, Mappings
from isthmus.services.scheduling.engine.refusals import (
    execution_ended,
    execution_unknown,
    fenced,
    flow_unknown,
    refuse_foreign,
)
from isthmus.services.scheduling.engine.room import NoRoom, Room
from isthmus.services.scheduling.store import executions, flows, leases
from isthmus.services.scheduling.store.endings import AttemptEnd
from isthmus.services.scheduling.store.leases import Lease, Progress
from sqlalchemy.ext.asyncio import AsyncConnection

EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class LeaseRules:
    """How long things last.

    Attributes:
        lease: How long a lease lasts unless it is renewed.
        cancel: How long a host may take to stop.
        retry: How a failed attempt is followed by another.
    """

    lease: timedelta = timedelta(seconds=15)
    cancel: timedelta = timedelta(seconds=60)
    retry: RetryRules = field(default_factory=RetryRules)


@dataclass(frozen=True, slots=True)
class Acquired:
    """A lease, and all that its host needs."""

    execution: Execution
    expires: datetime
    checkpoints: list[Checkpoint]
    etags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Renewed:
    """How a host is to go on."""

    expires: datetime
    stop: bool


class Leases:
    """Gives executions to hosts and lets only the present holder change anything.

    Args:
        db: For the transactions.
        work: Settles the end of executions.
        mappings: Knows versions.
        announcer: Says what happened.
        clock: The time.
        rules: How long things last.
        room: Gives places at instances.
        at_work: What hosts were given a moment ago.
    """

    def __init__(
        self,
        *,
        db: Database,
        work: Executions,
        mappings: Mappings,
        announcer: Announcer,
        clock: Clock,
        rules: LeaseRules,
        room: Room,
        at_work: AtWorks,
    ) -> None:
        self._db = db
        self._executions = work
        self._mappings = mappings
        self._announcer = announcer
        self._clock = clock
        self._rules = rules
        self._room = room
        self._at_work = at_work

    async def acquire(
        self, tenant_id: str, execution_id: str, host_id: str, connector_id: str = ""
    ) -> Acquired:
        """Give a pending execution to a host and open an attempt.

        Args:
            tenant_id: Whose.
            execution_id: Which one.
            host_id: Who asks.
            connector_id: The host's connector; empty is not looked at.

        Raises:
            Missing: `EXECUTION_UNKNOWN`.
            Precondition: `EXECUTION_ENDED` or `LEASE_HELD`.
        """
        who = (host_id, connector_id)
        try:
            return await self._take(tenant_id, execution_id, *who, stands_back=True)
        except _GoesFirst as first:
            taken = await self._take_first(tenant_id, first.execution_id, *who)
        if taken is None:
            return await self._take(tenant_id, execution_id, *who, stands_back=False)
        async with self._db.tenant(tenant_id) as conn:
            await executions.send_again(conn, tenant_id, execution_id, self._clock.now())
            self._executions.send_soon(conn)
        return taken

    async def _take_first(
        self, tenant_id: str, execution_id: str, host_id: str, connector_id: str
    ) -> Acquired | None:
        """Take what goes before the execution that was asked for; None when somebody else was faster."""
        try:
            return await self._take(tenant_id, execution_id, host_id, connector_id, stands_back=False)
        except (Missing, Precondition):
            return None

    async def _take(
        self, tenant_id: str, execution_id: str, host_id: str, connector_id: str, *, stands_back: bool
    ) -> Acquired:
        try:
            return await self._try(tenant_id, execution_id, host_id, connector_id, stands_back=stands_back)
        except NoRoom as full:
            raise await self._room.put_off(tenant_id, full) from full

    async def _try(
        self, tenant_id: str, execution_id: str, host_id: str, connector_id: str, *, stands_back: bool
    ) -> Acquired:
        begun = self._executions.begun.take(tenant_id, execution_id)
        if begun is not None:
            acquired = await self._acquire(
                tenant_id, begun.execution, host_id, connector_id, stands_back=stands_back
            )
            return replace(acquired, etags=begun.etags)
        async with self._db.tenant(tenant_id) as conn:
            execution = await executions.get_execution(conn, tenant_id, execution_id)
            if execution is None:
                raise execution_unknown(execution_id)
            self._refuse_unavailable(execution)
            refuse_foreign(execution, connector_id)
            if execution.mapping_version or not execution.moving.mapping_id:
                version = execution.mapping_version
                return await self._open(conn, tenant_id, execution, host_id, version, stands_back=stands_back)
        return await self._acquire(tenant_id, execution, host_id, connector_id, stands_back=stands_back)

    async def _acquire(
        self, tenant_id: str, execution: Execution, host_id: str, connector_id: str, *, stands_back: bool
    ) -> Acquired:
        """Find out the mapping's version, then open an attempt."""
        execution_id, version = execution.execution_id, execution.mapping_version
        refuse_foreign(execution, connector_id)
        # The mapping service is asked outside any transaction: no row stays locked meanwhile.
        flow = execution.moving
        try:
            if flow.mapping_id and not version:
                version = await self._mappings.version(flow.mapping_id, flow.mapping_version)
        except Missing as error:
            await self._give_up(tenant_id, execution_id, error)
            raise execution_ended(execution_id) from error
        async with self._db.tenant(tenant_id) as conn:
            return await self._open(conn, tenant_id, execution, host_id, version, stands_back=stands_back)

    async def _open(
        self,
        conn: AsyncConnection,
        tenant_id: str,
        seen: Execution,
        host_id: str,
        version: int,
        *,
        stands_back: bool,
    ) -> Acquired:
        now = self._clock.now()
        lease = Lease(seen, host_id, version, now + self._rules.lease, stands_back=stands_back)
        leased = await leases.lease_execution(conn, tenant_id, lease, now)
        if leased is None:
            leased = await self._room.lease(conn, tenant_id, lease, now)
        if leased is None:
            if stands_back and (first := await executions.goes_first(conn, tenant_id, seen, now)):
                raise _GoesFirst(first)
            raise await self._refusal(conn, tenant_id, seen)
        execution = leased.execution
        self._executions.changes.note(conn, tenant_id, execution.execution_id, execution)
        if execution.attempts == 1 and not execution.asked.dry_run:
            await self._announcer.sync(conn, tenant_id, "started", execution)
        moving = execution.moving
        whole = execution.leg is Leg.WHOLE and moving.delete_policy.absent
        points = resume_points(leased.points, execution.execution_id, moving.read_mode, whole=whole)
        return Acquired(execution, lease.expires, points)

    async def _refusal(self, conn: AsyncConnection, tenant_id: str, seen: Execution) -> Precondition:
        """Find out why an execution could not be had."""
        execution = await executions.get_execution(conn, tenant_id, seen.execution_id)
        if execution is None:
            return execution_ended(seen.execution_id)
        self._refuse_unavailable(execution)
        refuse_foreign(execution, seen.connector_id)
        if execution.leg != seen.leg:
            message = "The execution has gone on to another leg; drop the job, one for that leg comes."
            return Precondition("LEASE_HELD", message, metadata={"execution_id": execution.execution_id})
        return execution_ended(seen.execution_id)  # its flow is gone

    def _refuse_unavailable(self, execution: Execution) -> None:
        if not execution.status.is_live:
            raise execution_ended(execution.execution_id)
        if execution.status is Status.RUNNING:
            message = (
                f"Host {execution.host_id} has the lease; drop the job, it comes again if that host dies."
            )
            metadata = {"execution_id": execution.execution_id, "host_id": execution.host_id}
            raise Precondition("LEASE_HELD", message, metadata=metadata)
        if execution.is_held:
            message = "The execution is paused; drop the job, it comes again once that is over."
            raise Precondition("LEASE_HELD", message, metadata={"execution_id": execution.execution_id})
        due = execution.next_attempt_time
        if due is not None and due > self._clock.now():
            message = f"The next attempt is due at {due:%H:%M:%S} UTC; drop the job, it comes again then."
            metadata = {"execution_id": execution.execution_id, "next_attempt_time": due.isoformat()}
            raise Precondition("LEASE_HELD", message, metadata=metadata)

    async def _give_up(self, tenant_id: str, execution_id: str, error: Missing) -> None:
        failure = Failure(FailureKind.NOT_FOUND, error.reason, error.message)
        async with self._db.tenant(tenant_id) as conn:
            execution = await executions.get_execution(conn, tenant_id, execution_id, lock=True)
            if execution is not None and execution.status is Status.PENDING:
                ending = Ending(Status.FAILED, execution.before, failure)
                await self._executions.settle(conn, tenant_id, execution, ending, self._clock.now())

    async def renew(self, conn: AsyncConnection, tenant_id: str, progress: Progress) -> Renewed:
        """Move a lease's end, and store what its host told and the positions that came along.

        Raises:
            Precondition: `FENCED`.
        """
        now = self._clock.now()
        held = await leases.renew_lease(
            conn,
            tenant_id,
            progress,
            expires=now + self._rules.lease,
            cancel_seconds=self._rules.cancel.total_seconds(),
        )
        if held is None:
            raise fenced(progress.execution_id)
        key = (tenant_id, progress.execution_id)
        after_commit(conn, partial(self._progressed, key, progress.token, held))
        stop = held.stop is not Stop.NONE
        if not stop and exceeds(FailurePolicy(0, held.max_quarantined), held.total):
            await executions.request_stop(conn, tenant_id, progress.execution_id, Stop.QUARANTINE, now)
            stop = True
        return Renewed(held.expires, stop)

    def _progressed(self, key: tuple[str, str], token: int, held: leases.Held) -> None:
        """Keep what has been stored, and tell who watches."""
        self._executions.changes.tell(key, note_progress(self._at_work, key, token, held), is_progress=True)

    async def finish(
        self,
        conn: AsyncConnection,
        tenant_id: str,
        progress: Progress,
        outcome: Outcome,
        failure: Failure | None,
    ) -> Execution:
        """Close an attempt, and its execution unless another attempt is to follow.

        Raises:
            Precondition: `FENCED`.
        """
        execution = await executions.get_execution(conn, tenant_id, progress.execution_id, lock=True)
        if execution is None:
            raise fenced(progress.execution_id)
        if execution.status is not Status.RUNNING or execution.fencing_token != progress.token:
            return await self._repeated(conn, tenant_id, execution, progress.token, outcome)
        if progress.connector_id not in {
            "",
            execution.connector_id,
        }:  # who is written to knows the token, too
            raise fenced(progress.execution_id)
        now = self._clock.now()
        report = Report(outcome, progress.counts, progress.covers_positions, failure)
        ending = end_attempt(execution, report, now, self._rules.retry)
        if progress.preview and execution.asked.dry_run:
            await leases.store_preview(conn, tenant_id, execution.execution_id, progress.preview)
        if progress.findings:
            await leases.store_findings(conn, tenant_id, execution.execution_id, progress.findings)
        if progress.note:
            await leases.store_note(conn, tenant_id, execution.execution_id, progress.note)
        told = () if _lies(outcome, ending) else progress.checkpoints
        attempt = AttemptEnd(outcome.value, ending.failure, progress.counts, told)
        return await self._executions.settle(conn, tenant_id, execution, ending, now, attempt=attempt)

    async def _repeated(
        self, conn: AsyncConnection, tenant_id: str, execution: Execution, token: int, outcome: Outcome
    ) -> Execution:
        attempt = await leases.attempt_by_token(conn, tenant_id, execution.execution_id, token)
        if attempt is None or attempt.outcome != outcome.value:
            raise fenced(execution.execution_id)
        return execution

    async def expire(self, conn: AsyncConnection, limit: int) -> int:
        """Take executions away from hosts that went silent; the transaction sees all tenants."""
        now = self._clock.now()
        silent = await leases.lock_expired(conn, now, limit)
        for tenant_id, execution in silent:
            failure = lease_expired(execution.host_id)
            ending = end_attempt(
                execution, Report(Outcome.FAILED, execution.live, failure=failure), now, self._rules.retry
            )
            attempt = AttemptEnd(EXPIRED, failure, execution.live)
            await self._executions.settle(conn, tenant_id, execution, ending, now, attempt=attempt)
        return len(silent)

    async def round(self, conn: AsyncConnection, tenant_id: str, flow_id: str) -> Round:
        """Tell how a two-way flow's round stands.

        Raises:
            Missing: `FLOW_UNKNOWN`.
            Precondition: `NO_ROUND`.
        """
        flow = await flows.get_flow(conn, tenant_id, flow_id)
        if flow is None:
            raise flow_unknown(flow_id)
        execution = await executions.running_execution(conn, tenant_id, flow_id)
        spec, epoch = (execution.flow, execution.epoch) if execution else (flow.spec, flow.epoch)
        if first_leg(spec) is Leg.WHOLE:
            message = f"Flow {flow_id} goes one way; it has no rounds."
            raise Precondition("NO_ROUND", message, metadata={"flow_id": flow_id})
        taken = {}
        for leg in (Leg.WRITE_DESTINATION, Leg.WRITE_SOURCE):
            lineage = lineage_of(spec, leg, epoch, "", is_requeue=False)
            stored = await flows.list_checkpoints(conn, tenant_id, flow_id, lineage)
            taken[leg] = next((point for point, _ in stored), Checkpoint(""))
        return Round(flow_id, spec, execution, taken)


class _GoesFirst(Exception):
    """Another execution goes before the one that was asked for.

    Args:
        execution_id: That one.
    """

    def __init__(self, execution_id: str) -> None:
        super().__init__("another execution goes first")
        self.execution_id = execution_id


def moving_flow(execution: Execution) -> FlowSpec:
    """Give the flow as the present leg carries it out, with the mapping's version filled in."""
    return replace(execution.moving, mapping_version=execution.mapping_version)


def _lies(outcome: Outcome, ending: Ending) -> bool:
    """Whether an attempt claims to have completed with counts that say otherwise.

    The positions that come along are not believed either.
    """
    return outcome is Outcome.COMPLETED and ending.status is Status.FAILED


__all__ = ["EXPIRED", "Acquired", "LeaseRules", "Leases", "Renewed", "moving_flow"]
