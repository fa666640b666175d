"""Plans and their runs: order, failure, compensation, cancelling, schedules, restarts."""

import asyncio
import json
import random

import nats
import pytest
from isthmus.resilience.faults import AlreadyExists, Conflict, FixRequest, Missing, Precondition
from isthmus.scheduling.v1 import plans_pb2 as pb
from isthmus.scheduling.v1 import scheduling_pb2

Step = pb.PlanStepRun
Run = pb.PlanRun


def step(name, flow=None, after=(), undo=None, **more):
    """Make a step."""
    return pb.PlanStep(
        name=name,
        flow_id=flow.flow_id if flow else "",
        after=after,
        compensation_flow_id=undo.flow_id if undo else "",
        **more,
    )


async def made(bench, *steps, **more):
    """Create a plan."""
    fields = {"name": "joiners", "is_active": True, **more}
    request = pb.CreatePlanRequest(plan=pb.Plan(steps=steps, **fields))
    return (await bench.plans.CreatePlan(request)).plan


async def started(bench, plan, **more):
    """Run a plan."""
    return (await bench.plans.StartPlanRun(pb.StartPlanRunRequest(plan_id=plan.plan_id, **more))).run


async def read(bench, run):
    """Read a run."""
    return (await bench.plans.GetPlanRun(pb.GetPlanRunRequest(plan_run_id=run.plan_run_id))).run


async def reached(bench, run, condition):
    """Wait until a run is as wanted and give it."""

    async def look():
        found = await read(bench, run)
        return found if condition(found) else None

    return await bench.until(look)


async def ended(bench, run):
    """Wait for a run's end and give it."""
    return await reached(bench, run, lambda one: one.HasField("end_time"))


def named(run):
    """Give the states of a run's steps by name."""
    return {one.name: Step.Status.Name(one.status).removeprefix("STATUS_") for one in run.steps}


def of(run, name):
    """Find a step of a run."""
    return next(one for one in run.steps if one.name == name)


async def at_work(bench, run, name, field="execution_id"):
    """Wait until a step has an execution and give its id."""
    found = await reached(bench, run, lambda one: getattr(of(one, name), field))
    return getattr(of(found, name), field)


async def finish(bench, execution_id, *, well=True):
    """Carry an execution out."""
    lease = await bench.host.acquire(execution_id)
    if well:
        await bench.host.finish(lease)
    else:
        await bench.host.fail(lease, "CONFIGURATION")


@pytest.fixture
async def three(bench):
    """Give users, groups and tickets, each with the flow that undoes it."""
    return {name: (await bench.flow(), await bench.flow()) for name in ("users", "groups", "tickets")}


async def chain(bench, three, **more):
    """Create users before groups before tickets."""
    order = {"users": (), "groups": ("users",), "tickets": ("groups",)}
    steps = [step(name, three[name][0], after, three[name][1]) for name, after in order.items()]
    return await made(bench, *steps, **more)


async def test_steps_start_when_those_before_are_complete(bench, three):
    """
    Users before groups before tickets, each one execution that knows its place.
    """
    run = await started(bench, await chain(bench, three))
    first = of(run, "users").execution_id
    execution = await bench.execution(first)
    seen = [named(run)]
    for name in ("users", "groups", "tickets"):
        await finish(bench, await at_work(bench, run, name))
        seen.append(named(await reached(bench, run, lambda one, name=name: of(one, name).completion)))
    run = await ended(bench, run)

    assert seen[0] == {"users": "RUNNING", "groups": "WAITING", "tickets": "WAITING"}
    assert seen[1]["users"] == "COMPLETED"
    assert (run.status, [one.completion for one in run.steps]) == (Run.STATUS_COMPLETED, [1, 2, 3])
    assert (execution.plan_run_id, execution.plan_step) == (run.plan_run_id, "users")
    assert execution.trigger == scheduling_pb2.Execution.TRIGGER_PLAN


