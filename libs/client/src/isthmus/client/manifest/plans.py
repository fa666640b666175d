"""What a plan's document says, and what the mesh holds of it."""

from collections.abc import Callable, Mapping

from isthmus.client.manifest.document import PlanDocument, PlanSpec, PlanStepSpec, ScheduleSpec
from isthmus.scheduling.v1 import plans_pb2


def plan_message(document: PlanDocument, flow_id: Callable[[str], str]) -> plans_pb2.Plan:
    """Gives a plan's document as a message.

    Args:
        document: the document.
        flow_id: gives the id of the flow of a name; empty for an empty one.
    """
    spec = document.spec
    return plans_pb2.Plan(
        name=document.name,
        description=spec.description,
        mode=plans_pb2.Plan.Mode.Value(f"MODE_{spec.mode.upper()}"),
        is_active=spec.active,
        steps=[
            plans_pb2.PlanStep(
                name=step.name,
                flow_id=flow_id(step.flow),
                after=step.after,
                on_failure=plans_pb2.PlanStep.OnFailure.Value(
                    f"ON_FAILURE_{(step.on_failure or 'unspecified').upper()}"
                ),
                compensation_flow_id=flow_id(step.compensate),
            )
            for step in spec.steps
        ],
    )


def plan_spec(item: plans_pb2.Plan, flows: Mapping[str, str], schedules: list[ScheduleSpec]) -> PlanSpec:
    """Gives what a document says about a plan.

    Args:
        item: the plan.
        flows: names of flows by id.
        schedules: those of the plan.
    """
    return PlanSpec(
        description=item.description,
        mode="all_or_compensate" if item.mode == plans_pb2.Plan.MODE_ALL_OR_COMPENSATE else "steps",
        active=item.is_active,
        steps=[
            PlanStepSpec.model_validate(
                {
                    "name": step.name,
                    "flow": flows.get(step.flow_id, step.flow_id),
                    "after": list(step.after),
                    "on_failure": _choice(step.on_failure),
                    "compensate": flows.get(step.compensation_flow_id, step.compensation_flow_id),
                }
            )
            for step in item.steps
        ],
        schedules=schedules,
    )


def _choice(value: plans_pb2.PlanStep.OnFailure.ValueType) -> str:
    word = plans_pb2.PlanStep.OnFailure.Name(value).removeprefix("ON_FAILURE_").lower()
    return "" if word == "unspecified" else word


__all__ = ["plan_message", "plan_spec"]
