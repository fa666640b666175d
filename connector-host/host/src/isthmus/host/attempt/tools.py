"""What attempts work with, and how they end."""

from dataclasses import dataclass

from isthmus.host.attempt.preparing import Preparing
from isthmus.host.backend import Backend
from isthmus.host.control import ControlPlane
from isthmus.host.reports import Reports
from isthmus.host.settings import HostSettings
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1 import batch_pb2 as batch


@dataclass(frozen=True, slots=True)
class Tools:
    """What every attempt of a host works with."""

    backend: Backend
    control: ControlPlane
    preparing: Preparing
    reports: Reports
    settings: HostSettings


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, and what it did up to its durable positions."""

    outcome: int
    counts: batch.Counts
    error: scheduling.ExecutionError | None = None
    preview: scheduling.Preview | None = None
    note: str = ""


__all__ = ["Ending", "Tools"]
