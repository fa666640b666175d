"""Work that nobody asks for: starting what is due, taking work from silent hosts, sending jobs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from isthmus.kit import Clock, Database
from isthmus.kit.errors import fault_of
from isthmus.kit.logs import logger
from isthmus.resilience.faults import Fault, FixRequest, OutOfTime, RetryLater
from isthmus.services.scheduling.domain import MissedRuns, Spread, Trigger, tick
from isthmus.services.scheduling.engine.executions import Cause, Executions
from isthmus.services.scheduling.engine.leases import Leases
from isthmus.services.scheduling.engine.ports import HostFinder, Jobs
from isthmus.services.scheduling.engine.room import Room
from isthmus.services.scheduling.engine.schedules import spread
from isthmus.services.scheduling.store import executions, plans, schedules
from isthmus.services.scheduling.store.executions import JobToSend
from isthmus.services.scheduling.store.schedules import Due
from sqlalchemy.ext.asyncio import AsyncConnection

_log = logger(__name__)
_PAUSE_AFTER_OUTAGE = 1.0
_SENDING_AT_ONCE = 20
_SETTLED = 5.0


def every(
    seconds: float,
    work: Callable[[], Awaitable[bool]],
    wake: asyncio.Event | None = None,
    *,
    pace: float = 0.0,
) -> Callable[[], Awaitable[None]]:
    """Make a loop that does a piece of work at once while there is more, else after a pause.

    An outage of the database or the bus is waited out; anything else ends the loop and is left to
    the chassis, which reports it under the work's name and starts the loop again.

    Args:
        seconds: The longest pause.
        work: Does a bounded piece and says whether more may be waiting.
        wake: Ends a pause early.
        pace: Least time from one beginning to the next, so that in busy times more is done at once.
    """
    alarm = wake or asyncio.Event()

    async def loop() -> None:
        while True:
            begun = time.monotonic()
            try:
                more = await work()
            except Exception as error:
                if not isinstance(fault_of(error), RetryLater | OutOfTime):
                    raise
                await asyncio.sleep(_PAUSE_AFTER_OUTAGE)
                continue
            if not more:
                await _pause(seconds, alarm)
                await asyncio.sleep(max(0.0, begun + pace - time.monotonic()))
                alarm.clear()

    loop.__qualname__ = work.__qualname__
    return loop


async def _pause(seconds: float, alarm: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await alarm.wait()


class Ticker:
    """Starts what schedules and events ask for; any number of replicas may do so.

    Args:
        db: For the transactions.
        work: Starts executions.
        clock: The time.
        batch: Schedules taken at once.
        jitter: Draws jitter.
    """

    def __init__(
        self,
        db: Database,
        work: Executions,
        clock: Clock,
        *,
        batch: int = 200,
        jitter: Spread = spread,
    ) -> None:
        self._db = db
        self._executions = work
        self._clock = clock
        self._batch = batch
        self._jitter = jitter

    async def tick(self) -> bool:
        """Deal with the schedules that are due; True when there may be more of them."""
        async with self._db.system() as conn:
            due = await schedules.lock_due(conn, self._clock.now(), self._batch)
            for one in due:
                await self._deal_with(conn, one)
            waiting = await schedules.flows_with_waiting(conn, self._batch)
            for tenant_id, flow_id in waiting:
                await self._executions.start_waiting(conn, tenant_id, flow_id)
        return len(due) == self._batch

    async def _deal_with(self, conn: AsyncConnection, due: Due) -> None:
        now = self._clock.now()
        schedule = due.schedule
        try:
            decision = tick(schedule, now, self._jitter, can_run=due.can_run)
        except FixRequest as fault:
            _log.error("schedule cannot be read any more", fault, schedule_id=schedule.schedule_id)
            await schedules.ticked(conn, due.tenant_id, schedule.schedule_id, next_time=None, started=None)
            return
        started, next_time = None, decision.next_time
        if decision.start:
            cause = Cause(Trigger.SCHEDULED, schedule.schedule_id, schedule.schedule_id)
            if await self._executions.start(conn, due.tenant_id, due.flow, cause) is not None:
                started = now
            elif schedule.spec.missed_runs is MissedRuns.RUN_ONCE:
                # Somebody else started the flow this instant: this start is made up for afterwards.
                next_time = schedule.next_execution_time
        which = (due.tenant_id, schedule.schedule_id)
        if due.can_run:
            await schedules.ticked(conn, *which, next_time=next_time, started=started)
        else:
            reason = schedule.hold_reason
            await schedules.skipped(conn, *which, now=now, reason=reason, next_time=next_time)


class Sweeper:
    """Takes executions away from hosts that went silent.

    Right after a start or an outage of the database it waits: hosts that are alive could not renew
    their leases, and get the time to do so.

    Args:
        db: For the transactions.
        leases: Ends leases.
        clock: The time.
        grace: Seconds to wait after an outage.
        batch: Leases ended at once.
    """

    def __init__(
        self,
        db: Database,
        leases: Leases,
        clock: Clock,
        *,
        grace: float,
        batch: int = 200,
    ) -> None:
        self._db = db
        self._leases = leases
        self._clock = clock
        self._grace = grace
        self._batch = batch
        self._healthy_since: float | None = None

    async def sweep(self) -> bool:
        """End expired leases; True when there may be more of them."""
        try:
            return await self._sweep()
        except Exception:
            self._healthy_since = None
            raise

    async def _sweep(self) -> bool:
        async with self._db.system() as conn:
            if self._healthy_since is None:
                self._healthy_since = self._clock.monotonic()
            if self._clock.monotonic() - self._healthy_since < self._grace:
                return False
            ended = await self._leases.expire(conn, self._batch)
        return ended == self._batch


class Dispatcher:
    """Sends the jobs of pending executions, again and again until a host takes them.

    The bus may lose everything: what counts is the execution's row, and hosts drop a job that
    comes twice.

    Args:
        db: For the transactions.
        jobs: Puts jobs into queues.
        hosts: Has hosts started.
        clock: The time.
        room: Calls who waits for a place at an instance.
        resend: Seconds after which a job that nobody took is sent again.
        batch: Jobs sent at once.
    """

    def __init__(
        self,
        db: Database,
        jobs: Jobs,
        hosts: HostFinder,
        clock: Clock,
        room: Room,
        *,
        resend: float,
        batch: int = 200,
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._hosts = hosts
        self._room = room
        self._clock = clock
        self._resend = resend
        self._batch = batch
        self._slots = asyncio.Semaphore(_SENDING_AT_ONCE)
        self._asked: dict[tuple[str, str], float] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def dispatch(self) -> bool:
        """Send the jobs that are due; True when there may be more of them."""
        async with self._db.system() as conn:
            await self._room.call(conn)
            due = await executions.take_jobs(conn, self._clock.now(), resend=self._resend, limit=self._batch)
        await asyncio.gather(*(self._send(job) for job in due))
        return len(due) == self._batch

    async def _send(self, job: JobToSend) -> None:
        self._ensure_host(job)
        async with self._slots:
            try:
                await self._jobs.send(job)
            except Fault as fault:
                # The row says when the job is due again; nothing is lost by waiting for that.
                _log.warning("job not sent", execution_id=job.execution_id, reason=fault.reason)

    def _ensure_host(self, job: JobToSend) -> None:
        """Ask for a host beside the sending; not again for the same connector within seconds."""
        key, now = (job.tenant_id, job.connector_id), self._clock.monotonic()
        if now - self._asked.get(key, -_SETTLED) < _SETTLED:
            return
        self._asked = {one: when for one, when in self._asked.items() if now - when < _SETTLED}
        self._asked[key] = now
        task = asyncio.create_task(self._hosts.ensure(*key))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def close(self) -> None:
        """Stop asking for hosts."""
        for task in tuple(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)


class Pruner:
    """Forgets executions and runs of plans that ended long ago.

    Args:
        db: For the transactions.
        clock: The time.
        keep: How long ended executions and runs are kept.
        batch: How many are forgotten at once.
    """

    def __init__(self, db: Database, clock: Clock, *, keep: timedelta, batch: int = 200) -> None:
        self._db = db
        self._clock = clock
        self._keep = keep
        self._batch = batch

    async def prune(self) -> bool:
        """Forget what is old enough; True when there may be more of it."""
        async with self._db.system() as conn:
            before = self._clock.now() - self._keep
            gone = await executions.prune_executions(conn, before, self._batch)
            runs = await plans.prune_runs(conn, before, self._batch)
        return self._batch in (gone, runs)


__all__ = ["Dispatcher", "Pruner", "Sweeper", "Ticker", "every"]
