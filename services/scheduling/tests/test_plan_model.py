"""Plans as rules: which orders there are, and where a run of any plan ends."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isthmus.services.scheduling.domain import (
    Halt,
    Mode,
    OnFailure,
    PlanRun,
    PlanSpec,
    PlanStep,
    RunStatus,
    StepStatus,
    Trigger,
    Why,
    cancelled,
    compensation_ended,
    compensation_started,
    due_compensation,
    due_steps,
    flaws,
    fresh_steps,
    settled,
    step_failed,
    step_started,
)
from isthmus.services.scheduling.domain.plan_run import step_completed

NOW = datetime(2026, 5, 1, tzinfo=UTC)
BROKEN = Why("IT_BROKE", "It broke; mend it.")


@pytest.mark.parametrize(
    ("steps", "path", "reason"),
    [
        ([("a", ["b"])], "steps[0].after[0]", "STEP_UNKNOWN"),
        ([("a", []), ("a", [])], "steps[1].name", "NAME_TAKEN"),
        ([("a", []), ("b", ["a", "a"])], "steps[1].after[1]", "NAMED_TWICE"),
        ([("a", ["a"])], "steps[0].after[0]", "CIRCLE"),
        ([("z", []), ("a", ["z", "c"]), ("b", ["a"]), ("c", ["b"])], "steps[1].after[1]", "CIRCLE"),
    ],
    ids=["unknown", "taken", "twice", "itself", "round"],
)
def test_steps_without_an_order_are_told_with_the_place(steps, path, reason):
    """
    What is wrong is named, and where.
    """
    assert [(flaw.path, flaw.reason) for flaw in flaws(steps)] == [(path, reason)]


@st.composite
def plans(draw):
    """Draw a plan whose steps come after some of those before."""
    whole = draw(st.booleans())
    choices = [OnFailure.UNSPECIFIED] if whole else list(OnFailure)
    steps = []
    for number in range(draw(st.integers(1, 8))):
        after = draw(st.lists(st.sampled_from(range(number)), unique=True)) if number else []
        flow_id = draw(st.sampled_from(["", "flw_do", "flw_do", "flw_do"]))
        steps.append(
            PlanStep(
                name=f"s{number}",
                flow_id=flow_id,
                after=tuple(f"s{one}" for one in after),
                on_failure=draw(st.sampled_from(choices)),
                compensation_flow_id=draw(st.sampled_from(["", "flw_undo"])) if flow_id else "",
            )
        )
    return PlanSpec("any", tuple(steps), mode=Mode.ALL_OR_COMPENSATE if whole else Mode.STEPS)


class Journey:
    """Carries a run out by chance, and notes what it was asked to do."""

    def __init__(self, plan, draw):
        self.draw = draw
        self.run = PlanRun("run_x", "pln_x", plan, fresh_steps(plan), Trigger.MANUAL, "somebody", NOW)
        self.finished = []
        self.undone = []
        self.early = []

    def go(self):
        """Go on until the run has ended."""
        for _ in range(200):
            self.run = settled(self.run, NOW)
            if not self.run.status.is_live:
                return self
            self._start()
            self._end_something()
        raise AssertionError("the run does not end")

    def _start(self):
        for step in due_steps(self.run):
            if step not in due_steps(self.run):
                continue
            if not set(step.after) <= {name for name, well in self.finished if well}:
                self.early.append(step.name)
            self.run = step_started(self.run, step.name, "" if step.is_barrier else f"exe_{step.name}", NOW)
            if step.is_barrier:
                self.finished.append((step.name, True))
        undo = due_compensation(self.run)
        if undo is not None:
            self.run = compensation_started(self.run, undo.name, f"exe_{undo.name}_undo")

    def _end_something(self):
        going = self.run.some(StepStatus.RUNNING, StepStatus.COMPENSATING)
        if not going:
            return
        step, well = self.draw(st.sampled_from(going)), self.draw(st.sampled_from([True, True, True, False]))
        if step.status is StepStatus.COMPENSATING:
            self.undone.append((step.name, well))
            self.run = compensation_ended(self.run, step.name, None if well else BROKEN)
        else:
            self.finished.append((step.name, well))
            change = step_completed(self.run, step.name, NOW)
            self.run = change if well else step_failed(self.run, step.name, BROKEN, NOW)


@settings(max_examples=300, deadline=None)
@given(plan=plans(), data=st.data())
def test_any_run_of_any_plan_keeps_the_order_and_undoes_in_reverse(plan, data):
    """
    No step starts before all it comes after are complete; what is undone is what was complete, last first.
    """
    journey = Journey(plan, data.draw).go()
    run, completed = journey.run, [name for name, well in journey.finished if well]
    undoable = [name for name in reversed(completed) if run.spec(name).compensation_flow_id]
    undone = [name for name, _ in journey.undone]

    assert journey.early == []
    assert undone == undoable[: len(undone)]
    assert (run.status is RunStatus.COMPLETED) == (len(completed) == len(plan.steps))
    match run.status:
        case RunStatus.COMPENSATED:
            assert undone == undoable
            assert all(well for _, well in journey.undone)
        case RunStatus.COMPENSATION_FAILED:
            assert [well for _, well in journey.undone] == [True] * (len(undone) - 1) + [False]
            left = ", ".join(f'"{name}"' for name in undoable[len(undone) - 1 :])
            assert f"Left undone: {left};" in run.why.message
        case RunStatus.FAILED:
            assert (undone, plan.mode) == ([], Mode.STEPS)
            assert run.why.reason == "STEP_FAILED"
        case _:
            assert run.status is RunStatus.COMPLETED
    assert not run.some(StepStatus.WAITING, StepStatus.RUNNING, StepStatus.COMPENSATING)


def running(*steps, **options):
    """Give a run whose steps are complete, but for the last one that is at work."""
    plan = PlanSpec("some", steps, **options)
    run = PlanRun("run_x", "pln_x", plan, fresh_steps(plan), Trigger.MANUAL, "somebody", NOW)
    for step in steps:
        run = step_started(run, step.name, f"exe_{step.name}", NOW)
        if step is not steps[-1]:
            run = step_completed(run, step.name, NOW)
    return run


FIRST = PlanStep("first", "flw_do", compensation_flow_id="flw_undo")
SECOND = PlanStep("second", "flw_do", after=("first",))


def test_steps_that_do_not_depend_on_a_tolerated_failure_go_on():
    """
    Only what comes after the failed step is skipped, and the run has failed in the end.
    """
    lone = PlanStep("lone", "flw_do", on_failure=OnFailure.CONTINUE)
    plan = PlanSpec("some", (lone, PlanStep("later", "flw_do", after=("lone",)), PlanStep("other", "flw_do")))
    run = PlanRun("run_x", "pln_x", plan, fresh_steps(plan), Trigger.MANUAL, "somebody", NOW)
    run = settled(step_failed(step_started(run, "lone", "exe_1", NOW), "lone", BROKEN, NOW), NOW)

    assert [step.name for step in due_steps(run)] == ["other"]
    assert run.step("later").status is StepStatus.SKIPPED
    run = settled(step_completed(step_started(run, "other", "exe_2", NOW), "other", NOW), NOW)
    assert (run.status, run.why.reason) == (RunStatus.FAILED, "STEP_FAILED")


def test_a_cancelled_run_keeps_what_is_complete_unless_told_otherwise():
    """
    With `compensate` it is undone.
    """
    ends = []
    for compensate in (False, True):
        run = cancelled(running(FIRST, SECOND), compensate=compensate)
        run = settled(step_failed(run, "second", BROKEN, NOW), NOW)
        ends.append((run.status, run.step("first").status, run.why.reason))

    assert ends == [
        (RunStatus.CANCELLED, StepStatus.COMPLETED, "CANCELLED"),
        (RunStatus.COMPENSATING, StepStatus.COMPLETED, "CANCELLED"),
    ]


def test_cancelling_once_more_stops_the_undoing():
    """
    The run then says what is left.
    """
    run = settled(
        step_failed(running(FIRST, SECOND, mode=Mode.ALL_OR_COMPENSATE), "second", BROKEN, NOW), NOW
    )
    run = settled(cancelled(run, compensate=False), NOW)

    assert (run.status, run.halt) == (RunStatus.COMPENSATION_FAILED, Halt.COMPENSATE)
    assert 'Left undone: "first"' in run.why.message
