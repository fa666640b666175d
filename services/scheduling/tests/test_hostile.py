"""Whatever a caller sends, the answer is an answer."""

import random

import grpc
import pytest
from isthmus.scheduling.v1 import plans_pb2
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.testing.hostile import code_of, fill

SERVICE = pb.DESCRIPTOR.services_by_name["SchedulingService"]
PLANS = plans_pb2.DESCRIPTOR.services_by_name["PlansService"]


@pytest.mark.parametrize("method", list(SERVICE.methods), ids=lambda method: method.name)
async def test_no_request_makes_the_service_stumble(bench, method):
    """
    Every request, however strange, is carried out or refused with a reason.
    """
    flow = await bench.flow()
    schedule = await bench.schedule(flow, type="TYPE_INTERVAL", interval_minutes=5)
    execution = await bench.start(flow)
    await bench.host.acquire(execution.execution_id)
    ids = [flow.flow_id, schedule.schedule_id, execution.execution_id, "ins_files", ""]
    chance, codes = random.Random(method.name), set()
    for _ in range(60):
        request = getattr(pb, method.input_type.name)()
        fill(request, chance, ids)
        codes.add(await code_of(bench.host.stub, method, request, 5))

    assert not codes & {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, codes


@pytest.mark.parametrize("method", list(PLANS.methods), ids=lambda method: method.name)
async def test_no_request_about_plans_makes_the_service_stumble(bench, method):
    """
    Neither about a plan nor about a run that is under way.
    """
    flow = await bench.flow()
    steps = [plans_pb2.PlanStep(name="one", flow_id=flow.flow_id)]
    plan = plans_pb2.Plan(name="any", is_active=True, steps=steps)
    made = (await bench.plans.CreatePlan(plans_pb2.CreatePlanRequest(plan=plan))).plan
    run = (await bench.plans.StartPlanRun(plans_pb2.StartPlanRunRequest(plan_id=made.plan_id))).run
    ids = [made.plan_id, run.plan_run_id, flow.flow_id, "one", ""]
    chance, codes = random.Random(method.name), set()
    for _ in range(60):
        request = getattr(plans_pb2, method.input_type.name)()
        fill(request, chance, ids)
        codes.add(await code_of(bench.plans, method, request, 5))

    assert not codes & {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, codes
