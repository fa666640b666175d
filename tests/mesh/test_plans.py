"""Plans over several systems: in order, undone together, paused and resumed."""

import threading

import pytest
from isthmus.testing.vendor import Reply
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh

KINDS = ("users", "groups", "tickets")
SYSTEM = """
kind: Instance
name: {name}
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
"""
STREAM = """
      - {{name: {kind}, path: /{name}/{kind}, records_path: items, key: [id],
          paging: {{kind: cursor, param: after, field: next}}}}
"""
FLOWS = """
---
kind: Flow
name: {name}-{kind}
spec:
  source: {{instance: {name}, stream: {kind}}}
  destination: {{instance: hub, stream: {name}-{kind}}}
  key: [id]
---
kind: Flow
name: {name}-{kind}-undo
spec:
  source: {{instance: {name}, stream: {kind}}}
  destination: {{instance: hub, stream: {name}-{kind}}}
  key: [id]
  read_mode: full
  write_mode: delete
  priority: high
"""
PLAN = """
---
kind: Plan
name: {name}
spec:
  mode: all_or_compensate
  steps:
    - {{name: users, flow: {name}-users, compensate: {name}-users-undo}}
    - {{name: groups, flow: {name}-groups, after: [users], compensate: {name}-groups-undo}}
    - {{name: settled, after: [groups]}}
    - {{name: tickets, flow: {name}-tickets, after: [settled], compensate: {name}-tickets-undo}}
  schedules: [{{cron: "0 3 1 1 *"}}]
"""


def serve(vendor, path, total, page=50):
    """Answers so many records."""
    vendor.serve_pages(path, total, page, lambda n: {"id": str(n), "name": f"number {n}"})


@pytest.fixture
def joiners(mesh, vendor, request):
    """Gives a plan of users before groups before tickets, whose system has no tickets yet."""
    name = request.node.name.replace("_", "-")[5:35]
    documents = SYSTEM.format(name=name, url=vendor.url)
    documents += "".join(STREAM.format(name=name, kind=kind).lstrip("\n") for kind in KINDS)
    documents += "".join(FLOWS.format(name=name, kind=kind) for kind in KINDS) + PLAN.format(name=name)
    for kind in KINDS:
        serve(vendor, f"/{name}/{kind}", 120)
    done = mesh.apply(documents)
    del vendor.routes[f"/{name}/tickets"]
    return name, documents, done


def held(mesh, name):
    """Counts the records of each kind that the hub holds."""
    return {kind: int(mesh.answer("records", "count", f"{name}-{kind}")["records"]) for kind in KINDS}


def steps(run):
    """Gives the states of a run's steps."""
    return {step["name"]: step["status"].removeprefix("STATUS_") for step in run["steps"]}


def test_a_failing_step_undoes_what_is_complete(mesh, vendor, joiners):
    """
    Nothing of the users and groups is left; once the system has tickets everything arrives.
    """
    name, _, _ = joiners
    failed = mesh.run("plans", "run", name, "--watch", "--output", "json")
    left = held(mesh, name)
    serve(vendor, f"/{name}/tickets", 70)
    done = mesh.answer("plans", "run", name, "--watch")
    listed = mesh.answer("plans", "runs", name)
    shown = mesh.answer("plans", "steps", failed.json["plan_run_id"])

    assert (failed.code, failed.json["status"]) == (1, "STATUS_COMPENSATED")
    assert steps(failed.json) == {
        "users": "COMPENSATED",
        "groups": "COMPENSATED",
        "settled": "COMPLETED",
        "tickets": "FAILED",
    }
    undone = {step["name"]: step["compensation_id"] for step in failed.json["steps"]}
    assert undone["groups"] < undone["users"]  # ids grow with time
    assert left == {"users": 0, "groups": 0, "tickets": 0}
    assert (done["status"], held(mesh, name)) == (
        "STATUS_COMPLETED",
        {"users": 120, "groups": 120, "tickets": 70},
    )
    assert [run["plan_run_id"] for run in listed] == [done["plan_run_id"], failed.json["plan_run_id"]]
    assert shown == failed.json


