"""Plans: the order of their steps, what follows a failure, and how they are kept."""

import pytest
from isthmus.resilience.faults import AlreadyExists, Conflict, FixRequest, Missing, Precondition
from isthmus.scheduling.v1 import plans_pb2 as pb
from isthmus.scheduling.v1 import scheduling_pb2

Step = pb.PlanStepRun
Run = pb.PlanRun


async def test_steps_start_when_those_before_are_complete(planning, bench, three):
    """
    Users before groups before tickets, each one execution that knows its place.
    """
    run = await planning.started(await planning.chain(three))
    first = planning.of(run, "users").execution_id
    execution = await bench.execution(first)
    seen = [planning.named(run)]
    for name in ("users", "groups", "tickets"):
        await planning.finish(await planning.at_work(run, name))
        seen.append(
            planning.named(
                await planning.reached(run, lambda one, name=name: planning.of(one, name).completion)
            )
        )
    run = await planning.ended(run)

    assert seen[0] == {"users": "RUNNING", "groups": "WAITING", "tickets": "WAITING"}
    assert seen[1]["users"] == "COMPLETED"
    assert (run.status, [one.completion for one in run.steps]) == (Run.STATUS_COMPLETED, [1, 2, 3])
    assert (execution.plan_run_id, execution.plan_step) == (run.plan_run_id, "users")
    assert execution.trigger == scheduling_pb2.Execution.TRIGGER_PLAN


async def test_independent_steps_run_side_by_side_and_meet_at_a_barrier(planning, bench):
    """
    A step without a flow is complete as soon as all before it are.
    """
    flows = [await bench.flow() for _ in range(3)]
    plan = await planning.made(
        planning.step("a", flows[0]),
        planning.step("b", flows[1]),
        planning.step("both", after=["a", "b"]),
        planning.step("then", flows[2], ["both"]),
    )
    run = await planning.started(plan)
    side_by_side = planning.named(run)
    await planning.finish(planning.of(run, "a").execution_id)
    run = await planning.reached(run, lambda one: planning.of(one, "a").completion)
    waiting = planning.named(run)
    await planning.finish(planning.of(run, "b").execution_id)
    await planning.finish(await planning.at_work(run, "then"))

    assert side_by_side == {"a": "RUNNING", "b": "RUNNING", "both": "WAITING", "then": "WAITING"}
    assert (waiting["both"], waiting["then"]) == ("WAITING", "WAITING")
    assert (await planning.ended(run)).status == Run.STATUS_COMPLETED


async def test_all_or_compensate_undoes_what_is_complete_last_first(planning, bench, three):
    """
    Each compensation is an execution of its own, and the next one waits for its end.
    """
    run = await planning.started(await planning.chain(three, mode=pb.Plan.MODE_ALL_OR_COMPENSATE))
    await planning.finish(await planning.at_work(run, "users"))
    await planning.finish(await planning.at_work(run, "groups"))
    await planning.finish(await planning.at_work(run, "tickets"), well=False)
    undoing = await planning.at_work(run, "groups", "compensation_id")
    between = await planning.read(run)
    await planning.finish(undoing)
    await planning.finish(await planning.at_work(run, "users", "compensation_id"))
    run = await planning.ended(run)

    assert (between.status, planning.of(between, "users").compensation_id) == (Run.STATUS_COMPENSATING, "")
    assert run.status == Run.STATUS_COMPENSATED
    assert planning.named(run) == {"users": "COMPENSATED", "groups": "COMPENSATED", "tickets": "FAILED"}
    assert (run.reason, planning.of(run, "tickets").reason) == ("STEP_FAILED", "IT_BROKE")
    assert (await bench.execution(undoing)).is_compensation


async def test_a_failing_compensation_tells_what_is_left(planning, bench, three):
    """
    The run ends, and names what nobody has undone.
    """
    run = await planning.started(await planning.chain(three, mode=pb.Plan.MODE_ALL_OR_COMPENSATE))
    await planning.finish(await planning.at_work(run, "users"))
    await planning.finish(await planning.at_work(run, "groups"))
    await planning.finish(await planning.at_work(run, "tickets"), well=False)
    await planning.finish(await planning.at_work(run, "groups", "compensation_id"), well=False)
    run = await planning.ended(run)

    assert (run.status, run.reason) == (Run.STATUS_COMPENSATION_FAILED, "COMPENSATION_FAILED")
    assert 'Left undone: "groups", "users"' in run.message
    assert planning.named(run) == {"users": "COMPLETED", "groups": "COMPENSATION_FAILED", "tickets": "FAILED"}


async def test_a_failing_step_stops_a_plan_of_steps(planning, bench, three):
    """
    What is complete stays, what comes after is skipped, and both are told.
    """
    run = await planning.started(await planning.chain(three))
    await planning.finish(await planning.at_work(run, "users"))
    await planning.finish(await planning.at_work(run, "groups"), well=False)
    run = await planning.ended(run)

    assert (run.status, run.reason) == (Run.STATUS_FAILED, "STEP_FAILED")
    assert planning.named(run) == {"users": "COMPLETED", "groups": "FAILED", "tickets": "SKIPPED"}
    assert '"groups"' in planning.of(run, "tickets").message


async def test_a_step_waits_for_a_flow_that_is_busy(planning, bench):
    """
    It says so, and starts once the flow is free.
    """
    flow = await bench.flow()
    other = await bench.start(flow)
    run = await planning.started(await planning.made(planning.step("one", flow)))
    waiting = planning.of(run, "one")
    await planning.finish(other.execution_id)
    await planning.finish(await planning.at_work(run, "one"))

    assert waiting.reason == "EXECUTION_RUNNING"
    assert (await planning.ended(run)).status == Run.STATUS_COMPLETED


