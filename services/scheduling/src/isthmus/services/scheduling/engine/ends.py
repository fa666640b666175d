"""Ends of attempts that hosts tell at the same time, many in one transaction, each with its own answer.

Here goes what is as it mostly is: an attempt that this process has begun, and with which its execution ends.
The statement looks whether nobody else has changed it since; whatever is otherwise is left to those who do
one at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from isthmus.kit import Clock, Database, current_principal
from isthmus.kit.db.database import after_commit
from isthmus.kit.gathering import Gathered
from isthmus.services.scheduling.domain import (
    NOTHING,
    Ending,
    Execution,
    Failure,
    Outcome,
    Report,
    Status,
    end_attempt,
)
from isthmus.services.scheduling.engine.at_work import AtWorks
from isthmus.services.scheduling.engine.executions import Executions
from isthmus.services.scheduling.engine.leases import LeaseRules, Leases
from isthmus.services.scheduling.engine.ports import Announcer
from isthmus.services.scheduling.engine.refusals import is_in_doubt
from isthmus.services.scheduling.store import endings
from isthmus.services.scheduling.store.endings import AttemptEnd, End
from isthmus.services.scheduling.store.leases import Progress


@dataclass(frozen=True, slots=True)
class Finish:
    """What a host says at the end of its attempt."""

    progress: Progress
    outcome: Outcome
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """An end that is about to be stored, and the execution after it."""

    end: End
    execution: Execution


class Ends:
    """Ends attempts, and executions with them.

    Args:
        db: For the transactions.
        work: Starts what waits for the end.
        leases: Ends them one by one.
        announcer: Says what happened.
        clock: The time.
        rules: How long things last.
        at_work: What hosts were given a moment ago.
    """

    def __init__(
        self,
        *,
        db: Database,
        work: Executions,
        leases: Leases,
        announcer: Announcer,
        clock: Clock,
        rules: LeaseRules,
        at_work: AtWorks,
    ) -> None:
        self._db = db
        self._executions = work
        self._leases = leases
        self._announcer = announcer
        self._clock = clock
        self._rules = rules
        self._at_work = at_work
        self._gathered: Gathered[str, Finish, Execution] = Gathered(
            self._together, self._alone, concerns_all=is_in_doubt
        )

    async def __call__(self, finish: Finish) -> Execution:
        """Close an attempt, and its execution unless another attempt is to follow.

        Raises:
            Fault: What `Leases.finish` says.
        """
        return await self._gathered(current_principal().tenant_id, finish)

    async def _alone(self, tenant_id: str, finish: Finish) -> Execution:
        async with self._db.tenant(tenant_id) as conn:
            return await self._leases.finish(conn, tenant_id, finish.progress, finish.outcome, finish.failure)

    async def _together(self, tenant_id: str, finishes: Sequence[Finish]) -> Sequence[Execution | None]:
        now = self._clock.now()
        ready: dict[str, tuple[Finish, _Ready]] = {}
        for finish in finishes:
            if (one := self._ready(tenant_id, finish, now)) is not None:
                ready[finish.progress.execution_id] = (finish, one)
        if not ready:
            return [None] * len(finishes)
        async with self._db.tenant(tenant_id) as conn:
            ends = [one.end for _, one in ready.values()]
            ended = await endings.end_executions(conn, tenant_id, ends, now)
            after_commit(conn, self._announcer.relay)
            for key, is_awaited in ended.items():
                execution = ready[key][1].execution
                await self._executions.note_end(conn, tenant_id, execution, is_awaited=is_awaited)
        answers = {id(ready[key][0]): ready[key][1].execution for key in ended}
        return [answers.get(id(finish)) for finish in finishes]

    def _ready(self, tenant_id: str, finish: Finish, now: datetime) -> _Ready | None:
        """Decide what an end means; None where that is not all that is to be looked at."""
        progress = finish.progress
        known = self._at_work.pop((tenant_id, progress.execution_id), None)
        if known is None or known.execution.fencing_token != progress.token:
            return None
        if progress.preview or progress.note or progress.findings:
            return None
        execution = known.execution
        if progress.connector_id not in {"", execution.connector_id}:
            return None
        report = Report(finish.outcome, progress.counts, progress.covers_positions, finish.failure)
        ending = end_attempt(execution, report, now, self._rules.retry)
        completes = ending.status is Status.COMPLETED
        if ending.status is Status.PENDING or (completes and execution.following_leg is not None):
            return None
        is_doubted = finish.outcome is Outcome.COMPLETED and not completes
        attempt = AttemptEnd(
            finish.outcome.value, ending.failure, progress.counts, () if is_doubted else progress.checkpoints
        )
        ended = _ended(execution, ending, now)
        told = None
        if not execution.asked.dry_run:
            told = self._announcer.sync_row(tenant_id, ended.status.value, ended, known.origin)
        return _Ready(End(execution, ending, attempt, completes, told), ended)


def _ended(execution: Execution, ending: Ending, now: datetime) -> Execution:
    """Give an execution as it is stored after its end."""
    return replace(
        execution,
        status=ending.status,
        before=ending.before,
        live=NOTHING,
        durable=NOTHING,
        failures=execution.failures + int(ending.is_counted),
        idle_stops=ending.idle_stops,
        failure=ending.failure,
        next_attempt_time=ending.next_attempt_time,
        lease_expire_time=None,
        end_time=now,
        revision=execution.revision + 1,
    )


__all__ = ["Ends", "Finish"]
