"""Executions: started, carried out, retried, and cancelled."""

import asyncio

import pytest
from isthmus.resilience.faults import Missing, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as pb

Status = pb.Execution.Status


async def test_a_note_of_the_last_attempt_stays_with_the_execution(bench):
    """
    It tells a person what the counts do not.
    """
    execution = await bench.start(await bench.flow())
    lease = await bench.host.acquire(execution.execution_id)
    request = pb.FinishAttemptRequest(
        execution_id=lease.execution_id, fencing_token=lease.token, outcome="OUTCOME_COMPLETED", note="Look."
    )
    ended = (await bench.host.stub.FinishAttempt(request)).execution

    assert (ended.note, (await bench.execution(execution.execution_id)).note) == ("Look.", "Look.")


async def test_an_execution_runs_from_start_to_end(bench):
    """
    A started flow waits for a host, runs under its lease, and is completed with its counts.
    """
    started = await bench.start(await bench.flow("daily"))
    lease = await bench.host.acquire(started.execution_id)
    running = await bench.execution(started.execution_id)
    await bench.host.finish(
        lease, bench.counts(3, created=1, unchanged=1, quarantined=1), bench.position("end")
    )
    ended = await bench.execution(started.execution_id)

    assert [one.status for one in (started, running, ended)] == [
        Status.STATUS_PENDING,
        Status.STATUS_RUNNING,
        Status.STATUS_COMPLETED,
    ]
    assert (ended.records_processed, ended.success_count, ended.error_count) == (3, 2, 1)
    assert (ended.flow_name, ended.attempts, ended.trigger) == ("daily", 1, pb.Execution.TRIGGER_MANUAL)


async def test_the_host_learns_all_it_needs_with_its_lease(bench):
    """
    The flow comes with the version of its mapping that this execution uses.
    """
    flow = await bench.flow(mapping_id="map_x")
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert (lease.answer.flow.flow_id, lease.answer.flow.mapping_version) == (flow.flow_id, 7)
    assert (lease.answer.execution.mapping_version, lease.attempt) == (7, 1)


async def test_another_attempt_uses_the_same_version_of_the_mapping(bench):
    """
    A version saved meanwhile waits for the next execution.
    """
    execution = await bench.start(await bench.flow(mapping_id="map_x", mapping_version=3))
    await bench.host.fail(await bench.host.acquire(execution.execution_id), "STOPPED")
    again = await bench.host.acquire(execution.execution_id)

    assert again.answer.flow.mapping_version == 3


async def test_a_mapping_that_is_gone_fails_the_execution(bench):
    """
    Without its mapping an execution cannot run, and says why.
    """
    execution = await bench.start(await bench.flow(mapping_id="map_late"))
    bench.mapping.gone.add("map_late")
    fault = await bench.refused(bench.host.acquire(execution.execution_id))
    ended = await bench.execution(execution.execution_id)

    assert fault.reason == "EXECUTION_ENDED"
    assert (ended.status, ended.error.reason) == (Status.STATUS_FAILED, "MAPPING_UNKNOWN")


async def test_a_flow_has_one_execution_at_a_time(bench):
    """
    While one is pending or running, another start is refused and the live one is named.
    """
    flow = await bench.flow()
    first = await bench.start(flow)
    pending = await bench.refused(bench.start(flow))
    lease = await bench.host.acquire(first.execution_id)
    running = await bench.refused(bench.start(flow))
    await bench.host.finish(lease)
    second = await bench.start(flow)

    assert {(fault.reason, fault.metadata["execution_id"]) for fault in (pending, running)} == {
        ("EXECUTION_RUNNING", first.execution_id)
    }
    assert second.execution_id != first.execution_id


async def test_many_starts_at_once_make_one_execution(bench):
    """
    However many callers start a flow at the same moment, one of them does.
    """
    flow = await bench.flow()
    results = await asyncio.gather(*(bench.start(flow) for _ in range(8)), return_exceptions=True)

    assert sum(isinstance(result, pb.Execution) for result in results) == 1


async def test_a_repeated_start_gives_the_first_execution(bench):
    """
    The same request id starts once, also while and after the execution runs.
    """
    flow = await bench.flow()
    first = await bench.start(flow, "r1")
    again = await bench.start(flow, "r1")
    await bench.host.finish(await bench.host.acquire(first.execution_id))
    later = await bench.start(flow, "r1")

    assert {first.execution_id, again.execution_id, later.execution_id} == {first.execution_id}


async def test_an_inactive_flow_does_not_start(bench):
    """
    A flow that is switched off says so.
    """
    fault = await bench.refused(bench.start(await bench.flow(is_active=False)))

    assert (type(fault), fault.reason) == (Precondition, "FLOW_INACTIVE")


@pytest.mark.parametrize("state", ["inactive", "gone"])
async def test_a_flow_of_an_inactive_instance_does_not_start(bench, state):
    """
    Both instances have to be active, and the one that is not is named.
    """
    name = f"ins_{state}"
    flow = await bench.flow(source=pb.Endpoint(instance_id=name, stream="x"))
    getattr(bench.registry, state).add(name)
    fault = await bench.refused(bench.start(flow))

    assert (fault.reason, fault.metadata["instance_id"]) == ("INSTANCE_INACTIVE", name)


