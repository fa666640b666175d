"""Isthmus, into a table and into the hub."""

from __future__ import annotations

import time

from comparison.documents import flow
from comparison.meters import PeakMemory, cpu_of
from comparison.running import Bench, Run, Runner

__all__ = ["IsthmusRunner", "ThroughHub", "ThroughPostgres"]


class IsthmusRunner(Runner):
    """A flow of the mesh; what differs is where it goes.

    Attributes:
        source_process: The host that reads.
        instance: Where the flow writes.
        stream: The destination's stream.
        table: The table that holds its rows in the end.
        destination_process: The process that writes.
        attempts: How many attempts the last run needed.
    """

    source_process = "host-http-json"
    instance: str
    stream: str
    table: str
    destination_process: str

    def __init__(self) -> None:
        self._flow_id = ""
        self.attempts = 0

    def prepare(self, bench: Bench) -> None:
        """Creates the flow."""
        name = f"bench-{self.name}"
        bench.mesh.apply(flow(name, "incidents", self.instance, self.stream))
        self._flow_id = bench.mesh.flow_id(name)

    def start(self, bench: Bench) -> str:
        """Starts the flow; gives the execution's id."""
        return bench.mesh.start(self._flow_id)

    def run(self, bench: Bench, records: int) -> Run:
        """Starts the flow through the scheduling API and waits for its end."""
        # Hosts start when they are needed first; `clear` has made sure that they run.
        pids = [bench.mesh.pid(self.source_process), bench.mesh.pid(self.destination_process)]
        used, database = sum(map(cpu_of, pids)), bench.database.cpu()
        with PeakMemory(pids) as memory:
            begun = time.perf_counter()
            execution = bench.mesh.run(self._flow_id)
            seconds = time.perf_counter() - begun
        self.attempts = execution.attempts
        used, database = sum(map(cpu_of, pids)) - used, bench.database.cpu() - database
        return Run(records, seconds, used, database, memory.bytes)


class ThroughPostgres(IsthmusRunner):
    """Host and `postgres` destination."""

    name = "postgres"
    title = "Isthmus, host and `postgres` destination"
    instance = "bench-database"
    stream = table = "incidents_isthmus"
    destination_process = "host-postgres"

    def clear(self, bench: Bench) -> None:
        """Makes the table anew."""
        bench.database.fresh_table(self.stream)

    def result_hash(self, bench: Bench) -> str:
        """Reads the table."""
        return bench.database.hash_of_table(self.stream)


class ThroughHub(IsthmusRunner):
    """Host and hub."""

    name = "hub"
    title = "Isthmus, host and hub"
    instance = "hub"
    stream = "incidents"
    table = "records.records"
    destination_process = "records"

    def clear(self, bench: Bench) -> None:
        """Empties the hub."""
        bench.database.forget_hub_records()

    def result_hash(self, bench: Bench) -> str:
        """Reads the hub's JSON."""
        return bench.database.hash_of_stream(self.stream)
