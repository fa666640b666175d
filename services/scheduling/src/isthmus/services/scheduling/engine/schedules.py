"""Schedules: created, changed, deleted; and starts that come from events."""

import random
from collections.abc import Collection
from dataclasses import dataclass, replace

from isthmus.kit import Clock, check_etag, new_id
from isthmus.kit.deed import tell
from isthmus.resilience.faults import Missing
from isthmus.services.scheduling.domain import (
    Flow,
    MissedRuns,
    Schedule,
    ScheduleSpec,
    Spread,
    Trigger,
    check_timing,
    next_time,
)
from isthmus.services.scheduling.engine.executions import Cause, Executions
from isthmus.services.scheduling.engine.plans import plan_unknown
from isthmus.services.scheduling.engine.ports import Announcer
from isthmus.services.scheduling.engine.refusals import flow_unknown
from isthmus.services.scheduling.store import flows, plans, schedules
from sqlalchemy.ext.asyncio import AsyncConnection


def spread(longest: float) -> float:
    """Draw a jitter."""
    return random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True, slots=True)
class EventFact:
    """What scheduling has to know of an event.

    Attributes:
        tenant_id: Whose.
        type: CloudEvents type.
        flow_id: The flow that caused it; empty when none did.
        plan_id: The plan that caused it; empty when none did.
    """

    tenant_id: str
    type: str
    flow_id: str = ""
    plan_id: str = ""


