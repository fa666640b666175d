"""Runs of plans: started, led from step to step, cancelled."""

from datetime import datetime, timedelta

from isthmus.kit import Clock, current_correlation_id, new_id
from isthmus.resilience.faults import Missing, Precondition
from isthmus.services.scheduling.domain import (
    Flow,
    Place,
    Plan,
    PlanAction,
    PlanRun,
    PlanStep,
    StepStatus,
    Trigger,
    Why,
    cancelled,
    compensation_ended,
    compensation_started,
    due_compensation,
    due_steps,
    fresh_steps,
    note_call_end,
    note_end,
    refuse_repair,
    settled,
    step_failed,
    step_started,
    step_waits,
)
from isthmus.services.scheduling.engine.executions import Cause, Executions
from isthmus.services.scheduling.engine.plans import plan_running, plan_unknown
from isthmus.services.scheduling.engine.ports import Announcer
from isthmus.services.scheduling.engine.refusals import flow_unknown
from isthmus.services.scheduling.store import calls, flows, plans, schedules
from isthmus.services.scheduling.store.schedules import InTheWay
from sqlalchemy.ext.asyncio import AsyncConnection

_LOOK_AGAIN = timedelta(seconds=1)
_WAITS = {"EXECUTION_RUNNING", "FLOW_PAUSED"}


