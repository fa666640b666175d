"""Schedules: kept, ticked by any number of replicas, and what happens when a flow cannot run."""

import asyncio
from datetime import timedelta

import pytest
from isthmus.resilience.faults import Conflict, FixRequest, Missing
from isthmus.scheduling.v1 import scheduling_pb2 as pb

Trigger = pb.Execution.Trigger
HOURLY = {"type": "TYPE_INTERVAL", "interval_minutes": 60}


async def read(bench, schedule):
    return (await bench.stub.GetSchedule(pb.GetScheduleRequest(schedule_id=schedule.schedule_id))).schedule


async def started(bench, flow, number=1):
    async def enough():
        found = await bench.executions(flow)
        return found if len(found) >= number else None

    return await bench.until(enough)


async def settled(bench):
    """Let every loop look twice."""
    await asyncio.sleep(0.3)


async def finish(bench, execution):
    return await bench.host.finish(await bench.host.acquire(execution.execution_id))


async def test_a_schedule_is_stored_as_sent(bench):
    """
    What a caller decides comes back, with its next time computed.
    """
    made = await bench.schedule(await bench.flow(), **HOURLY)
    made.jitter.FromSeconds(0)

    assert await read(bench, made) == made
    assert made.next_execution_time.seconds - made.create_time.seconds == 3600
    assert (made.missed_runs, made.etag) == (pb.Schedule.MISSED_RUNS_RUN_ONCE, "1")


async def test_a_repeated_creation_gives_the_first_schedule(bench):
    """
    The same request id and the same request make one schedule.
    """
    flow = await bench.flow()
    schedule = pb.Schedule(flow_id=flow.flow_id, **HOURLY)
    request = pb.CreateScheduleRequest(schedule=schedule, request_id="r1")

    assert await bench.stub.CreateSchedule(request) == await bench.stub.CreateSchedule(request)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "TYPE_CRON", "cron_expression": "61 * * * *"}, "CRON_INVALID"),
        (
            {"type": "TYPE_CRON", "cron_expression": "* * * * *", "time_zone": "Mars/Base"},
            "TIME_ZONE_UNKNOWN",
        ),
        ({"type": "TYPE_INTERVAL"}, "FIELD_INVALID"),
        ({"type": "TYPE_CRON"}, "FIELD_INVALID"),
        ({"type": "TYPE_EVENT"}, "FIELD_INVALID"),
        ({}, "FIELD_INVALID"),
        ({**HOURLY, "missed_runs": 9}, "FIELD_INVALID"),
        ({**HOURLY, "jitter": timedelta(seconds=-1)}, "FIELD_INVALID"),
    ],
)
async def test_a_schedule_that_makes_no_sense_is_refused(bench, fields, reason):
    """
    Creating and changing refuse the same mistakes.
    """
    flow = await bench.flow()
    good = await bench.schedule(flow, **HOURLY)
    bad = pb.Schedule(flow_id=flow.flow_id, schedule_id=good.schedule_id, **fields)
    created = await bench.refused(bench.stub.CreateSchedule(pb.CreateScheduleRequest(schedule=bad)))
    updated = await bench.refused(bench.stub.UpdateSchedule(pb.UpdateScheduleRequest(schedule=bad)))

    assert (type(created), created.reason) == (FixRequest, reason)
    assert (type(updated), updated.reason) == (FixRequest, reason)


async def test_what_is_not_there_is_missing(bench):
    """
    Unknown flows and schedules are named as such.
    """
    nowhere = pb.Schedule(flow_id="flw_x", **HOURLY)
    unknown = pb.Schedule(flow_id="flw_x", schedule_id="sch_x", **HOURLY)
    no_flow = await bench.refused(bench.stub.CreateSchedule(pb.CreateScheduleRequest(schedule=nowhere)))
    faults = [
        await bench.refused(bench.stub.GetSchedule(pb.GetScheduleRequest(schedule_id="sch_x"))),
        await bench.refused(bench.stub.UpdateSchedule(pb.UpdateScheduleRequest(schedule=unknown))),
    ]

    assert (type(no_flow), no_flow.reason) == (Missing, "FLOW_UNKNOWN")
    assert {fault.reason for fault in faults} == {"SCHEDULE_UNKNOWN"}


