"""Jobs and events: sent, sent again, and not needed for the truth."""

import asyncio
import json

import nats
from isthmus.kit import Database
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.testing.waiting import PATIENCE_SECONDS
from sqlalchemy import text

Status = pb.Execution.Status
Trigger = pb.Execution.Trigger


async def published(bench, kind):
    """Take the tenant's events of one kind off the stream."""
    client = await nats.connect(bench.nats_url)
    try:
        subject = f"isthmus.v1.{bench.tenant}.scheduling.{kind}"
        queue = await client.jetstream().subscribe(subject, ordered_consumer=True)
        message = await queue.next_msg(timeout=PATIENCE_SECONDS)
        return json.loads(message.data)
    finally:
        await client.close()


async def forget_streams(bench):
    client = await nats.connect(bench.nats_url)
    for stream in await client.jetstream().streams_info():
        await client.jetstream().delete_stream(stream.config.name)
    await client.close()


async def test_a_started_execution_becomes_a_job_of_the_sources_connector(bench):
    """
    The job names tenant, execution and flow; its message id is the execution and the attempt.
    """
    flow = await bench.flow()
    execution = await bench.start(flow)
    ((message_id, job),) = await bench.jobs(execution.execution_id)

    assert message_id == f"{execution.execution_id}.1"
    assert job == {
        "tenant_id": bench.tenant,
        "execution_id": execution.execution_id,
        "flow_id": flow.flow_id,
    }


async def test_the_hubs_executions_go_to_the_hubs_hosts(bench):
    """
    Where the hub is the source, its own hosts carry the flow out.
    """
    ends = {
        "source": pb.Endpoint(instance_id="hub", stream="a"),
        "destination": pb.Endpoint(instance_id="ins_files", stream="b"),
    }
    execution = await bench.start(await bench.flow(**ends))

    assert len(await bench.jobs(execution.execution_id, connector="hub")) == 1


async def test_a_host_is_asked_for(bench):
    """
    The registry is asked to have a host of the source's connector started.
    """
    await bench.start(await bench.flow(source=pb.Endpoint(instance_id="ins_other", stream="x")))

    async def was_asked():
        return "other" in bench.registry.resolved

    assert await bench.until(was_asked)


async def test_another_attempt_becomes_another_job(bench):
    """
    A failed attempt is followed by a job that is no repetition of the first.
    """
    execution = await bench.start(await bench.flow())
    await bench.jobs(execution.execution_id)
    await bench.host.fail(await bench.host.acquire(execution.execution_id), "TRANSIENT")
    ((message_id, _),) = await bench.jobs(execution.execution_id)

    assert message_id == f"{execution.execution_id}.2"


async def test_a_job_that_was_lost_is_sent_again(bench):
    """
    Deleting the whole store of JetStream, jobs and events, loses nothing.
    """
    execution = await bench.start(await bench.flow())
    await bench.jobs(execution.execution_id)
    await forget_streams(bench)
    await bench.jobs(execution.execution_id)
    lease = await bench.host.acquire(execution.execution_id)
    ended = await bench.host.finish(lease, bench.counts(2))
    completed = await published(bench, "sync.completed")

    assert ended.status == Status.STATUS_COMPLETED
    assert completed["data"]["execution"]["executionId"] == execution.execution_id


async def test_a_job_that_somebody_took_and_lost_is_sent_again(open_bench):
    """
    Repetitions do not stay mistaken for one another for as long as JetStream remembers ids.
    """
    async with open_bench(resend_seconds=0.02) as benches:
        bench = benches("tnt_lost")
        execution = await bench.start(await bench.flow())
        jobs = await bench.jobs(execution.execution_id, count=2)

    assert [message_id for message_id, _ in jobs] == [
        f"{execution.execution_id}.1",
        f"{execution.execution_id}.1.1",
    ]


async def test_every_step_of_a_sync_is_an_event(bench):
    """
    Started, completed, failed and cancelled executions are told with their instances.
    """
    flow = await bench.flow()
    first = await bench.start(flow)
    await bench.host.finish(await bench.host.acquire(first.execution_id))
    second = await bench.start(flow)
    await bench.host.fail(await bench.host.acquire(second.execution_id), "FATAL")
    third = await bench.start(flow)
    await bench.stub.CancelExecution(pb.CancelExecutionRequest(execution_id=third.execution_id))
    verbs = ["started", "completed", "failed", "cancelled"]
    events = [await published(bench, f"sync.{verb}") for verb in verbs]

    assert [event["type"] for event in events] == [f"isthmus.scheduling.sync.{verb}.v1" for verb in verbs]
    assert [event["subject"] for event in events] == [
        first.execution_id,
        first.execution_id,
        second.execution_id,
        third.execution_id,
    ]
    assert events[0]["data"]["sourceInstanceId"] == "ins_files"


