"""One run of a plan: which steps are due, what follows when one fails, and what has to be undone."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from isthmus.services.scheduling.domain.execution import Execution, Status, Trigger
from isthmus.services.scheduling.domain.plan import OnFailure, PlanSpec, PlanStep


class RunStatus(StrEnum):
    """Where a run is in its life."""

    RUNNING = "running"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    FAILED = "failed"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"
    CANCELLED = "cancelled"

    @property
    def is_live(self) -> bool:
        """Whether the run has not ended."""
        return self in {RunStatus.RUNNING, RunStatus.COMPENSATING}


class StepStatus(StrEnum):
    """Where a step of a run is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"


class Halt(StrEnum):
    """Why no further step starts; what comes later in this list outweighs what comes before."""

    NONE = ""
    STOP = "stop"
    COMPENSATE = "compensate"
    CANCEL = "cancel"


_WEIGHT = {halt: weight for weight, halt in enumerate(Halt)}
_HALTS = {OnFailure.STOP: Halt.STOP, OnFailure.COMPENSATE: Halt.COMPENSATE, OnFailure.CONTINUE: Halt.NONE}


@dataclass(frozen=True, slots=True)
class Why:
    """A reason for programs, and a sentence for people."""

    reason: str = ""
    message: str = ""


NO_REASON = Why()


@dataclass(frozen=True, slots=True)
class StepRun:
    """How one step stands.

    Attributes:
        name: The step's.
        status: Where it is in its life.
        execution_id: Of its execution or the call of its action; empty before it starts, and for barriers.
        compensation_id: Empty where none was started.
        start_time: When it started.
        end_time: When it ended, before it was undone.
        completion: Counts the steps as they became complete.
        why: Why it waits, failed or was skipped.
        output: What its action gave.
    """

    name: str
    status: StepStatus = StepStatus.WAITING
    execution_id: str = ""
    compensation_id: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    completion: int = 0
    why: Why = NO_REASON
    output: str = ""


@dataclass(frozen=True, slots=True)
class PlanRun:
    """One run of a plan, as stored.

    Attributes:
        run_id: Never reused.
        plan_id: The plan it is a run of.
        plan: The plan in the form that this run uses.
        steps: In the plan's order.
        trigger: What started it.
        initiated_by: A caller's subject, or the schedule.
        create_time: When it was started.
        schedule_id: What started it; empty for other triggers.
        status: Where it is in its life.
        halt: Why no further step starts.
        is_paused: Whether nothing starts until it is resumed.
        is_cancel_requested: Whether somebody has asked for its end.
        why: Why it does not go on, or ended otherwise than complete.
        end_time: When it ended.
        priority: Of all its executions; None where their flows decide.
        revision: Grows with every change.
    """

    run_id: str
    plan_id: str
    plan: PlanSpec
    steps: tuple[StepRun, ...]
    trigger: Trigger
    initiated_by: str
    create_time: datetime
    schedule_id: str = ""
    status: RunStatus = RunStatus.RUNNING
    halt: Halt = Halt.NONE
    is_paused: bool = False
    is_cancel_requested: bool = False
    why: Why = NO_REASON
    end_time: datetime | None = None
    priority: int | None = None
    revision: int = 1

    def step(self, name: str) -> StepRun:
        """Find a step."""
        return next(step for step in self.steps if step.name == name)

    def spec(self, name: str) -> PlanStep:
        """Find what the owner decided about a step."""
        return next(step for step in self.plan.steps if step.name == name)

    def some(self, *statuses: StepStatus) -> tuple[StepRun, ...]:
        """Give the steps that are in one of these states."""
        return tuple(step for step in self.steps if step.status in statuses)


def fresh_steps(plan: PlanSpec) -> tuple[StepRun, ...]:
    """Give the steps of a run that has not begun."""
    return tuple(StepRun(step.name) for step in plan.steps)


def due_steps(run: PlanRun) -> list[PlanStep]:
    """Give the steps to start now, in the plan's order."""
    if run.status is not RunStatus.RUNNING or run.is_paused or run.halt is not Halt.NONE:
        return []
    done = {step.name for step in run.some(StepStatus.COMPLETED)}
    waiting = {step.name for step in run.some(StepStatus.WAITING)}
    return [step for step in run.plan.steps if step.name in waiting and done.issuperset(step.after)]