async def test_an_update_computes_the_next_time_anew(bench):
    """
    Switching off takes the next time away; an old etag is refused.
    """
    schedule = await bench.schedule(await bench.flow(), **HOURLY)
    schedule.is_active = False
    request = pb.UpdateScheduleRequest(schedule=schedule, etag="1")
    off = (await bench.stub.UpdateSchedule(request)).schedule
    fault = await bench.refused(bench.stub.UpdateSchedule(request))

    assert (off.HasField("next_execution_time"), off.etag) == (False, "2")
    assert (type(fault), fault.reason) == (Conflict, "ETAG_MISMATCH")


async def test_a_deleted_schedule_starts_nothing(bench):
    """
    Deleting needs the present etag where one is given, and may be repeated.
    """
    flow = await bench.flow()
    schedule = await bench.schedule(flow, **HOURLY)
    request = pb.DeleteScheduleRequest(schedule_id=schedule.schedule_id, etag="9")
    fault = await bench.refused(bench.stub.DeleteSchedule(request))
    for _ in range(2):
        await bench.stub.DeleteSchedule(pb.DeleteScheduleRequest(schedule_id=schedule.schedule_id))
    bench.clock.forward(hours=2)
    await settled(bench)

    assert (fault.reason, await bench.executions(flow)) == ("ETAG_MISMATCH", [])


async def test_lists_are_paged_and_narrowed(bench):
    """
    A flow's schedules are found page by page, oldest first.
    """
    flow, other = await bench.flow(), await bench.flow()
    made = [(await bench.schedule(flow, **HOURLY)).schedule_id for _ in range(3)]
    await bench.schedule(other, **HOURLY)
    request = pb.ListSchedulesRequest(flow_id=flow.flow_id, page_size=2)
    first = await bench.stub.ListSchedules(request)
    request.page_token = first.next_page_token
    second = await bench.stub.ListSchedules(request)

    assert [one.schedule_id for one in [*first.schedules, *second.schedules]] == made
    assert second.next_page_token == ""


async def test_a_due_schedule_starts_its_flow(bench):
    """
    The execution knows its schedule, and the schedule when it last started and when it will again.
    """
    flow = await bench.flow()
    schedule = await bench.schedule(flow, **HOURLY)
    bench.clock.forward(minutes=61)
    (execution,) = await started(bench, flow)
    after = await read(bench, schedule)

    assert (execution.trigger, execution.schedule_id) == (Trigger.TRIGGER_SCHEDULED, schedule.schedule_id)
    assert execution.initiated_by == schedule.schedule_id
    assert after.last_execution_time.seconds >= schedule.next_execution_time.seconds
    assert after.next_execution_time.seconds - schedule.next_execution_time.seconds == 3600


async def test_missed_runs_are_made_up_for_once(bench):
    """
    After a day of silence an hourly schedule starts one execution, not 24.
    """
    flow = await bench.flow()
    await bench.schedule(flow, **HOURLY)
    bench.clock.forward(days=1)
    (execution,) = await started(bench, flow)
    await finish(bench, execution)
    await settled(bench)

    assert len(await bench.executions(flow)) == 1


async def test_missed_runs_are_left_out_on_request(bench):
    """
    A schedule that skips goes on with its rhythm as if nothing had been.
    """
    flow = await bench.flow()
    schedule = await bench.schedule(flow, **HOURLY, missed_runs="MISSED_RUNS_SKIP")
    bench.clock.forward(minutes=90)

    async def moved_on():
        return (await read(bench, schedule)).next_execution_time != schedule.next_execution_time

    await bench.until(moved_on)

    assert await bench.executions(flow) == []


