"""Plans: steps over several systems, and the order they have to keep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from isthmus.services.scheduling.domain.action import PlanAction
from isthmus.services.scheduling.domain.reconciling import Reconcile


class Mode(StrEnum):
    """What decides when a step has failed."""

    STEPS = "steps"
    ALL_OR_COMPENSATE = "all_or_compensate"


class OnFailure(StrEnum):
    """What follows when a step has failed."""

    UNSPECIFIED = "unspecified"
    STOP = "stop"
    CONTINUE = "continue"
    COMPENSATE = "compensate"


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step.

    Attributes:
        name: Unique inside the plan.
        flow_id: What it runs; without an action and a flow it is a barrier.
        after: The steps that have to be complete before it starts.
        on_failure: What follows when it fails.
        compensation_flow_id: What undoes it.
        action: What it calls instead of running a flow.
        reconcile: Set where both sides of the flow are compared instead of moving what is new.
        compensation_action: What undoes it instead of a flow.
    """

    name: str
    flow_id: str = ""
    after: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure.UNSPECIFIED
    compensation_flow_id: str = ""
    action: PlanAction | None = None
    reconcile: Reconcile | None = None
    compensation_action: PlanAction | None = None

    @property
    def is_barrier(self) -> bool:
        """Whether it only waits for others."""
        return not self.flow_id and self.action is None

    @property
    def is_undoable(self) -> bool:
        """Whether there is something that undoes it."""
        return bool(self.compensation_flow_id) or self.compensation_action is not None

    @property
    def actions(self) -> tuple[tuple[str, PlanAction], ...]:
        """The actions it may call, each with the name of its field."""
        named = (("action", self.action), ("compensation_action", self.compensation_action))
        return tuple((name, action) for name, action in named if action is not None)


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """The part of a plan that its owner decides."""

    name: str
    steps: tuple[PlanStep, ...]
    description: str = ""
    mode: Mode = Mode.STEPS
    is_active: bool = True

    @property
    def flow_ids(self) -> tuple[str, ...]:
        """Every flow that a run may start, once each."""
        named = (flow for step in self.steps for flow in (step.flow_id, step.compensation_flow_id))
        return tuple(dict.fromkeys(flow for flow in named if flow))

    @property
    def instance_ids(self) -> tuple[str, ...]:
        """Every instance whose actions a run may call, once each."""
        named = (action.instance_id for step in self.steps for _, action in step.actions)
        return tuple(dict.fromkeys(named))

    def on_failure(self, step: PlanStep) -> OnFailure:
        """What follows when a step has failed, with the defaults filled in."""
        if self.mode is Mode.ALL_OR_COMPENSATE:
            return OnFailure.COMPENSATE
        return OnFailure.STOP if step.on_failure is OnFailure.UNSPECIFIED else step.on_failure


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as stored.

    Attributes:
        plan_id: Never reused.
        spec: What its owner decided.
        created_by: Subject of the creator.
        create_time: When it was created.
        update_time: When it last changed.
        revision: Grows with every change.
    """

    plan_id: str
    spec: PlanSpec
    created_by: str
    create_time: datetime
    update_time: datetime
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with the order of steps, and where.

    Attributes:
        path: Of the field, inside the plan.
        reason: `NAME_TAKEN`, `STEP_UNKNOWN`, `NAMED_TWICE` or `CIRCLE`.
        message: One sentence with a remedy.
    """

    path: str
    reason: str
    message: str


def flaws(steps: Sequence[tuple[str, Sequence[str]]]) -> list[Flaw]:
    """Find what keeps steps from having an order.

    Args:
        steps: Name of each step, and the names it comes after.
    """
    found = list(_bad_names(steps))
    return found or list(_circles({name: tuple(after) for name, after in steps}, [name for name, _ in steps]))


def _bad_names(steps: Sequence[tuple[str, Sequence[str]]]) -> Iterator[Flaw]:
    names = [name for name, _ in steps]
    for index, (name, after) in enumerate(steps):
        if name in names[:index]:
            message = f'There is a step named "{name}" already; choose another name.'
            yield Flaw(f"steps[{index}].name", "NAME_TAKEN", message)
        for place, wanted in enumerate(after):
            path = f"steps[{index}].after[{place}]"
            if wanted not in names:
                yield Flaw(path, "STEP_UNKNOWN", f'There is no step "{wanted}"; name one of this plan.')
            elif wanted in after[:place]:
                yield Flaw(path, "NAMED_TWICE", f'"{wanted}" stands there twice; keep one.')


def _circles(after: Mapping[str, tuple[str, ...]], names: Sequence[str]) -> Iterator[Flaw]:
    """Name the first way round; where there is one, nothing else can be said about the order."""
    done: set[str] = set()
    left = list(names)
    while ready := [name for name in left if done.issuperset(after[name])]:
        done.update(ready)
        left = [name for name in left if name not in done]
    if not left:
        return
    # Everything left waits for something left, so walking back from any of them comes round.
    way = [left[0]]
    while way[-1] not in way[:-1]:
        way.append(next(name for name in after[way[-1]] if name in left))
    circle = way[way.index(way[-1]) :]
    step, before = circle[0], circle[1]
    path = f"steps[{names.index(step)}].after[{after[step].index(before)}]"
    shown = " → ".join(f'"{name}"' for name in circle)
    message = f"These steps wait for one another: {shown}; take one of these out of `after`."
    yield Flaw(path, "CIRCLE", message)


__all__ = ["Flaw", "Mode", "OnFailure", "Plan", "PlanSpec", "PlanStep", "flaws"]