async def test_independent_steps_run_side_by_side_and_meet_at_a_barrier(bench):
    """
    A step without a flow is complete as soon as all before it are.
    """
    flows = [await bench.flow() for _ in range(3)]
    plan = await made(
        bench,
        step("a", flows[0]),
        step("b", flows[1]),
        step("both", after=["a", "b"]),
        step("then", flows[2], ["both"]),
    )
    run = await started(bench, plan)
    side_by_side = named(run)
    await finish(bench, of(run, "a").execution_id)
    run = await reached(bench, run, lambda one: of(one, "a").completion)
    waiting = named(run)
    await finish(bench, of(run, "b").execution_id)
    await finish(bench, await at_work(bench, run, "then"))

    assert side_by_side == {"a": "RUNNING", "b": "RUNNING", "both": "WAITING", "then": "WAITING"}
    assert (waiting["both"], waiting["then"]) == ("WAITING", "WAITING")
    assert (await ended(bench, run)).status == Run.STATUS_COMPLETED


async def test_all_or_compensate_undoes_what_is_complete_last_first(bench, three):
    """
    Each compensation is an execution of its own, and the next one waits for its end.
    """
    run = await started(bench, await chain(bench, three, mode=pb.Plan.MODE_ALL_OR_COMPENSATE))
    await finish(bench, await at_work(bench, run, "users"))
    await finish(bench, await at_work(bench, run, "groups"))
    await finish(bench, await at_work(bench, run, "tickets"), well=False)
    undoing = await at_work(bench, run, "groups", "compensation_id")
    between = await read(bench, run)
    await finish(bench, undoing)
    await finish(bench, await at_work(bench, run, "users", "compensation_id"))
    run = await ended(bench, run)

    assert (between.status, of(between, "users").compensation_id) == (Run.STATUS_COMPENSATING, "")
    assert run.status == Run.STATUS_COMPENSATED
    assert named(run) == {"users": "COMPENSATED", "groups": "COMPENSATED", "tickets": "FAILED"}
    assert (run.reason, of(run, "tickets").reason) == ("STEP_FAILED", "IT_BROKE")
    assert (await bench.execution(undoing)).is_compensation


async def test_a_failing_compensation_tells_what_is_left(bench, three):
    """
    The run ends, and names what nobody has undone.
    """
    run = await started(bench, await chain(bench, three, mode=pb.Plan.MODE_ALL_OR_COMPENSATE))
    await finish(bench, await at_work(bench, run, "users"))
    await finish(bench, await at_work(bench, run, "groups"))
    await finish(bench, await at_work(bench, run, "tickets"), well=False)
    await finish(bench, await at_work(bench, run, "groups", "compensation_id"), well=False)
    run = await ended(bench, run)

    assert (run.status, run.reason) == (Run.STATUS_COMPENSATION_FAILED, "COMPENSATION_FAILED")
    assert 'Left undone: "groups", "users"' in run.message
    assert named(run) == {"users": "COMPLETED", "groups": "COMPENSATION_FAILED", "tickets": "FAILED"}


async def test_a_failing_step_stops_a_plan_of_steps(bench, three):
    """
    What is complete stays, what comes after is skipped, and both are told.
    """
    run = await started(bench, await chain(bench, three))
    await finish(bench, await at_work(bench, run, "users"))
    await finish(bench, await at_work(bench, run, "groups"), well=False)
    run = await ended(bench, run)

    assert (run.status, run.reason) == (Run.STATUS_FAILED, "STEP_FAILED")
    assert named(run) == {"users": "COMPLETED", "groups": "FAILED", "tickets": "SKIPPED"}
    assert '"groups"' in of(run, "tickets").message


async def test_a_step_waits_for_a_flow_that_is_busy(bench):
    """
    It says so, and starts once the flow is free.
    """
    flow = await bench.flow()
    other = await bench.start(flow)
    run = await started(bench, await made(bench, step("one", flow)))
    waiting = of(run, "one")
    await finish(bench, other.execution_id)
    await finish(bench, await at_work(bench, run, "one"))

    assert waiting.reason == "EXECUTION_RUNNING"
    assert (await ended(bench, run)).status == Run.STATUS_COMPLETED


