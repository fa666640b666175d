"""Pauses of flows: nothing starts, what is at work stops at its next position, and goes on from there."""

from datetime import UTC, datetime

import pytest
from isthmus.resilience.faults import Missing, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as pb

Status = pb.Execution.Status
EVENT = "isthmus.other.thing.happened.v1"


async def pause(bench, flow, reason=""):
    """Pause a flow."""
    return await bench.stub.PauseFlow(pb.PauseFlowRequest(flow_id=flow.flow_id, reason=reason))


async def resume(bench, flow):
    """Resume a flow."""
    return await bench.stub.ResumeFlow(pb.ResumeFlowRequest(flow_id=flow.flow_id))


async def shown(bench, schedule):
    """Read a schedule."""
    return (await bench.stub.GetSchedule(pb.GetScheduleRequest(schedule_id=schedule.schedule_id))).schedule


async def test_a_paused_flow_refuses_to_start_and_says_why(bench):
    """
    The refusal names who paused it and the reason; once it is resumed the flow starts.
    """
    flow = await bench.flow()
    paused = (await pause(bench, flow, "until the move is over")).flow
    fault = await bench.refused(bench.start(flow))
    resumed = (await resume(bench, flow)).flow
    await bench.start(flow)

    assert (paused.is_paused, paused.pause_reason) == (True, "until the move is over")
    assert (type(fault), fault.reason) == (Precondition, "FLOW_PAUSED")
    assert "until the move is over" in fault.message
    assert (resumed.is_paused, resumed.paused_by, resumed.HasField("pause_time")) == (False, "", False)


async def test_a_running_execution_stops_at_its_position_and_goes_on_from_there(bench):
    """
    Counts and position of the first attempt are kept; no attempt is counted against the policy.
    """
    flow = await bench.flow(failure_policy=pb.FailurePolicy(max_attempts=1))
    execution = await bench.start(flow)
    lease = await bench.host.acquire(execution.execution_id)
    told = (await pause(bench, flow)).execution
    asked = await bench.host.commit(lease, bench.counts(4), bench.position("four"))
    stopped = await bench.host.finish(lease, bench.counts(4), outcome="CANCELLED")
    listed = await bench.stub.ListExecutions(pb.ListExecutionsRequest(statuses=["STATUS_PAUSED"]))
    resumed = (await resume(bench, flow)).execution
    again = await bench.host.acquire(execution.execution_id)
    done = await bench.host.finish(again, bench.counts(6))

    assert (told.status, asked.is_cancel_requested) == (Status.STATUS_RUNNING, True)
    assert (stopped.status, stopped.error.reason) == (Status.STATUS_PAUSED, "PAUSED")
    assert (resumed.status, resumed.HasField("error")) == (Status.STATUS_PENDING, False)
    assert [one.execution_id for one in listed.executions] == [execution.execution_id]
    assert [point.position.state for point in again.answer.checkpoints] == [b"four"]
    assert (done.status, done.counts.read) == (Status.STATUS_COMPLETED, 10)


async def test_a_pending_execution_waits_and_its_job_comes_again(bench):
    """
    A host that has the job already is sent away; after resuming it is sent under a new id.
    """
    flow = await bench.flow()
    execution = await bench.start(flow)
    [(first, _)] = await bench.jobs(execution.execution_id)
    await pause(bench, flow)
    refused = await bench.refused(bench.host.acquire(execution.execution_id))
    waiting = await bench.execution(execution.execution_id)
    await resume(bench, flow)
    [(second, _)] = await bench.jobs(execution.execution_id)

    assert (refused.reason, waiting.status) == ("LEASE_HELD", Status.STATUS_PAUSED)
    assert second != first
    await bench.host.acquire(execution.execution_id)


