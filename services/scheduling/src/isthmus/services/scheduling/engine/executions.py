"""How executions start and end."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from isthmus.kit import Clock, current_correlation_id, new_id
from isthmus.kit.db.database import after_commit
from isthmus.kit.trace import current_traceparent
from isthmus.resilience.faults import Missing, Precondition
from isthmus.services.scheduling.domain import (
    Ending,
    Execution,
    Flow,
    Leg,
    LegDone,
    Status,
    Stop,
    Trigger,
    as_asked,
    connector_for,
    first_leg,
    known_source,
    lineage_of,
    spec_for,
)
from isthmus.services.scheduling.engine.begun import Beginnings
from isthmus.services.scheduling.engine.causes import Cause, cause_of, together
from isthmus.services.scheduling.engine.changes import Changes
from isthmus.services.scheduling.engine.kept import Kept
from isthmus.services.scheduling.engine.ports import Announcer, InstanceFacts, Origin
from isthmus.services.scheduling.engine.refusals import (
    execution_unknown,
    flow_unknown,
    paused,
    refuse_start,
)
from isthmus.services.scheduling.engine.room import Room
from isthmus.services.scheduling.store import endings, executions, flows, schedules
from isthmus.services.scheduling.store.endings import AttemptEnd, NextLeg
from isthmus.services.scheduling.store.schedules import Waiting
from sqlalchemy.ext.asyncio import AsyncConnection

_MOST_FLOWS = 2000
_MOST_REMEMBERED = 10_000


class Executions:
    """Starts executions, one at a time for each flow, and settles their end.

    Args:
        announcer: Says what happened.
        clock: The time.
        wake: Called once something is pending, so that its job is sent at once.
        changes: Told about each change of an execution.
        wake_plans: Called once an execution that a plan has started has ended.
        room: Knows whether anything waits for a place at an instance.
        held_back: Seconds that jobs wait for a busy host that has room.
    """

    def __init__(
        self,
        announcer: Announcer,
        clock: Clock,
        wake: Callable[[], None],
        changes: Changes,
        wake_plans: Callable[[], None],
        *,
        room: Room,
        held_back: float = 0.0,
    ) -> None:
        self._announcer = announcer
        self._clock = clock
        self._wake = wake
        self._wake_plans = wake_plans
        self._room = room
        self.changes = changes
        self.needs: dict[tuple[str, str], tuple[str, ...]] = {}
        self.known: Kept[tuple[str, str], Flow] = Kept(_MOST_FLOWS)
        self.begun = Beginnings(clock, held_back)
        self._remembered: Kept[tuple[str, str], InstanceFacts] = Kept(_MOST_REMEMBERED)
        self._later: asyncio.TimerHandle | None = None

    async def start(
        self, conn: AsyncConnection, tenant_id: str, flow: Flow, cause: Cause
    ) -> Execution | None:
        """Start a flow; None when one of its executions is pending or running, or the flow is paused.

        The row is the job's outbox row at the same time: it is due to be dispatched.
        """
        execution = self.made(flow, cause)
        after_commit(conn, self._wake)
        return await executions.insert_execution(
            conn,
            tenant_id,
            execution,
            correlation_id=current_correlation_id() or execution.execution_id,
            traceparent=current_traceparent(),
        )

    def made(self, flow: Flow, cause: Cause) -> Execution:
        """Make a new execution of a flow, to be stored."""
        execution_id = new_id("exe")
        reconcile = known_source(cause.reconcile, flow.source_connector_id)
        spec = spec_for(as_asked(flow.spec, cause.asked), reconcile)
        leg = reconcile.legs[0] if reconcile is not None else first_leg(spec)
        ends = (flow.source_connector_id, flow.destination_connector_id)
        return Execution(
            execution_id=execution_id,
            flow_id=flow.flow_id,
            flow=spec,
            connector_id=connector_for(spec, leg, *ends, reconcile=reconcile),
            reconcile=reconcile,
            # A requeue reads the quarantine and must not move the source's positions; nor must a backfill.
            lineage=lineage_of(
                spec,
                leg,
                flow.epoch,
                execution_id,
                is_requeue=cause.trigger is Trigger.REQUEUE or cause.asked.stands_alone,
            ),
            leg=leg,
            epoch=flow.epoch,
            destination_connector_id=flow.destination_connector_id,
            trigger=cause.trigger,
            initiated_by=cause.initiated_by,
            schedule_id=cause.schedule_id,
            quarantine_ids=cause.quarantine_ids,
            place=cause.place,
            priority=flow.spec.priority if cause.priority is None else cause.priority,
            create_time=self._clock.now(),
            asked=cause.asked,
        )

    async def start_on_request(
        self,
        conn: AsyncConnection,
        tenant_id: str,
        flow_id: str,
        instances: Mapping[str, InstanceFacts | Missing],
        cause: Cause,
    ) -> Execution:
        """Start a flow because a caller asks for it.

        Args:
            conn: The transaction.
            tenant_id: Whose.
            flow_id: Which flow.
            instances: What the registry says of the instances that the flow was thought to need.
            cause: Why.

        Raises:
            Missing: `FLOW_UNKNOWN`.
            Precondition: `FLOW_INACTIVE`, `FLOW_PAUSED`, `INSTANCE_INACTIVE`, `EXECUTION_RUNNING`,
                `ONE_WAY_ONLY` or `REPAIR_ONE_WAY_ONLY`.
            OtherInstances: The flow needs others.
        """
        flow = await flows.get_flow(conn, tenant_id, flow_id, lock="KEY SHARE")
        if flow is None:
            raise flow_unknown(flow_id)
        self.known[tenant_id, flow_id] = flow
        refuse_start(flow, cause, instances)
        for facts in instances.values():
            if isinstance(facts, InstanceFacts):
                await self._remember(conn, tenant_id, facts)
        execution = await self.start(conn, tenant_id, flow, cause)
        if execution is None:
            raise await self._running(conn, tenant_id, flow)
        origin = Origin(current_correlation_id() or execution.execution_id, current_traceparent())
        after_commit(conn, partial(self.begun.note, tenant_id, execution, instances, origin))
        return execution

    def remembers(self, tenant_id: str, facts: InstanceFacts | Missing) -> bool:
        """Tell whether nothing new was learned of an instance."""
        return (
            isinstance(facts, InstanceFacts) and self._remembered.get((tenant_id, facts.instance_id)) == facts
        )

    async def _remember(self, conn: AsyncConnection, tenant_id: str, facts: InstanceFacts) -> None:
        """Keep what was learned of an instance, unless it is what was kept the last time."""
        if not self.remembers(tenant_id, facts):
            await remember(conn, tenant_id, facts)
            key = (tenant_id, facts.instance_id)
            after_commit(conn, partial(self._remembered.__setitem__, key, facts))

    async def _running(self, conn: AsyncConnection, tenant_id: str, flow: Flow) -> Precondition:
        live = await executions.live_execution(conn, tenant_id, flow.flow_id)
        if live is None and (now := await flows.get_flow(conn, tenant_id, flow.flow_id)) and now.is_paused:
            return paused(now)
        execution_id = live.execution_id if live else ""
        message = (
            f'Flow "{flow.spec.name}" is at work in execution {execution_id}; wait for its end or cancel it.'
        )
        metadata = {"flow_id": flow.flow_id, "execution_id": execution_id}
        return Precondition("EXECUTION_RUNNING", message, metadata=metadata)

    async def start_or_skip(
        self, conn: AsyncConnection, tenant_id: str, flow: Flow, cause: Cause
    ) -> Execution | None:
        """Start a flow if it can run now; None when it cannot."""
        if not await schedules.can_run(conn, tenant_id, flow.flow_id):
            return None
        execution = await self.start(conn, tenant_id, flow, cause)
        if execution is not None:
            await self._note_start(conn, tenant_id, execution)
        return execution

    async def start_or_wait(
        self, conn: AsyncConnection, tenant_id: str, flow: Flow, cause: Cause
    ) -> Execution | None:
        """Start a flow, or have it started as soon as it can run; None in the latter case."""
        execution = await self.start_or_skip(conn, tenant_id, flow, cause)
        if execution is None:
            waiting = Waiting(
                waiting_id=new_id("wai"),
                flow_id=flow.flow_id,
                trigger=cause.trigger,
                initiated_by=cause.initiated_by,
                schedule_id=cause.schedule_id,
                quarantine_ids=cause.quarantine_ids,
            )
            await schedules.wait(conn, tenant_id, waiting)
        return execution

    async def start_waiting(self, conn: AsyncConnection, tenant_id: str, flow_id: str) -> Execution | None:
        """Start what waits for a flow, if it can run; requeues that wait go together."""
        queue = await schedules.take_waiting(conn, tenant_id, flow_id)
        if not queue or not await schedules.can_run(conn, tenant_id, flow_id):
            return None
        flow = await flows.get_flow(conn, tenant_id, flow_id)
        if flow is None:
            return None
        chosen = together(queue)
        execution = await self.start(conn, tenant_id, flow, cause_of(chosen))
        if execution is not None:
            await schedules.drop_waiting(conn, tenant_id, [one.waiting_id for one in chosen])
            await self._note_start(conn, tenant_id, execution)
        return execution

    async def _note_start(self, conn: AsyncConnection, tenant_id: str, execution: Execution) -> None:
        if execution.schedule_id:
            now = self._clock.now()
            await schedules.ticked(conn, tenant_id, execution.schedule_id, next_time=None, started=now)

    async def settle(
        self,
        conn: AsyncConnection,
        tenant_id: str,
        execution: Execution,
        ending: Ending,
        now: datetime,
        *,
        attempt: AttemptEnd | None = None,
    ) -> Execution:
        """Store what follows the end of an attempt, or of an execution that had none."""
        completes = ending.status is Status.COMPLETED
        following = execution.following_leg if completes else None
        if following is not None and execution.stop in {Stop.NONE, Stop.PAUSE}:
            if attempt is not None:
                await endings.close_attempt(conn, tenant_id, execution, attempt, now)
            which = (execution.flow_id, execution.lineage, execution.execution_id)
            await flows.complete_partitions(conn, tenant_id, *which)
            return await self._advance(conn, tenant_id, execution, ending, following)
        if following is not None:
            ending = replace(ending, status=Status.CANCELLED)
        ended = await endings.end_execution_attempt(
            conn, tenant_id, execution, ending, now, attempt=attempt, completes=completes
        )
        execution = ended.execution
        if execution.status.is_live:
            self.changes.note(conn, tenant_id, execution.execution_id, execution)
            after_commit(conn, self._wake)
            return execution
        if not execution.asked.dry_run:
            await self._announcer.sync(conn, tenant_id, execution.status.value, execution)
        await self.note_end(conn, tenant_id, execution, is_awaited=ended.is_awaited)
        return execution

    async def note_end(
        self, conn: AsyncConnection, tenant_id: str, execution: Execution, *, is_awaited: bool
    ) -> None:
        """Do what follows the end of an execution.

        Args:
            conn: The transaction in which it has ended.
            tenant_id: Whose.
            execution: As it is now.
            is_awaited: Whether a start waits for its flow.
        """
        self.changes.note(conn, tenant_id, execution.execution_id, execution)
        if execution.place.run_id:
            # The run's row is left alone here: whoever holds it may be waiting for this flow.
            after_commit(conn, self._wake_plans)
        if is_awaited:
            await self.start_waiting(conn, tenant_id, execution.flow_id)
        if self._room.is_crowded:
            after_commit(conn, self._wake)

    async def _advance(
        self,
        conn: AsyncConnection,
        tenant_id: str,
        execution: Execution,
        ending: Ending,
        leg: Leg,
    ) -> Execution:
        """Go on to the next leg; its job is due at once."""
        now = self._clock.now()
        began = execution.legs[-1].end_time if execution.legs else execution.start_time
        following = NextLeg(
            done=LegDone(execution.leg, ending.before, began, now),
            leg=leg,
            # The source is read in the first leg, so its connector is not asked for any more.
            connector_id=connector_for(
                execution.flow, leg, "", execution.destination_connector_id, reconcile=execution.reconcile
            ),
            lineage=lineage_of(
                execution.flow,
                leg,
                execution.epoch,
                execution.execution_id,
                is_requeue=execution.trigger is Trigger.REQUEUE,
            ),
        )
        after_commit(conn, self._wake)
        execution = await endings.advance_execution(conn, tenant_id, execution, following, now)
        self.changes.note(conn, tenant_id, execution.execution_id, execution)
        return execution

    def wake_plans_soon(self, conn: AsyncConnection) -> None:
        """Have runs of plans looked at, after the transaction."""
        after_commit(conn, self._wake_plans)

    def send_soon(self, conn: AsyncConnection) -> None:
        """Have jobs sent at once, after the transaction."""
        after_commit(conn, self._wake)

    def send_later(self, conn: AsyncConnection) -> None:
        """Have jobs sent that were held back, once the transaction is over and their time has come."""
        after_commit(conn, self._send_later)

    def _send_later(self) -> None:
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(self.begun.held_back, self._send_held_back)

    def _send_held_back(self) -> None:
        self._later = None
        self._wake()
        if self.begun.forget_late():
            self._send_later()

    async def cancel(self, conn: AsyncConnection, tenant_id: str, execution_id: str) -> Execution:
        """End a pending execution, and ask the host of a running one to stop.

        Raises:
            Missing: `EXECUTION_UNKNOWN`.
        """
        execution = await executions.get_execution(conn, tenant_id, execution_id, lock=True)
        if execution is None:
            raise execution_unknown(execution_id)
        return await self._cancel_locked(conn, tenant_id, execution)

    async def cancel_live(self, conn: AsyncConnection, tenant_id: str, flow_id: str) -> None:
        """Cancel what is pending or running of a flow."""
        execution = await executions.live_execution(conn, tenant_id, flow_id)
        if execution is not None:
            await self._cancel_locked(conn, tenant_id, execution)

    async def _cancel_locked(self, conn: AsyncConnection, tenant_id: str, execution: Execution) -> Execution:
        now = self._clock.now()
        if execution.status is Status.PENDING:
            ending = Ending(Status.CANCELLED, execution.before, execution.failure)
            return await self.settle(conn, tenant_id, execution, ending, now)
        if execution.status is Status.RUNNING:
            await executions.request_stop(conn, tenant_id, execution.execution_id, Stop.CANCEL, now)
            self.changes.note(conn, tenant_id, execution.execution_id)
            changed = await executions.get_execution(conn, tenant_id, execution.execution_id)
            return changed or execution
        return execution


async def remember(conn: AsyncConnection, tenant_id: str, facts: InstanceFacts) -> None:
    """Keep what was learned of an instance, so that schedules can do without asking."""
    await flows.know_instance(
        conn,
        tenant_id,
        facts.instance_id,
        is_active=facts.is_active,
        executions=facts.executions,
        update_time=facts.update_time,
    )


__all__ = ["Cause", "Executions", "remember"]
