"""Runs of plans: cancelled, paused, watched, started by schedules and events, and led through any order."""

import asyncio
import json
import random

import nats
import pytest
from isthmus.resilience.faults import Precondition
from isthmus.scheduling.v1 import plans_pb2 as pb
from isthmus.scheduling.v1 import scheduling_pb2

Step = pb.PlanStepRun
Run = pb.PlanRun


async def test_cancelling_stops_what_is_at_work_and_starts_nothing_more(planning, bench, three):
    """
    What is complete stays; a second cancelling changes nothing.
    """
    run = await planning.started(await planning.chain(three))
    await planning.finish(await planning.at_work(run, "users"))
    execution_id = await planning.at_work(run, "groups")
    request = pb.CancelPlanRunRequest(plan_run_id=run.plan_run_id)
    cancelled = (await bench.plans.CancelPlanRun(request)).run
    again = (await bench.plans.CancelPlanRun(request)).run

    assert (cancelled.status, cancelled.reason) == (Run.STATUS_CANCELLED, "CANCELLED")
    assert planning.named(cancelled) == {"users": "COMPLETED", "groups": "FAILED", "tickets": "SKIPPED"}
    assert (await bench.execution(execution_id)).status == scheduling_pb2.Execution.STATUS_CANCELLED
    assert again == cancelled


async def test_cancelling_can_undo_what_is_complete(planning, bench, three):
    """
    A host that is at work is asked to stop first.
    """
    run = await planning.started(await planning.chain(three))
    await planning.finish(await planning.at_work(run, "users"))
    lease = await bench.host.acquire(await planning.at_work(run, "groups"))
    request = pb.CancelPlanRunRequest(plan_run_id=run.plan_run_id, compensate=True)
    under_way = (await bench.plans.CancelPlanRun(request)).run
    asked = await bench.host.renew(lease)
    await bench.host.finish(lease, outcome="CANCELLED")
    await planning.finish(await planning.at_work(run, "users", "compensation_id"))

    assert (under_way.status, asked.is_cancel_requested) == (Run.STATUS_RUNNING, True)
    assert (await planning.ended(run)).status == Run.STATUS_COMPENSATED


async def test_a_plan_has_one_run_at_a_time(planning, bench, three):
    """
    A repeated request gives the first run, any other is refused with its name.
    """
    plan = await planning.chain(three)
    results = await asyncio.gather(*(planning.started(plan) for _ in range(4)), return_exceptions=True)
    runs = [one for one in results if isinstance(one, Run)]
    fault = await bench.refused(planning.started(plan))
    deleting = await bench.refused(bench.plans.DeletePlan(pb.DeletePlanRequest(plan_id=plan.plan_id)))

    assert len(runs) == 1
    assert (type(fault), fault.reason) == (Precondition, "PLAN_RUNNING")
    assert fault.metadata["plan_run_id"] == runs[0].plan_run_id
    assert deleting.reason == "PLAN_RUNNING"


async def test_a_repeated_start_gives_the_first_run(planning, bench, three):
    """
    The same request id runs a plan once.
    """
    plan = await planning.chain(three)
    first, again = (
        await planning.started(plan, request_id="r1"),
        await planning.started(plan, request_id="r1"),
    )

    assert first == again


async def test_a_schedule_starts_a_plan(planning, bench, three):
    """
    As it starts a flow; while a run is under way it says what it waits for.
    """
    plan = await planning.chain(three)
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


async def test_an_event_starts_a_plan_but_not_one_of_its_own_flows(planning, bench, three):
    """
    A plan that waits for its own flows' ends would run for ever.
    """
    plan = await planning.chain(three)
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


async def test_watching_follows_a_run_to_its_end(planning, bench, three):
    """
    The first message shows it as it is, the last one how it ended.
    """
    run = await planning.started(await planning.made(planning.step("one", three["users"][0])))
    watching = bench.plans.WatchPlanRun(pb.WatchPlanRunRequest(plan_run_id=run.plan_run_id))
    seen = [(await anext(aiter(watching))).run]
    await planning.finish(planning.of(run, "one").execution_id)
    seen += [answer.run async for answer in watching]

    assert seen[0].status == Run.STATUS_RUNNING
    assert seen[-1].status == Run.STATUS_COMPLETED


async def test_a_paused_run_starts_nothing_until_it_is_resumed(planning, bench, three):
    """
    What is at work stops at its next position and goes on from there.
    """
    run = await planning.started(await planning.chain(three))
    execution_id = await planning.at_work(run, "users")
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
    await planning.at_work(run, "groups")


async def test_others_are_told_of_plans_and_runs(planning, bench, three):
    """
    Through the outbox, with the run as it was stored.
    """
    client = await nats.connect(bench.nats_url)
    told = await client.jetstream().subscribe(f"isthmus.v1.{bench.tenant}.scheduling.>")
    run = await planning.started(await planning.made(planning.step("one", three["users"][0])))
    await planning.finish(planning.of(run, "one").execution_id, well=False)
    events = {}
    while "plan_run.failed" not in events:
        event = json.loads((await told.next_msg(30)).data)
        events[event["type"].removeprefix("isthmus.scheduling.").removesuffix(".v1")] = event["data"]
    await client.close()

    assert {"plan.created", "plan_run.started"} <= events.keys()
    assert events["plan_run.failed"]["run"]["reason"] == "STEP_FAILED"
    assert events["plan_run.failed"]["run"]["planRunId"] == run.plan_run_id


@pytest.mark.parametrize("seed", range(6))
async def test_any_plan_keeps_its_order_and_undoes_in_reverse(planning, bench, seed):
    """
    Random steps with random failures, in random order, on two replicas' worth of loops.
    """
    chance = random.Random(seed)
    flows = {f"s{number}": (await bench.flow(), await bench.flow()) for number in range(5)}
    steps = []
    for number, (name, (flow, undo)) in enumerate(flows.items()):
        after = [f"s{one}" for one in range(number) if chance.random() < 0.4]
        steps.append(planning.step(name, flow, after, undo))
    run = await planning.started(await planning.made(*steps, mode=pb.Plan.MODE_ALL_OR_COMPENSATE))
    after, finished = {one.name: set(one.after) for one in steps}, {}
    while not run.HasField("end_time"):
        going = [one for one in run.steps if one.status == Step.STATUS_RUNNING and one.name not in finished]
        for one in going:
            assert after[one.name] <= {name for name, well in finished.items() if well}
        undoing = [one for one in run.steps if one.status == Step.STATUS_COMPENSATING]
        if going:
            chosen = chance.choice(going)
            finished[chosen.name] = chance.random() < 0.8
            await planning.finish(chosen.execution_id, well=finished[chosen.name])
        elif undoing:
            [one] = undoing
            await planning.finish(one.compensation_id)
        before, known = planning.named(run), set(finished)
        run = await planning.reached(run, lambda one, before=before: planning.named(one) != before)
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