class PlanRuns:
    """Leads runs from step to step; every method is one transaction's work.

    What a run has started and what it knows of it are stored together, so that each step is started
    once. Nobody who holds an execution's row asks for its run's, so two that meet never wait for one
    another.

    Args:
        work: Starts and cancels executions.
        announcer: Says what happened.
        clock: The time.
    """

    def __init__(self, work: Executions, announcer: Announcer, clock: Clock) -> None:
        self._executions = work
        self._announcer = announcer
        self._clock = clock

    async def start(self, conn: AsyncConnection, tenant_id: str, plan: Plan, cause: Cause) -> PlanRun | None:
        """Start a plan with the steps that are due at once; None when a run of it is under way."""
        run_id = new_id("run")
        run = PlanRun(
            run_id=run_id,
            plan_id=plan.plan_id,
            plan=plan.spec,
            steps=fresh_steps(plan.spec),
            trigger=cause.trigger,
            initiated_by=cause.initiated_by,
            schedule_id=cause.schedule_id,
            create_time=self._clock.now(),
            priority=cause.priority,
        )
        stored = await plans.insert_run(conn, tenant_id, run, current_correlation_id() or run_id)
        if stored is None:
            return None
        await self._announcer.plan_run(conn, tenant_id, "started", stored)
        return await self.advance(conn, tenant_id, stored)

    async def start_on_request(
        self, conn: AsyncConnection, tenant_id: str, plan_id: str, cause: Cause
    ) -> PlanRun:
        """Start a plan because a caller asks for it.

        Raises:
            Missing: `PLAN_UNKNOWN`.
            Precondition: `PLAN_INACTIVE` or `PLAN_RUNNING`.
        """
        plan = await plans.get_plan(conn, tenant_id, plan_id, lock=True)
        if plan is None:
            raise plan_unknown(plan_id)
        if not plan.spec.is_active:
            message = f'Plan "{plan.spec.name}" is inactive; activate it, then run it.'
            raise Precondition("PLAN_INACTIVE", message, metadata={"plan_id": plan_id})
        run = await self.start(conn, tenant_id, plan, cause)
        if run is None:
            raise plan_running(plan, await plans.live_run(conn, tenant_id, plan_id))
        return run

    async def get(self, conn: AsyncConnection, tenant_id: str, run_id: str, *, lock: bool = False) -> PlanRun:
        """Read a run.

        Raises:
            Missing: `PLAN_RUN_UNKNOWN`.
        """
        run = await plans.get_run(conn, tenant_id, run_id, lock=lock)
        if run is None:
            message = f"There is no run {run_id}; ListPlanRuns shows what there is."
            raise Missing("PLAN_RUN_UNKNOWN", message)
        return run

    async def cancel(
        self, conn: AsyncConnection, tenant_id: str, run_id: str, *, compensate: bool
    ) -> PlanRun:
        """Start nothing more and cancel what is at work.

        Raises:
            Missing: `PLAN_RUN_UNKNOWN`.
        """
        run = await self.get(conn, tenant_id, run_id, lock=True)
        if not run.status.is_live:
            return run
        for execution_id in await plans.live_executions(conn, tenant_id, run_id):
            await self._executions.cancel(conn, tenant_id, execution_id)
        await calls.cancel_calls(conn, tenant_id, run_id, self._clock.now())
        return await self.advance(conn, tenant_id, cancelled(run, compensate=compensate), told=run)

    async def advance(
        self, conn: AsyncConnection, tenant_id: str, run: PlanRun, *, told: PlanRun | None = None
    ) -> PlanRun:
        """Take notice of what has ended, and start what is due.

        Args:
            conn: The transaction, which has locked the run.
            tenant_id: Whose.
            run: As it is to go on from.
            told: As it was stored last, where that differs.
        """
        now, before = self._clock.now(), told or run
        for execution in await plans.take_ended(conn, tenant_id, run.run_id):
            run = note_end(run, execution, now)
        for call in await calls.take_ended_calls(conn, tenant_id, run.run_id):
            run = note_call_end(run, call.call_id, call.failure, call.output, now)
        run = await self._start_steps(conn, tenant_id, settled(run, now), now)
        run = await self._start_compensation(conn, tenant_id, run, now)
        look_time = now + _LOOK_AGAIN if run.status.is_live and _waits_for_others(run) else None
        changed = run != before
        stored = await plans.save_run(conn, tenant_id, run, look_time=look_time, changed=changed)
        if changed:
            self._executions.changes.note(conn, tenant_id, run.run_id)
        if not stored.status.is_live:
            await self._announcer.plan_run(conn, tenant_id, stored.status.value, stored)
        return stored

    async def _start_steps(
        self, conn: AsyncConnection, tenant_id: str, run: PlanRun, now: datetime
    ) -> PlanRun:
        tried: set[str] = set()
        # One by one: a step that cannot be started may keep the others from starting.
        while step := next((one for one in due_steps(run) if one.name not in tried), None):
            tried.add(step.name)
            started = "" if step.is_barrier else await self._start(conn, tenant_id, run, step, undo=False)
            if not isinstance(started, Why):
                run = step_started(run, step.name, started, now)
            elif started.reason in _WAITS:
                run = step_waits(run, step.name, started)
            else:
                run = step_failed(run, step.name, started, now)
            run = settled(run, now)
        return run

    async def _start_compensation(
        self, conn: AsyncConnection, tenant_id: str, run: PlanRun, now: datetime
    ) -> PlanRun:
        step = due_compensation(run)
        if step is None:
            return run
        started = await self._start(conn, tenant_id, run, step, undo=True)
        if not isinstance(started, Why):
            return compensation_started(run, step.name, started)
        if started.reason in _WAITS:
            return step_waits(run, step.name, started)
        return settled(compensation_ended(run, step.name, started), now)

    async def _start(
        self, conn: AsyncConnection, tenant_id: str, run: PlanRun, step: PlanStep, *, undo: bool
    ) -> str | Why:
        """Start a step's execution or ask for its call and name it, or say why that cannot be."""
        action = step.compensation_action if undo else step.action
        place = Place(run.run_id, step.name, undo)
        if action is not None:
            return await self._call(conn, tenant_id, action, place)
        flow_id = step.compensation_flow_id if undo else step.flow_id
        flow = await flows.get_flow(conn, tenant_id, flow_id, lock="KEY SHARE")
        if flow is None:
            return Why("FLOW_UNKNOWN", flow_unknown(flow_id).message)
        obstacle = _obstacle(flow, await schedules.in_the_way(conn, tenant_id, flow_id))
        if obstacle is not None:
            return obstacle
        reconcile = None if undo else step.reconcile
        try:
            refuse_repair(flow_id, flow.spec, reconcile)
        except Precondition as refusal:
            return Why(refusal.reason, refusal.message)
        cause = Cause(Trigger.PLAN, run.run_id, place=place, priority=run.priority, reconcile=reconcile)
        execution = await self._executions.start(conn, tenant_id, flow, cause)
        return execution.execution_id if execution else _busy(flow, "another execution")

    async def _call(
        self, conn: AsyncConnection, tenant_id: str, action: PlanAction, place: Place
    ) -> str | Why:
        """Ask for an action's call, which is made once the transaction is durable."""
        if not await flows.is_active_instance(conn, tenant_id, action.instance_id):
            message = f"Instance {action.instance_id} is not active; activate it, then run the plan again."
            return Why("INSTANCE_INACTIVE", message)
        call_id = new_id("cal")
        await calls.insert_call(conn, tenant_id, call_id, action, place=place, now=self._clock.now())
        self._executions.wake_plans_soon(conn)
        return call_id


def _waits_for_others(run: PlanRun) -> bool:
    return any(step.why.reason in _WAITS for step in run.some(StepStatus.WAITING, StepStatus.COMPLETED))


def _obstacle(flow: Flow, way: InTheWay) -> Why | None:
    name = flow.spec.name
    if not flow.spec.is_active:
        return Why("FLOW_INACTIVE", f'Flow "{name}" is inactive; activate it, then run the plan again.')
    if way.instance_id:
        what = f'Instance {way.instance_id} of flow "{name}" is not active'
        return Why("INSTANCE_INACTIVE", f"{what}; activate it, then run the plan again.")
    if flow.is_paused:
        return Why("FLOW_PAUSED", f'Flow "{name}" is paused; this step waits until it is resumed.')
    return _busy(flow, f"execution {way.execution_id}") if way.execution_id else None


def _busy(flow: Flow, what: str) -> Why:
    return Why(
        "EXECUTION_RUNNING", f'Flow "{flow.spec.name}" is at work in {what}; this step waits for its end.'
    )


__all__ = ["PlanRuns"]
