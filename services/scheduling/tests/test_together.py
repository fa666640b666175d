"""Requests that come at the same time are done together, and each gets its own answer."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from isthmus.resilience.faults import RetryLater
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain import Counts, Endpoint, Execution, FlowSpec, Status, Trigger
from isthmus.services.scheduling.translate import sync_data, write_sync

State = pb.Execution.Status
COMPLETED = "OUTCOME_COMPLETED"


async def settled(calls):
    """Await calls side by side; gives what each ended with."""
    return await asyncio.gather(*calls, return_exceptions=True)


async def reasons(bench, calls):
    """Await calls side by side; gives the reason of each that was refused, and "" for the others."""

    async def one(call):
        try:
            await call
        except Exception as error:
            return (await bench.refused(_raised(error))).reason
        return ""

    return await asyncio.gather(*map(one, calls))


async def _raised(error):
    raise error


async def acquired(bench, *execution_ids, origins=()):
    """Ask for several leases in one call; gives the results."""
    leases = [pb.AcquireLeaseRequest(execution_id=one, host_id="host-1") for one in execution_ids]
    request = pb.AcquireLeasesRequest(leases=leases, origins=origins)
    return list((await bench.host.stub.AcquireLeases(request)).results)


def end_of(result, **more):
    return pb.FinishAttemptRequest(
        **{
            "execution_id": result.lease.execution.execution_id,
            "fencing_token": result.lease.fencing_token,
            "outcome": COMPLETED,
            **more,
        }
    )


async def finished(bench, *ends):
    """End several attempts in one call; gives the results."""
    return list((await bench.host.stub.FinishAttempts(pb.FinishAttemptsRequest(attempts=ends))).results)


async def started(bench, count):
    """Start as many flows as that; gives the executions' ids."""
    flows = [await bench.flow() for _ in range(count)]
    return [one.execution_id for one in await asyncio.gather(*map(bench.start, flows))]


async def test_many_flows_are_started_carried_out_and_ended_together(bench):
    """
    Whatever is done together ends as it would one by one, round after round.
    """
    flows = [await bench.flow(mapping_id="map_x") for _ in range(6)]
    for _ in range(3):
        ids = [one.execution_id for one in await asyncio.gather(*map(bench.start, flows))]
        leases = await acquired(bench, *ids)
        ends = [end_of(one, counts=bench.counts(2), checkpoints=[bench.position("here")]) for one in leases]
        results = await finished(bench, *ends)
    ended = [await bench.execution(one) for one in ids]

    assert [one.closed.execution for one in results] == ended
    assert {(one.status, one.attempts, one.records_processed) for one in ended} == {
        (State.STATUS_COMPLETED, 1, 2)
    }
    assert {one.lease.fencing_token for one in leases} == {3}
    assert {one.lease.checkpoints[0].position.state for one in leases} == {b"here"}


async def test_a_bad_start_harms_no_other(bench):
    """
    A flow that is unknown, paused, without its instance, or at work is refused alone.
    """
    good = [await bench.flow() for _ in range(3)]
    unsure, idle = (
        await bench.flow(),
        await bench.flow(source=pb.Endpoint(instance_id="ins_idle", stream="x")),
    )
    await bench.stub.PauseFlow(pb.PauseFlowRequest(flow_id=unsure.flow_id))
    bench.registry.inactive.add("ins_idle")
    busy = await bench.flow()
    await bench.start(busy)
    asked = [good[0], unsure, good[1], pb.Flow(flow_id="flw_unknown"), idle, busy, good[2]]
    found = await reasons(bench, map(bench.start, asked))

    refused = ["", "FLOW_PAUSED", "", "FLOW_UNKNOWN", "INSTANCE_INACTIVE", "EXECUTION_RUNNING", ""]
    assert found == refused


async def begun(bench, *flows, request_ids=()):
    """Start several flows in one call; gives the results."""
    ids = [*request_ids, *[""] * (len(flows) - len(request_ids))]
    starts = [
        pb.StartExecutionRequest(flow_id=flow.flow_id, request_id=one)
        for flow, one in zip(flows, ids, strict=True)
    ]
    return list((await bench.stub.StartExecutions(pb.StartExecutionsRequest(starts=starts))).results)


