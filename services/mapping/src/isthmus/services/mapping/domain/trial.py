"""Maps samples one by one and tells what became of each."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from isthmus.mapper import FieldError, Plan, RecordRejected


class Outcome(Enum):
    """What became of a sample."""

    MAPPED = "mapped"
    FILTERED = "filtered"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Trial:
    """One sample's result: its mapped JSON, or why there is none."""

    outcome: Outcome
    record: str = ""
    errors: tuple[FieldError, ...] = ()


def tried(plan: Plan, samples: list[dict[str, Any]], now: datetime) -> list[Trial]:
    """Map every sample at one evaluation time."""
    return [_try(plan, sample, now) for sample in samples]


def _try(plan: Plan, sample: dict[str, Any], now: datetime) -> Trial:
    try:
        mapped = plan.apply(sample, now=now)
    except RecordRejected as rejected:
        return Trial(Outcome.REJECTED, errors=rejected.errors)
    if mapped is None:
        return Trial(Outcome.FILTERED)
    return Trial(Outcome.MAPPED, json.dumps(mapped, ensure_ascii=False, separators=(",", ":")))


__all__ = ["Outcome", "Trial", "tried"]
