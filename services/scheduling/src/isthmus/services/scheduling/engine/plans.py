"""Plans: created, changed and deleted."""

from dataclasses import replace

from isthmus.kit import Clock, check_etag, new_id
from isthmus.kit.deed import tell
from isthmus.resilience.faults import AlreadyExists, Missing, Precondition
from isthmus.services.scheduling.domain import Plan, PlanSpec
from isthmus.services.scheduling.engine.ports import Announcer
from isthmus.services.scheduling.engine.refusals import flow_unknown
from isthmus.services.scheduling.store import plans
from sqlalchemy.ext.asyncio import AsyncConnection


class Plans:
    """Keeps plans; every method is one transaction's work.

    Args:
        announcer: Says what happened.
        clock: The time.
    """

    def __init__(self, announcer: Announcer, clock: Clock) -> None:
        self._announcer = announcer
        self._clock = clock

    async def create(self, conn: AsyncConnection, tenant_id: str, spec: PlanSpec, by: str) -> Plan:
        """Store a new plan.

        Raises:
            AlreadyExists: `PLAN_NAME_TAKEN`.
            Missing: `FLOW_UNKNOWN`.
        """
        now = self._clock.now()
        await self._need_flows(conn, tenant_id, spec)
        plan = Plan(new_id("pln"), spec, created_by=by, create_time=now, update_time=now)
        stored = await plans.insert_plan(conn, tenant_id, plan)
        if stored is None:
            raise _name_taken(spec)
        await self._announcer.plan(conn, tenant_id, "created", stored, by)
        return stored

    async def get(self, conn: AsyncConnection, tenant_id: str, plan_id: str) -> Plan:
        """Read a plan.

        Raises:
            Missing: `PLAN_UNKNOWN`.
        """
        plan = await plans.get_plan(conn, tenant_id, plan_id)
        if plan is None:
            raise plan_unknown(plan_id)
        return plan

    async def update(
        self, conn: AsyncConnection, tenant_id: str, plan_id: str, spec: PlanSpec, *, etag: str, by: str
    ) -> Plan:
        """Replace what a plan's owner decided.

        Raises:
            Missing: `PLAN_UNKNOWN` or `FLOW_UNKNOWN`.
            Conflict: `ETAG_MISMATCH`.
            AlreadyExists: `PLAN_NAME_TAKEN`.
        """
        old = await plans.get_plan(conn, tenant_id, plan_id, lock=True)
        if old is None:
            raise plan_unknown(plan_id)
        check_etag(etag, old.revision)
        tell(before=old)
        await self._need_flows(conn, tenant_id, spec)
        stored = await plans.update_plan(
            conn, tenant_id, replace(old, spec=spec, update_time=self._clock.now())
        )
        if stored is None:
            raise _name_taken(spec)
        await self._announcer.plan(conn, tenant_id, "updated", stored, by)
        return stored

    async def delete(
        self, conn: AsyncConnection, tenant_id: str, plan_id: str, *, etag: str, by: str
    ) -> None:
        """Remove a plan and its schedules; its runs stay.

        Raises:
            Conflict: `ETAG_MISMATCH`.
            Precondition: `PLAN_RUNNING`.
        """
        plan = await plans.get_plan(conn, tenant_id, plan_id, lock=True)
        if plan is None:
            return
        check_etag(etag, plan.revision)
        tell(before=plan)
        run_id = await plans.live_run(conn, tenant_id, plan_id)
        if run_id:
            raise plan_running(plan, run_id)
        await plans.delete_plan(conn, tenant_id, plan_id)
        await self._announcer.plan(conn, tenant_id, "deleted", plan, by)

    async def _need_flows(self, conn: AsyncConnection, tenant_id: str, spec: PlanSpec) -> None:
        unknown = await plans.unknown_flows(conn, tenant_id, spec.flow_ids)
        for index, step in enumerate(spec.steps):
            for name in ("flow_id", "compensation_flow_id"):
                if getattr(step, name) in unknown:
                    fault = flow_unknown(getattr(step, name))
                    raise Missing(fault.reason, fault.message, path=f"plan.steps[{index}].{name}")


def plan_unknown(plan_id: str) -> Missing:
    """Say that there is no such plan."""
    return Missing("PLAN_UNKNOWN", f"There is no plan {plan_id}; ListPlans shows what there is.")


def plan_running(plan: Plan, run_id: str) -> Precondition:
    """Say that a plan is being run."""
    message = f'Plan "{plan.spec.name}" is at work in run {run_id}; wait for its end or cancel it.'
    metadata = {"plan_id": plan.plan_id, "plan_run_id": run_id}
    return Precondition("PLAN_RUNNING", message, metadata=metadata)


def _name_taken(spec: PlanSpec) -> AlreadyExists:
    message = f'There is a plan named "{spec.name}" already; choose another name.'
    return AlreadyExists("PLAN_NAME_TAKEN", message, path="plan.name")


__all__ = ["Plans", "plan_running", "plan_unknown"]
