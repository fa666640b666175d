"""What happened to how many records, and whether it adds up."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Counts:
    """How many records went where; every record read ends in exactly one of the other places.

    Attributes:
        read: Records the source gave.
        created: New at the destination.
        updated: Replaced at the destination.
        unchanged: Held by the destination already in the same form.
        deleted: Removed by the destination.
        filtered: Left out by the mapping on purpose.
        quarantined: Waiting in quarantine.
        bytes_sent: Record data sent to the destination.
        api_calls: Requests made to the external system.
        retries: Repeated requests and repeated batches.
        throttled: Times the external system asked to slow down.
    """

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    filtered: int = 0
    quarantined: int = 0
    bytes_sent: int = 0
    api_calls: int = 0
    retries: int = 0
    throttled: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        if other is NOTHING:
            return self
        if self is NOTHING:
            return other
        return Counts(*(getattr(self, name) + getattr(other, name) for name in _NAMES))

    @property
    def arrived(self) -> int:
        """Records that arrived, changed or not, or were left out on purpose."""
        return self.created + self.updated + self.unchanged + self.deleted + self.filtered

    @property
    def reconcile(self) -> bool:
        """Whether every record read is accounted for."""
        return self.read == self.arrived + self.quarantined

    @property
    def are_sane(self) -> bool:
        """Whether no count is negative."""
        return all(getattr(self, name) >= 0 for name in _NAMES)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Read counts as they were stored; what is absent is 0."""
        return cls(**{name: int(value) for name, value in stored.items() if name in _NAMES})

    def stored(self) -> dict[str, int]:
        """Give the form in which counts are stored: without the zeros."""
        return {name: value for name in _NAMES if (value := getattr(self, name))}


_NAMES = tuple(field.name for field in fields(Counts))
NOTHING = Counts()

__all__ = ["NOTHING", "Counts"]
