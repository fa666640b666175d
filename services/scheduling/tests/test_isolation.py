"""Tenants do not see one another, and nobody does what nobody allowed."""

import pytest
from isthmus.scheduling.v1 import plans_pb2
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub

HOURLY = {"type": "TYPE_INTERVAL", "interval_minutes": 60}


@pytest.fixture
async def belongings(bench):
    """Give one tenant a flow, a schedule and a running execution."""
    flow = await bench.flow("mine")
    schedule = await bench.schedule(flow, **HOURLY)
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.commit(lease, bench.counts(1), bench.position("here"))
    return flow, schedule, lease


async def attempts_of_a_stranger(stranger, host, flow, schedule, lease):
    """Try every RPC that names something of the other tenant's; gives the reasons."""
    held = {"execution_id": lease.execution_id, "fencing_token": lease.token}
    execution = {"execution_id": lease.execution_id}
    watching = stranger.stub.WatchExecution(pb.WatchExecutionRequest(**execution))
    calls = {
        "GetFlow": pb.GetFlowRequest(flow_id=flow.flow_id),
        "UpdateFlow": pb.UpdateFlowRequest(flow=flow),
        "ResetFlow": pb.ResetFlowRequest(flow_id=flow.flow_id),
        "CreateSchedule": pb.CreateScheduleRequest(schedule=pb.Schedule(flow_id=flow.flow_id, **HOURLY)),
        "GetSchedule": pb.GetScheduleRequest(schedule_id=schedule.schedule_id),
        "UpdateSchedule": pb.UpdateScheduleRequest(schedule=schedule),
        "StartExecution": pb.StartExecutionRequest(flow_id=flow.flow_id),
        "GetExecution": pb.GetExecutionRequest(**execution),
        "CancelExecution": pb.CancelExecutionRequest(**execution),
        "ListAttempts": pb.ListAttemptsRequest(**execution),
        "AcquireLease": pb.AcquireLeaseRequest(**execution, host_id="h"),
        "RenewLease": pb.RenewLeaseRequest(**held),
        "CommitCheckpoint": pb.CommitCheckpointRequest(**held, checkpoints=[pb.Checkpoint(is_complete=True)]),
        "FinishAttempt": pb.FinishAttemptRequest(**held, outcome="OUTCOME_COMPLETED"),
    }
    reasons = {
        name: (await stranger.refused(getattr(host, name)(call))).reason for name, call in calls.items()
    }
    reasons["WatchExecution"] = (await stranger.refused(anext(aiter(watching)))).reason
    return reasons


async def test_another_tenant_finds_no_plan_and_no_run(bench, benches):
    """
    Every RPC that names a plan, a run or a flow of somebody else finds nothing; the run goes on.
    """
    flow = await bench.flow()
    steps = [plans_pb2.PlanStep(name="one", flow_id=flow.flow_id)]
    plan = plans_pb2.Plan(name="mine", is_active=True, steps=steps)
    made = (await bench.plans.CreatePlan(plans_pb2.CreatePlanRequest(plan=plan))).plan
    run = (await bench.plans.StartPlanRun(plans_pb2.StartPlanRunRequest(plan_id=made.plan_id))).run
    stranger = benches("tnt_stranger_3")
    named, running = {"plan_id": made.plan_id}, {"plan_run_id": run.plan_run_id}
    scheduled = pb.CreateScheduleRequest(schedule=pb.Schedule(**named, **HOURLY))
    calls = [
        stranger.plans.CreatePlan(plans_pb2.CreatePlanRequest(plan=plan)),
        stranger.plans.GetPlan(plans_pb2.GetPlanRequest(**named)),
        stranger.plans.UpdatePlan(plans_pb2.UpdatePlanRequest(plan=made)),
        stranger.plans.StartPlanRun(plans_pb2.StartPlanRunRequest(**named)),
        stranger.plans.GetPlanRun(plans_pb2.GetPlanRunRequest(**running)),
        stranger.plans.CancelPlanRun(plans_pb2.CancelPlanRunRequest(**running)),
        stranger.plans.PausePlanRun(plans_pb2.PausePlanRunRequest(**running)),
        stranger.plans.ResumePlanRun(plans_pb2.ResumePlanRunRequest(**running)),
        anext(aiter(stranger.plans.WatchPlanRun(plans_pb2.WatchPlanRunRequest(**running)))),
        stranger.stub.PauseFlow(pb.PauseFlowRequest(flow_id=flow.flow_id)),
        stranger.stub.ResumeFlow(pb.ResumeFlowRequest(flow_id=flow.flow_id)),
        stranger.stub.CreateSchedule(scheduled),
    ]
    reasons = {(await stranger.refused(call)).reason for call in calls}
    await stranger.plans.DeletePlan(plans_pb2.DeletePlanRequest(**named))
    listed = await stranger.plans.ListPlanRuns(plans_pb2.ListPlanRunsRequest())

    assert reasons == {"FLOW_UNKNOWN", "PLAN_UNKNOWN", "PLAN_RUN_UNKNOWN"}
    assert list(listed.runs) == []
    assert (await bench.plans.GetPlanRun(plans_pb2.GetPlanRunRequest(**running))).run == run