async def test_one_call_starts_many_flows_and_a_bad_one_harms_no_other(bench):
    """
    Each start has its own end, and an id under which it may be repeated, here or alone.
    """
    good, paused, busy = [await bench.flow() for _ in range(3)], await bench.flow(), await bench.flow()
    await bench.stub.PauseFlow(pb.PauseFlowRequest(flow_id=paused.flow_id))
    for one in (await begun(bench, *good, busy))[:3]:
        await bench.host.finish(await bench.host.acquire(one.started.execution.execution_id))
    asked = [good[0], paused, good[1], busy, pb.Flow(flow_id="flw_unknown"), pb.Flow(), good[2]]
    results = await begun(bench, *asked, request_ids=["a", "b", "c", "d"])
    started = [one.started.execution.execution_id for one in results if one.HasField("started")]
    again = [await bench.start(good[0], "a"), *(await begun(bench, good[1], request_ids=["c"]))]

    reasons = ["", "FLOW_PAUSED", "", "EXECUTION_RUNNING", "FLOW_UNKNOWN", "FIELD_INVALID", ""]
    assert [one.refusal.reason for one in results] == reasons
    assert started[:2] == [again[0].execution_id, again[1].started.execution.execution_id]
    assert len(set(started)) == 3


async def test_of_many_starts_of_one_flow_one_has_effect(bench):
    """
    However many ask at the same time, a flow has one execution, and the others are told which.
    """
    flow, others = await bench.flow(), [await bench.flow() for _ in range(4)]
    await bench.host.finish(await bench.host.acquire((await bench.start(flow)).execution_id))
    calls = [bench.start(one) for one in (flow, *others, flow, flow, flow)]
    found = await reasons(bench, calls)

    assert sorted(found) == ["", "", "", "", "", *["EXECUTION_RUNNING"] * 3]
    assert len(await bench.executions(flow)) == 2


async def test_equal_requests_at_the_same_time_get_the_same_answer(bench):
    """
    A request that is repeated while the first one is under way, or later, starts nothing.
    """
    flow, other = await bench.flow(), await bench.flow()
    await bench.host.finish(await bench.host.acquire((await bench.start(flow)).execution_id))
    same = await asyncio.gather(*(bench.start(flow, "once") for _ in range(4)))
    later = await bench.start(flow, "once")
    fault = await bench.refused(bench.start(other, "once"))

    assert {one.execution_id for one in [*same, later]} == {same[0].execution_id}
    assert fault.reason == "REQUEST_ID_REUSED"
    assert not await bench.executions(other)


async def test_a_request_that_was_refused_may_be_sent_again_under_its_id(bench):
    """
    The id of a start that found its flow at work is free: once the flow is idle, it starts it.
    """
    flow, other = await bench.flow(), await bench.flow()
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    found = await reasons(bench, [bench.start(other), bench.start(flow, "later")])
    await bench.host.finish(lease)
    again = await bench.start(flow, "later")

    assert found == ["", "EXECUTION_RUNNING"]
    assert again.status == State.STATUS_PENDING


async def test_a_lease_that_cannot_be_had_keeps_nobody_from_the_others(bench):
    """
    In one call: unknown, ended, held by somebody else, asked for twice, malformed; the good ones are given.
    """
    first, second, held, ended = await started(bench, 4)
    await bench.host.acquire(held)
    await bench.host.finish(await bench.host.acquire(ended))
    results = await acquired(bench, first, "exe_unknown", held, ended, second, first, "x" * 65)

    found = [one.refusal.reason or one.lease.execution.execution_id for one in results]
    bad = ["EXECUTION_UNKNOWN", "LEASE_HELD", "EXECUTION_ENDED"]
    assert found == [first, *bad, second, "LEASE_HELD", "FIELD_INVALID"]
    assert results[2].refusal.metadata["host_id"] == "host-1"


