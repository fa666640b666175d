"""What a crash of PostgreSQL leaves behind: nothing but a pause."""

import asyncio

import pytest
from isthmus.scheduling.v1 import scheduling_pb2 as pb

Status = pb.Execution.Status


@pytest.fixture(scope="module")
async def benches(open_bench):
    """Run a service whose leases end while the database is away."""
    async with open_bench(lease_seconds=60, lease_grace_seconds=8) as bench:
        yield bench


async def crash(bench, postgres):
    """Kill PostgreSQL and bring it back when every lease has ended."""
    await asyncio.to_thread(postgres.kill)
    await asyncio.sleep(0.5)
    bench.clock.forward(minutes=61)
    await asyncio.to_thread(postgres.start)


async def back(bench, execution_id):
    """Wait until the service answers again."""

    async def answers():
        try:
            return await bench.execution(execution_id)
        except Exception:
            return None

    return await bench.until(answers)


async def test_a_host_that_could_not_renew_keeps_its_lease(bench, postgres):
    """
    The lease ended while the database was away, but its host lives and gets the time to say so.
    """
    execution = await bench.start(await bench.flow())
    lease = await bench.host.acquire(execution.execution_id)
    await crash(bench, postgres)
    await back(bench, execution.execution_id)
    await bench.host.renew(lease, bench.counts(5))
    ended = await bench.host.finish(lease, bench.counts(5))

    assert (ended.status, ended.attempts) == (Status.STATUS_COMPLETED, 1)


async def test_work_goes_on_after_a_crash_of_the_database(bench, postgres):
    """
    Jobs are sent, silent hosts lose their executions, and schedules start what was due meanwhile.
    """
    flow = await bench.flow()
    await bench.schedule(await bench.flow("hourly"), type="TYPE_INTERVAL", interval_minutes=60)
    execution = await bench.start(flow)
    await bench.host.acquire(execution.execution_id)
    await crash(bench, postgres)
    await back(bench, execution.execution_id)
    await bench.jobs(execution.execution_id)

    async def both_wait():
        found = await bench.stub.ListExecutions(pb.ListExecutionsRequest(statuses=["STATUS_PENDING"]))
        return {one.flow_name for one in found.executions} == {flow.name, "hourly"}

    assert await bench.until(both_wait)
