"""What people do to records while syncs and faults go on."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Edits", "Untouched"]


@dataclass(frozen=True)
class Edits:
    """How many records people make, change and delete at a time."""

    creates: int
    updates: int = 0
    deletes: int = 0

    def halved(self) -> Edits:
        """Half of everything."""
        return Edits(self.creates // 2, self.updates // 2, self.deletes // 2)


class Untouched:
    """Lets people touch each record at most once in a round.

    A reader may miss what a record was between two changes, and rightly so. With one change between two
    complete syncs every state has to arrive, and what should have arrived is known exactly.
    """

    def __init__(self) -> None:
        self._touched: set[str] = set()

    def end_round(self) -> None:
        """Let every record be touched again."""
        self._touched.clear()

    def touch(self, key: str) -> None:
        """Leave a record alone from now on."""
        self._touched.add(key)

    def choose(
        self, living: Iterable[str], source: random.Random, edits: Edits
    ) -> tuple[list[str], list[str]]:
        """Choose records to change and records to delete, as many as there are."""
        free = sorted(set(living) - self._touched)
        chosen = source.sample(free, min(len(free), edits.updates + edits.deletes))
        self._touched.update(chosen)
        return chosen[edits.deletes :], chosen[: edits.deletes]
