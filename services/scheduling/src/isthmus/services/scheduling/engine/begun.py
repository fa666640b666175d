"""What is known of executions that were started a moment ago, for the hosts that take them over."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from isthmus.kit import Clock
from isthmus.resilience.faults import Missing
from isthmus.services.scheduling.domain import Execution
from isthmus.services.scheduling.engine.kept import Kept
from isthmus.services.scheduling.engine.ports import InstanceFacts, Origin

_MOST_BEGUN = 2000
_FRESH_SECONDS = 5.0
_VERSION_SECONDS = 1.0
_BUSY_ENDS = 20
_CHOSEN_WITHIN = 0.6
_PACE_SECONDS = 0.03
_MANY = 8


@dataclass(slots=True)
class Begun:
    """An execution that was started a moment ago.

    Attributes:
        execution: As it was stored.
        etags: Those of its instances at that time.
        origin: What ties together all that belongs to it.
        at: Monotonic time.
        mapping_version: The version of the mapping that was meant at that time; None where it is not known.
    """

    execution: Execution
    etags: Mapping[str, str]
    origin: Origin
    at: float
    mapping_version: int | None = None


_Line: TypeAlias = tuple[str, str]
"""Tenant and connector."""


class Beginnings:
    """Keeps what is known of executions for a few seconds, and gives it once.

    A busy host that has room takes over what was begun a moment ago, so nobody has to send it a job for that.

    Args:
        clock: The time.
        held_back: Seconds that the job of an execution waits for a host that would take it over without one.
    """

    def __init__(self, clock: Clock, held_back: float) -> None:
        self._clock = clock
        self.held_back = held_back
        self._begun: Kept[tuple[str, str], Begun] = Kept(_MOST_BEGUN)
        self._lines: dict[_Line, dict[str, Begun]] = {}
        self._chosen: Kept[_Line, float] = Kept(_MOST_BEGUN)
        self._ends: Kept[_Line, deque[float]] = Kept(_MOST_BEGUN)

    def note(
        self,
        tenant_id: str,
        execution: Execution,
        instances: Mapping[str, InstanceFacts | Missing],
        origin: Origin,
        *,
        is_held_back: bool = False,
    ) -> None:
        """Keep what is known of an execution that has been started, perhaps with its job held back."""
        etags = {one.instance_id: one.etag for one in instances.values() if isinstance(one, InstanceFacts)}
        begun = Begun(execution, etags, origin, self._clock.monotonic())
        self._begun[tenant_id, execution.execution_id] = begun
        if is_held_back:
            line = self._lines.setdefault((tenant_id, execution.connector_id), {})
            line[execution.execution_id] = begun

    def learn(self, tenant_id: str, versions: Mapping[str, int]) -> None:
        """Take notice of the versions of mappings that executions were started with."""
        for execution_id, version in versions.items():
            if (begun := self._begun.get((tenant_id, execution_id))) is not None:
                begun.mapping_version = version

    def take(self, tenant_id: str, execution_id: str) -> Begun | None:
        """Give what is known of an execution that was started here a moment ago."""
        begun = self._begun.pop((tenant_id, execution_id), None)
        if begun is None:
            return None
        self._lines.get((tenant_id, begun.execution.connector_id), {}).pop(execution_id, None)
        if not self._is_fresh(begun):
            return None
        is_old = self._clock.monotonic() - begun.at > _VERSION_SECONDS
        return replace(begun, mapping_version=None) if is_old else begun

    def hear(self, tenant_id: str, connector_id: str, ends: int) -> None:
        """Take notice that a host that has room tells of ends of executions."""
        times = self._ends.get((tenant_id, connector_id))
        if times is None:
            times = self._ends[tenant_id, connector_id] = deque(maxlen=_BUSY_ENDS)
        times.extend([self._clock.monotonic()] * ends)

    def is_awaited(self, tenant_id: str, connector_id: str) -> bool:
        """Tell whether hosts with room end so many executions that one will be back in a moment."""
        times = self._ends.get((tenant_id, connector_id))
        if times is None or len(times) < _BUSY_ENDS:
            return False
        return self._clock.monotonic() - times[0] < self.held_back

    def choose(self, tenant_id: str, connector_id: str, most: int) -> list[str]:
        """Name executions for a host that has room, those that go first before others."""
        line = self._lines.get((tenant_id, connector_id), {})
        waiting = [one for one in line.values() if self._waits(one) and one.mapping_version is not None]
        going = sorted(waiting, key=lambda one: one.execution.rank_time)
        now = self._clock.monotonic()
        if (
            len(going) < min(most, _MANY)
            and now - self._chosen.get((tenant_id, connector_id), 0.0) < _PACE_SECONDS
        ):
            return []  # a few more go along with the next end that is told
        self._chosen[tenant_id, connector_id] = now
        return [one.execution.execution_id for one in going[:most]]

    def forget_late(self) -> bool:
        """Leave those to their jobs whom no host has taken in time; tell whether there were any, or are."""
        found = any(self._lines.values())
        for key, line in tuple(self._lines.items()):
            self._lines[key] = {name: one for name, one in line.items() if self._waits(one)}
            if not self._lines[key]:
                del self._lines[key]
        return found

    def _waits(self, begun: Begun) -> bool:
        """Tell whether the job of an execution is held back for long enough to give the execution away."""
        age = (self._clock.now() - begun.execution.create_time).total_seconds()
        return age < self.held_back * _CHOSEN_WITHIN

    def _is_fresh(self, begun: Begun) -> bool:
        return self._clock.monotonic() - begun.at <= max(_FRESH_SECONDS, self.held_back)


__all__ = ["Beginnings", "Begun"]
