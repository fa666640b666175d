"""How the mesh is doing, out of how each service is doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SERVICES = (
    "credentials",
    "events",
    "identity",
    "mapping",
    "monitoring",
    "records",
    "registry",
    "scheduling",
)


class State(StrEnum):
    """How one service is doing."""

    SERVING = "serving"
    STARTING = "starting"
    BROKEN = "broken"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """What was found about one service; `message` is empty when it serves without trouble."""

    service: str
    state: State
    message: str = ""


@dataclass(frozen=True, slots=True)
class MeshHealth:
    """What was found about all services, by name."""

    version: str
    services: Sequence[ServiceHealth]

    @property
    def state(self) -> State:
        """The worst state of any service."""
        found = {item.state for item in self.services}
        return next((state for state in _WORST_FIRST if state in found), State.SERVING)


_WORST_FIRST = (State.UNREACHABLE, State.BROKEN, State.STARTING, State.SERVING)

__all__ = ["SERVICES", "MeshHealth", "ServiceHealth", "State"]
