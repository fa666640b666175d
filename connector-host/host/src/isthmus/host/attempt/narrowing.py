"""A plan that is given less of each record than the source gave."""

from collections.abc import Callable, Iterable
from typing import Any

from isthmus.host.attempt.legs import RecordPlan
from isthmus.mapper import Mapped


class NarrowedPlan:
    """Maps what a function leaves of records.

    Args:
        plan: Maps it.
        cut: Gives a record without some of it, and never changes the record itself.
    """

    def __init__(self, plan: RecordPlan, cut: Callable[[Any], Any]) -> None:
        self._plan = plan
        self._cut = cut

    def apply_many(self, records: Iterable[object]) -> Mapped:
        """Map what is left of records."""
        return self._plan.apply_many(map(self._cut, records))


__all__ = ["NarrowedPlan"]
