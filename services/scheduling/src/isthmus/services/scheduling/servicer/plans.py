"""RPCs of plans and their runs."""

import asyncio
import json
from collections.abc import AsyncIterator

from isthmus.kit import PageRequest, current_principal, encode_token, once
from isthmus.kit.paging import fitting
from isthmus.kit.validation import Check, validating
from isthmus.resilience.faults import Missing, RetryLater
from isthmus.scheduling.v1 import plans_pb2 as pb
from isthmus.scheduling.v1.plans_pb2_grpc import PlansServiceServicer
from isthmus.services.scheduling.domain import HUB, PlanRun, PlanSpec, Trigger, flaws
from isthmus.services.scheduling.engine import Cause
from isthmus.services.scheduling.engine.executions import remember
from isthmus.services.scheduling.engine.ports import HostAway, InstanceFacts
from isthmus.services.scheduling.servicer.checks import check_id, check_known, read_priority
from isthmus.services.scheduling.servicer.desk import Context, Rpcs
from isthmus.services.scheduling.store import flows
from isthmus.services.scheduling.store import plans as rows
from isthmus.services.scheduling.translate.plans import read_plan, read_run_statuses, write_plan, write_run

_LONGEST_NAME = 200
_LONGEST_STEP = 100
_LONGEST_ID = 64
_MOST_STEPS = 100
_MOST_RETRIES = 100
_LONGEST_INPUT = 65_536


