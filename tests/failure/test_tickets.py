"""Killing a process while a ticket system is at work: each record still has exactly one ticket."""

import json
import os
import random
import signal
import threading

import pytest
from isthmus.testing.tickets import Break, running_desk
from isthmus.testing.waiting import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

TOTAL = 40
DOCUMENTS = """
kind: Instance
name: {name}-alerts
spec:
  connector: files
  configuration:
    streams: [{{name: alerts, path: {name}.jsonl, key: [id]}}]
---
kind: Instance
name: {name}-desk
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - name: tickets
        key: [id]
        write:
          path: /tickets
          id_field: number
          correlation_field: correlation
          lookup:
            path: /tickets
            params: {{correlation: "{{correlation_id}}"}}
            records_path: tickets
            id_field: number
          update: {{path: "/tickets/{{external_id}}"}}
---
kind: Flow
name: {name}
spec:
  source: {{instance: {name}-alerts, stream: alerts}}
  destination: {{instance: {name}-desk, stream: tickets}}
  key: [id]
"""


class Pause:
    """Holds the answer to one create back, when it has taken effect already."""

    def __init__(self, desk, number):
        self.desk = desk
        self.number = number
        self.reached = threading.Event()
        self.go_on = threading.Event()
        desk.arrived = self.arrived

    def arrived(self, _body):
        """Is called by the system, in a thread for each request."""
        if len(self.desk.created) == self.number:
            self.reached.set()
            self.go_on.wait(300)


def is_back(mesh, victim, dead):
    """Tells whether another process has taken the place of a dead one and all are well."""
    status = mesh.run("status", "--output", "json").json
    pids = {one["name"]: one["pid"] for one in status["processes"]}
    return pids[victim] != dead and status["healthy"]


def run(mesh, name):
    """Starts the flow and gives the execution's id."""
    return mesh.answer("sync", "run", name)["execution_id"]


def completed(mesh, execution):
    """Tells whether an execution has come to its end, and that it is a good one."""
    done = mesh.run("executions", "show", execution, "--output", "json")
    status = done.json["status"] if done.code == 0 else ""
    assert status not in {"STATUS_FAILED", "STATUS_CANCELLED"}, done.out
    return status == "STATUS_COMPLETED"


def prepared(mesh, desk, name):
    """Sets the flow up, with alerts to make tickets of."""
    alerts = [json.dumps({"id": number, "title": f"alert {number}"}) for number in range(TOTAL)]
    (mesh.files / f"{name}.jsonl").write_text("\n".join(alerts) + "\n")
    mesh.apply(DOCUMENTS.format(name=name, url=desk.url))


@pytest.mark.parametrize("victim", ["host-http-json", "host-files", "records", "postgres"])
def test_each_record_has_one_ticket_after_the_death_of(mesh, victim):
    """
    The victim dies when a ticket has been created and its number is not known yet.
    """
    name = "tickets-" + victim.replace("host-", "")
    with running_desk() as desk:
        prepared(mesh, desk, name)
        pause = Pause(desk, number=7)
        execution = run(mesh, name)
        assert pause.reached.wait(120)
        dead = mesh.pid(victim)
        os.kill(dead, signal.SIGKILL)
        until(lambda: is_back(mesh, victim, dead), f"{victim} to come back")
        pause.go_on.set()
        until(lambda: completed(mesh, execution), "the end of the sync")

        assert sorted(body["id"] for body in desk.created) == list(range(TOTAL))
        links = mesh.answer("links", "list", name, "--limit", "0")
        assert {link["external_id"] for link in links} == set(desk.tickets)


@pytest.mark.parametrize("seed", [1, 2])
def test_each_record_has_one_ticket_after_three_deaths(mesh, seed):
    """
    Three victims die one after another, each when another ticket has just been created.
    """
    chance = random.Random(seed)
    victims = chance.choices(["host-http-json", "host-files", "records"], [2, 1, 1], k=3)
    numbers = sorted(chance.sample(range(1, TOTAL), k=3))
    name = f"tickets-random-{seed}"
    with running_desk() as desk:
        prepared(mesh, desk, name)
        pauses = [Pause(desk, number) for number in numbers]
        desk.arrived = lambda body: [pause.arrived(body) for pause in pauses]
        execution = run(mesh, name)
        for pause, victim in zip(pauses, victims, strict=True):
            assert pause.reached.wait(240), (victim, pause.number)
            dead = mesh.pid(victim)
            os.kill(dead, signal.SIGKILL)
            until(lambda: is_back(mesh, victim, dead), f"{victim} to come back")  # noqa: B023
            pause.go_on.set()
        until(lambda: completed(mesh, execution), "the end of the sync")

        assert sorted(body["id"] for body in desk.created) == list(range(TOTAL))


def test_each_record_has_one_ticket_though_the_system_cuts_connections(mesh):
    """
    Three requests take effect and are not answered; the attempts behind them find what was created.
    """
    with running_desk(lambda number: Break.AFTER if number in {3, 17, 29} else None) as desk:
        prepared(mesh, desk, "tickets-cut")
        execution = run(mesh, "tickets-cut")
        until(lambda: completed(mesh, execution), "the end of the sync")

        assert sorted(body["id"] for body in desk.created) == list(range(TOTAL))
        assert desk.lookups >= 3
