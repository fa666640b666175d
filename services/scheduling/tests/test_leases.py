"""Leases: fencing, expiry, positions, and counts over attempts."""

import asyncio

import pytest
from isthmus.resilience.faults import FixRequest, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as pb

Status = pb.Execution.Status
LEASE = 60


@pytest.fixture(scope="module")
async def benches(open_bench):
    """Run a service whose clock the tests put forward beyond the end of leases."""
    async with open_bench(lease_seconds=LEASE, cancel_seconds=LEASE) as bench:
        yield bench


async def taken_away(bench, execution_id):
    bench.clock.forward(seconds=LEASE + 1)

    async def is_pending():
        return (await bench.execution(execution_id)).status == Status.STATUS_PENDING

    await bench.until(is_pending)


async def test_one_host_has_the_lease(bench):
    """
    A second host is told to drop the job, and who has it.
    """
    execution = await bench.start(await bench.flow())
    await bench.host.acquire(execution.execution_id)
    fault = await bench.refused(bench.host.acquire(execution.execution_id))

    assert (type(fault), fault.reason, fault.metadata["host_id"]) == (Precondition, "LEASE_HELD", "host-1")


async def test_of_many_hosts_one_gets_the_lease(bench):
    """
    A job that comes several times at once is carried out once.
    """
    execution = await bench.start(await bench.flow())
    asked = (bench.host.acquire(execution.execution_id) for _ in range(8))
    results = await asyncio.gather(*asked, return_exceptions=True)

    assert sum(not isinstance(result, BaseException) for result in results) == 1


async def test_a_renewed_lease_lasts(bench):
    """
    A host that keeps talking keeps its lease.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    for _ in range(6):
        bench.clock.forward(seconds=LEASE / 3)
        await bench.host.renew(lease)

    assert (await bench.execution(lease.execution_id)).attempts == 1


async def test_a_silent_host_loses_its_execution(bench):
    """
    The execution goes back to pending at once, the attempt is marked as stopped and does not count.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    await taken_away(bench, lease.execution_id)
    again = await bench.host.acquire(lease.execution_id)
    first, _ = await bench.attempts(lease.execution_id)

    assert (first.error.kind, first.error.reason) == (pb.ExecutionError.KIND_STOPPED, "LEASE_EXPIRED")
    assert again.token > lease.token


async def test_a_host_that_wakes_up_too_late_is_fenced(bench):
    """
    Whatever a host wants to change after its lease was given away is refused.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    await taken_away(bench, lease.execution_id)
    faults = [
        await bench.refused(bench.host.renew(lease)),
        await bench.refused(bench.host.commit(lease, bench.counts(1), bench.position("late"))),
        await bench.refused(bench.host.finish(lease, bench.counts(1))),
    ]
    again = await bench.host.acquire(lease.execution_id)
    late = await bench.refused(bench.host.finish(lease, bench.counts(1)))

    assert {(type(fault), fault.reason) for fault in [*faults, late]} == {(Precondition, "FENCED")}
    assert list(again.answer.checkpoints) == []


@pytest.mark.parametrize("token", [0, 99, -1])
async def test_a_token_nobody_gave_out_is_fenced(bench, token):
    """
    Tokens cannot be guessed forward.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    lease.token = token
    fault = await bench.refused(bench.host.renew(lease))

    assert fault.reason == "FENCED"


async def test_finishing_twice_the_same_way_is_safe(bench):
    """
    A host that did not hear the answer asks again and gets it; another outcome is refused.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    first = await bench.host.finish(lease, bench.counts(1))
    again = await bench.host.finish(lease, bench.counts(1))
    other = await bench.refused(bench.host.fail(lease, "FATAL"))

    assert (again, other.reason) == (first, "FENCED")


async def test_a_host_that_ignores_a_stop_is_cut_off(bench):
    """
    Renewing does not help for ever: the execution is cancelled by force.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    await bench.stub.CancelExecution(pb.CancelExecutionRequest(execution_id=lease.execution_id))

    async def is_fenced():
        bench.clock.forward(seconds=LEASE / 3)
        try:
            return (await bench.host.renew(lease)) is None
        except Exception:
            return True

    await bench.until(is_fenced)

    assert (await bench.execution(lease.execution_id)).status == Status.STATUS_CANCELLED