async def test_an_end_that_is_refused_keeps_no_other_from_ending(bench):
    """
    In one call: a wrong token, counts that cannot be, an end told twice, another outcome; the good ones end.
    """
    ids = await started(bench, 4)
    one, two, three, four = await acquired(bench, *ids)
    failed = {"outcome": "OUTCOME_FAILED", "error": pb.ExecutionError(reason="BROKE", message="It broke.")}
    results = await finished(
        bench,
        end_of(one),
        end_of(two, fencing_token=99),
        end_of(three, counts=bench.counts(-1)),
        end_of(one),
        end_of(one, **failed),
        end_of(four, counts=bench.counts(5, created=4)),
    )

    found = [one.refusal.reason or State.Name(one.closed.execution.status) for one in results]
    assert found == [
        "STATUS_COMPLETED",
        "FENCED",
        "FIELD_INVALID",
        "STATUS_COMPLETED",
        "FENCED",
        "STATUS_FAILED",
    ]
    assert results[5].closed.execution.error.reason == "COUNTS_DO_NOT_RECONCILE"


async def test_a_call_that_is_repeated_changes_nothing(bench):
    """
    A host that did not hear the answer to its ends asks again and gets it; leases stay with who has them.
    """
    ids = await started(bench, 3)
    leases = await acquired(bench, *ids)
    held = await acquired(bench, *ids)
    first = await finished(bench, *map(end_of, leases))
    again = await finished(bench, *map(end_of, leases))

    assert {one.refusal.reason for one in held} == {"LEASE_HELD"}
    assert first == again


async def test_what_was_told_meanwhile_counts(bench):
    """
    Positions committed, a stop asked for: the end knows of them though others end in the same transaction.
    """
    ids = await started(bench, 3)
    one, two, three = await acquired(bench, *ids)
    for lease in (one.lease, three.lease):
        which = {"execution_id": lease.execution.execution_id, "fencing_token": lease.fencing_token}
        progress = {**which, "counts": bench.counts(4), "checkpoints": [bench.position("four")]}
        await bench.host.stub.CommitCheckpoint(pb.CommitCheckpointRequest(**progress))
    await bench.stub.CancelExecution(pb.CancelExecutionRequest(execution_id=ids[1]))
    stopped = {"outcome": "OUTCOME_CANCELLED"}
    failed = {"outcome": "OUTCOME_FAILED", "error": pb.ExecutionError(reason="BROKE", message="It broke.")}
    done = {"counts": bench.counts(5), "checkpoints": [bench.position("five")]}
    results = await finished(bench, end_of(one, **failed), end_of(two, **stopped), end_of(three, **done))

    seen = [(one.closed.execution.status, one.closed.execution.records_processed) for one in results]
    expected = [(State.STATUS_PENDING, 4), (State.STATUS_CANCELLED, 0), (State.STATUS_COMPLETED, 5)]
    assert seen == expected


async def test_a_flow_that_another_process_has_paused_is_not_started(bench):
    """
    What this process has seen of a flow counts only as long as it is stored so.
    """
    flow = await bench.flow()
    await bench.host.finish(await bench.host.acquire((await bench.start(flow)).execution_id))
    await _behind(bench, "UPDATE flows SET pause_time = now(), paused_by = 'usr_2'", "flow_id", flow.flow_id)
    fault = await bench.refused(bench.start(flow))

    assert fault.reason == "FLOW_PAUSED"
    assert len(await bench.executions(flow)) == 1


async def test_an_attempt_that_another_process_has_given_away_does_not_end(bench):
    """
    The end of an attempt that was overtaken through another process is refused, beside one that is not.
    """
    ids = await started(bench, 2)
    one, two = await acquired(bench, *ids)
    overtaken = "UPDATE executions SET fencing_token = fencing_token + 1, revision = revision + 1"
    await _behind(bench, overtaken, "execution_id", ids[0])
    results = await finished(bench, end_of(one), end_of(two))

    assert [result.refusal.reason for result in results] == ["FENCED", ""]
    assert (await bench.execution(ids[0])).status == State.STATUS_RUNNING


async def _behind(bench, change, column, value):
    """Change a row as another process of the service would."""
    async with await psycopg.AsyncConnection.connect(bench.mesh.database_url()) as admin:
        await admin.execute("SET search_path = scheduling")
        await admin.execute(f"{change} WHERE {column} = %s", [value])