async def test_what_is_not_there_is_missing(bench):
    """
    Unknown flows and executions are told apart from everything else.
    """
    unknown = {"execution_id": "exe_x"}
    stub = bench.stub
    faults = [
        await bench.refused(stub.GetExecution(pb.GetExecutionRequest(**unknown))),
        await bench.refused(stub.CancelExecution(pb.CancelExecutionRequest(**unknown))),
        await bench.refused(stub.ListAttempts(pb.ListAttemptsRequest(**unknown))),
        await bench.refused(anext(aiter(stub.WatchExecution(pb.WatchExecutionRequest(**unknown))))),
        await bench.refused(bench.host.acquire("exe_x")),
    ]
    no_flow = await bench.refused(stub.StartExecution(pb.StartExecutionRequest(flow_id="flw_x")))

    assert {(type(fault), fault.reason) for fault in faults} == {(Missing, "EXECUTION_UNKNOWN")}
    assert no_flow.reason == "FLOW_UNKNOWN"


async def test_a_passing_failure_is_followed_by_another_attempt(bench):
    """
    A transient failure leads back to pending, is told, and is forgotten by success.
    """
    execution = await bench.start(await bench.flow())
    failed = await bench.host.fail(await bench.host.acquire(execution.execution_id), "TRANSIENT")
    lease = await bench.until(lambda: self_acquire(bench, execution))
    ended = await bench.host.finish(lease, bench.counts(1))

    assert (failed.status, failed.error.reason) == (Status.STATUS_PENDING, "IT_BROKE")
    assert failed.HasField("next_attempt_time")
    assert (ended.status, ended.attempts, ended.HasField("error")) == (Status.STATUS_COMPLETED, 2, False)


async def self_acquire(bench, execution):
    """Take the lease, or nothing while the next attempt is not due."""
    try:
        return await bench.host.acquire(execution.execution_id)
    except Exception:
        return None


async def test_a_flow_says_after_how_many_failures_to_give_up(bench):
    """
    The policy of the flow bounds the attempts.
    """
    flow = await bench.flow(failure_policy=pb.FailurePolicy(max_attempts=2))
    execution = await bench.start(flow)
    for _ in range(2):
        lease = await bench.until(lambda: self_acquire(bench, execution))
        ended = await bench.host.fail(lease, "TRANSIENT")

    assert (ended.status, ended.attempts, ended.error.reason) == (Status.STATUS_FAILED, 2, "IT_BROKE")


async def test_a_system_that_asks_for_time_gets_it(bench):
    """
    Before the time a rate limit asks for has passed no host gets the lease.
    """
    execution = await bench.start(await bench.flow())
    lease = await bench.host.acquire(execution.execution_id)
    error = pb.ExecutionError(kind="KIND_RATE_LIMITED", reason="SLOW_DOWN", message="Wait a minute.")
    error.retry_after.FromSeconds(60)
    failed = await bench.host.finish(lease, outcome="FAILED", error=error)
    early = await bench.refused(bench.host.acquire(execution.execution_id))

    assert (failed.next_attempt_time.ToDatetime() - failed.start_time.ToDatetime()).total_seconds() > 59
    assert early.reason == "LEASE_HELD"


async def test_counts_that_do_not_reconcile_fail_the_execution(bench):
    """
    An attempt that lost a record does not complete, and its positions are not believed.
    """
    flow = await bench.flow()
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    ended = await bench.host.finish(lease, bench.counts(3, created=2), bench.position("end"))
    again = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert (ended.status, ended.error.reason) == (Status.STATUS_FAILED, "COUNTS_DO_NOT_RECONCILE")
    assert list(again.answer.checkpoints) == []


async def test_too_many_quarantined_records_stop_an_execution(bench):
    """
    The host is told to stop as soon as the limit is passed, and the execution fails.
    """
    flow = await bench.flow(failure_policy=pb.FailurePolicy(max_quarantined=2))
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    below = await bench.host.commit(lease, bench.counts(2, quarantined=2), bench.position("a"))
    above = await bench.host.renew(lease, bench.counts(3, quarantined=3))
    ended = await bench.host.finish(lease, bench.counts(3, quarantined=3), outcome="CANCELLED")

    assert (below.is_cancel_requested, above.is_cancel_requested) == (False, True)
    assert (ended.status, ended.error.reason) == (Status.STATUS_FAILED, "TOO_MANY_QUARANTINED")


async def test_a_pending_execution_is_cancelled_at_once(bench):
    """
    What nobody works on ends when asked to, and stays ended.
    """
    execution = await bench.start(await bench.flow())
    request = pb.CancelExecutionRequest(execution_id=execution.execution_id)
    first = await bench.stub.CancelExecution(request)
    again = await bench.stub.CancelExecution(request)
    fault = await bench.refused(bench.host.acquire(execution.execution_id))

    assert first.execution.status == Status.STATUS_CANCELLED
    assert (again, fault.reason) == (first, "EXECUTION_ENDED")


