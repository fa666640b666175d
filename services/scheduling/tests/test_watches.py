"""Executions are watched."""

import asyncio

from isthmus.scheduling.v1 import scheduling_pb2 as pb

Status = pb.Execution.Status


async def test_watching_shows_every_step_until_the_end(bench):
    """
    A watcher sees the execution pending, running with its counts and speed, and completed.
    """
    execution = await bench.start(await bench.flow())
    seen = []

    async def watch():
        request = pb.WatchExecutionRequest(execution_id=execution.execution_id)
        async for change in bench.stub.WatchExecution(request):
            seen.append(change)

    watcher = asyncio.create_task(watch())
    await bench.until(lambda: saw(seen, 1))
    lease = await bench.host.acquire(execution.execution_id)
    await bench.until(lambda: saw(seen, 2))
    await bench.host.renew(lease, bench.counts(500), expected=1000)
    await bench.until(lambda: saw(seen, 3))
    await bench.host.finish(lease, bench.counts(1000))
    await asyncio.wait_for(watcher, 30)

    assert [change.execution.counts.read for change in seen] == [0, 0, 500, 1000]
    assert (seen[2].execution.expected_records, seen[-1].execution.status) == (1000, Status.STATUS_COMPLETED)
    assert seen[2].records_per_second > 0


async def saw(seen, number):
    return len(seen) >= number


async def test_watching_an_ended_execution_shows_it_once(bench):
    """
    What has ended does not change any more.
    """
    execution = await bench.start(await bench.flow())
    await bench.stub.CancelExecution(pb.CancelExecutionRequest(execution_id=execution.execution_id))
    request = pb.WatchExecutionRequest(execution_id=execution.execution_id)
    seen = [change async for change in bench.stub.WatchExecution(request)]

    assert [change.execution.status for change in seen] == [Status.STATUS_CANCELLED]