class PlansServicer(Rpcs, PlansServiceServicer):
    """Serves plans and their runs."""

    async def CreatePlan(self, request: pb.CreatePlanRequest, _: Context) -> pb.CreatePlanResponse:
        """Create a plan whose flows exist."""
        check_plan(request.plan)
        caller, spec = current_principal(), read_plan(request.plan)
        await self._know_actions(spec)
        async with self._desk.db.tenant(caller.tenant_id) as conn:

            async def create() -> pb.CreatePlanResponse:
                plan = await self._desk.plans.create(conn, caller.tenant_id, spec, caller.subject)
                return pb.CreatePlanResponse(plan=write_plan(plan))

            return await once(conn, "CreatePlan", request, create, pb.CreatePlanResponse)

    async def GetPlan(self, request: pb.GetPlanRequest, _: Context) -> pb.GetPlanResponse:
        """Read a plan."""
        check_id("plan_id", request.plan_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            plan = await self._desk.plans.get(conn, tenant_id, request.plan_id)
        return pb.GetPlanResponse(plan=write_plan(plan))

    async def ListPlans(self, request: pb.ListPlansRequest, _: Context) -> pb.ListPlansResponse:
        """List plans, oldest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["plan"])
        after = str(page.after["plan"]) if page.after else ""
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            found = await rows.list_plans(
                conn, tenant_id, name=request.name, after=after, limit=page.size + 1
            )
        shown = fitting(map(write_plan, found), page.size)
        token = encode_token({"plan": shown[-1].plan_id}) if len(found) > len(shown) else ""
        return pb.ListPlansResponse(plans=shown, next_page_token=token)

    async def UpdatePlan(self, request: pb.UpdatePlanRequest, _: Context) -> pb.UpdatePlanResponse:
        """Replace what a plan's owner decides."""
        check_id("plan.plan_id", request.plan.plan_id)
        check_plan(request.plan)
        caller, spec, plan_id = current_principal(), read_plan(request.plan), request.plan.plan_id
        await self._know_actions(spec)
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            plan = await self._desk.plans.update(
                conn, caller.tenant_id, plan_id, spec, etag=request.etag, by=caller.subject
            )
        return pb.UpdatePlanResponse(plan=write_plan(plan))

    async def DeletePlan(self, request: pb.DeletePlanRequest, _: Context) -> pb.DeletePlanResponse:
        """Delete a plan with its schedules."""
        check_id("plan_id", request.plan_id)
        caller = current_principal()
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            await self._desk.plans.delete(
                conn, caller.tenant_id, request.plan_id, etag=request.etag, by=caller.subject
            )
        return pb.DeletePlanResponse()

    async def StartPlanRun(self, request: pb.StartPlanRunRequest, _: Context) -> pb.StartPlanRunResponse:
        """Run a plan now."""
        check_id("plan_id", request.plan_id)
        priority = read_priority(request)
        caller = current_principal()
        cause = Cause(Trigger.MANUAL, caller.subject, priority=priority)
        known = await self._facts(caller.tenant_id, request.plan_id)
        async with self._desk.db.tenant(caller.tenant_id) as conn:

            async def start() -> pb.StartPlanRunResponse:
                for facts in known:
                    await remember(conn, caller.tenant_id, facts)
                run = await self._desk.plan_runs.start_on_request(
                    conn, caller.tenant_id, request.plan_id, cause
                )
                return pb.StartPlanRunResponse(run=write_run(run))

            return await once(conn, "StartPlanRun", request, start, pb.StartPlanRunResponse)

    async def _know_actions(self, spec: PlanSpec) -> None:
        """Refuse actions that their connectors do not have."""
        for index, step in enumerate(spec.steps):
            for name, action in step.actions:
                try:
                    await self._desk.actions.is_repeatable(action)
                except Missing as fault:
                    path = f"plan.steps[{index}].{name}"
                    raise Missing(fault.reason, fault.message, path=path) from fault
                except HostAway as away:
                    raise RetryLater(away.reason, away.message) from away

    async def _facts(self, tenant_id: str, plan_id: str) -> list[InstanceFacts]:
        """Ask the registry before the transaction, so that an instance activated this moment counts."""
        async with self._desk.db.tenant(tenant_id) as conn:
            plan = await self._desk.plans.get(conn, tenant_id, plan_id)
            needed = await flows.instances_of(conn, tenant_id, plan.spec.flow_ids)
            wanted = dict.fromkeys((*needed, *plan.spec.instance_ids))
        found = await asyncio.gather(*map(self._fact, wanted))
        return [facts for facts in found if facts is not None]

    async def _fact(self, instance_id: str) -> InstanceFacts | None:
        try:
            return await self._desk.instances.facts(instance_id)
        except Missing:
            return None

    async def GetPlanRun(self, request: pb.GetPlanRunRequest, _: Context) -> pb.GetPlanRunResponse:
        """Read a run."""
        check_id("plan_run_id", request.plan_run_id)
        run = await self._read(current_principal().tenant_id, request.plan_run_id)
        return pb.GetPlanRunResponse(run=write_run(run))

    async def _read(self, tenant_id: str, run_id: str) -> PlanRun:
        async with self._desk.db.tenant(tenant_id) as conn:
            return await self._desk.plan_runs.get(conn, tenant_id, run_id)

    async def ListPlanRuns(self, request: pb.ListPlanRunsRequest, _: Context) -> pb.ListPlanRunsResponse:
        """List runs, newest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["run"])
        with validating() as check:
            for index, status in enumerate(request.statuses):
                check.enum(f"statuses[{index}]", status, known=pb.PlanRun.Status.values())
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            found = await rows.list_runs(
                conn,
                tenant_id,
                plan_id=request.plan_id,
                statuses=read_run_statuses(request.statuses),
                after=str(page.after["run"]) if page.after else "",
                limit=page.size + 1,
            )
        shown = fitting(map(write_run, found), page.size)
        token = encode_token({"run": shown[-1].plan_run_id}) if len(found) > len(shown) else ""
        return pb.ListPlanRunsResponse(runs=shown, next_page_token=token)

    async def WatchPlanRun(
        self, request: pb.WatchPlanRunRequest, _: Context
    ) -> AsyncIterator[pb.WatchPlanRunResponse]:
        """Send the run now and at every change, until it has ended."""
        check_id("plan_run_id", request.plan_run_id)
        tenant_id, seen = current_principal().tenant_id, 0
        news = self._desk.changes.watch(tenant_id, request.plan_run_id)
        try:
            while True:
                run = await self._read(tenant_id, request.plan_run_id)
                if run.revision > seen:
                    seen = run.revision
                    yield pb.WatchPlanRunResponse(run=write_run(run))
                if not run.status.is_live:
                    return
                # Changes made through other replicas are found by looking.
                await news.heard(self._desk.watch_seconds)
        finally:
            self._desk.changes.leave(tenant_id, request.plan_run_id, news)

    async def CancelPlanRun(self, request: pb.CancelPlanRunRequest, _: Context) -> pb.CancelPlanRunResponse:
        """Stop a run."""
        check_id("plan_run_id", request.plan_run_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            run = await self._desk.plan_runs.cancel(
                conn, tenant_id, request.plan_run_id, compensate=request.compensate
            )
        return pb.CancelPlanRunResponse(run=write_run(run))

    async def PausePlanRun(self, request: pb.PausePlanRunRequest, _: Context) -> pb.PausePlanRunResponse:
        """Stop a run for a while."""
        check_id("plan_run_id", request.plan_run_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            run = await self._desk.pauses.pause_run(conn, tenant_id, request.plan_run_id)
        return pb.PausePlanRunResponse(run=write_run(run))

    async def ResumePlanRun(self, request: pb.ResumePlanRunRequest, _: Context) -> pb.ResumePlanRunResponse:
        """Let a run go on."""
        check_id("plan_run_id", request.plan_run_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            run = await self._desk.pauses.resume_run(conn, tenant_id, request.plan_run_id)
        return pb.ResumePlanRunResponse(run=write_run(run))


def check_plan(plan: pb.Plan) -> None:
    """Refuse a plan that could not be stored, or whose steps have no order."""
    with validating() as check:
        check.text("plan.name", plan.name, longest=_LONGEST_NAME)
        check.text("plan.description", plan.description, required=False, longest=4000, lines=True)
        check_known(check, "plan.mode", plan.mode, pb.Plan.Mode)
        check.count("plan.steps", plan.steps, least=1, most=_MOST_STEPS)
        for index, step in enumerate(plan.steps):
            _check_step(check, f"plan.steps[{index}]", plan, step)
        for flaw in flaws([(step.name, tuple(step.after)) for step in plan.steps]):
            check.add(f"plan.{flaw.path}", flaw.reason, flaw.message)


def _check_step(check: Check, path: str, plan: pb.Plan, step: pb.PlanStep) -> None:
    check.text(f"{path}.name", step.name, longest=_LONGEST_STEP)
    check.text(f"{path}.flow_id", step.flow_id, required=False, longest=_LONGEST_ID)
    check.text(f"{path}.compensation_flow_id", step.compensation_flow_id, required=False, longest=_LONGEST_ID)
    check.count(f"{path}.after", step.after, most=_MOST_STEPS)
    check_known(check, f"{path}.on_failure", step.on_failure, pb.PlanStep.OnFailure)
    _check_work(check, path, step)
    whole = plan.mode == pb.Plan.MODE_ALL_OR_COMPENSATE
    if whole and step.on_failure in {pb.PlanStep.ON_FAILURE_STOP, pb.PlanStep.ON_FAILURE_CONTINUE}:
        text = "In a plan of all or nothing every failure undoes what is complete; leave `on_failure` out."
        check.add(f"{path}.on_failure", "NOT_ALLOWED", text)


def _check_work(check: Check, path: str, step: pb.PlanStep) -> None:
    """Refuse a step that says twice what it does, or how it is undone though it does nothing."""
    does = [step.HasField("action"), bool(step.flow_id)]
    undoes = {
        "compensation_action": step.HasField("compensation_action"),
        "compensation_flow_id": bool(step.compensation_flow_id),
    }
    if all(does):
        check.add(f"{path}.action", "NOT_ALLOWED", "A step runs a flow or calls an action; leave one out.")
    if all(undoes.values()):
        text = "One flow or one action undoes a step; leave one out."
        check.add(f"{path}.compensation_action", "NOT_ALLOWED", text)
    for name, is_there in undoes.items():
        if is_there and not any(does):
            text = "A step that does nothing needs nothing that undoes it; leave this out."
            check.add(f"{path}.{name}", "NOT_ALLOWED", text)
    if step.flow_id and step.flow_id == step.compensation_flow_id:
        text = (
            "Running a flow once more does not undo it; name another flow that removes what this one wrote."
        )
        check.add(f"{path}.compensation_flow_id", "NOT_ALLOWED", text)
    if step.HasField("reconcile"):
        if not step.flow_id:
            check.add(f"{path}.flow_id", "REQUIRED", "Name the flow whose sides are to be compared.")
        if step.reconcile.delete_extra and not step.reconcile.repair:
            check.add(f"{path}.reconcile.repair", "REQUIRED", "Extra records are deleted by a repair only.")
    if step.HasField("action"):
        _check_action(check, f"{path}.action", step.action)
    if step.HasField("compensation_action"):
        _check_action(check, f"{path}.compensation_action", step.compensation_action)


def _check_action(check: Check, path: str, action: pb.PlanAction) -> None:
    check.text(f"{path}.instance_id", action.instance_id, longest=_LONGEST_ID)
    if action.instance_id == HUB:
        check.add(f"{path}.instance_id", "NOT_ALLOWED", "The hub has no actions; name another instance.")
    check.text(f"{path}.action", action.action, longest=_LONGEST_STEP)
    check.within(f"{path}.retries", action.retries, least=0, most=_MOST_RETRIES)
    check.text(f"{path}.input", action.input, required=False, longest=_LONGEST_INPUT, lines=True)
    try:
        given = json.loads(action.input or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        check.add(f"{path}.input", "NOT_JSON", "Write the input as a JSON object.")


__all__ = ["PlansServicer", "check_plan"]
