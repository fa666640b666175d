"""Maps samples one by one and tells what became of each."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from isthmus.mapper import FieldError, Plan, RecordRejected
from isthmus.resilience.faults import FixRequest

_LARGEST_ANSWER = 3 << 20


class Outcome(Enum):
    """What became of a sample."""

    MAPPED = "mapped"
    FILTERED = "filtered"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Trial:
    """One sample's result: its mapped JSON, a list of records where it is split, or why there is none."""

    outcome: Outcome
    record: str = ""
    errors: tuple[FieldError, ...] = ()


def tried(plan: Plan, samples: list[dict[str, Any]], now: datetime) -> list[Trial]:
    """Map every sample at one evaluation time.

    Raises:
        FixRequest: `SAMPLE_INVALID`, the results together are too large for one answer.
    """
    trials = []
    room = _LARGEST_ANSWER
    for sample in samples:
        trials.append(_try(plan, sample, now))
        room -= len(trials[-1].record.encode()) + 500 * len(trials[-1].errors)
        if room < 0:
            message = "The mapped samples are larger than one answer may be; send fewer of them."
            raise FixRequest("SAMPLE_INVALID", message, path="samples")
    return trials


def _try(plan: Plan, sample: dict[str, Any], now: datetime) -> Trial:
    try:
        mapped = plan.parts(sample, now=now) or None if plan.splits else plan.apply(sample, now=now)
    except RecordRejected as rejected:
        return Trial(Outcome.REJECTED, errors=rejected.errors)
    if mapped is None:
        return Trial(Outcome.FILTERED)
    return Trial(Outcome.MAPPED, json.dumps(mapped, ensure_ascii=False, separators=(",", ":")))


__all__ = ["Outcome", "Trial", "tried"]
