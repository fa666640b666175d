"""Backfills as scheduling sees them: positions of their own, and the flow's stay where they are."""

import pytest
from isthmus.resilience.faults import FixRequest, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as pb

FIRST, END = 1767225600, 1769904000


async def backfill(bench, flow, first=FIRST, end=END, **more):
    """Start a backfill of January."""
    request = pb.StartExecutionRequest(flow_id=flow.flow_id, **more)
    request.range.start_time.seconds = first
    request.range.end_time.seconds = end
    return (await bench.stub.StartExecution(request)).execution


def states(lease):
    """The positions from which a lease goes on."""
    return [one.position.state for one in lease.answer.checkpoints]


async def synced(bench, flow, state):
    """Run the flow to a position."""
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.finish(lease, bench.counts(5), bench.position(state, complete=True))


async def test_a_backfill_leaves_the_flows_position_as_it_is(bench):
    """
    It begins without one, and the next sync goes on where the one before the backfill ended.
    """
    flow = await bench.flow(read_mode="READ_MODE_INCREMENTAL")
    await synced(bench, flow, "five")

    lease = await bench.host.acquire((await backfill(bench, flow)).execution_id)
    await bench.host.finish(lease, bench.counts(3), bench.position("three", complete=True))

    after = await bench.host.acquire((await bench.start(flow)).execution_id)
    assert (states(lease), states(after)) == ([], [b"five"])
    span = lease.answer.execution.range
    assert (span.start_time.seconds, span.end_time.seconds) == (FIRST, END)


async def test_another_attempt_goes_on_in_the_middle_of_the_backfill(bench):
    """
    Its own positions are kept for as long as it is at work.
    """
    flow = await bench.flow(read_mode="READ_MODE_INCREMENTAL")
    await synced(bench, flow, "five")
    execution_id = (await backfill(bench, flow)).execution_id
    first = await bench.host.acquire(execution_id)
    await bench.host.commit(first, bench.counts(2), bench.position("two"))
    await bench.host.fail(first, "STOPPED")

    second = await bench.host.acquire(execution_id)

    assert states(second) == [b"two"]


async def test_a_backfill_is_told_of_like_a_sync(bench):
    """
    A list shows the range, and its end is the end of a sync.
    """
    flow = await bench.flow()
    lease = await bench.host.acquire((await backfill(bench, flow)).execution_id)

    ended = await bench.host.finish(lease, bench.counts(3))

    (listed,) = await bench.executions(flow)
    assert ended.status == pb.Execution.STATUS_COMPLETED
    assert listed.range.end_time.seconds == END


@pytest.mark.parametrize(
    ("first", "end"), [(END, FIRST), (FIRST, FIRST), (FIRST, 10**15)], ids=["backwards", "empty", "far"]
)
async def test_a_range_that_is_none_is_refused(bench, first, end):
    """
    The path says what to mend.
    """
    flow = await bench.flow()

    fault = await bench.refused(backfill(bench, flow, first, end))

    assert isinstance(fault, FixRequest)
    assert {one.path for one in fault.violations} <= {"range.end_time", "range.start_time"}


async def test_a_two_way_flow_has_no_backfill(bench):
    """
    What it writes depends on all that it notes of both sides.
    """
    flow = await bench.flow(direction=pb.DIRECTION_BOTH, destination_key=["id"])

    fault = await bench.refused(backfill(bench, flow))

    assert isinstance(fault, Precondition)
    assert fault.reason == "ONE_WAY_ONLY"
