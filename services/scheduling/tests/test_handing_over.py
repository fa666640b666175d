"""Executions that a busy host is given when it tells the end of others, without a job for each."""

import asyncio

import pytest
from isthmus.scheduling.v1 import scheduling_pb2 as pb

State = pb.Execution.Status
BUSY = 20


@pytest.fixture(scope="module")
async def benches(open_bench):
    """Run one scheduling service that holds jobs back for as long as a test may take."""
    async with open_bench(hold_back_seconds=60) as bench:
        yield bench


async def told(bench, *leases, **more):
    """End attempts in one call, as a host that may have room for others; gives the answer."""
    ends = [
        pb.FinishAttemptRequest(execution_id=one.execution_id, fencing_token=one.token, outcome=1)
        for one in leases
    ]
    more = {"host_id": "host-1", "connector_id": "files", **more}
    return await bench.host.stub.FinishAttempts(pb.FinishAttemptsRequest(attempts=ends, **more))


async def known(bench, count):
    """Make flows that scheduling has seen at work before, with a host that is busy and has room."""
    flows = [await bench.flow() for _ in range(max(count, BUSY))]
    started = await asyncio.gather(*map(bench.start, flows))
    leases = [await bench.host.acquire(one.execution_id) for one in started]
    await told(bench, *leases, room=5)
    return flows[:count]


async def given(bench, room, count=0):
    """Tell nothing but that there is room, until so many executions have come; gives what came."""
    found = []

    async def enough():
        found.extend((await told(bench, room=room)).handed_over)
        return len(found) >= count

    await bench.until(enough)
    return found


async def test_a_host_with_room_is_given_what_was_started_since(bench):
    """
    Each comes as if it had been asked for by its id, once, and ends as any other.
    """
    flows = await known(bench, 3)
    ids = {(await bench.start(flow)).execution_id for flow in flows}
    found = await given(bench, 5, 3)
    for one in found:
        done = pb.FinishAttemptRequest(
            execution_id=one.lease.execution.execution_id,
            fencing_token=one.lease.fencing_token,
            outcome="OUTCOME_COMPLETED",
        )
        await bench.host.stub.FinishAttempt(done)

    assert {one.lease.execution.execution_id for one in found} == ids
    assert all(one.origin.correlation_id and one.lease.flow.flow_id for one in found)
    assert {(await bench.execution(one)).status for one in ids} == {State.STATUS_COMPLETED}


async def test_no_more_is_given_than_there_is_room_for(bench):
    """
    What goes first by its priority is given first; no room, no execution.
    """
    slow, fast = await known(bench, 2)
    later = await bench.start(slow)
    request = pb.StartExecutionRequest(flow_id=fast.flow_id, priority=9)
    first = (await bench.stub.StartExecution(request)).execution
    none = (await told(bench)).handed_over
    found = [await given(bench, 1, 1) for _ in range(2)]

    assert not none
    order = [[one.lease.execution.execution_id for one in some] for some in found]
    assert order == [[first.execution_id], [later.execution_id]]


async def test_hosts_of_another_connector_are_given_nothing(bench):
    """
    Nor is anything given that was cancelled meanwhile.
    """
    (flow,) = await known(bench, 1)
    execution = await bench.start(flow)
    others = await told(bench, room=5, connector_id="postgres")
    await bench.stub.CancelExecution(pb.CancelExecutionRequest(execution_id=execution.execution_id))

    assert not others.handed_over
    assert not (await told(bench, room=5)).handed_over


async def test_a_host_that_is_not_busy_is_not_waited_for(bench):
    """
    Where few executions end nobody knows when its host comes back, so the job is sent at once.
    """
    flow = await bench.flow()
    for _ in range(3):
        execution = await bench.start(flow)
        await bench.jobs(execution.execution_id)
        await told(bench, await bench.host.acquire(execution.execution_id), room=5)


async def test_room_at_nobodys_is_refused(bench):
    """
    Who has room says who it is.
    """
    fault = await bench.refused(told(bench, room=1, host_id=""))

    assert fault.violations[0].path == "host_id"


async def test_a_job_is_sent_where_no_host_comes_back(open_bench):
    """
    A host that had room and is gone delays an execution only by a moment.
    """
    async with open_bench(hold_back_seconds=0.3) as benches:
        bench = benches("tnt_gone")
        (flow,) = await known(bench, 1)
        execution = await bench.start(flow)
        ((_, job),) = await bench.jobs(execution.execution_id)

    assert job["flow_id"] == flow.flow_id
