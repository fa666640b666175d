"""How long data is kept."""

from collections.abc import Mapping
from dataclasses import dataclass

DAY = 86_400
FOR_EVER = 0
KINDS = ("records", "history", "deleted", "quarantine", "conflicts")
OF_STREAMS = ("records", "history", "deleted")
DEFAULTS: Mapping[str, int] = {
    "records": FOR_EVER,
    "history": 365 * DAY,
    "deleted": 365 * DAY,
    "quarantine": 90 * DAY,
    "conflicts": 365 * DAY,
}


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds for which each kind of data is kept; None says nothing, 0 is for ever."""

    records: int | None = None
    history: int | None = None
    deleted: int | None = None
    quarantine: int | None = None
    conflicts: int | None = None

    def over(self, tenant: "Retention") -> "Retention":
        """What counts: a stream's own, else the tenant's, else the default."""
        found = {}
        for kind in KINDS:
            own, other = getattr(self, kind), getattr(tenant, kind)
            found[kind] = own if own is not None else other if other is not None else DEFAULTS[kind]
        return Retention(**found)


__all__ = ["DAY", "DEFAULTS", "FOR_EVER", "KINDS", "OF_STREAMS", "Retention"]
