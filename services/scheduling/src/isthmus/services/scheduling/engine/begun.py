"""What is known of executions that were started a moment ago, for the hosts that take them over."""

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.kit import Clock
from isthmus.resilience.faults import Missing
from isthmus.services.scheduling.domain import Execution
from isthmus.services.scheduling.engine.kept import Kept
from isthmus.services.scheduling.engine.ports import InstanceFacts, Origin

_MOST_BEGUN = 2000
_FRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Begun:
    """An execution that was started a moment ago.

    Attributes:
        execution: As it was stored.
        etags: Those of its instances at that time.
        origin: What ties together all that belongs to it.
        at: Monotonic time.
    """

    execution: Execution
    etags: Mapping[str, str]
    origin: Origin
    at: float


class Beginnings:
    """Keeps what is known of executions for a few seconds, and gives it once.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun: Kept[tuple[str, str], Begun] = Kept(_MOST_BEGUN)

    def note(
        self,
        tenant_id: str,
        execution: Execution,
        instances: Mapping[str, InstanceFacts | Missing],
        origin: Origin,
    ) -> None:
        """Keep what is known of an execution that has been started."""
        etags = {one.instance_id: one.etag for one in instances.values() if isinstance(one, InstanceFacts)}
        begun = Begun(execution, etags, origin, self._clock.monotonic())
        self._begun[tenant_id, execution.execution_id] = begun

    def take(self, tenant_id: str, execution_id: str) -> Begun | None:
        """Give what is known of an execution that was started here a moment ago."""
        begun = self._begun.pop((tenant_id, execution_id), None)
        if begun is None or self._clock.monotonic() - begun.at > _FRESH_SECONDS:
            return None
        return begun


__all__ = ["Beginnings", "Begun"]
