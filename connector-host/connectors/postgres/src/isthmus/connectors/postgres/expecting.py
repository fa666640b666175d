"""What the next batch of a flow will most likely do to its table."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto

_MOST_FLOWS = 1000
_MOST_NEEDED = 256


class Way(Enum):
    """How rows get into a table."""

    ADD = auto()
    """Into the table itself: each of them is new."""
    COMPARE = auto()
    """Into a stage, and from there nowhere: each of them is there already."""
    MERGE = auto()
    """Into a stage and from there, by what the table holds."""


@dataclass(slots=True)
class _Flow:
    """How a flow did of late.

    Attributes:
        token: The attempt.
        is_filling: The table was empty when the attempt began, and nothing else was met in it since.
        new: Batches in a row that were new as a whole.
        new_needed: So many of them make the next one be expected to.
        same: Batches in a row that were there as a whole.
        same_needed: So many of them make the next one be expected to.
        is_known: The last batch was known by its bytes.
    """

    token: int
    is_filling: bool = False
    new: int = 0
    new_needed: int = 1
    same: int = 0
    same_needed: int = 1
    is_known: bool = False


class Expecting:
    """Expects of a flow what it did of late.

    Each time that this was wrong it takes four times as long until it is expected again.
    """

    def __init__(self) -> None:
        self._flows: OrderedDict[Hashable, _Flow] = OrderedDict()

    def knows(self, flow: Hashable, token: int) -> bool:
        """Whether the flow's attempt has begun."""
        known = self._flows.get(flow)
        return known is not None and known.token == token

    def begin(self, flow: Hashable, token: int, *, is_empty: bool) -> None:
        """An attempt begins; what the one before added is no reason to expect more of it."""
        known = self._flows.setdefault(flow, _Flow(token))
        known.token, known.is_filling, known.new = token, is_empty, 0
        self._flows.move_to_end(flow)
        while len(self._flows) > _MOST_FLOWS:
            self._flows.popitem(last=False)

    def way(self, flow: Hashable) -> Way:
        """The best way for the next batch of a flow."""
        known = self._flows.get(flow)
        if known is None:
            return Way.MERGE
        if known.is_filling or known.new >= known.new_needed:
            return Way.ADD
        return Way.COMPARE if known.same >= known.same_needed else Way.MERGE

    def is_known(self, flow: Hashable) -> bool:
        """Whether the next batch will most likely be known by its bytes."""
        known = self._flows.get(flow)
        return known is not None and known.is_known

    def learn(self, flow: Hashable, way: Way, *, is_new: bool, is_same: bool, is_known: bool = False) -> None:
        """Takes notice of what a batch did."""
        known = self._flows.get(flow)
        if known is None:
            return
        known.is_known = is_known
        known.new = known.new + 1 if is_new else 0
        known.same = known.same + 1 if is_same else 0
        if way is Way.COMPARE and not is_same:
            known.same_needed = min(known.same_needed * 4, _MOST_NEEDED)

    def failed(self, flow: Hashable) -> None:
        """One of the rows that were to be added was there already."""
        known = self._flows.get(flow)
        if known is not None:
            known.is_filling, known.new = False, 0
            known.new_needed = min(known.new_needed * 4, _MOST_NEEDED)


__all__ = ["Expecting", "Way"]
