"""Why executions start, and which starts that wait go together."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.services.scheduling.domain import NO_PLACE, NOTHING_ASKED, Asked, Place, Reconcile, Trigger
from isthmus.services.scheduling.store.schedules import Waiting

_MOST_IDS = 1000


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an execution starts."""

    trigger: Trigger
    initiated_by: str
    schedule_id: str = ""
    quarantine_ids: tuple[str, ...] = ()
    asked: Asked = NOTHING_ASKED
    reconcile: Reconcile | None = None
    place: Place = NO_PLACE
    priority: int | None = None


def together(queue: Sequence[Waiting]) -> list[Waiting]:
    """Give those of the starts that wait for a flow that go into one execution."""
    first = queue[0]
    if first.trigger is not Trigger.REQUEUE and first.schedule_id:
        return [first]
    return [one for one in queue if one.trigger is first.trigger and not one.schedule_id]


def cause_of(chosen: Sequence[Waiting]) -> Cause:
    """Give the cause of the execution that they go into."""
    first = chosen[0]
    ids = tuple(dict.fromkeys(name for one in chosen for name in one.quarantine_ids))
    # One that names nothing means all that are requeued, and so do more ids than a job should carry.
    everything = any(not one.quarantine_ids for one in chosen) or len(ids) > _MOST_IDS
    return Cause(first.trigger, first.initiated_by, first.schedule_id, () if everything else ids)


__all__ = ["Cause", "cause_of", "together"]
