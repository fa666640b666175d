"""Where in the run of a plan an execution stands."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the run of a plan an execution stands; empty for one that no plan has started."""

    run_id: str = ""
    step: str = ""
    undoes: bool = False


NO_PLACE = Place()

__all__ = ["NO_PLACE", "Place"]
