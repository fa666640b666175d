"""Which writers bring nothing but new records."""

from collections import OrderedDict
from dataclasses import dataclass

LEAST_ADDITION = 200
"""From so many records on one row tells of all their changes; looking up few of them at a time is slow."""
_MOST_FLOWS = 1000
_MOST_NEEDED = 256
_REPAID = 8
"""So many groups that were added without a look save more than one costs that is added in vain."""
_Flow = tuple[str, str, str]


@dataclass(slots=True)
class _Record:
    """How a writer did of late.

    Attributes:
        run: Groups in a row that held new records only.
        needed: So many of them make the next one be expected to.
        added: Groups in a row that were expected to, and did.
    """

    run: int = 0
    needed: int = 1
    added: int = 0


class Adding:
    """Expects new records of whoever has brought nothing else of late.

    Each time that this was wrong it takes twice as long until it is expected again, because what was
    added in vain has to be cleared away. Who was expected rightly for long enough has paid for that: a full
    reading begins with what is there already as often as not, and is new from its second page on.
    """

    def __init__(self) -> None:
        self._flows: OrderedDict[_Flow, _Record] = OrderedDict()

    def is_expected(self, flow: _Flow) -> bool:
        """Tell whether the next records of a flow are likely to be new, all of them."""
        known = self._flows.get(flow)
        return known is not None and known.run >= known.needed

    def learn(self, flow: _Flow, *, all_new: bool) -> None:
        """Take notice of what a group held."""
        known = self._flows.setdefault(flow, _Record())
        self._flows.move_to_end(flow)
        known.added = known.added + 1 if all_new and known.run >= known.needed else 0
        known.run = known.run + 1 if all_new else 0
        if known.added >= _REPAID:
            known.needed = 1
        while len(self._flows) > _MOST_FLOWS:
            self._flows.popitem(last=False)

    def failed(self, flow: _Flow) -> None:
        """One of the records was there already."""
        known = self._flows.setdefault(flow, _Record())
        known.run, known.added = 0, 0
        known.needed = min(known.needed * 2, _MOST_NEEDED)


__all__ = ["LEAST_ADDITION", "Adding"]
