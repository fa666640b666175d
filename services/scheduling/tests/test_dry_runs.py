"""Dry runs as scheduling sees them: executions that leave nothing behind."""

import psycopg
import pytest
from isthmus.resilience.faults import FixRequest, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as pb


async def start(bench, flow, **asked):
    """Start a dry run of a flow."""
    request = pb.StartExecutionRequest(flow_id=flow.flow_id, is_dry_run=True, **asked)
    return (await bench.stub.StartExecution(request)).execution


async def found(bench, lease, **counts):
    """End a dry run with what it has found."""
    preview = pb.Preview(counts=bench.counts(**counts), is_exact=True, samples=[pb.PreviewSample(key="7")])
    request = pb.FinishAttemptRequest(
        execution_id=lease.execution_id,
        fencing_token=lease.token,
        outcome=pb.FinishAttemptRequest.OUTCOME_COMPLETED,
        counts=preview.counts,
        preview=preview,
    )
    return (await bench.host.stub.FinishAttempt(request)).execution


async def test_a_dry_run_keeps_what_it_has_found(bench):
    """
    Who asks for the execution gets the preview; a list says that it is a dry run and no more.
    """
    flow = await bench.flow()
    started = await start(bench, flow, record_limit=10)
    lease = await bench.host.acquire(started.execution_id)

    await found(bench, lease, read=10)

    shown, (listed,) = await bench.execution(started.execution_id), await bench.executions(flow)
    assert shown.status == pb.Execution.STATUS_COMPLETED
    assert (shown.preview.counts.created, shown.preview.samples[0].key) == (10, "7")
    assert (listed.is_dry_run, listed.record_limit, listed.HasField("preview")) == (True, 10, False)
    assert (lease.answer.execution.is_dry_run, lease.answer.execution.record_limit) == (True, 10)


async def test_a_dry_run_reads_positions_and_moves_none(bench):
    """
    It goes on where the next sync would, and positions that come from its host are not stored.
    """
    flow = await bench.flow(read_mode="READ_MODE_INCREMENTAL")
    real = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.finish(real, bench.counts(5), bench.position("five", complete=True))
    dry = await bench.host.acquire((await start(bench, flow)).execution_id)

    await bench.host.commit(dry, bench.counts(3), bench.position("eight"))
    await bench.host.finish(dry, bench.counts(3), bench.position("eight", complete=True))

    after = await bench.host.acquire((await bench.start(flow)).execution_id)
    for lease in (dry, after):
        assert [one.position.state for one in lease.answer.checkpoints] == [b"five"]


async def test_nobody_is_told_of_a_dry_run(bench):
    """
    What a destination that cannot be asked leaves open fails nothing, and no event counts it as a success.
    """
    flow = await bench.flow(failure_policy=pb.FailurePolicy(max_quarantined=1))
    lease = await bench.host.acquire((await start(bench, flow)).execution_id)

    ended = await bench.host.finish(lease, bench.counts(read=9, quarantined=4))

    assert ended.status == pb.Execution.STATUS_COMPLETED
    with psycopg.connect(bench.mesh.database_url()) as database:
        told = "SELECT subject FROM scheduling.outbox WHERE tenant_id = %s AND subject LIKE '%%.sync.%%'"
        assert database.execute(told, [bench.tenant]).fetchall() == []


async def test_a_dry_run_needs_a_flow_that_goes_one_way(bench):
    """
    A two-way flow, and a limit on a run that is not dry, are refused with what to do instead.
    """
    both = await bench.flow(direction=pb.DIRECTION_BOTH, destination_key=["id"])
    single = await bench.flow()

    two_way = await bench.refused(start(bench, both))
    request = pb.StartExecutionRequest(flow_id=single.flow_id, record_limit=5)
    limited = await bench.refused(bench.stub.StartExecution(request))

    assert isinstance(two_way, Precondition)
    assert two_way.reason == "ONE_WAY_ONLY"
    assert isinstance(limited, FixRequest)
    assert [one.path for one in limited.violations] == ["record_limit"]


@pytest.mark.parametrize("kind", ["TRANSIENT"])
async def test_another_attempt_at_a_dry_run_counts_from_nothing(bench, kind):
    """
    Nothing is durable, so what an attempt that failed has counted is counted again.
    """
    flow = await bench.flow()
    execution_id = (await start(bench, flow)).execution_id
    first = await bench.host.acquire(execution_id)
    await bench.host.renew(first, bench.counts(7))
    await bench.host.fail(first, kind, bench.counts(7))

    async def pending():
        return (await bench.execution(execution_id)).status == pb.Execution.STATUS_PENDING

    await bench.until(pending)
    second = await bench.until(lambda: acquired(bench, execution_id))
    await found(bench, second, read=9)

    assert (await bench.execution(execution_id)).counts.read == 9


async def acquired(bench, execution_id):
    """Take the execution over as soon as its next attempt is due; None before."""
    from grpc import RpcError

    try:
        return await bench.host.acquire(execution_id)
    except RpcError:
        return None
