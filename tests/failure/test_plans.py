"""Killing the scheduler in the middle of a plan: it goes on, and every step was started once."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from isthmus.testing.vendor import running_vendor
from isthmus.testing.waiting import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

ORDER = {"users": (), "groups": ("users",), "rights": ("users",), "tickets": ("groups", "rights")}
SYSTEM = """
kind: Instance
name: desk
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
"""
FLOW = """
---
kind: Flow
name: {name}
spec:
  source: {{instance: desk, stream: {name}}}
  destination: {{instance: hub, stream: {name}}}
"""


class Held:
    """A stream of the vendor that answers once it may."""

    def __init__(self, vendor, name):
        vendor.serve_json(f"/{name}", {"items": [{"id": f"{name}-{n}"} for n in range(20)]})
        self._route = vendor.routes[f"/{name}"]
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.may_answer.set()
        vendor.routes[f"/{name}"] = self._answer

    def hold(self):
        """Answers no more until it may."""
        self.may_answer.clear()
        self.asked.clear()

    def _answer(self, query):
        self.asked.set()
        self.may_answer.wait(300)
        return self._route(query)


def documents(vendor):
    """Describes the system, the flows and the plan."""
    streams = [f"      - {{name: {name}, path: /{name}, records_path: items, key: [id]}}" for name in ORDER]
    steps = [f"    - {{name: {name}, flow: {name}, after: [{', '.join(ORDER[name])}]}}" for name in ORDER]
    return "\n".join(
        [
            SYSTEM.format(url=vendor.url).rstrip(),
            *streams,
            *(FLOW.format(name=name).strip() for name in ORDER),
            "---\nkind: Plan\nname: joiners\nspec:\n  mode: all_or_compensate\n  steps:",
            *steps,
        ]
    )


def scheduler(mesh):
    """Gives the scheduler's process id, also while it is being started again."""
    found = mesh.run("status", "--output", "json").json["processes"]
    return next(item["pid"] for item in found if item["name"] == "scheduling" and item["state"] == "running")


def kill_scheduling(mesh):
    """Kills the scheduler and waits until another one does its work."""
    victim = scheduler(mesh)
    os.kill(victim, signal.SIGKILL)
    until(lambda: is_replaced(mesh, victim), "another scheduling")


def is_replaced(mesh, victim):
    """Tells whether another scheduler than this one answers."""
    answer = mesh.run("plans", "list")
    found = mesh.run("status", "--output", "json").json["processes"]
    others = [item for item in found if item["name"] == "scheduling" and item["pid"] not in {0, victim}]
    return answer.code == 0 and bool(others)


def test_a_plan_goes_on_after_the_scheduler_was_killed(own_mesh):
    """
    Killed while steps are at work and while they end, over and over; no step was left out or started twice.
    """
    with running_vendor() as vendor:
        held = {name: Held(vendor, name) for name in ORDER}
        own_mesh.apply(documents(vendor))
        for one in held.values():
            one.hold()
        run = own_mesh.answer("plans", "run", "joiners")
        command = [sys.executable, "-m", "isthmus.client.cli", "--home", str(own_mesh.home)]
        command += ["plans", "watch", run["plan_run_id"], "--output", "json"]
        watching = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            for name in ORDER:
                assert held[name].asked.wait(120)
                kill_scheduling(own_mesh)
                held[name].may_answer.set()
                kill_scheduling(own_mesh)
            watching.wait(240)
        finally:
            for one in held.values():
                one.may_answer.set()
            watching.kill()
        done = own_mesh.answer("plans", "steps", run["plan_run_id"])
        ids = {step["name"]: step["execution_id"] for step in done["steps"]}
        started = {
            name: [one["execution_id"] for one in own_mesh.answer("executions", "list", "--flow", name)]
            for name in ORDER
        }

        assert (watching.returncode, done["status"]) == (0, "STATUS_COMPLETED")
        assert started == {name: [ids[name]] for name in ORDER}
        completion = {step["name"]: step["completion"] for step in done["steps"]}
        assert all(completion[before] < completion[name] for name in ORDER for before in ORDER[name])