def due_compensation(run: PlanRun) -> PlanStep | None:
    """Give the step to undo now: one at a time, the one that was completed last comes first."""
    if run.status is not RunStatus.COMPENSATING or run.is_paused or run.is_cancel_requested:
        return None
    if run.some(StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED):
        return None
    left = left_to_undo(run)
    return run.spec(left[0].name) if left else None


def left_to_undo(run: PlanRun) -> list[StepRun]:
    """Give the steps that are complete and have something that undoes them, the last one first."""
    undoable = (StepStatus.COMPLETED, StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED)
    left = [step for step in run.some(*undoable) if run.spec(step.name).is_undoable]
    return sorted(left, key=lambda step: -step.completion)


def step_started(run: PlanRun, name: str, execution_id: str, now: datetime) -> PlanRun:
    """Note that a step's execution was started; a barrier has none and is complete at once."""
    run = _with(
        run, name, status=StepStatus.RUNNING, execution_id=execution_id, start_time=now, why=NO_REASON
    )
    return run if execution_id else step_completed(run, name, now)


def step_waits(run: PlanRun, name: str, why: Why) -> PlanRun:
    """Note what a step waits for that is due."""
    return _with(run, name, why=why)


def step_completed(run: PlanRun, name: str, now: datetime) -> PlanRun:
    """Note that a step is complete."""
    order = max(step.completion for step in run.steps) + 1
    return _with(run, name, status=StepStatus.COMPLETED, end_time=now, completion=order, why=NO_REASON)


def step_failed(run: PlanRun, name: str, why: Why, now: datetime) -> PlanRun:
    """Note that a step has failed for good, and what follows from that."""
    run = _with(run, name, status=StepStatus.FAILED, end_time=now, why=why)
    halt = _HALTS[run.plan.on_failure(run.spec(name))]
    told = Why("STEP_FAILED", f'Step "{name}" failed: {why.message}')
    return replace(run, halt=_heavier(run.halt, halt), why=run.why if run.why.reason else told)


def compensation_started(run: PlanRun, name: str, execution_id: str) -> PlanRun:
    """Note that a step is being undone."""
    return _with(run, name, status=StepStatus.COMPENSATING, compensation_id=execution_id, why=NO_REASON)


def compensation_ended(run: PlanRun, name: str, failure: Why | None) -> PlanRun:
    """Note that a step was undone, or why it could not be."""
    if failure is None:
        return _with(run, name, status=StepStatus.COMPENSATED, why=NO_REASON)
    return _with(run, name, status=StepStatus.COMPENSATION_FAILED, why=failure)


def cancelled(run: PlanRun, *, compensate: bool) -> PlanRun:
    """Note that somebody wants the run to end.

    What is to be undone is undone all the same; whoever cancels once more, while that goes on, stops it.
    """
    if not run.status.is_live:
        return run
    told = run.why if run.why.reason else Why("CANCELLED", "The run was cancelled on request.")
    run = replace(run, why=told, is_paused=False)
    if run.status is RunStatus.COMPENSATING:
        return replace(run, is_cancel_requested=True)
    undo = compensate or run.halt is Halt.COMPENSATE
    return replace(run, halt=Halt.COMPENSATE if undo else Halt.CANCEL, is_cancel_requested=not undo)


def note_end(run: PlanRun, execution: Execution, now: datetime) -> PlanRun:
    """Take notice of the end of an execution that the run has started."""
    return _note(run, execution.execution_id, _failure(execution), now)


def note_call_end(run: PlanRun, call_id: str, failure: Why | None, output: str, now: datetime) -> PlanRun:
    """Take notice of the end of an action's call that the run has asked for."""
    for step in run.some(StepStatus.RUNNING):
        if step.execution_id == call_id:
            run = _with(run, step.name, output=output)
    return _note(run, call_id, failure, now)