@pytest.mark.parametrize("state", ["deleted", "inactive", "instance"])
async def test_a_step_whose_flow_cannot_run_has_failed(bench, state):
    """
    The reason is the one that starting the flow would give.
    """
    flow = await bench.flow(is_active=state != "inactive", source=endpoint("ins_away"))
    plan = await made(bench, step("one", flow))
    if state == "deleted":
        await bench.stub.DeleteFlow(scheduling_pb2.DeleteFlowRequest(flow_id=flow.flow_id))
    if state == "instance":
        bench.registry.inactive.add("ins_away")
    run = await started(bench, plan)
    bench.registry.inactive.discard("ins_away")

    reasons = {"deleted": "FLOW_UNKNOWN", "inactive": "FLOW_INACTIVE", "instance": "INSTANCE_INACTIVE"}
    assert (run.status, of(run, "one").reason) == (Run.STATUS_FAILED, reasons[state])


def endpoint(instance_id):
    """Give one end of a flow."""
    return scheduling_pb2.Endpoint(instance_id=instance_id, stream="incident")


async def test_cancelling_stops_what_is_at_work_and_starts_nothing_more(bench, three):
    """
    What is complete stays; a second cancelling changes nothing.
    """
    run = await started(bench, await chain(bench, three))
    await finish(bench, await at_work(bench, run, "users"))
    execution_id = await at_work(bench, run, "groups")
    request = pb.CancelPlanRunRequest(plan_run_id=run.plan_run_id)
    cancelled = (await bench.plans.CancelPlanRun(request)).run
    again = (await bench.plans.CancelPlanRun(request)).run

    assert (cancelled.status, cancelled.reason) == (Run.STATUS_CANCELLED, "CANCELLED")
    assert named(cancelled) == {"users": "COMPLETED", "groups": "FAILED", "tickets": "SKIPPED"}
    assert (await bench.execution(execution_id)).status == scheduling_pb2.Execution.STATUS_CANCELLED
    assert again == cancelled


async def test_cancelling_can_undo_what_is_complete(bench, three):
    """
    A host that is at work is asked to stop first.
    """
    run = await started(bench, await chain(bench, three))
    await finish(bench, await at_work(bench, run, "users"))
    lease = await bench.host.acquire(await at_work(bench, run, "groups"))
    request = pb.CancelPlanRunRequest(plan_run_id=run.plan_run_id, compensate=True)
    under_way = (await bench.plans.CancelPlanRun(request)).run
    asked = await bench.host.renew(lease)
    await bench.host.finish(lease, outcome="CANCELLED")
    await finish(bench, await at_work(bench, run, "users", "compensation_id"))

    assert (under_way.status, asked.is_cancel_requested) == (Run.STATUS_RUNNING, True)
    assert (await ended(bench, run)).status == Run.STATUS_COMPENSATED


async def test_a_plan_has_one_run_at_a_time(bench, three):
    """
    A repeated request gives the first run, any other is refused with its name.
    """
    plan = await chain(bench, three)
    results = await asyncio.gather(*(started(bench, plan) for _ in range(4)), return_exceptions=True)
    runs = [one for one in results if isinstance(one, Run)]
    fault = await bench.refused(started(bench, plan))
    deleting = await bench.refused(bench.plans.DeletePlan(pb.DeletePlanRequest(plan_id=plan.plan_id)))

    assert len(runs) == 1
    assert (type(fault), fault.reason) == (Precondition, "PLAN_RUNNING")
    assert fault.metadata["plan_run_id"] == runs[0].plan_run_id
    assert deleting.reason == "PLAN_RUNNING"


async def test_a_repeated_start_gives_the_first_run(bench, three):
    """
    The same request id runs a plan once.
    """
    plan = await chain(bench, three)
    first, again = await started(bench, plan, request_id="r1"), await started(bench, plan, request_id="r1")

    assert first == again


async def test_plans_are_kept_like_flows(bench, three):
    """
    Read, listed by name, changed under their etag, deleted.
    """
    plan = await chain(bench, three)
    taken = await bench.refused(made(bench, step("b")))
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