async def test_each_event_belongs_to_its_own_execution(bench):
    """
    Events of what was done together carry the correlation id of each start.
    """
    flows = [await bench.flow() for _ in range(3)]
    await asyncio.gather(*map(bench.start, flows))
    for flow in flows:
        (execution,) = await bench.executions(flow)
        await bench.host.finish(await bench.host.acquire(execution.execution_id))

    async def start(flow, word):
        request = pb.StartExecutionRequest(flow_id=flow.flow_id)
        call = bench.stub.StartExecution(request, metadata=[("isthmus-correlation-id", word)])
        return (await call).execution.execution_id

    words = ["one", "two", "three"]
    ids = await asyncio.gather(*map(start, flows, words))
    await finished(bench, *map(end_of, await acquired(bench, *ids)))
    async with await psycopg.AsyncConnection.connect(bench.mesh.database_url()) as admin:
        query = (
            "SELECT b ->> 'subject', array_agg(DISTINCT b ->> 'correlationid'), count(*) "
            "FROM (SELECT body::jsonb AS b FROM scheduling.outbox WHERE tenant_id = %s) told "
            "WHERE b ->> 'subject' = ANY(%s) GROUP BY 1"
        )
        rows = await (await admin.execute(query, [bench.tenant, ids])).fetchall()

    assert sorted(rows) == sorted((name, [word], 2) for name, word in zip(ids, words, strict=True))


async def test_whoever_loses_the_database_in_the_middle_asks_again(bench):
    """
    A transaction that breaks off leaves nothing of any start; each caller is told to repeat it, and may.
    """
    flows = [await bench.flow() for _ in range(3)]
    await asyncio.gather(*map(bench.start, flows))
    for flow in flows:
        (execution,) = await bench.executions(flow)
        await bench.host.finish(await bench.host.acquire(execution.execution_id))
    admin = await psycopg.AsyncConnection.connect(bench.mesh.database_url())
    async with admin:
        await admin.execute("SELECT FROM scheduling.flows WHERE flow_id = %s FOR UPDATE", [flows[1].flow_id])
        calls = [asyncio.create_task(bench.start(flow, f"r{at}")) for at, flow in enumerate(flows)]
        await bench.until(lambda: _broken_off(bench))
        found = await settled(calls)
        await admin.rollback()
    again = await asyncio.gather(*(bench.start(flow, f"r{at}") for at, flow in enumerate(flows)))

    told = [await bench.refused(_raised(one)) for one in found if isinstance(one, BaseException)]
    assert {(type(one), one.reason) for one in told} == {(RetryLater, "DATABASE_UNREACHABLE")}
    assert [len(await bench.executions(flow)) for flow in flows] == [2, 2, 2]
    assert len({one.execution_id for one in again}) == 3


async def _broken_off(bench):
    """Break off what waits for a lock in the scheduling service; tell how many that were."""
    async with await psycopg.AsyncConnection.connect(bench.mesh.database_url(), autocommit=True) as other:
        found = await other.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return (await found.fetchone())[0]


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
SPEC = FlowSpec("daily", Endpoint("ins_a", "incident"), Endpoint("hub", "incident"))
BEGUN = Execution(
    "exe_1", "flw_1", SPEC, "files", "e1", Trigger.MANUAL, "usr_1", datetime(2026, 1, 1, tzinfo=UTC)
)


@given(
    create=MOMENTS,
    whole=st.booleans(),
    numbers=st.lists(st.integers(0, 2**53), min_size=11, max_size=11),
    status=st.sampled_from(list(Status)),
    trigger=st.sampled_from(list(Trigger)),
    priority=st.integers(-1000, 1000),
    words=st.tuples(st.text(max_size=20), st.text(max_size=20)),
)
def test_what_is_told_of_an_execution_is_its_message(
    create, whole, numbers, status, trigger, priority, words
):
    """
    What events say is the canonical JSON of the contract's message, written in another way.
    """
    moment = create.replace(microsecond=0) if whole else create
    execution = replace(
        BEGUN,
        flow=replace(SPEC, name=words[0] or "x"),
        initiated_by=words[1],
        create_time=moment,
        start_time=moment + timedelta(milliseconds=3),
        end_time=moment + timedelta(seconds=1) if status is Status.COMPLETED else None,
        status=status,
        trigger=trigger,
        priority=priority,
        before=Counts(*numbers),
        live=Counts(read=1, bytes_sent=2),
        attempts=numbers[0] % 7,
        mapping_version=numbers[1] % 9,
        expected_records=numbers[2],
        schedule_id=words[1],
    )

    assert sync_data(execution) == MessageToDict(write_sync(execution))
