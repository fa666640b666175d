"""What a reconciliation costs: `PYTHONPATH=tests/bench python tests/bench/bench_reconcile.py --records N`.

A table of the mesh's PostgreSQL is copied into the hub. Then of each thousand records one is changed, one
removed and one added; both sides are compared, twice more with a host killed in the middle, and repaired.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import psycopg
from comparison.database import NAME, Database
from comparison.documents import SECRET
from comparison.mesh import LocalMesh, running_mesh
from comparison.meters import cpu_of, repeated
from isthmus.local.memory import pss_of
from isthmus.records.v1 import reconciliation_pb2
from isthmus.scheduling.v1 import scheduling_pb2
from isthmus.testing import kill9

SHARE = 1000
DOCUMENTS = """
kind: Credential
name: bench-database
spec: {{type: basic, username: {name}, secret: {{env: {secret}}}}}
---
kind: Instance
name: bench-database
spec:
  connector: postgres
  credential: bench-database
  configuration: {{host: {host}, port: {port}, database: {name}, sslmode: disable}}
---
kind: Mapping
name: compared
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: title, source: title}}
    - {{target: state, source: state}}
    - {{target: amount, source: amount}}
    - {{target: updated_at, source: updated_at, cast: timestamp}}
    - {{target: copied_at, now: true}}
---
kind: Flow
name: compared
spec:
  source: {{instance: bench-database, stream: compared}}
  mapping: compared
  destination: {{instance: hub, stream: compared}}
  key: [id]
  read_mode: full
"""
TABLE = """
CREATE TABLE compared (id text PRIMARY KEY, title text, state text, amount int, updated_at timestamptz);
INSERT INTO compared SELECT 'r' || lpad(n::text, 8, '0'), 'Incident ' || n || ' ' || repeat('x', 60),
    (ARRAY['new', 'open', 'closed'])[n % 3 + 1], n, timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(0, {records} - 1) n;
"""
CHANGES = """
UPDATE compared SET state = 'changed' WHERE amount % {share} = 1;
DELETE FROM compared WHERE amount % {share} = 2;
INSERT INTO compared SELECT 'n' || id, title, state, amount, updated_at
FROM compared WHERE amount % {share} = 3;
"""
LOOKED_AT = ("host-postgres", "host-hub", "records", "scheduling")


class Peaks:
    """The highest proportional memory of each process, whoever bears its name."""

    def __init__(self, mesh: LocalMesh) -> None:
        self._mesh = mesh
        self.megabytes: dict[str, int] = dict.fromkeys(LOOKED_AT, 0)
        self._pids: dict[str, int] = {}
        self.look_up()

    def look_up(self) -> None:
        """Finds the processes that run now."""
        for name in LOOKED_AT:
            try:
                self._pids[name] = self._mesh.pid(name)
            except (KeyError, TypeError):
                self._pids.pop(name, None)

    def look(self) -> None:
        """Looks at all; a host may have been started meanwhile, or again."""
        self.look_up()
        for name, pid in self._pids.items():
            self.megabytes[name] = max(self.megabytes[name], pss_of(pid) // 1024**2)

    @contextmanager
    def watched(self) -> Any:
        """Looks again and again while the block runs, and prints what it took."""
        self.megabytes = dict.fromkeys(LOOKED_AT, 0)
        self.look_up()
        pids, begun = dict(self._pids), time.monotonic()
        used = {name: cpu_of(pid) for name, pid in pids.items()}
        with repeated(self.look, 0.5):
            yield
        cpu = {name: round(cpu_of(pid) - used.get(name, 0.0), 1) for name, pid in pids.items()}
        say(f"    {time.monotonic() - begun:.1f} s; peak MB {self.megabytes}; CPU s {cpu}")


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def begun(mesh: LocalMesh, flow_id: str, *, repair: bool = False) -> str:
    """Starts a reconciliation and gives its id."""
    options = scheduling_pb2.ReconcileOptions(repair=repair, delete_extra=repair)
    request = scheduling_pb2.StartExecutionRequest(
        flow_id=flow_id, request_id=str(uuid.uuid4()), reconcile=options
    )
    return mesh.api.scheduling.StartExecution(request).execution.execution_id


def figures(mesh: LocalMesh, report_id: str) -> dict[str, int]:
    """Gives the figures of a report once it has ended."""
    request = reconciliation_pb2.GetReconciliationRequest(report_id=report_id)
    while True:
        report = mesh.api.reconciliations.GetReconciliation(request).reconciliation
        if report.status != reconciliation_pb2.Reconciliation.STATUS_RUNNING:
            break
        time.sleep(0.1)
    names = ("equal", "missing", "different", "extra", "unrelated", "unreadable", "repaired", "removed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def read_in(mesh: LocalMesh, execution_id: str, leg: int) -> int:
    """Gives how many records a leg has read."""
    asked = scheduling_pb2.GetExecutionRequest(execution_id=execution_id)
    execution = mesh.api.scheduling.GetExecution(asked).execution
    return sum(one.counts.read for one in execution.legs if one.leg == leg)


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that another process does."""
    end = time.monotonic() + 300
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    records = parser.parse_args().records
    with running_mesh() as mesh:
        database = Database.made(mesh.home, mesh.pid("postgres"))
        with psycopg.connect(database.url) as connection:
            connection.execute(TABLE.format(records=records))
        place = {"host": database.host, "port": database.port, "name": NAME, "secret": SECRET}
        mesh.apply(DOCUMENTS.format(**place), **{SECRET: database.secret})
        flow_id, peaks = mesh.flow_id("compared"), Peaks(mesh)
        say(f"sync of {records:,}")
        with peaks.watched():
            mesh.run(flow_id)
        with psycopg.connect(database.url) as connection:
            connection.execute(CHANGES.format(share=SHARE))
        say("comparison")
        with peaks.watched():
            one = begun(mesh, flow_id)
            mesh.ended(one)
        say(f"    {json.dumps(figures(mesh, one))}")
        for name, leg, half in (
            ("host-hub", scheduling_pb2.LEG_COMPARE_DESTINATION, records // 2),
            ("host-postgres", scheduling_pb2.LEG_COMPARE_SOURCE, records // 2),
        ):
            say(f"comparison, {name} killed in the middle of its leg")
            with peaks.watched():
                one = begun(mesh, flow_id)
                until(lambda: read_in(mesh, one, leg) >= half)  # noqa: B023
                read = read_in(mesh, one, leg)
                kill9(mesh.pid(name))
                mesh.ended(one)
            say(f"    {read:,} were behind a position; {json.dumps(figures(mesh, one))}")
        say("comparison and repair")
        with peaks.watched():
            one = begun(mesh, flow_id, repair=True)
            mesh.ended(one)
        say(f"    {json.dumps(figures(mesh, one))}")
        say("comparison of equal sides")
        with peaks.watched():
            one = begun(mesh, flow_id)
            mesh.ended(one)
        say(f"    {json.dumps(figures(mesh, one))}")


if __name__ == "__main__":
    main()