async def test_a_run_missed_because_the_flow_was_busy_follows_its_end(bench):
    """
    A schedule that makes up for missed runs starts the flow as soon as it is free.
    """
    flow = await bench.flow()
    by_hand = await bench.start(flow)
    await bench.schedule(flow, **HOURLY)
    bench.clock.forward(minutes=61)
    await settled(bench)
    meanwhile = await bench.executions(flow)
    await finish(bench, by_hand)
    both = await started(bench, flow, 2)

    assert len(meanwhile) == 1
    assert both[0].trigger == Trigger.TRIGGER_SCHEDULED


async def test_an_inactive_instance_holds_its_flows_back(bench):
    """
    Nothing starts while an instance is inactive; what was missed starts when it is active again.
    """
    flow = await bench.flow(source=pb.Endpoint(instance_id="ins_resting", stream="x"))
    await bench.schedule(flow, **HOURLY)
    resting = {"instance": {"instanceId": "ins_resting", "updateTime": "2099-01-01T00:00:00Z"}}
    await bench.publish("registry", "instance", "deactivated", resting)
    await settled(bench)
    bench.clock.forward(minutes=61)
    await settled(bench)
    held_back = await bench.executions(flow)
    resting["instance"] |= {"status": "STATUS_ACTIVE", "updateTime": "2099-01-02T00:00:00Z"}
    await bench.publish("registry", "instance", "activated", resting)

    assert held_back == []
    assert len(await started(bench, flow)) == 1


async def test_an_event_starts_the_flows_that_wait_for_it(bench):
    """
    An event of the type a schedule names starts its flow once, however often it is delivered.
    """
    flow = await bench.flow()
    kind = "isthmus.records.record.changed.v1"
    schedule = await bench.schedule(flow, type="TYPE_EVENT", event_trigger=kind)
    for _ in range(2):
        await bench.publish("records", "record", "changed", {"stream": "x"}, event_id="evt_same")
    (execution,) = await started(bench, flow)
    await finish(bench, execution)
    await settled(bench)

    assert (execution.trigger, execution.schedule_id) == (Trigger.TRIGGER_EVENT, schedule.schedule_id)
    assert (await read(bench, schedule)).HasField("last_execution_time")
    assert len(await bench.executions(flow)) == 1


async def test_a_flow_does_not_start_itself(bench):
    """
    A flow that waits for changes it makes itself would run for ever.
    """
    flow = await bench.flow()
    kind = "isthmus.records.record.changed.v1"
    await bench.schedule(flow, type="TYPE_EVENT", event_trigger=kind)
    await bench.publish("records", "record", "changed", {"flowId": flow.flow_id})
    await settled(bench)

    assert await bench.executions(flow) == []


@pytest.mark.parametrize(("choice", "number"), [("RUN_ONCE", 2), ("SKIP", 1)])
async def test_events_that_come_while_the_flow_is_busy(bench, choice, number):
    """
    They are made up for by one execution, or left out.
    """
    flow = await bench.flow()
    busy = await bench.start(flow)
    kind = "isthmus.records.record.changed.v1"
    await bench.schedule(flow, type="TYPE_EVENT", event_trigger=kind, missed_runs=f"MISSED_RUNS_{choice}")
    for _ in range(3):
        await bench.publish("records", "record", "changed", {})
    await settled(bench)
    await finish(bench, busy)
    found = await started(bench, flow, number)
    if number > 1:
        await finish(bench, found[0])
    await settled(bench)

    assert len(await bench.executions(flow)) == number


async def test_replicas_start_what_is_due_once(open_bench):
    """
    Three replicas that tick at the same time start forty due flows forty times.
    """
    async with open_bench(replicas=3, batch=5) as benches:
        bench = benches("tnt_many")
        flows = [await bench.flow(f"flow {number}") for number in range(40)]
        for flow in flows:
            await bench.schedule(flow, **HOURLY)
        bench.clock.forward(minutes=61)
        found = [await started(bench, flow) for flow in flows]
        await settled(bench)
        again = [await bench.executions(flow) for flow in flows]

    assert [len(executions) for executions in found] == [1] * 40
    assert found == again