async def test_a_host_that_was_told_to_stop_in_vain_hands_the_job_back(bench):
    """
    Resumed before it has stopped, the execution goes on with the next attempt.
    """
    flow = await bench.flow()
    execution = await bench.start(flow)
    lease = await bench.host.acquire(execution.execution_id)
    await pause(bench, flow)
    await resume(bench, flow)
    stopped = await bench.host.finish(lease, outcome="CANCELLED")

    assert stopped.status == Status.STATUS_PENDING
    done = await bench.host.finish(await bench.host.acquire(execution.execution_id))
    assert done.status == Status.STATUS_COMPLETED


async def test_a_paused_execution_can_be_cancelled(bench):
    """
    At work or not, cancelling outweighs the pause.
    """
    flow, other = await bench.flow(), await bench.flow()
    waiting, running = await bench.start(flow), await bench.start(other)
    lease = await bench.host.acquire(running.execution_id)
    for one in (flow, other):
        await pause(bench, one)
    for one in (waiting, running):
        await bench.stub.CancelExecution(pb.CancelExecutionRequest(execution_id=one.execution_id))
    stopped = await bench.host.finish(lease, outcome="CANCELLED")

    assert (await bench.execution(waiting.execution_id)).status == Status.STATUS_CANCELLED
    assert stopped.status == Status.STATUS_CANCELLED


async def test_schedules_of_a_paused_flow_say_what_holds_them(bench):
    """
    One that makes up for missed runs starts once afterwards, one that skips them says when and why it did.
    """
    flow, other = await bench.flow(), await bench.flow()
    hourly = {"type": "TYPE_INTERVAL", "interval_minutes": 60}
    makes_up = await bench.schedule(flow, **hourly)
    skips = await bench.schedule(other, missed_runs="MISSED_RUNS_SKIP", **hourly)
    for one in (flow, other):
        await pause(bench, one)
    bench.clock.forward(hours=1, seconds=1)

    async def skipped():
        found = await shown(bench, skips)
        return found if found.last_skip_reason else None

    left_out = await bench.until(skipped)
    held = await shown(bench, makes_up)
    assert (held.hold_reason, left_out.hold_reason) == ("FLOW_PAUSED", "FLOW_PAUSED")
    assert left_out.last_skip_reason == "FLOW_PAUSED"
    assert left_out.last_skip_time.ToDatetime(UTC) > datetime(2026, 1, 1, tzinfo=UTC)
    assert await bench.executions(flow) == await bench.executions(other) == []
    await resume(bench, flow)
    [execution] = await bench.until(lambda: bench.executions(flow))
    assert execution.trigger == pb.Execution.TRIGGER_SCHEDULED


@pytest.mark.parametrize("missed", ["RUN_ONCE", "SKIP"])
async def test_events_for_a_paused_flow_wait_or_are_left_out(bench, missed):
    """
    As the schedule says; what is left out is visible.
    """
    flow, marker = await bench.flow(), await bench.flow()
    event = {"type": "TYPE_EVENT", "event_trigger": EVENT}
    schedule = await bench.schedule(flow, missed_runs=f"MISSED_RUNS_{missed}", **event)
    await bench.schedule(marker, **event)
    await pause(bench, flow)
    await bench.publish("other", "thing", "happened", {"mine": True})
    await bench.until(lambda: bench.executions(marker))
    seen = await shown(bench, schedule)
    await resume(bench, flow)

    if missed == "RUN_ONCE":
        assert await bench.until(lambda: bench.executions(flow))
    else:
        assert (seen.last_skip_reason, await bench.executions(flow)) == ("FLOW_PAUSED", [])


async def test_pausing_twice_changes_nothing(bench):
    """
    The first pause stays as it is, and what is not paused can be resumed all the same.
    """
    flow = await bench.flow()
    resumed = await resume(bench, flow)
    first, again = await pause(bench, flow, "mine"), await pause(bench, flow, "yours")
    gone = await bench.refused(pause(bench, pb.Flow(flow_id="flw_gone")))

    assert (resumed.flow, first) == (flow, again)
    assert (type(gone), gone.reason) == (Missing, "FLOW_UNKNOWN")
