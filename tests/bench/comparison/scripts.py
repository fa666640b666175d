"""Runners that are programs of their own, in environments of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from comparison.environments import environment
from comparison.meters import PeakMemory
from comparison.running import Bench, Run, Runner

__all__ = ["PEERS", "Reference", "outcome"]

PEERS = Path(__file__).parents[1] / "peers"
"""Folder of the programs."""


def outcome(bench: Bench, command: list[str], **options: Any) -> tuple[dict[str, float], int, float]:
    """Runs a program; gives the last line of JSON that it prints, its peak memory, and the database's time.

    Raises:
        RuntimeError: it ended badly.
    """
    database = bench.database.cpu()
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        ) as process,
        PeakMemory([process.pid]) as memory,
    ):
        said, complaints = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{command[1]} ended with {process.returncode}: {complaints[-2000:]}")
    told: dict[str, float] = json.loads(said.strip().splitlines()[-1])
    return told, memory.bytes, bench.database.cpu() - database


class Reference(Runner):
    """The hand-optimised single file."""

    name = "reference"
    title = "reference: one file by hand (pycurl, msgspec, COPY, upsert)"
    table = "incidents_reference"

    def __init__(self, *kind: str) -> None:
        self._kind = kind
        self._python = Path()

    def prepare(self, bench: Bench) -> None:
        """Installs its libraries."""
        packages = ["msgspec", "psycopg[binary]", "pycurl"]
        self._python = environment(bench.cache, packages, bench.progress) / "python"

    def clear(self, bench: Bench) -> None:
        """Makes the table anew."""
        bench.database.fresh_table(self.table)

    def run(self, bench: Bench, records: int) -> Run:
        """Runs it; it measures itself from the first request on."""
        arguments = [bench.vendor.url, bench.database.url, self.table, *self._kind]
        told, peak, database = outcome(bench, [str(self._python), str(PEERS / "reference.py"), *arguments])
        return Run(records, told["seconds"], told["cpu"], database, peak)

    def result_hash(self, bench: Bench) -> str:
        """Reads the table."""
        return bench.database.hash_of_table(self.table)