async def test_the_next_attempt_goes_on_where_the_last_one_stored_a_position(bench):
    """
    Partitions keep their positions over attempts; a completed one is left out by the next attempt.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    await bench.host.commit(lease, bench.counts(10), bench.position("5", "a"), bench.position("7", "b"))
    await bench.host.commit(lease, bench.counts(20), bench.position("end", "b", complete=True))
    await bench.host.fail(lease, "STOPPED")
    again = await bench.host.acquire(lease.execution_id)

    assert [
        (point.partition, point.position.state, point.is_complete) for point in again.answer.checkpoints
    ] == [
        ("a", b"5", False),
        ("b", b"end", True),
    ]


async def test_a_full_read_begins_anew_in_the_next_execution(bench):
    """
    A completed full read leaves no position behind.
    """
    flow = await bench.flow(read_mode="READ_MODE_FULL")
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.finish(lease, bench.counts(9), bench.position("", complete=True))
    again = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert list(again.answer.checkpoints) == []


async def test_an_interrupted_full_read_goes_on_in_the_next_execution(bench):
    """
    A nightly read of millions of records resumes after a failure, it does not restart.
    """
    flow = await bench.flow(read_mode="READ_MODE_FULL")
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.commit(lease, bench.counts(9), bench.position("page 90"))
    await bench.host.fail(lease, "FATAL")
    again = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert [point.position.state for point in again.answer.checkpoints] == [b"page 90"]


async def test_an_incremental_read_goes_on_behind_its_last_position(bench):
    """
    What a completed incremental read stored is where the next execution begins.
    """
    flow = await bench.flow(read_mode="READ_MODE_INCREMENTAL")
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.finish(lease, bench.counts(9), bench.position("monday", complete=True))
    again = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert [(point.position.state, point.is_complete) for point in again.answer.checkpoints] == [
        (b"monday", False)
    ]


async def test_a_position_does_not_move_backwards(bench):
    """
    A call that was overtaken by a later one of the same attempt changes neither position nor counts.
    """
    flow = await bench.flow()
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.commit(lease, bench.counts(20), bench.position("20"))
    await bench.host.commit(lease, bench.counts(10), bench.position("10"))
    ended = await bench.host.fail(lease, "FATAL")
    again = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert ended.counts.read == 20
    assert [point.position.state for point in again.answer.checkpoints] == [b"20"]


async def test_counts_behind_the_last_position_are_dropped_with_the_attempt(bench):
    """
    A sync of 1,000 records whose host is killed behind record 640 has 1,000 records in the end.
    """
    execution = await bench.start(await bench.flow())
    lease = await bench.host.acquire(execution.execution_id)
    await bench.host.commit(lease, bench.counts(600), bench.position("600"))
    await bench.host.renew(lease, bench.counts(640))
    told = await bench.execution(execution.execution_id)
    await taken_away(bench, execution.execution_id)
    dropped = await bench.execution(execution.execution_id)
    again = await bench.host.acquire(execution.execution_id)
    ended = await bench.host.finish(
        again, bench.counts(400, created=360, unchanged=40), bench.position("1000")
    )

    assert (told.counts.read, dropped.counts.read) == (640, 600)
    assert (ended.status, ended.counts.read, ended.success_count) == (Status.STATUS_COMPLETED, 1000, 1000)


async def test_counts_that_come_with_positions_at_the_end_are_kept(bench):
    """
    A host that drains hands over its last positions and the counts that belong to them.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    await bench.host.fail(lease, "STOPPED", bench.counts(70), bench.position("70"))
    again = await bench.host.acquire(lease.execution_id)

    assert (again.answer.execution.counts.read, again.answer.checkpoints[0].position.state) == (70, b"70")


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"counts": {"read": -1}}, "counts.read"),
        ({"checkpoints": [{"partition": "a"}, {"partition": "a"}]}, "checkpoints"),
        ({"checkpoints": [{"position": {"state": b"x" * 70_000}}]}, "checkpoints[0].position.state"),
    ],
)
async def test_positions_and_counts_that_cannot_be_are_refused(bench, message, path):
    """
    A host that sends nonsense is told which field to mend, and loses nothing by it.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    request = pb.CommitCheckpointRequest(
        execution_id=lease.execution_id, fencing_token=lease.token, **message
    )
    fault = await bench.refused(bench.host.stub.CommitCheckpoint(request))

    assert (type(fault), fault.reason) == (FixRequest, "FIELD_INVALID")
    assert path in [violation.path for violation in fault.violations]


async def test_a_failure_without_a_reason_is_refused(bench):
    """
    Whoever fails says why.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    fault = await bench.refused(bench.host.finish(lease, outcome="FAILED"))

    assert {violation.path for violation in fault.violations} == {"error.reason", "error.message"}


async def test_a_renewal_without_counts_leaves_them_as_they_are(bench):
    """
    A host that only says that it is alive does not take back what it told before.
    """
    lease = await bench.host.acquire((await bench.start(await bench.flow())).execution_id)
    await bench.host.renew(lease, bench.counts(5))
    await bench.host.renew(lease)

    assert (await bench.execution(lease.execution_id)).counts.read == 5