def test_documents_of_plans_come_back_as_they_were_applied(mesh, joiners):
    """
    Applying again changes nothing; what is exported names flows and has the schedule.
    """
    name, documents, first = joiners
    again = mesh.apply(documents)
    exported = {(one["kind"], one["name"]): one["spec"] for one in mesh.answer("export")}

    assert {one["action"] for one in first} == {"create"}
    assert {one["action"] for one in again} == {"unchanged"}
    assert exported["Plan", name] == {
        "mode": "all_or_compensate",
        "steps": [
            {"name": "users", "flow": f"{name}-users", "compensate": f"{name}-users-undo"},
            {
                "name": "groups",
                "flow": f"{name}-groups",
                "after": ["users"],
                "compensate": f"{name}-groups-undo",
            },
            {"name": "settled", "after": ["groups"]},
            {
                "name": "tickets",
                "flow": f"{name}-tickets",
                "after": ["settled"],
                "compensate": f"{name}-tickets-undo",
            },
        ],
        "schedules": [{"cron": "0 3 1 1 *"}],
    }
    assert exported["Flow", f"{name}-users-undo"]["priority"] == "high"
    mesh.ok("plans", "delete", name)


TOTAL, PAGE, MIDDLE = 30_000, 500, 12_000


class Gate:
    """Holds pages back from one record on, and notes what was asked for."""

    def __init__(self, vendor, path):
        self._route, self._open = vendor.routes[path], threading.Event()
        self.reached, self.asked = threading.Event(), []
        vendor.routes[path] = self._answer

    def open(self):
        """Lets everything through."""
        self._open.set()

    def _answer(self, query):
        first = int(query.get("after", "0"))
        self.asked.append(first)
        if first >= MIDDLE:
            self.reached.set()
            if not self._open.wait(120):
                return Reply(b"{}", 503)
        return self._route(query)


def test_a_paused_sync_goes_on_from_where_it_stopped(mesh, vendor):
    """
    In the middle of many records: nothing is started meanwhile, and in the end each was read once.
    """
    name = "paused-sync"
    serve(vendor, f"/{name}/users", TOTAL, PAGE)
    gate = Gate(vendor, f"/{name}/users")
    documents = SYSTEM.format(name=name, url=vendor.url) + STREAM.format(name=name, kind="users").lstrip("\n")
    mesh.apply(documents + FLOWS.format(name=name, kind="users").rpartition("---\n")[0])
    started = mesh.answer("sync", "run", f"{name}-users")
    assert gate.reached.wait(120)
    mesh.ok("flows", "pause", f"{name}-users", "--reason", "maintenance")
    refused = mesh.run("sync", "run", f"{name}-users")
    paused = wait_until_paused(mesh, started["execution_id"])
    before = len(gate.asked)
    gate.open()
    mesh.ok("flows", "resume", f"{name}-users")
    done = mesh.answer("executions", "watch", started["execution_id"])

    assert refused.code != 0
    assert "FLOW_PAUSED" in refused.err
    assert "maintenance" in refused.err
    assert 0 < int(paused["counts"]["read"]) < TOTAL
    assert min(gate.asked[before:]) > 0
    assert (done["status"], int(done["counts"]["read"])) == ("STATUS_COMPLETED", TOTAL)
    assert int(done["counts"]["created"]) == TOTAL
    shown = mesh.answer("executions", "show", started["execution_id"])
    assert sum(int(one["counts"]["read"]) for one in shown["attempt_list"]) == TOTAL


def wait_until_paused(mesh, execution_id):
    """Waits until the host has handed the execution back."""
    return until(
        lambda: mesh.answer("executions", "show", execution_id),
        "the pause",
        such=lambda found: found["status"] == "STATUS_PAUSED",
    )
