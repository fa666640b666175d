"""Leases that hosts ask for at the same time, many in one transaction, each with its own answer.

Here goes what is as it mostly is: an execution that this process has started a moment ago, at its first
attempt. The statement looks whether it is so still; whatever is otherwise is left to those who do one at a
time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from isthmus.kit import Clock, Database, current_principal
from isthmus.kit.db.database import after_commit
from isthmus.kit.gathering import Gathered
from isthmus.services.scheduling.domain import Execution, Leg, Status, resume_points
from isthmus.services.scheduling.engine.at_work import AtWork, AtWorks
from isthmus.services.scheduling.engine.begun import Begun
from isthmus.services.scheduling.engine.executions import Executions
from isthmus.services.scheduling.engine.leases import Acquired, LeaseRules, Leases
from isthmus.services.scheduling.engine.ports import Announcer, Mappings, Origin
from isthmus.services.scheduling.engine.refusals import is_in_doubt
from isthmus.services.scheduling.engine.versions import versions_of
from isthmus.services.scheduling.store import several
from isthmus.services.scheduling.store.several import Grant, Granted


@dataclass(frozen=True, slots=True)
class Demand:
    """A host's demand for an execution.

    Attributes:
        execution_id: Which one.
        host_id: Who asks.
        connector_id: The host's connector; empty is not looked at.
    """

    execution_id: str
    host_id: str
    connector_id: str = ""


class Grants:
    """Gives executions to hosts.

    Args:
        db: For the transactions.
        work: Knows what was started a moment ago.
        leases: Gives them one by one.
        mappings: Knows versions.
        announcer: Says what happened.
        clock: The time.
        rules: How long things last.
        at_work: Where to keep what was given.
    """

    def __init__(
        self,
        *,
        db: Database,
        work: Executions,
        leases: Leases,
        mappings: Mappings,
        announcer: Announcer,
        clock: Clock,
        rules: LeaseRules,
        at_work: AtWorks,
    ) -> None:
        self._db = db
        self._executions = work
        self._leases = leases
        self._mappings = mappings
        self._announcer = announcer
        self._clock = clock
        self._rules = rules
        self._at_work = at_work
        self._gathered: Gathered[str, Demand, Acquired] = Gathered(
            self._together, self._alone, concerns_all=is_in_doubt
        )

    async def __call__(self, demand: Demand) -> Acquired:
        """Give a pending execution to a host and open an attempt.

        Raises:
            Fault: What `Leases.acquire` says.
        """
        return await self._gathered(current_principal().tenant_id, demand)

    async def hand_over(
        self, tenant_id: str, host_id: str, connector_id: str, room: int, ends: int
    ) -> list[tuple[Acquired, Origin]]:
        """Give a host executions that were started a moment ago, without a job for each.

        What cannot be had so easily is left to its job.

        Args:
            tenant_id: Whose.
            host_id: Who has room.
            connector_id: The host's connector.
            room: For how many.
            ends: Of how many executions it tells the end.

        Returns:
            What was given, with what ties together all that belongs to it.
        """
        self._executions.begun.hear(tenant_id, connector_id, ends)
        chosen = self._executions.begun.choose(tenant_id, connector_id, room)
        if not chosen:
            return []
        demands = [Demand(execution_id, host_id, connector_id) for execution_id in chosen]
        given = [one for one in await self._together(tenant_id, demands) if one is not None]
        return [(one, self._at_work[tenant_id, one.execution.execution_id].origin) for one in given]

    async def _alone(self, tenant_id: str, demand: Demand) -> Acquired:
        return await self._leases.acquire(tenant_id, demand.execution_id, demand.host_id, demand.connector_id)

    async def _together(self, tenant_id: str, demands: Sequence[Demand]) -> Sequence[Acquired | None]:
        begun: dict[str, tuple[Demand, Begun]] = {}
        for demand in demands:
            known = self._executions.begun.take(tenant_id, demand.execution_id)
            if known is not None and demand.connector_id in {"", known.execution.connector_id}:
                begun[demand.execution_id] = (demand, known)
        versions = await self._versions([known for _, known in begun.values()])
        now = self._clock.now()
        leased = {
            key: replace(
                known.execution,
                status=Status.RUNNING,
                attempts=known.execution.attempts + 1,
                host_id=demand.host_id,
                start_time=now,
                lease_expire_time=now + self._rules.lease,
                mapping_version=versions[key],
                waits_for="",
                revision=known.execution.revision + 1,
            )
            for key, (demand, known) in begun.items()
            if key in versions
        }
        given = await self._give(tenant_id, leased, begun) if leased else {}
        answers: dict[int, Acquired] = {}
        for key, granted in given.items():
            demand, known = begun[key]
            execution = replace(leased[key], fencing_token=granted.token)
            answers[id(demand)] = self._acquired(tenant_id, execution, known, granted)
        return [answers.get(id(demand)) for demand in demands]

    async def _versions(self, begun: Sequence[Begun]) -> dict[str, int]:
        """Find out the versions of mappings, unless that was done a moment ago."""
        known = {
            one.execution.execution_id: one.mapping_version
            for one in begun
            if one.mapping_version is not None
        }
        others = [one.execution for one in begun if one.mapping_version is None]
        return {**known, **await versions_of(self._mappings, others)}

    async def _give(
        self,
        tenant_id: str,
        leased: Mapping[str, Execution],
        begun: Mapping[str, tuple[Demand, Begun]],
    ) -> dict[str, Granted]:
        grants = []
        for key, execution in leased.items():
            known = begun[key][1]
            told = None
            if not execution.asked.dry_run:
                told = self._announcer.sync_row(tenant_id, "started", execution, known.origin)
            grants.append(Grant(known.execution, execution, told))
        async with self._db.tenant(tenant_id) as conn:
            given = await several.lease_executions(conn, tenant_id, grants)
            if given:
                after_commit(conn, self._announcer.relay)
        return given

    def _acquired(self, tenant_id: str, execution: Execution, known: Begun, granted: Granted) -> Acquired:
        key = (tenant_id, execution.execution_id)
        self._at_work[key] = AtWork(execution, known.origin)
        self._executions.changes.tell(key, execution)
        moving = execution.moving
        whole = execution.leg is Leg.WHOLE and moving.delete_policy.absent
        points = resume_points(granted.points, execution.execution_id, moving.read_mode, whole=whole)
        expires = execution.lease_expire_time
        assert expires is not None
        return Acquired(execution, expires, points, known.etags)


__all__ = ["Demand", "Grants"]
