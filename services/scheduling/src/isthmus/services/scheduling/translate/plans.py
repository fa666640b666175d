"""Between the contract's messages about plans and the domain's values."""

from typing import Any

from isthmus.kit.times import stamp
from isthmus.scheduling.v1 import plans_pb2 as pb
from isthmus.services.scheduling.domain import (
    RETRIES,
    Mode,
    OnFailure,
    Plan,
    PlanAction,
    PlanRun,
    PlanSpec,
    PlanStep,
    Reconcile,
    RunStatus,
    StepRun,
    StepStatus,
    Trigger,
)
from isthmus.services.scheduling.translate.executions import read_reconcile, write_reconcile
from isthmus.services.scheduling.translate.tables import back

_MODES = {mode: pb.Plan.Mode.Value(f"MODE_{mode.name}") for mode in Mode}
_CHOICES = {choice: pb.PlanStep.OnFailure.Value(f"ON_FAILURE_{choice.name}") for choice in OnFailure}
_STATUSES = {status: pb.PlanRun.Status.Value(f"STATUS_{status.name}") for status in RunStatus}
_STEPS = {status: pb.PlanStepRun.Status.Value(f"STATUS_{status.name}") for status in StepStatus}
_TRIGGERS = {
    one: pb.PlanRun.Trigger.Value(f"TRIGGER_{one.name}")
    for one in (Trigger.SCHEDULED, Trigger.MANUAL, Trigger.EVENT)
}


def read_plan(message: pb.Plan) -> PlanSpec:
    """Read what a plan's owner decides."""
    return PlanSpec(
        name=message.name,
        description=message.description,
        mode=back(_MODES, message.mode, Mode.STEPS),
        is_active=message.is_active,
        steps=tuple(
            PlanStep(
                name=step.name,
                flow_id=step.flow_id,
                after=tuple(step.after),
                on_failure=back(_CHOICES, step.on_failure, OnFailure.UNSPECIFIED),
                compensation_flow_id=step.compensation_flow_id,
                action=_read_action(step, "action"),
                reconcile=_read_reconcile(step),
                compensation_action=_read_action(step, "compensation_action"),
            )
            for step in message.steps
        ),
    )


def _read_action(step: pb.PlanStep, field: str) -> PlanAction | None:
    if not step.HasField(field):  # type: ignore[arg-type]
        return None
    given: pb.PlanAction = getattr(step, field)
    retries = given.retries if given.HasField("retries") else RETRIES
    return PlanAction(given.instance_id, given.action, given.input or "{}", retries)


def _write_action(action: PlanAction | None) -> pb.PlanAction | None:
    if action is None:
        return None
    return pb.PlanAction(
        instance_id=action.instance_id, action=action.action, input=action.input, retries=action.retries
    )


def _read_reconcile(step: pb.PlanStep) -> Reconcile | None:
    return read_reconcile(step.reconcile) if step.HasField("reconcile") else None


def write_spec(spec: PlanSpec) -> pb.Plan:
    """Write what a plan's owner decided."""
    return pb.Plan(
        name=spec.name,
        description=spec.description,
        mode=_MODES[spec.mode],
        is_active=spec.is_active,
        steps=[
            pb.PlanStep(
                name=step.name,
                flow_id=step.flow_id,
                after=step.after,
                on_failure=_CHOICES[step.on_failure],
                compensation_flow_id=step.compensation_flow_id,
                action=_write_action(step.action),
                reconcile=write_reconcile(step.reconcile),
                compensation_action=_write_action(step.compensation_action),
            )
            for step in spec.steps
        ],
    )


def write_plan(plan: Plan) -> pb.Plan:
    """Write a plan as stored."""
    message = write_spec(plan.spec)
    message.plan_id = plan.plan_id
    message.created_by = plan.created_by
    message.create_time.FromDatetime(plan.create_time)
    message.update_time.FromDatetime(plan.update_time)
    message.etag = str(plan.revision)
    return message


def write_run(run: PlanRun) -> pb.PlanRun:
    """Write a run as stored."""
    plan = write_spec(run.plan)
    plan.plan_id = run.plan_id
    return pb.PlanRun(
        plan_run_id=run.run_id,
        plan_id=run.plan_id,
        plan_name=run.plan.name,
        status=_STATUSES[run.status],
        is_paused=run.is_paused,
        is_cancel_requested=run.status.is_live and run.is_cancel_requested,
        steps=map(_write_step, run.steps),
        reason=run.why.reason,
        message=run.why.message,
        trigger=_TRIGGERS[run.trigger],
        initiated_by=run.initiated_by,
        schedule_id=run.schedule_id,
        create_time=stamp(run.create_time),
        end_time=stamp(run.end_time),
        plan=plan,
        priority=run.priority,
    )


def _write_step(step: StepRun) -> pb.PlanStepRun:
    return pb.PlanStepRun(
        name=step.name,
        status=_STEPS[step.status],
        execution_id=step.execution_id,
        compensation_id=step.compensation_id,
        start_time=stamp(step.start_time),
        end_time=stamp(step.end_time),
        completion=step.completion,
        reason=step.why.reason,
        message=step.why.message,
        output=step.output,
    )


def read_run_statuses(values: Any) -> list[RunStatus]:
    """Read the states that a list is narrowed to."""
    return [back(_STATUSES, value, None) for value in values if value in _STATUSES.values()]


__all__ = ["read_plan", "read_run_statuses", "write_plan", "write_run", "write_spec"]
