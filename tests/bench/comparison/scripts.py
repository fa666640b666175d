"""Runners that are programs of their own, in environments of their own."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isthmus.local.private import write_private

from comparison.database import NAME
from comparison.environments import environment
from comparison.meters import PeakMemory
from comparison.running import Bench, Run, Runner

__all__ = ["PEERS", "Dlt", "DltAdbc", "DltArrow", "Reference", "Singer"]

PEERS = Path(__file__).parents[1] / "peers"
"""Folder of the programs."""
# Files of this size let two processes normalise and load side by side.
_DLT_SETTINGS = {"NORMALIZE__WORKERS": "2", "DATA_WRITER__FILE_MAX_ITEMS": "20000"}
# What costs the target time and the job does not ask for is switched off.
_TARGET_SETTINGS = {
    "use_copy": True,
    "batch_size_rows": 20_000,
    "add_record_metadata": False,
    "activate_version": False,
    "validate_records": False,
}


def _outcome(bench: Bench, command: list[str], **options: Any) -> tuple[dict[str, float], int, float]:
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
        told, peak, database = _outcome(bench, [str(self._python), str(PEERS / "reference.py"), *arguments])
        return Run(records, told["seconds"], told["cpu"], database, peak)

    def result_hash(self, bench: Bench) -> str:
        """Reads the table."""
        return bench.database.hash_of_table(self.table)


class Dlt(Runner):
    """dlt with its declarative REST source; every form loads by COPY or ADBC and upserts."""

    name = "dlt"
    title = "dlt, rest_api source (Parquet by ADBC)"
    kind = "rest_api"
    file_format = "parquet"

    def __init__(self) -> None:
        self._python = Path()
        self._schema = f"bench_{self.name.replace('-', '_')}"

    def prepare(self, bench: Bench) -> None:
        """Installs it."""
        packages = ["dlt[postgres]", "msgspec", "pyarrow", "adbc-driver-postgresql"]
        self._python = environment(bench.cache, packages, bench.progress) / "python"

    def clear(self, bench: Bench) -> None:
        """Removes its schemas and what it remembers."""
        bench.database.drop_schema(self._schema)
        bench.database.drop_schema(f"{self._schema}_staging")
        shutil.rmtree(self._folder(bench), ignore_errors=True)

    def run(self, bench: Bench, records: int) -> Run:
        """Runs it; it measures itself, without its start."""
        place = [bench.vendor.url, bench.database.url, self._schema, str(self._folder(bench))]
        command = [str(self._python), str(PEERS / "dlt_job.py"), self.kind, *place, self.file_format]
        told, peak, database = _outcome(bench, command, env={**os.environ, **_DLT_SETTINGS})
        return Run(records, told["seconds"], told["cpu"], database, peak)

    def result_hash(self, bench: Bench) -> str:
        """Reads the table."""
        return bench.database.hash_of_table(f"{self._schema}.incidents")

    def _folder(self, bench: Bench) -> Path:
        return bench.mesh.home / f"dlt-{self.name}"


class DltArrow(Dlt):
    """dlt with tables that are built by hand, loaded as CSV by COPY."""

    name = "dlt-arrow"
    title = "dlt, Arrow tables built by hand (CSV by COPY)"
    kind = "arrow"
    file_format = "csv"


class DltAdbc(Dlt):
    """dlt with tables that are built by hand, loaded as Parquet by ADBC."""

    name = "dlt-adbc"
    title = "dlt, Arrow tables built by hand (Parquet by ADBC)"
    kind = "arrow"


class Singer(Runner):
    """A tap written with Singer's SDK, piped into target-postgres."""

    name = "singer"
    title = "Singer SDK tap into MeltanoLabs target-postgres (COPY)"
    schema = "bench_singer"

    def __init__(self) -> None:
        self._tap: list[str] = []
        self._target: list[str] = []

    def prepare(self, bench: Bench) -> None:
        """Installs both and writes their settings."""
        tap = environment(bench.cache, ["singer-sdk"], bench.progress) / "python"
        target = environment(bench.cache, ["meltanolabs-target-postgres"], bench.progress) / "target-postgres"
        database = bench.database
        reach = {"host": database.host, "port": database.port, "user": NAME, "password": database.secret}
        settings = {**reach, "database": NAME, "default_target_schema": self.schema, **_TARGET_SETTINGS}
        self._tap = [
            str(tap),
            str(PEERS / "singer_tap.py"),
            *_settings(bench, "tap", {"url": bench.vendor.url}),
        ]
        self._target = [str(target), *_settings(bench, "target", settings)]

    def clear(self, bench: Bench) -> None:
        """Removes its schema."""
        bench.database.drop_schema(self.schema)

    def run(self, bench: Bench, records: int) -> Run:
        """Runs both; time counts from the first request, so that their start costs them nothing."""
        database, used = bench.database.cpu(), _cpu_of_children()
        complaints = bench.mesh.home / "singer.log"
        with complaints.open("w") as log:
            tap = subprocess.Popen(self._tap, stdout=subprocess.PIPE, stderr=log)
            target = subprocess.Popen(self._target, stdin=tap.stdout, stdout=subprocess.DEVNULL, stderr=log)
            assert tap.stdout is not None
            tap.stdout.close()
            with PeakMemory([tap.pid, target.pid]) as memory:
                codes = target.wait(), tap.wait()
                ended = time.time()
        if any(codes):
            raise RuntimeError(f"Singer ended with {codes}: {complaints.read_text()[-2000:]}")
        seconds = ended - float(bench.vendor.stats()["first_at"])
        cpu = _cpu_of_children() - used
        return Run(records, seconds, cpu, bench.database.cpu() - database, memory.bytes)

    def result_hash(self, bench: Bench) -> str:
        """Reads the table."""
        return bench.database.hash_of_table(f"{self.schema}.incidents")


def _settings(bench: Bench, name: str, values: Mapping[str, object]) -> list[str]:
    """Writes settings where only we can read them; gives the arguments that name them."""
    file = bench.mesh.home / f"singer-{name}.json"
    write_private(file, json.dumps(values))
    return ["--config", str(file)]


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