def _note(run: PlanRun, ended_id: str, failure: Why | None, now: datetime) -> PlanRun:
    for step in run.steps:
        if step.status is StepStatus.RUNNING and step.execution_id == ended_id:
            done = step_completed(run, step.name, now)
            return done if failure is None else step_failed(run, step.name, failure, now)
        if step.status is StepStatus.COMPENSATING and step.compensation_id == ended_id:
            return compensation_ended(run, step.name, failure)
    return run


def _failure(execution: Execution) -> Why | None:
    if execution.status is Status.COMPLETED:
        return None
    if execution.status is Status.FAILED and execution.failure is not None:
        return Why(execution.failure.reason, execution.failure.message)
    message = f"Execution {execution.execution_id} was cancelled; start the plan again if that was not meant."
    return Why("EXECUTION_CANCELLED", message)


def settled(run: PlanRun, now: datetime) -> PlanRun:
    """Skip what will never start, turn to undoing, and end the run where nothing is left to do."""
    if not run.status.is_live:
        return run
    run = _skip(run)
    if run.status is RunStatus.COMPENSATING:
        return _settle_compensation(run, now)
    if run.some(StepStatus.RUNNING, StepStatus.WAITING):
        return run
    if run.halt is Halt.COMPENSATE:
        return _settle_compensation(replace(run, status=RunStatus.COMPENSATING), now)
    if len(run.some(StepStatus.COMPLETED)) == len(run.steps):
        return _ended(run, RunStatus.COMPLETED, NO_REASON, now)
    return _ended(run, RunStatus.CANCELLED if run.halt is Halt.CANCEL else RunStatus.FAILED, run.why, now)


def _skip(run: PlanRun) -> PlanRun:
    """Skip the steps that wait in vain, and those that come after them."""
    by_halt = run.halt is not Halt.NONE
    while True:
        never = {step.name for step in run.some(StepStatus.FAILED, StepStatus.SKIPPED)}
        vain = [
            step for step in run.some(StepStatus.WAITING) if by_halt or never & set(run.spec(step.name).after)
        ]
        if not vain:
            return run
        for step in vain:
            run = _with(run, step.name, status=StepStatus.SKIPPED, why=_why_skipped(run))


def _why_skipped(run: PlanRun) -> Why:
    if run.why.reason == "CANCELLED":
        return Why("CANCELLED", "The run was cancelled before this step could start.")
    return Why("STEP_FAILED", f"It was not started. {run.why.message}")


def _settle_compensation(run: PlanRun, now: datetime) -> PlanRun:
    if run.some(StepStatus.COMPENSATING):
        return run
    left = left_to_undo(run)
    if not left:
        return _ended(run, RunStatus.COMPENSATED, run.why, now)
    failed = run.some(StepStatus.COMPENSATION_FAILED)
    if not failed and not run.is_cancel_requested:
        return run
    what = (
        f'Undoing "{failed[0].name}" failed: {failed[0].why.message}' if failed else "Undoing was cancelled."
    )
    names = ", ".join(f'"{step.name}"' for step in left)
    told = f"{run.why.message} {what} Left undone: {names}; undo them by hand.".lstrip()
    return _ended(run, RunStatus.COMPENSATION_FAILED, Why("COMPENSATION_FAILED", told), now)


def _ended(run: PlanRun, status: RunStatus, why: Why, now: datetime) -> PlanRun:
    return replace(run, status=status, why=why, end_time=now, is_paused=False)


def _heavier(one: Halt, other: Halt) -> Halt:
    return max(one, other, key=_WEIGHT.__getitem__)


def _with(run: PlanRun, name: str, **changes: Any) -> PlanRun:
    steps = (replace(step, **changes) if step.name == name else step for step in run.steps)
    return replace(run, steps=tuple(steps))


__all__ = [
    "NO_REASON",
    "Halt",
    "PlanRun",
    "RunStatus",
    "StepRun",
    "StepStatus",
    "Why",
    "cancelled",
    "compensation_ended",
    "compensation_started",
    "due_compensation",
    "due_steps",
    "fresh_steps",
    "left_to_undo",
    "note_call_end",
    "note_end",
    "settled",
    "step_completed",
    "step_failed",
    "step_started",
    "step_waits",
]
