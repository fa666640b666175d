"""Leads runs of plans on, and starts plans that are due, though nobody asks for it."""

from functools import partial

from isthmus.kit import Clock, Database
from isthmus.kit.db.database import after_commit
from isthmus.kit.logs import logger
from isthmus.kit.principal import correlated
from isthmus.resilience.faults import FixRequest
from isthmus.services.scheduling.domain import MissedRuns, ScheduleType, Spread, Tick, Trigger, tick
from isthmus.services.scheduling.engine.calls import Calls
from isthmus.services.scheduling.engine.executions import Cause
from isthmus.services.scheduling.engine.plan_runs import PlanRuns
from isthmus.services.scheduling.engine.schedules import spread
from isthmus.services.scheduling.store import plans, schedules
from isthmus.services.scheduling.store.schedules import DuePlan
from sqlalchemy.ext.asyncio import AsyncConnection

_log = logger(__name__)


class Coordinator:
    """Looks after plans; any number of replicas may do so.

    Args:
        db: For the transactions.
        runs: Leads runs from step to step.
        calls: Makes the calls that they ask for.
        clock: The time.
        batch: Runs, and schedules, taken at once.
        jitter: Draws jitter.
    """

    def __init__(
        self,
        db: Database,
        runs: PlanRuns,
        calls: Calls,
        clock: Clock,
        *,
        batch: int = 200,
        jitter: Spread = spread,
    ) -> None:
        self._db = db
        self._runs = runs
        self._calls = calls
        self._clock = clock
        self._batch = batch
        self._jitter = jitter

    async def coordinate(self) -> bool:
        """Lead on the runs of which something has ended; True when there may be more of them."""
        async with self._db.system() as conn:
            scheduled = await schedules.lock_due_plans(conn, self._clock.now(), self._batch)
            for one in scheduled:
                await self._start(conn, one)
            due = await plans.lock_due_runs(conn, self._clock.now(), self._batch)
            for tenant_id, run, correlation_id in due:
                with correlated(correlation_id):
                    await self._runs.advance(conn, tenant_id, run)
            for call in await self._calls.take(conn):
                after_commit(conn, partial(self._calls.begin, call))
        return self._batch in (len(due), len(scheduled))

    async def _start(self, conn: AsyncConnection, due: DuePlan) -> None:
        schedule, started = due.schedule, None
        try:
            decision = self._decide(due)
        except FixRequest as fault:
            _log.error("schedule cannot be read any more", fault, schedule_id=schedule.schedule_id)
            decision = Tick(start=False, next_time=None)
        next_time = decision.next_time
        if decision.start:
            is_event = schedule.spec.type is ScheduleType.EVENT
            trigger = Trigger.EVENT if is_event else Trigger.SCHEDULED
            cause = Cause(trigger, schedule.schedule_id, schedule.schedule_id)
            if await self._runs.start(conn, due.tenant_id, due.plan, cause) is not None:
                started = self._clock.now()
            elif schedule.spec.missed_runs is MissedRuns.RUN_ONCE:
                # Somebody else started the plan this instant: this start is made up for afterwards.
                next_time = schedule.next_execution_time
        which = (due.tenant_id, schedule.schedule_id)
        if due.can_run:
            await schedules.ticked(conn, *which, next_time=next_time, started=started)
        else:
            reason = schedule.hold_reason
            await schedules.skipped(conn, *which, now=self._clock.now(), reason=reason, next_time=next_time)

    def _decide(self, due: DuePlan) -> Tick:
        if due.schedule.spec.type is ScheduleType.EVENT:
            return Tick(due.can_run, None)
        return tick(due.schedule, self._clock.now(), self._jitter, can_run=due.can_run)


__all__ = ["Coordinator"]
