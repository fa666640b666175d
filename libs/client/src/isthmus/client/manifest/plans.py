"""What a plan's document says, and what the mesh holds of it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from isthmus.client.manifest.document import ActionSpec, PlanDocument, PlanSpec, PlanStepSpec, ScheduleSpec
from isthmus.scheduling.v1 import plans_pb2, scheduling_pb2


def plan_message(
    document: PlanDocument, flow_id: Callable[[str], str], instance_id: Callable[[str], str]
) -> plans_pb2.Plan:
    """Gives a plan's document as a message.

    Args:
        document: the document.
        flow_id: gives the id of the flow of a name; empty for an empty one.
        instance_id: gives the id of the instance of a name.
    """
    spec = document.spec
    return plans_pb2.Plan(
        name=document.name,
        description=spec.description,
        mode=plans_pb2.Plan.Mode.Value(f"MODE_{spec.mode.upper()}"),
        is_active=spec.active,
        steps=[_step(step, flow_id, instance_id) for step in spec.steps],
    )


def _step(
    step: PlanStepSpec, flow_id: Callable[[str], str], instance_id: Callable[[str], str]
) -> plans_pb2.PlanStep:
    undo = step.compensate
    reconcile = step.reconcile
    return plans_pb2.PlanStep(
        name=step.name,
        flow_id=flow_id(step.flow),
        after=step.after,
        on_failure=plans_pb2.PlanStep.OnFailure.Value(
            f"ON_FAILURE_{(step.on_failure or 'unspecified').upper()}"
        ),
        compensation_flow_id=flow_id(undo) if isinstance(undo, str) else "",
        action=_action(step.action, instance_id) if step.action else None,
        reconcile=scheduling_pb2.ReconcileOptions(**reconcile.model_dump()) if reconcile else None,
        compensation_action=_action(undo, instance_id) if isinstance(undo, ActionSpec) else None,
    )


def _action(spec: ActionSpec, instance_id: Callable[[str], str]) -> plans_pb2.PlanAction:
    return plans_pb2.PlanAction(
        instance_id=instance_id(spec.instance),
        action=spec.action,
        input=json.dumps(spec.input, sort_keys=True),
        retries=spec.retries,
    )


def plan_spec(
    item: plans_pb2.Plan,
    flows: Mapping[str, str],
    schedules: list[ScheduleSpec],
    instance_name: Callable[[str], str],
) -> PlanSpec:
    """Gives what a document says about a plan.

    Args:
        item: the plan.
        flows: names of flows by id.
        schedules: those of the plan.
        instance_name: gives the name of the instance of an id.
    """
    return PlanSpec(
        description=item.description,
        mode="all_or_compensate" if item.mode == plans_pb2.Plan.MODE_ALL_OR_COMPENSATE else "steps",
        active=item.is_active,
        steps=[PlanStepSpec.model_validate(_told(step, flows, instance_name)) for step in item.steps],
        schedules=schedules,
    )


def _told(
    step: plans_pb2.PlanStep, flows: Mapping[str, str], instance_name: Callable[[str], str]
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": step.name,
        "flow": flows.get(step.flow_id, step.flow_id),
        "after": list(step.after),
        "on_failure": _choice(step.on_failure),
        "compensate": flows.get(step.compensation_flow_id, step.compensation_flow_id),
    }
    if step.HasField("reconcile"):
        told["reconcile"] = {"repair": step.reconcile.repair, "delete_extra": step.reconcile.delete_extra}
    if step.HasField("action"):
        told["action"] = _call(step.action, instance_name)
    if step.HasField("compensation_action"):
        told["compensate"] = _call(step.compensation_action, instance_name)
    return told


def _call(action: plans_pb2.PlanAction, instance_name: Callable[[str], str]) -> dict[str, Any]:
    return {
        "instance": instance_name(action.instance_id),
        "action": action.action,
        "input": json.loads(action.input or "{}"),
        "retries": action.retries,
    }


def _choice(value: plans_pb2.PlanStep.OnFailure.ValueType) -> str:
    word = plans_pb2.PlanStep.OnFailure.Name(value).removeprefix("ON_FAILURE_").lower()
    return "" if word == "unspecified" else word


__all__ = ["plan_message", "plan_spec"]
