"""When which fault strikes where: drawn from a seed, the same for everybody who draws it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from campaign.kinds import LONG_PAUSE, TARGETS, Kind

__all__ = ["Strike", "rounds", "schedule"]

_DECK = {
    Kind.KILL: 14,
    Kind.FREEZE: 6,
    Kind.CUT: 7,
    Kind.SILENCE: 4,
    Kind.DELAY: 3,
    Kind.STORE_LOST: 2,
    Kind.SLOW_DISK: 2,
    Kind.STALL: 2,
    Kind.THROTTLED: 2,
    Kind.BUSY: 1,
    Kind.BROKEN: 2,
    Kind.GATEWAY: 2,
    Kind.TRUNCATED: 2,
    Kind.RESET: 2,
    Kind.LOST_ANSWER: 2,
    Kind.SLOW: 1,
    Kind.DUPLICATED: 2,
    Kind.REORDERED: 2,
}
_SECONDS = {
    Kind.KILL: (0.2, 2.0),
    Kind.FREEZE: (1.5, 6.0),
    Kind.CUT: (0.5, 5.0),
    Kind.SILENCE: (2.0, 10.0),
    Kind.DELAY: (3.0, 8.0),
    Kind.STORE_LOST: (0.2, 2.0),
    Kind.SLOW_DISK: (4.0, 10.0),
    Kind.STALL: (3.0, 6.0),
}
_LONG_FREEZES = 0.4
_Card = TypeVar("_Card")


@dataclass(frozen=True)
class Strike:
    """One fault.

    Attributes:
        number: Its place in the schedule, from 1.
        kind: What goes wrong.
        target: Where.
        seconds: How long it lasts; 0 where that says nothing.
        times: How many answers it spoils; 0 where that says nothing.
        pause: Seconds since the fault before.
    """

    number: int
    kind: Kind
    target: str
    seconds: float
    times: int
    pause: float

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else f" × {self.times}"
        return f"{self.number:>3} {self.kind} {self.target}{lasts}"


def schedule(seed: int, faults: int, *, longest: float = LONG_PAUSE + 4) -> list[Strike]:
    """Draws the faults of a campaign.

    Args:
        seed: The same one gives the same faults.
        faults: How many.
        longest: No fault lasts longer; below `LONG_PAUSE` no freeze outlives a lease.
    """
    source = random.Random(seed)
    kinds = _dealt(source, [kind for kind, copies in _DECK.items() for _ in range(copies)])
    targets = {kind: _dealt(source, names) for kind, names in TARGETS.items()}
    return [_strike(source, number, next(kinds), targets, longest) for number in range(1, faults + 1)]


def rounds(strikes: list[Strike], size: int) -> list[list[Strike]]:
    """Cuts a schedule into rounds of about `size` faults, the last ones no larger than the others."""
    count = max(1, -(-len(strikes) // size))
    ends = [len(strikes) * number // count for number in range(count + 1)]
    return [strikes[first:last] for first, last in pairwise(ends)]


def _strike(
    source: random.Random, number: int, kind: Kind, targets: dict[Kind, Iterator[str]], longest: float
) -> Strike:
    seconds = 0.0
    if kind in _SECONDS:
        seconds = source.uniform(*_SECONDS[kind])
    if kind is Kind.FREEZE and source.random() < _LONG_FREEZES:
        seconds = LONG_PAUSE + source.uniform(0, 4)
    return Strike(
        number=number,
        kind=kind,
        target=next(targets[kind]),
        seconds=round(min(seconds, longest), 1),
        times=0 if seconds else source.randint(1, 3),
        pause=round(source.uniform(0.3, 2.0), 1),
    )


def _dealt(source: random.Random, cards: Iterable[_Card]) -> Iterator[_Card]:
    """Deals shuffled decks one after another, so that everything comes up about equally often."""
    while True:
        deck = list(cards)
        source.shuffle(deck)
        yield from deck
