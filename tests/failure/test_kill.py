"""Killing any process in the middle of a sync of 100,000 records loses nothing and doubles nothing."""

import json
import os
import signal
import time

import psycopg
import pytest
from isthmus.testing.vendor import running_vendor

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
    pytest.mark.xdist_group("failure"),
    pytest.mark.timeout(420),
]

TOTAL = 100_000
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


@pytest.fixture(scope="module")
def bulk_vendor():
    with running_vendor() as vendor:
        vendor.serve_pages("/incidents", TOTAL, 1000, incident)
        yield vendor


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
    end = time.monotonic() + 60
    while True:
        done = mesh.run("executions", "show", execution_id, "--output", "json")
        if done.code == 0:
            return done.json
        assert time.monotonic() < end, done.err
        time.sleep(0.2)


def in_the_middle(mesh, execution_id):
    """Waits until the sync is well under way."""
    end = time.monotonic() + 60
    while int(execution(mesh, execution_id).get("counts", {}).get("read", 0)) < TOTAL // 20:
        assert time.monotonic() < end, "the sync does not get going"


@pytest.mark.parametrize(
    "victim", ["host-http-json", "scheduling", "records", "registry", "nats", "postgres"]
)
def test_a_sync_survives_the_death_of(mesh, bulk_vendor, hub, victim):
    """
    After the restart exactly 100,000 records are there, each in its first version.
    """
    stream = "bulk_" + victim.replace("-", "_")
    mesh.apply(DOCUMENTS.format(url=bulk_vendor.url, stream=stream))
    started = mesh.answer("sync", "run", f"bulk-{stream}")["execution_id"]
    in_the_middle(mesh, started)

    os.kill(mesh.pid(victim), signal.SIGKILL)

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
