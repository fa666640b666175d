"""Pauses: of flows and of runs of plans."""

from collections.abc import Sequence
from dataclasses import replace

from isthmus.kit import Clock
from isthmus.services.scheduling.domain import Execution, Flow, PlanRun
from isthmus.services.scheduling.engine.executions import Executions
from isthmus.services.scheduling.engine.plan_runs import PlanRuns
from isthmus.services.scheduling.engine.ports import Announcer
from isthmus.services.scheduling.engine.refusals import flow_unknown
from isthmus.services.scheduling.store import executions, flows, pauses
from isthmus.services.scheduling.store.pauses import Whose
from sqlalchemy.ext.asyncio import AsyncConnection


class Pauses:
    """Stops flows and runs for a while; every method is one transaction's work.

    Args:
        work: Told what goes on.
        runs: Leads runs on that are resumed.
        announcer: Says what happened.
        clock: The time.
    """

    def __init__(self, work: Executions, runs: PlanRuns, announcer: Announcer, clock: Clock) -> None:
        self._executions = work
        self._runs = runs
        self._announcer = announcer
        self._clock = clock

    async def pause_flow(
        self, conn: AsyncConnection, tenant_id: str, flow_id: str, *, by: str, reason: str
    ) -> tuple[Flow, Execution | None]:
        """Start nothing more of a flow and stop what is at work at its next position.

        Raises:
            Missing: `FLOW_UNKNOWN`.
        """
        now = self._clock.now()
        flow = await pauses.pause_flow(conn, tenant_id, flow_id, by=by, reason=reason, now=now)
        if flow is not None:
            self._tell(conn, tenant_id, await pauses.hold_executions(conn, tenant_id, Whose(flow_id), now))
            await self._announcer.flow(conn, tenant_id, "paused", flow, by)
        flow = flow or await self._flow(conn, tenant_id, flow_id)
        return flow, await executions.live_execution(conn, tenant_id, flow_id)

    async def resume_flow(
        self, conn: AsyncConnection, tenant_id: str, flow_id: str, *, by: str
    ) -> tuple[Flow, Execution | None]:
        """Let a flow go on.

        Raises:
            Missing: `FLOW_UNKNOWN`.
        """
        flow = await pauses.resume_flow(conn, tenant_id, flow_id)
        if flow is not None:
            await self._let_go(conn, tenant_id, Whose(flow_id))
            await self._announcer.flow(conn, tenant_id, "resumed", flow, by)
        flow = flow or await self._flow(conn, tenant_id, flow_id)
        return flow, await executions.live_execution(conn, tenant_id, flow_id)

    async def pause_run(self, conn: AsyncConnection, tenant_id: str, run_id: str) -> PlanRun:
        """Start no further step of a run and stop what is at work at its next position.

        Raises:
            Missing: `PLAN_RUN_UNKNOWN`.
        """
        run = await self._runs.get(conn, tenant_id, run_id, lock=True)
        if not run.status.is_live or run.is_paused:
            return run
        held = await pauses.hold_executions(conn, tenant_id, Whose(run_id=run_id), self._clock.now())
        self._tell(conn, tenant_id, held)
        return await self._runs.advance(conn, tenant_id, replace(run, is_paused=True), told=run)

    async def resume_run(self, conn: AsyncConnection, tenant_id: str, run_id: str) -> PlanRun:
        """Let a run go on.

        Raises:
            Missing: `PLAN_RUN_UNKNOWN`.
        """
        run = await self._runs.get(conn, tenant_id, run_id, lock=True)
        if not run.is_paused:
            return run
        resumed = await self._runs.advance(conn, tenant_id, replace(run, is_paused=False), told=run)
        await self._let_go(conn, tenant_id, Whose(run_id=run_id))
        return resumed

    async def _flow(self, conn: AsyncConnection, tenant_id: str, flow_id: str) -> Flow:
        flow = await flows.get_flow(conn, tenant_id, flow_id)
        if flow is None:
            raise flow_unknown(flow_id)
        return flow

    async def _let_go(self, conn: AsyncConnection, tenant_id: str, whose: Whose) -> None:
        going = await pauses.let_executions_go(conn, tenant_id, whose, self._clock.now())
        self._tell(conn, tenant_id, going)
        self._executions.send_soon(conn)

    def _tell(self, conn: AsyncConnection, tenant_id: str, changed: Sequence[Execution]) -> None:
        for execution in changed:
            self._executions.changes.note(conn, tenant_id, execution.execution_id, execution)


__all__ = ["Pauses"]
