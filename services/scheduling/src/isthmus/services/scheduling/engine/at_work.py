"""What hosts were given a moment ago, as it is stored: whoever changes it notes that here."""

from dataclasses import dataclass, replace
from typing import TypeAlias

from isthmus.services.scheduling.domain import Execution
from isthmus.services.scheduling.engine.kept import Kept
from isthmus.services.scheduling.engine.ports import Origin
from isthmus.services.scheduling.store.leases import Held

_MOST = 2000


@dataclass(frozen=True, slots=True)
class AtWork:
    """An execution that a host was given, and where it comes from."""

    execution: Execution
    origin: Origin


AtWorks: TypeAlias = Kept[tuple[str, str], AtWork]
"""By tenant and execution."""


def nothing_at_work() -> AtWorks:
    """Make room for what hosts will be given."""
    return Kept(_MOST)


def note_progress(at_work: AtWorks, key: tuple[str, str], token: int, held: Held) -> Execution | None:
    """Keep what a host has told meanwhile, and return the execution as it is then, if it is known."""
    known = at_work.get(key)
    if known is None or known.execution.fencing_token != token:
        return None
    execution = replace(
        known.execution,
        live=held.live,
        durable=held.durable,
        expected_records=held.expected_records,
        idle_stops=held.idle_stops,
        lease_expire_time=held.expires,
        stop=held.stop,
        revision=held.revision,
    )
    at_work[key] = AtWork(execution, known.origin)
    return execution


__all__ = ["AtWork", "AtWorks", "note_progress", "nothing_at_work"]