async def test_a_running_execution_is_asked_to_stop(bench):
    """
    The host learns of the request and ends the attempt; what is durable stays.
    """
    execution = await bench.start(await bench.flow())
    lease = await bench.host.acquire(execution.execution_id)
    request = pb.CancelExecutionRequest(execution_id=execution.execution_id)
    asked = (await bench.stub.CancelExecution(request)).execution
    answer = await bench.host.renew(lease, bench.counts(5))
    ended = await bench.host.finish(lease, bench.counts(5), bench.position("here"), outcome="CANCELLED")

    assert (asked.status, asked.is_cancel_requested) == (Status.STATUS_RUNNING, True)
    assert answer.is_cancel_requested
    assert (ended.status, ended.counts.created) == (Status.STATUS_CANCELLED, 5)


async def test_lists_are_newest_first_and_can_be_narrowed(bench):
    """
    Executions of a flow in some states are found page by page.
    """
    flow = await bench.flow()
    made = []
    for _ in range(3):
        execution = await bench.start(flow)
        await bench.stub.CancelExecution(pb.CancelExecutionRequest(execution_id=execution.execution_id))
        made.append(execution.execution_id)
    request = pb.ListExecutionsRequest(flow_id=flow.flow_id, page_size=2, statuses=["STATUS_CANCELLED"])
    first = await bench.stub.ListExecutions(request)
    request.page_token = first.next_page_token
    second = await bench.stub.ListExecutions(request)
    others = pb.ListExecutionsRequest(flow_id=flow.flow_id, statuses=["STATUS_RUNNING"])
    none = await bench.stub.ListExecutions(others)

    assert [one.execution_id for one in [*first.executions, *second.executions]] == made[::-1]
    assert list(none.executions) == []


async def test_attempts_are_listed_with_their_reasons(bench):
    """
    Each attempt keeps its host, its fencing token, its counts and why it ended.
    """
    execution = await bench.start(await bench.flow())
    await bench.host.fail(await bench.host.acquire(execution.execution_id), "STOPPED", bench.counts(4))
    lease = await bench.host.acquire(execution.execution_id)
    await bench.host.renew(lease, bench.counts(2))
    first, second = await bench.attempts(execution.execution_id)

    assert (first.attempt, first.error.kind, first.counts.read) == (1, pb.ExecutionError.KIND_STOPPED, 4)
    assert (second.attempt, second.HasField("end_time"), second.counts.read) == (2, False, 2)
    assert second.fencing_token > first.fencing_token


async def test_a_start_because_of_an_event_says_so(bench):
    """
    Whoever names an event as the reason starts an execution triggered by an event.
    """
    flow = await bench.flow()
    request = pb.StartExecutionRequest(flow_id=flow.flow_id, event_id="evt_1")
    execution = (await bench.stub.StartExecution(request)).execution

    assert execution.trigger == pb.Execution.TRIGGER_EVENT


async def test_executions_that_ended_long_ago_are_forgotten(open_bench):
    """
    Ended executions go with their attempts after a while; what lives stays.
    """
    async with open_bench(prune_seconds=0.05) as benches:
        bench = benches("tnt_old")
        ended, alive = await bench.start(await bench.flow()), await bench.start(await bench.flow())
        await bench.host.finish(await bench.host.acquire(ended.execution_id))
        bench.clock.forward(days=366)

        async def forgotten():
            found = await bench.stub.ListExecutions(pb.ListExecutionsRequest())
            return [one.execution_id for one in found.executions] == [alive.execution_id]

        assert await bench.until(forgotten)


async def test_the_first_lease_tells_the_etags_of_this_start(bench, monkeypatch):
    """
    A host learns how the instances were when its execution started, each time anew; a retry reads them.
    """
    flow, told = await bench.flow(), []
    for etag in ("7", "8"):
        monkeypatch.setattr(bench.registry, "etag", etag)
        lease = await bench.host.acquire((await bench.start(flow)).execution_id)
        told.append(lease.answer.source_etag)
        if etag == "7":
            await bench.host.finish(lease, bench.counts(1))
    await bench.host.fail(lease, "TRANSIENT")
    retry = await bench.until(lambda: self_acquire(bench, lease))

    assert told == ["7", "8"]
    assert retry.answer.source_etag == ""


async def test_a_flow_that_has_moved_to_another_instance_asks_about_that_one(bench, monkeypatch):
    """
    What a flow needed at its last start is not what counts: an instance it needs now may be inactive.
    """
    flow = await bench.flow()
    await bench.host.finish(await bench.host.acquire((await bench.start(flow)).execution_id), bench.counts(1))
    flow.source.instance_id = "ins_elsewhere"
    changed = (await bench.stub.UpdateFlow(pb.UpdateFlowRequest(flow=flow, etag=""))).flow
    monkeypatch.setattr(bench.registry, "inactive", {"ins_elsewhere"})
    fault = await bench.refused(bench.start(changed))

    assert fault.reason == "INSTANCE_INACTIVE"