async def test_another_tenant_finds_nothing_behind_any_id(bench, benches, belongings):
    """
    Every RPC that names a flow, a schedule or an execution of somebody else finds nothing there.
    """
    stranger = benches("tnt_stranger")
    reasons = await attempts_of_a_stranger(stranger, stranger.host.stub, *belongings)

    assert set(reasons.values()) == {"FLOW_UNKNOWN", "SCHEDULE_UNKNOWN", "EXECUTION_UNKNOWN", "FENCED"}


async def test_another_tenant_changes_nothing(bench, benches, belongings):
    """
    Deleting by a foreign id and a taken name have no effect across tenants.
    """
    flow, schedule, lease = belongings
    stranger = benches("tnt_stranger_2")
    await stranger.stub.DeleteFlow(pb.DeleteFlowRequest(flow_id=flow.flow_id))
    await stranger.stub.DeleteSchedule(pb.DeleteScheduleRequest(schedule_id=schedule.schedule_id))
    await stranger.flow("mine")
    left = await bench.stub.GetSchedule(pb.GetScheduleRequest(schedule_id=schedule.schedule_id))

    left.schedule.ClearField("hold_reason")
    assert left.schedule == schedule
    assert (await bench.host.finish(lease, bench.counts(1))).status == pb.Execution.STATUS_COMPLETED


async def test_lists_show_the_callers_own_only(bench, benches, belongings):
    """
    A tenant without anything sees empty lists.
    """
    stranger = benches("tnt_stranger_3").stub
    flows = await stranger.ListFlows(pb.ListFlowsRequest())
    schedules = await stranger.ListSchedules(pb.ListSchedulesRequest())
    executions = await stranger.ListExecutions(pb.ListExecutionsRequest())

    assert [*flows.flows, *schedules.schedules, *executions.executions] == []


async def test_an_event_of_one_tenant_starts_nothing_of_another(bench, benches):
    """
    Two tenants that wait for the same type of event wait for their own events.
    """
    mine, other = await bench.flow(), benches("tnt_other")
    kind = {"type": "TYPE_EVENT", "event_trigger": "isthmus.records.record.changed.v1"}
    await bench.schedule(mine, **kind)
    theirs = await other.flow()
    await other.schedule(theirs, **kind)
    await other.publish("records", "record", "changed", {})

    async def theirs_started():
        return await other.executions(theirs)

    await other.until(theirs_started)

    assert await bench.executions(mine) == []


@pytest.mark.parametrize(
    ("rpc", "request_type"),
    [
        (method.name, getattr(pb, method.input_type.name))
        for method in pb.DESCRIPTOR.services_by_name["SchedulingService"].methods
        if method.name != "WatchExecution"
    ],
)
async def test_every_call_needs_its_permission(bench, rpc, request_type):
    """
    Without permissions nothing is read and nothing is done; without an identity even less.
    """
    powerless = SchedulingServiceStub(bench.service.channel(tenant=bench.tenant, permissions=[]))
    nobody = SchedulingServiceStub(bench.service.channel(anonymous=True))
    refused = await bench.refused(getattr(powerless, rpc)(request_type()))
    unknown = await bench.refused(getattr(nobody, rpc)(request_type()))

    assert refused.reason == "PERMISSION_MISSING"
    assert unknown.reason in {"CALLER_UNKNOWN", "IDENTITY_MISSING"}
