"""Killing any process in the middle of a sync of 100,000 records loses nothing and doubles nothing."""

import json
import os
import signal
import threading

import psycopg
import pytest
from isthmus.testing.vendor import running_vendor
from isthmus.testing.waiting import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

TOTAL = 100_000
PAGE = 1000
VICTIMS = [
    ["host-http-json"],
    ["scheduling"],
    ["records"],
    ["registry"],
    ["nats"],
    ["postgres"],
    ["identity", "openbao", "credentials", "mapping", "events", "monitoring", "gateway"],
]
"""Each list dies in one sync, one after another."""
DOCUMENTS = """
kind: Instance
name: bulk
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - name: incidents
        path: /incidents
        records_path: items
        key: [id]
        paging: {{kind: cursor, param: after, field: next}}
---
kind: Mapping
name: bulk
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: title, template: "{{number}} {{short_description}}"}}
    - {{target: priority, source: priority, enum: {{"1": critical, "2": high, "3": low}}}}
---
kind: Flow
name: bulk-{stream}
spec:
  source: {{instance: bulk, stream: incidents}}
  mapping: bulk
  destination: {{instance: hub, stream: {stream}}}
  key: [id]
"""


def incident(number):
    return {
        "id": number,
        "number": f"INC{number:07}",
        "short_description": f"Disk {number % 97} is full",
        "priority": str(number % 3 + 1),
        "caller": {"name": f"user {number % 1000}", "mail": f"user{number % 1000}@example.org"},
        "work_notes": ["looked at it", "x" * 300],
    }


class Gate:
    """Holds the vendor's answers back, so that the sync is in the middle for as long as it takes."""

    def __init__(self, vendor, path):
        self._route = vendor.routes[path]
        self._moved = threading.Condition()
        self._end = TOTAL
        vendor.routes[path] = self._answer

    def open_until(self, end):
        """Lets through what comes before a record."""
        with self._moved:
            self._end = end
            self._moved.notify_all()

    def _answer(self, query):
        with self._moved:
            self._moved.wait_for(lambda: int(query.get("after", "0")) < self._end)
        return self._route(query)


@pytest.fixture(scope="module")
def bulk_vendor():
    with running_vendor() as vendor:
        vendor.serve_pages("/incidents", TOTAL, PAGE, incident)
        yield vendor


@pytest.fixture
def gate(bulk_vendor):
    made = Gate(bulk_vendor, "/incidents")
    yield made
    made.open_until(TOTAL)


@pytest.fixture(scope="module")
def hub(mesh):
    """Counts past all services, and again when the server has come back."""
    place = json.loads((mesh.home / "mesh.json").read_text())["postgres"]
    password = (mesh.home / "postgres" / "admin.password").read_text().strip()

    def ask(sql):
        reach = {"host": place["host"], "port": place["port"], "dbname": place["database"]}
        with psycopg.connect(**reach, user="isthmus_admin", password=password) as connection:
            return connection.execute(sql).fetchone()

    return ask


def execution(mesh, execution_id):
    """Reads an execution; an unreachable control plane is asked again."""
    return until(
        lambda: mesh.run("executions", "show", execution_id, "--output", "json"),
        f"an answer about {execution_id}",
        such=lambda done: done.code == 0,
    ).json


def is_back(mesh, victim, dead):
    """Tells whether another process has taken the place of a dead one and all are well."""
    status = mesh.run("status", "--output", "json").json
    pids = {one["name"]: one["pid"] for one in status["processes"]}
    return pids[victim] != dead and status["healthy"]


def applied(mesh, text):
    """Applies documents; services may take a moment to find a process again that was dead before."""
    file = mesh.home / "bulk.yaml"
    file.write_text(text)
    until(lambda: mesh.run("apply", "-f", str(file)).code == 0, "the documents to be applied")


@pytest.mark.parametrize("victims", VICTIMS, ids="-".join)
def test_a_sync_survives_the_death_of(mesh, bulk_vendor, gate, hub, victims):
    """
    After the restart exactly 100,000 records are there, each in its first version.
    """
    stream = "bulk_" + victims[0].replace("-", "_")
    counted = f"select count(*) from records.records where stream = '{stream}'"
    share = TOTAL // (len(victims) + 1) // PAGE * PAGE
    applied(mesh, DOCUMENTS.format(url=bulk_vendor.url, stream=stream))
    gate.open_until(PAGE)
    started = mesh.answer("sync", "run", f"bulk-{stream}")["execution_id"]

    for number, victim in enumerate(victims):
        process = mesh.pid(victim)
        gate.open_until(share * (number + 1))
        until(lambda: hub(counted)[0] > share * number + PAGE, "the sync to get on")  # noqa: B023
        os.kill(process, signal.SIGKILL)
        until(lambda: is_back(mesh, victim, process), f"{victim} to come back")  # noqa: B023
    gate.open_until(TOTAL)

    mesh.run("executions", "watch", started, "--output", "json", timeout=300)
    done = execution(mesh, started)
    records = hub(
        f"select count(*), count(distinct key), max(version) from records.records where stream = '{stream}'"
    )
    superseded = hub(f"select count(*) from records.record_history where stream = '{stream}'")
    assert done["status"] == "STATUS_COMPLETED", done
    assert int(done["counts"]["read"]) == TOTAL
    assert records == (TOTAL, TOTAL, 1)
    assert superseded == (0,)