class Schedules:
    """Keeps schedules; every method is one transaction's work.

    Args:
        work: Starts executions.
        announcer: Says what happened.
        clock: The time.
        jitter: Draws jitter.
    """

    def __init__(self, work: Executions, announcer: Announcer, clock: Clock, jitter: Spread = spread) -> None:
        self._executions = work
        self._announcer = announcer
        self._clock = clock
        self._jitter = jitter

    async def create(self, conn: AsyncConnection, tenant_id: str, spec: ScheduleSpec, by: str) -> Schedule:
        """Store a new schedule.

        Raises:
            FixRequest: `CRON_INVALID` or `TIME_ZONE_UNKNOWN`.
            Missing: `FLOW_UNKNOWN` or `PLAN_UNKNOWN`.
        """
        now = self._clock.now()
        check_timing(spec, now)
        await self._need_target(conn, tenant_id, spec)
        schedule = Schedule(
            schedule_id=new_id("sch"),
            spec=spec,
            created_by=by,
            create_time=now,
            update_time=now,
            next_execution_time=next_time(spec, now, now, self._jitter),
        )
        stored = await schedules.insert_schedule(conn, tenant_id, schedule)
        await self._announcer.schedule(conn, tenant_id, "created", stored, by)
        return stored

    async def get(self, conn: AsyncConnection, tenant_id: str, schedule_id: str) -> Schedule:
        """Read a schedule.

        Raises:
            Missing: `SCHEDULE_UNKNOWN`.
        """
        schedule = await schedules.get_schedule(conn, tenant_id, schedule_id)
        if schedule is None:
            raise _unknown(schedule_id)
        return schedule

    async def update(
        self,
        conn: AsyncConnection,
        tenant_id: str,
        schedule_id: str,
        spec: ScheduleSpec,
        *,
        etag: str,
        by: str,
    ) -> Schedule:
        """Replace what a schedule's owner decided; its next time is computed anew.

        Raises:
            FixRequest: `CRON_INVALID` or `TIME_ZONE_UNKNOWN`.
            Missing: `SCHEDULE_UNKNOWN`, `FLOW_UNKNOWN` or `PLAN_UNKNOWN`.
            Conflict: `ETAG_MISMATCH`.
        """
        now = self._clock.now()
        check_timing(spec, now)
        old = await schedules.get_schedule(conn, tenant_id, schedule_id, lock=True)
        if old is None:
            raise _unknown(schedule_id)
        check_etag(etag, old.revision)
        tell(before=old)
        await self._need_target(conn, tenant_id, spec)
        changed = replace(
            old,
            spec=spec,
            update_time=now,
            next_execution_time=next_time(spec, old.create_time, now, self._jitter),
        )
        stored = await schedules.update_schedule(conn, tenant_id, changed)
        await self._announcer.schedule(conn, tenant_id, "updated", stored, by)
        return stored

    async def delete(
        self, conn: AsyncConnection, tenant_id: str, schedule_id: str, *, etag: str, by: str
    ) -> None:
        """Remove a schedule; what it has started goes on.

        Raises:
            Conflict: `ETAG_MISMATCH`.
        """
        schedule = await schedules.get_schedule(conn, tenant_id, schedule_id, lock=True)
        if schedule is None:
            return
        check_etag(etag, schedule.revision)
        tell(before=schedule)
        await schedules.delete_schedule(conn, tenant_id, schedule_id)
        await self._announcer.schedule(conn, tenant_id, "deleted", schedule, by)

    async def awaited(self, conn: AsyncConnection, tenant_id: str, types: Collection[str]) -> Collection[str]:
        """Tell which of these types of events an active schedule waits for."""
        return await schedules.awaited_types(conn, tenant_id, types)

    async def event(self, conn: AsyncConnection, fact: EventFact) -> None:
        """Start the flows and plans that wait for an event.

        A flow's own events do not start it, nor does a plan start at those of its flows, or it would
        run for ever.
        """
        for schedule, flow in await schedules.triggered_by(conn, fact.tenant_id, fact.type):
            if flow is None:
                await self._wake_plan(conn, fact, schedule)
            elif flow.flow_id != fact.flow_id:
                await self._start(conn, fact.tenant_id, schedule, flow)

    async def _wake_plan(self, conn: AsyncConnection, fact: EventFact, schedule: Schedule) -> None:
        plan_id = schedule.spec.plan_id
        plan = await plans.get_plan(conn, fact.tenant_id, plan_id)
        if plan is None or plan_id == fact.plan_id or fact.flow_id in plan.spec.flow_ids:
            return
        skips = schedule.spec.missed_runs is MissedRuns.SKIP
        if skips and await plans.live_run(conn, fact.tenant_id, plan_id):
            await self._skip(conn, fact.tenant_id, schedule, "PLAN_RUNNING")
            return
        await schedules.make_due(conn, fact.tenant_id, schedule.schedule_id, self._clock.now())

    async def _start(self, conn: AsyncConnection, tenant_id: str, schedule: Schedule, flow: Flow) -> None:
        cause = Cause(Trigger.EVENT, schedule.schedule_id, schedule.schedule_id)
        if schedule.spec.missed_runs is MissedRuns.RUN_ONCE:
            await self._executions.start_or_wait(conn, tenant_id, flow, cause)
        elif await self._executions.start_or_skip(conn, tenant_id, flow, cause) is None:
            reason = await schedules.why_not(conn, tenant_id, flow.flow_id) or "EXECUTION_RUNNING"
            await self._skip(conn, tenant_id, schedule, reason)

    async def _skip(self, conn: AsyncConnection, tenant_id: str, schedule: Schedule, reason: str) -> None:
        now = self._clock.now()
        await schedules.skipped(conn, tenant_id, schedule.schedule_id, now=now, reason=reason)

    async def _need_target(self, conn: AsyncConnection, tenant_id: str, spec: ScheduleSpec) -> None:
        if spec.plan_id:
            if await plans.get_plan(conn, tenant_id, spec.plan_id, lock=True) is None:
                raise plan_unknown(spec.plan_id)
        elif await flows.get_flow(conn, tenant_id, spec.flow_id, lock="KEY SHARE") is None:
            raise flow_unknown(spec.flow_id)


def _unknown(schedule_id: str) -> Missing:
    message = f"There is no schedule {schedule_id}; ListSchedules shows what there is."
    return Missing("SCHEDULE_UNKNOWN", message)


__all__ = ["EventFact", "Schedules", "spread"]