async def test_changes_of_flows_and_schedules_are_events(bench):
    """
    Whoever creates, changes or deletes is told.
    """
    flow = await bench.flow()
    schedule = await bench.schedule(flow, type="TYPE_INTERVAL", interval_minutes=5)
    await bench.stub.UpdateSchedule(pb.UpdateScheduleRequest(schedule=schedule))
    await bench.stub.DeleteSchedule(pb.DeleteScheduleRequest(schedule_id=schedule.schedule_id))
    await bench.stub.UpdateFlow(pb.UpdateFlowRequest(flow=flow))
    await bench.stub.DeleteFlow(pb.DeleteFlowRequest(flow_id=flow.flow_id))
    told = {
        f"{entity}.{verb}": await published(bench, f"{entity}.{verb}")
        for entity in ("flow", "schedule")
        for verb in ("created", "updated", "deleted")
    }

    assert {event["data"]["changedBy"] for event in told.values()} == {"service_account:svc_test"}


async def requeue(bench, flow, ids, count=None):
    data = {
        "flowId": flow.flow_id,
        "quarantineIds": ids,
        "count": str(count or len(ids)),
        "changedBy": "usr_x",
    }
    await bench.publish("records", "quarantine", "requeued", data)


async def waiting(bench, flow, number):
    """Tell whether so many starts of a flow wait; no RPC shows them, so the table is asked."""
    database = Database(bench.service.settings.database_url.get_secret_value(), "scheduling")
    async with database.tenant(bench.tenant) as conn:
        sql = text("select count(*) from waiting where flow_id = :flow_id")
        count = (await conn.execute(sql, {"flow_id": flow.flow_id})).scalar_one()
    await database.close()
    return count == number


async def found(bench, flow, number):
    async def enough():
        executions = await bench.executions(flow)
        return executions if len(executions) >= number else None

    return await bench.until(enough)


async def test_requeued_records_are_delivered_by_an_execution_of_their_own(bench):
    """
    The execution names the records, and leaves the positions of the source alone.
    """
    flow = await bench.flow()
    read = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.finish(read, bench.counts(1), bench.position("monday"))
    await requeue(bench, flow, ["qrn_1", "qrn_2"])
    execution = (await found(bench, flow, 2))[0]
    lease = await bench.host.acquire(execution.execution_id)
    await bench.host.finish(lease, bench.counts(2), bench.position("quarantine"))
    next_read = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert (execution.trigger, execution.initiated_by) == (Trigger.TRIGGER_REQUEUE, "usr_x")
    assert list(lease.answer.quarantine_ids) == ["qrn_1", "qrn_2"]
    assert list(lease.answer.checkpoints) == []
    assert [point.position.state for point in next_read.answer.checkpoints] == [b"monday"]


async def test_requeues_wait_until_the_flow_is_free_and_then_go_together(bench):
    """
    Records requeued while an execution runs follow it in one execution.
    """
    flow = await bench.flow()
    busy = await bench.host.acquire((await bench.start(flow)).execution_id)
    await requeue(bench, flow, ["qrn_1"])
    await requeue(bench, flow, ["qrn_2", "qrn_1"])
    await bench.until(lambda: waiting(bench, flow, 2))
    meanwhile = await bench.executions(flow)
    await bench.host.finish(busy)
    execution = (await found(bench, flow, 2))[0]
    lease = await bench.host.acquire(execution.execution_id)

    assert len(meanwhile) == 1
    assert sorted(lease.answer.quarantine_ids) == ["qrn_1", "qrn_2"]


async def test_more_requeued_records_than_an_event_can_name_means_all(bench):
    """
    An execution without names delivers all that is requeued in the flow.
    """
    flow = await bench.flow()
    await requeue(bench, flow, ["qrn_1"], count=5000)
    execution = (await found(bench, flow, 1))[0]

    assert list((await bench.host.acquire(execution.execution_id)).answer.quarantine_ids) == []


async def test_a_requeue_in_a_flow_that_is_gone_is_forgotten(bench):
    """
    There is nothing to deliver to.
    """
    flow = await bench.flow()
    await bench.stub.DeleteFlow(pb.DeleteFlowRequest(flow_id=flow.flow_id))
    await requeue(bench, flow, ["qrn_1"])
    await asyncio.sleep(0.4)

    assert await bench.executions(flow) == []
