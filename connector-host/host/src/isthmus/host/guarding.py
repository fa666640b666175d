"""The limits of instances, and what all sessions of one instance share to keep to them."""

from collections import OrderedDict
from functools import partial

from isthmus.host.backend import Bound
from isthmus.host.budgets import Budgets
from isthmus.sdk.runtime import Guards, Limits

_MOST_INSTANCES = 1000
_SHARED = frozenset({"rate", "concurrent"})


class InstanceGuards:
    """Keeps breakers, rates and places for each instance, for as long as its limits stay the same.

    Args:
        budgets: Shares limits with other hosts that an instance names, or a rate that its connector asks for;
            None shares nothing.
    """

    def __init__(self, budgets: Budgets | None = None) -> None:
        self._budgets = budgets
        self._held: OrderedDict[tuple[str, str], Guards] = OrderedDict()

    def of(self, bound: Bound) -> Guards:
        """Return what the instance's sessions share; a configuration without instance has its own.

        Raises:
            ConfigurationFailure: `LIMITS_INVALID`.
        """
        limits = Limits.of(bound.limits)
        key = (bound.tenant_id, bound.instance_id)
        held = self._held.get(key)
        if held is None or held.limits != limits:
            held = Guards(limits)
            if self._budgets is not None and bound.instance_id:
                self._share(self._budgets, bound, held)
        if bound.instance_id:
            self._held[key] = held
            self._held.move_to_end(key)
            while len(self._held) > _MOST_INSTANCES:
                self._held.popitem(last=False)
        return held

    @staticmethod
    def _share(budgets: Budgets, bound: Bound, held: Guards) -> None:
        """Share what the instance names itself; what the connector asks for as soon as it does."""
        share = partial(budgets.share, bound.tenant_id, bound.instance_id, held)
        if _SHARED & set(bound.limits):
            share()
        else:
            held.shares_rate = partial(share, places=False)


__all__ = ["InstanceGuards"]