async def test_flaws_of_a_plan_are_told_with_their_place(bench, three):
    """
    Circles, unknown names, unknown flows, and wishes that contradict each other.
    """
    users, undo = three["users"]
    circle = await bench.refused(made(bench, step("a", users, ["b"]), step("b", users, ["a"])))
    stranger = await bench.refused(made(bench, step("a", scheduling_pb2.Flow(flow_id="flw_gone"))))
    stop = {"on_failure": pb.PlanStep.ON_FAILURE_STOP}
    mixed = await bench.refused(made(bench, step("a", users, **stop), mode=pb.Plan.MODE_ALL_OR_COMPENSATE))
    nothing = await bench.refused(made(bench, step("a", undo=undo)))

    assert (type(circle), circle.path) == (FixRequest, "plan.steps[0].after[0]")
    assert (stranger.reason, stranger.path) == ("FLOW_UNKNOWN", "plan.steps[0].flow_id")
    assert (mixed.path, nothing.path) == ("plan.steps[0].on_failure", "plan.steps[0].compensation_flow_id")


async def test_a_schedule_starts_a_plan(bench, three):
    """
    As it starts a flow; while a run is under way it says what it waits for.
    """
    plan = await chain(bench, three)
    schedule = await bench.schedule(
        scheduling_pb2.Flow(), plan_id=plan.plan_id, type="TYPE_INTERVAL", interval_minutes=60
    )
    bench.clock.forward(hours=1, minutes=1)
    request = pb.ListPlanRunsRequest(plan_id=plan.plan_id)

    async def runs():
        return list((await bench.plans.ListPlanRuns(request)).runs)

    [run] = await bench.until(runs)
    reading = scheduling_pb2.GetScheduleRequest(schedule_id=schedule.schedule_id)
    shown = (await bench.stub.GetSchedule(reading)).schedule
    assert (run.trigger, run.schedule_id) == (Run.TRIGGER_SCHEDULED, schedule.schedule_id)
    assert (shown.plan_id, shown.hold_reason) == (plan.plan_id, "PLAN_RUNNING")
    assert shown.HasField("last_execution_time")


async def test_an_event_starts_a_plan_but_not_one_of_its_own_flows(bench, three):
    """
    A plan that waits for its own flows' ends would run for ever.
    """
    plan = await chain(bench, three)
    kind = "isthmus.other.thing.happened.v1"
    await bench.schedule(scheduling_pb2.Flow(), plan_id=plan.plan_id, type="TYPE_EVENT", event_trigger=kind)
    own = {"flowId": three["users"][0].flow_id}
    await bench.publish("other", "thing", "happened", own, "evt_own")
    await bench.publish("other", "thing", "happened", {"mine": True}, "evt_other")
    request = pb.ListPlanRunsRequest(plan_id=plan.plan_id)

    async def runs():
        return list((await bench.plans.ListPlanRuns(request)).runs)

    [run] = await bench.until(runs)
    assert run.trigger == Run.TRIGGER_EVENT


async def test_watching_follows_a_run_to_its_end(bench, three):
    """
    The first message shows it as it is, the last one how it ended.
    """
    run = await started(bench, await made(bench, step("one", three["users"][0])))
    watching = bench.plans.WatchPlanRun(pb.WatchPlanRunRequest(plan_run_id=run.plan_run_id))
    seen = [(await anext(aiter(watching))).run]
    await finish(bench, of(run, "one").execution_id)
    seen += [answer.run async for answer in watching]

    assert seen[0].status == Run.STATUS_RUNNING
    assert seen[-1].status == Run.STATUS_COMPLETED


