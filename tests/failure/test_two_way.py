"""Killing processes in the middle of a round of a two-way flow: both systems end the same, nothing twice."""

import os
import signal
import subprocess
import sys

import pytest
from isthmus.testing.sandbox import running_sandbox
from isthmus.testing.waiting import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

TOTAL = 8
SYSTEM = """
kind: Instance
name: {name}
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - name: items
        path: /items
        records_path: items
        key: [id]
        write:
          path: /items
          id_field: id
          correlation_field: correlation
          lookup:
            path: /items
            params: {{correlation: "{{correlation_id}}"}}
            records_path: items
          update: {{path: "/items/{{external_id}}"}}
          delete_path: "/items/{{external_id}}"
---
"""
FLOW = """
kind: Mapping
name: dying-to-ops
spec:
  field_mappings:
    - {target: ref, source: id, required: true}
    - {target: title, source: subject}
---
kind: Mapping
name: dying-to-desk
spec:
  field_mappings: [{target: subject, source: title}]
---
kind: Flow
name: dying-incidents
spec:
  source: {instance: dying-desk, stream: items}
  destination: {instance: dying-ops, stream: items}
  mapping: dying-to-ops
  reverse_mapping: dying-to-desk
  key: [ref]
  direction: both
  read_mode: full
  reverse_read_mode: full
"""


class Round:
    """A round that runs while the test does something to it."""

    def __init__(self, mesh):
        command = [sys.executable, "-m", "isthmus.client.cli", "--home", str(mesh.home)]
        command += ["sync", "run", "dying-incidents", "--watch", "--output", "json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def ended(self):
        """Waits for its end and tells whether it went well."""
        self.process.communicate(timeout=240)
        return self.process.returncode == 0


def kill(mesh, name):
    """Kills a process and waits until another one does its work."""
    victim = mesh.pid(name)
    os.kill(victim, signal.SIGKILL)
    until(lambda: mesh.pid(name) != victim, f"another {name}")


def round_with_death(mesh, system, victim):
    """Runs a round and kills a process while a write to a system has taken effect and is not answered."""
    system.arrived.clear()
    system.may_answer.clear()
    running = Round(mesh)
    assert system.arrived.wait(120)
    kill(mesh, victim)
    system.may_answer.set()
    return running.ended()


def test_both_systems_end_the_same_though_hosts_die_in_the_middle(mesh):
    """
    Each of the records made on either side has exactly one counterpart; the round after writes nothing.
    """
    with running_sandbox("desk-") as desk, running_sandbox("ops-") as ops:
        for number in range(TOTAL):
            desk.edit(f"own-{number}", subject=f"from the desk {number}")
            ops.edit(f"own-{number}", title=f"from ops {number}")
        documents = (
            SYSTEM.format(name="dying-desk", url=desk.url)
            + SYSTEM.format(name="dying-ops", url=ops.url)
            + FLOW
        )
        mesh.apply(documents)

        done = [round_with_death(mesh, ops, "host-http-json")]
        desk.edit("own-0", subject="changed at the desk")
        ops.edit("own-1", title="changed at ops")
        ops.remove("own-2")
        done.append(round_with_death(mesh, ops, "host-hub"))
        desk.edit("own-3", subject="changed again")
        ops.edit("own-4", title="and again")
        done.append(round_with_death(mesh, desk, "records"))
        done += [Round(mesh).ended() for _ in range(2)]
        desk.effects.clear()
        ops.effects.clear()
        done.append(Round(mesh).ended())

        assert done == [True] * 6
        assert desk.effects + ops.effects == []
        subjects = sorted(record["subject"] for record in desk.records.values())
        assert subjects == sorted(record["title"] for record in ops.records.values())
        assert len(set(subjects)) == len(subjects) == 2 * TOTAL - 1
        assert {"changed at the desk", "changed at ops", "changed again", "and again"} <= set(subjects)
