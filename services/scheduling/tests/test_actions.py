"""Steps of plans that are no flows: actions of connectors, and comparisons."""

import asyncio
import json

import grpc
import pytest
from isthmus.resilience.faults import FixRequest, Missing
from isthmus.scheduling.v1 import plans_pb2 as pb
from isthmus.scheduling.v1 import scheduling_pb2

Step = pb.PlanStepRun
AWAY = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def connector(bench):
    """Gives the connector whose actions are called, without a memory."""
    bench.connector.calls.clear()
    bench.connector.next.clear()
    return bench.connector


def action(name="put", **more):
    """Makes a call of an action."""
    return pb.PlanAction(instance_id="ins_files", action=name, input='{"month": 5}', **more)


async def ran(planning, *steps, **more):
    """Runs a plan of these steps to its end."""
    return await planning.ended(await planning.started(await planning.made(*steps, **more)))


async def test_an_action_is_called_once_with_the_id_of_its_step(planning, connector):
    """
    The step tells what it gave; the ones after it follow.
    """
    run = await ran(
        planning, pb.PlanStep(name="close", action=action()), planning.step("done", after=["close"])
    )
    step = planning.of(run, "close")

    assert planning.named(run) == {"close": "COMPLETED", "done": "COMPLETED"}
    assert json.loads(step.output) == {"did": {"month": 5}}
    assert [call.request_id for call in connector.calls] == [step.execution_id]
    assert connector.calls[0].binding.instance_id == "ins_files"


async def test_what_may_be_repeated_is_tried_again_under_its_id(planning, connector):
    """
    As often as the step allows, then it has failed.
    """
    connector.next = [AWAY, AWAY, None, AWAY, AWAY]
    well = await ran(planning, pb.PlanStep(name="close", action=action(retries=2)), name="well")
    badly = await ran(planning, pb.PlanStep(name="close", action=action(retries=1)), name="badly")

    assert planning.named(well) == {"close": "COMPLETED"}
    assert planning.named(badly) == {"close": "FAILED"}
    assert len({call.request_id for call in connector.calls}) == 2
    assert len(connector.calls) == 5


async def test_what_must_not_happen_twice_is_left_to_a_person(planning, connector):
    """
    Silence may mean that it happened; a refusal for asking too often means that it did not.
    """
    connector.next = [grpc.StatusCode.RESOURCE_EXHAUSTED, AWAY]
    run = await ran(planning, pb.PlanStep(name="ring", action=action("ring")))
    step = planning.of(run, "ring")

    assert (step.status, step.reason) == (Step.STATUS_FAILED, "OUTCOME_UNKNOWN")
    assert len(connector.calls) == 2


@pytest.mark.parametrize(("name", "reason", "calls"), [("put", "", 2), ("ring", "OUTCOME_UNKNOWN", 1)])
async def test_the_death_of_whoever_calls_doubles_nothing(planning, bench, connector, name, reason, calls):
    """
    What may be repeated is, under the same id; what may not is left to a person.
    """
    connector.next = [asyncio.Event()]
    run = await planning.started(await planning.made(pb.PlanStep(name="it", action=action(name))))

    async def begun():
        return connector.calls

    await bench.until(begun)
    bench.clock.forward(minutes=10)  # nobody has renewed the lease for so long
    ended = await planning.ended(run)

    assert planning.of(ended, "it").reason == reason
    assert len(connector.calls) == calls
    assert len({call.request_id for call in connector.calls}) == 1


async def test_an_action_undoes_what_another_one_did(planning, connector):
    """
    The last one first, each with a call of its own.
    """
    broken = pb.PlanStep(name="broken", action=action(retries=0), after=["open"])
    opened = pb.PlanStep(name="open", action=action(), compensation_action=action())
    connector.next = [None, grpc.StatusCode.FAILED_PRECONDITION]
    run = await ran(planning, opened, broken, mode=pb.Plan.MODE_ALL_OR_COMPENSATE)

    assert planning.named(run) == {"open": "COMPENSATED", "broken": "FAILED"}
    assert connector.calls[-1].request_id == planning.of(run, "open").compensation_id
    assert len({call.request_id for call in connector.calls}) == 3


async def test_a_cancelled_run_makes_no_call_that_has_not_begun(planning, bench, connector):
    """
    While the run is paused nothing is called; afterwards it is cancelled.
    """
    flow = await bench.flow()
    plan = await planning.made(
        planning.step("first", flow), pb.PlanStep(name="then", action=action(), after=["first"])
    )
    run = await planning.started(plan)
    await bench.plans.PausePlanRun(pb.PausePlanRunRequest(plan_run_id=run.plan_run_id))
    await bench.plans.CancelPlanRun(pb.CancelPlanRunRequest(plan_run_id=run.plan_run_id))
    ended = await planning.ended(run)

    assert planning.named(ended)["then"] == "SKIPPED"
    assert connector.calls == []


async def test_a_step_compares_and_repairs(planning, bench):
    """
    Its execution is a reconciliation with what the step says.
    """
    flow = await bench.flow()
    options = scheduling_pb2.ReconcileOptions(repair=True)
    step = pb.PlanStep(name="compare", flow_id=flow.flow_id, reconcile=options)
    run = await planning.started(await planning.made(step))
    execution = await bench.execution(await planning.at_work(run, "compare"))

    assert execution.reconcile == options
    assert execution.plan_step == "compare"


@pytest.mark.parametrize(
    ("step", "path"),
    [
        (pb.PlanStep(name="a", flow_id="flw_x", action=action()), "plan.steps[0].action"),
        (pb.PlanStep(name="a", compensation_action=action()), "plan.steps[0].compensation_action"),
        (
            pb.PlanStep(name="a", action=pb.PlanAction(instance_id="hub", action="x")),
            "plan.steps[0].action.instance_id",
        ),
        (
            pb.PlanStep(name="a", action=pb.PlanAction(instance_id="i", action="x", input="[")),
            "plan.steps[0].action.input",
        ),
        (pb.PlanStep(name="a", reconcile=scheduling_pb2.ReconcileOptions()), "plan.steps[0].flow_id"),
    ],
    ids=["both", "nothing-to-undo", "hub", "no-json", "no-flow"],
)
async def test_a_step_that_makes_no_sense_is_refused(planning, bench, step, path):
    """
    With the place.
    """
    fault = await bench.refused(planning.made(step))

    assert isinstance(fault, FixRequest)
    assert path in [one.path for one in fault.violations]


async def test_an_action_that_the_connector_lacks_is_refused(planning, bench):
    """
    The message names those that it has.
    """
    fault = await bench.refused(planning.made(pb.PlanStep(name="a", action=action("fly"))))

    assert (type(fault), fault.reason, fault.path) == (Missing, "ACTION_UNKNOWN", "plan.steps[0].action")
    assert "put, ring" in fault.message