async def test_a_paused_run_starts_nothing_until_it_is_resumed(bench, three):
    """
    What is at work stops at its next position and goes on from there.
    """
    run = await started(bench, await chain(bench, three))
    execution_id = await at_work(bench, run, "users")
    lease = await bench.host.acquire(execution_id)
    await bench.host.commit(lease, bench.counts(2), bench.position("two"))
    name = {"plan_run_id": run.plan_run_id}
    paused = (await bench.plans.PausePlanRun(pb.PausePlanRunRequest(**name))).run
    asked = await bench.host.renew(lease)
    stopped = await bench.host.finish(lease, bench.counts(2), outcome="CANCELLED")
    refused = await bench.refused(bench.host.acquire(execution_id))
    resumed = (await bench.plans.ResumePlanRun(pb.ResumePlanRunRequest(**name))).run
    again = await bench.host.acquire(execution_id)
    await bench.host.finish(again, bench.counts(3))
    done = await bench.execution(execution_id)

    assert (paused.is_paused, asked.is_cancel_requested, resumed.is_paused) == (True, True, False)
    assert (stopped.status, refused.reason) == (scheduling_pb2.Execution.STATUS_PAUSED, "LEASE_HELD")
    assert [point.position.state for point in again.answer.checkpoints] == [b"two"]
    assert (done.status, done.counts.read) == (scheduling_pb2.Execution.STATUS_COMPLETED, 5)
    await at_work(bench, run, "groups")


async def test_others_are_told_of_plans_and_runs(bench, three):
    """
    Through the outbox, with the run as it was stored.
    """
    client = await nats.connect(bench.nats_url)
    told = await client.jetstream().subscribe(f"isthmus.v1.{bench.tenant}.scheduling.>")
    run = await started(bench, await made(bench, step("one", three["users"][0])))
    await finish(bench, of(run, "one").execution_id, well=False)
    events = {}
    while "plan_run.failed" not in events:
        event = json.loads((await told.next_msg(30)).data)
        events[event["type"].removeprefix("isthmus.scheduling.").removesuffix(".v1")] = event["data"]
    await client.close()

    assert {"plan.created", "plan_run.started"} <= events.keys()
    assert events["plan_run.failed"]["run"]["reason"] == "STEP_FAILED"
    assert events["plan_run.failed"]["run"]["planRunId"] == run.plan_run_id


@pytest.mark.parametrize("seed", range(6))
async def test_any_plan_keeps_its_order_and_undoes_in_reverse(bench, seed):
    """
    Random steps with random failures, in random order, on two replicas' worth of loops.
    """
    chance = random.Random(seed)
    flows = {f"s{number}": (await bench.flow(), await bench.flow()) for number in range(5)}
    steps = []
    for number, (name, (flow, undo)) in enumerate(flows.items()):
        after = [f"s{one}" for one in range(number) if chance.random() < 0.4]
        steps.append(step(name, flow, after, undo))
    run = await started(bench, await made(bench, *steps, mode=pb.Plan.MODE_ALL_OR_COMPENSATE))
    after, finished = {one.name: set(one.after) for one in steps}, {}
    while not run.HasField("end_time"):
        going = [one for one in run.steps if one.status == Step.STATUS_RUNNING and one.name not in finished]
        for one in going:
            assert after[one.name] <= {name for name, well in finished.items() if well}
        undoing = [one for one in run.steps if one.status == Step.STATUS_COMPENSATING]
        if going:
            chosen = chance.choice(going)
            finished[chosen.name] = chance.random() < 0.8
            await finish(bench, chosen.execution_id, well=finished[chosen.name])
        elif undoing:
            [one] = undoing
            await finish(bench, one.compensation_id)
        before, known = named(run), set(finished)
        run = await reached(bench, run, lambda one, before=before: named(one) != before)
        assert known <= {one.name for one in run.steps if one.HasField("start_time")}

    completed = sorted((one for one in run.steps if one.completion), key=lambda one: one.completion)
    ids = [one.compensation_id for one in completed]
    undone = [one for one in reversed(completed) if one.compensation_id]
    well = all(finished.values())
    assert run.status == (Run.STATUS_COMPLETED if well else Run.STATUS_COMPENSATED)
    assert {one.name for one in completed} == {name for name, done in finished.items() if done}
    assert undone == ([] if well else list(reversed(completed)))
    # Ids grow with time: the last one that was complete was undone first.
    assert ids == sorted(ids, reverse=True)
