"""What every runner is given and what it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comparison.database import Database
from comparison.mesh import LocalMesh
from comparison.vendor import Vendor

__all__ = ["Bench", "Run", "Runner"]


@dataclass(frozen=True)
class Bench:
    """The place where runners take turns.

    Attributes:
        vendor: The source.
        database: Where rows go.
        mesh: A mesh that uses both.
        cache: Folder for what is kept from one bench to the next.
        progress: Shows a line that the next one replaces.
        most_records: As many records the source has at most.
    """

    vendor: Vendor
    database: Database
    mesh: LocalMesh
    cache: Path
    progress: Callable[[str], None]
    most_records: int


@dataclass(frozen=True)
class Run:
    """One run of the job.

    Attributes:
        records: Records moved.
        seconds: From the trigger to the end.
        cpu: Processor time of the runner's own processes.
        database_cpu: Processor time of the database's server meanwhile.
        peak_bytes: Highest proportional memory of the runner's own processes.
    """

    records: int
    seconds: float
    cpu: float
    database_cpu: float
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds

    @property
    def cpu_micros(self) -> float:
        """Microseconds of processor time for one record."""
        return self.cpu / self.records * 1e6


class Runner(ABC):
    """One way of doing the job.

    Attributes:
        name: What it is chosen by.
        title: What it is in words.
    """

    name: str
    title: str

    @abstractmethod
    def prepare(self, bench: Bench) -> None:
        """Installs and sets up what is needed once.

        Raises:
            Unavailable: it cannot run here.
        """

    @abstractmethod
    def clear(self, bench: Bench) -> None:
        """Removes what earlier runs have written."""

    @abstractmethod
    def run(self, bench: Bench, records: int) -> Run:
        """Moves everything that the source has now."""

    @abstractmethod
    def result_hash(self, bench: Bench) -> str:
        """Tells the SHA-256 of the rows that it has written."""
