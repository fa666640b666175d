"""Which answers of the source go wrong, drawn from a seed: the same for everybody who reads it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import StrEnum

__all__ = ["Fault", "schedule"]


class Fault(StrEnum):
    """How an answer goes wrong."""

    THROTTLED = "throttled"
    BROKEN = "broken"
    SLOW = "slow"
    TRUNCATED = "truncated"
    RESET = "reset"
    DUPLICATED = "duplicated"


def schedule(seed: int, pages: int, share: float = 0.1) -> Mapping[int, Fault]:
    """Draws the pages whose first answer goes wrong; every kind comes up where there are enough pages.

    Args:
        seed: The same seed gives the same schedule.
        pages: How many pages the source has.
        share: The share of pages that is hit.
    """
    source = random.Random(seed)
    hit = source.sample(range(pages), k=min(pages, max(round(pages * share), len(Fault))))
    kinds = [list(Fault)[place % len(Fault)] for place in range(len(hit))]
    source.shuffle(kinds)
    return dict(zip(hit, kinds, strict=True))