@pytest.mark.parametrize("state", ["inactive", "instance"])
async def test_a_step_whose_flow_cannot_run_has_failed(planning, bench, state):
    """
    The reason is the one that starting the flow would give.
    """
    flow = await bench.flow(is_active=state != "inactive", source=endpoint("ins_away"))
    plan = await planning.made(planning.step("one", flow))
    if state == "instance":
        bench.registry.inactive.add("ins_away")
    run = await planning.started(plan)
    bench.registry.inactive.discard("ins_away")

    reasons = {"inactive": "FLOW_INACTIVE", "instance": "INSTANCE_INACTIVE"}
    assert (run.status, planning.of(run, "one").reason) == (Run.STATUS_FAILED, reasons[state])


async def test_a_flow_that_plans_use_stays(planning, bench, three):
    """
    Deleting it is refused with the plans' names, whether it does or undoes a step, until they let go of it.
    """
    plan = await planning.chain(three)
    wanted = [scheduling_pb2.DeleteFlowRequest(flow_id=flow.flow_id) for flow in three["users"]]
    refused = [await bench.refused(bench.stub.DeleteFlow(one)) for one in wanted]
    await bench.plans.DeletePlan(pb.DeletePlanRequest(plan_id=plan.plan_id))
    for one in wanted:
        await bench.stub.DeleteFlow(one)

    assert {(type(one), one.reason) for one in refused} == {(Precondition, "FLOW_IN_USE")}
    assert all('"joiners"' in one.message for one in refused)
    assert {one.metadata["plan_id"] for one in refused} == {plan.plan_id}


async def test_a_run_that_waits_fails_at_a_flow_that_is_gone(planning, bench, three):
    """
    It keeps the plan's old form, though the plan has let go of the flow since.
    """
    (users, _), (groups, _) = three["users"], three["groups"]
    first, second = planning.step("users", users), planning.step("groups", groups, ["users"])
    plan = await planning.made(first, second)
    run = await planning.started(plan)
    await bench.plans.UpdatePlan(pb.UpdatePlanRequest(plan=lone(plan, first)))
    await bench.stub.DeleteFlow(scheduling_pb2.DeleteFlowRequest(flow_id=groups.flow_id))
    await planning.finish(await planning.at_work(run, "users"))

    assert planning.of(await planning.ended(run), "groups").reason == "FLOW_UNKNOWN"


def lone(plan, step):
    """Give a plan's form with nothing but one step."""
    return pb.Plan(plan_id=plan.plan_id, name=plan.name, is_active=True, steps=[step])


def endpoint(instance_id):
    """Give one end of a flow."""
    return scheduling_pb2.Endpoint(instance_id=instance_id, stream="incident")


async def test_plans_are_kept_like_flows(planning, bench, three):
    """
    Read, listed by name, changed under their etag, deleted.
    """
    plan = await planning.chain(three)
    taken = await bench.refused(planning.made(planning.step("b")))
    changed = pb.Plan()
    changed.CopyFrom(plan)
    changed.description = "who comes new"
    stored = (await bench.plans.UpdatePlan(pb.UpdatePlanRequest(plan=changed, etag=plan.etag))).plan
    stale = await bench.refused(bench.plans.UpdatePlan(pb.UpdatePlanRequest(plan=changed, etag=plan.etag)))
    listed = list((await bench.plans.ListPlans(pb.ListPlansRequest(name="joiners"))).plans)
    for _ in range(2):
        await bench.plans.DeletePlan(pb.DeletePlanRequest(plan_id=plan.plan_id, etag=""))
    gone = await bench.refused(bench.plans.GetPlan(pb.GetPlanRequest(plan_id=plan.plan_id)))

    assert (type(taken), taken.reason) == (AlreadyExists, "PLAN_NAME_TAKEN")
    assert (stored.description, listed) == ("who comes new", [stored])
    assert (type(stale), type(gone), gone.reason) == (Conflict, Missing, "PLAN_UNKNOWN")


async def test_flaws_of_a_plan_are_told_with_their_place(planning, bench, three):
    """
    Circles, unknown names, unknown flows, and wishes that contradict each other.
    """
    users, undo = three["users"]
    circle = await bench.refused(
        planning.made(planning.step("a", users, ["b"]), planning.step("b", users, ["a"]))
    )
    stranger = await bench.refused(planning.made(planning.step("a", scheduling_pb2.Flow(flow_id="flw_gone"))))
    stop = {"on_failure": pb.PlanStep.ON_FAILURE_STOP}
    mixed = await bench.refused(
        planning.made(planning.step("a", users, **stop), mode=pb.Plan.MODE_ALL_OR_COMPENSATE)
    )
    nothing = await bench.refused(planning.made(planning.step("a", undo=undo)))
    again = await bench.refused(planning.made(planning.step("a", users, undo=users)))

    assert (type(circle), circle.path) == (FixRequest, "plan.steps[0].after[0]")
    assert (stranger.reason, stranger.path) == ("FLOW_UNKNOWN", "plan.steps[0].flow_id")
    assert (again.path, "does not undo" in again.message) == ("plan.steps[0].compensation_flow_id", True)
    assert (mixed.path, nothing.path) == ("plan.steps[0].on_failure", "plan.steps[0].compensation_flow_id")
