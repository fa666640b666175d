"""Both sides of a flow are compared, and made equal on request."""

import json

import psycopg
import pytest
from isthmus.testing.sandbox import running_sandbox
from isthmus.testing.tickets import running_desk

pytestmark = pytest.mark.mesh

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
        write: {{method: PUT, path: "/items/{{id}}", delete_path: "/items/{{id}}"}}
---
"""
MAPPING = """
kind: Mapping
name: {name}
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: title, source: subject}}
    - {{target: severity, source: priority, enum: {{"1": high, "2": low}}}}
    - {{target: owner.name, source: owner}}
    # Another time with every mapping, so it is nothing that sides can differ in.
    - {{target: owner.seen, now: true}}
---
"""
FLOW = """
kind: Flow
name: {name}
spec:
  source: {{instance: {name}-desk, stream: items}}
  destination: {destination}
  mapping: {name}
  key: [id]
"""
COUNTED = ("equal", "missing", "different", "extra", "unrelated", "unreadable")


def counted(report):
    """Gives the figures of a report that are not zero."""
    return {name: int(report[name]) for name in COUNTED if int(report[name])}


class Flow:
    """A system, and a flow from it."""

    def __init__(self, mesh, name, desk, env=None):
        self.mesh, self.name, self.desk, self.env = mesh, name, desk, env

    def apply(self, destination, more=""):
        """Describes the system and the flow to a destination."""
        text = SYSTEM.format(name=f"{self.name}-desk", url=self.desk.url) + MAPPING.format(name=self.name)
        self.mesh.apply(more + text + FLOW.format(name=self.name, destination=destination), env=self.env)

    def sync(self):
        """Runs the flow."""
        return self.mesh.answer("sync", "run", self.name, "--watch", env=self.env)

    def reconcile(self, *options):
        """Compares both sides and gives the report."""
        return self.mesh.answer("reconcile", "run", self.name, "--watch", *options, env=self.env)


@pytest.fixture
def flow(mesh, request):
    """Gives a system of three records, and the flow that is named after the test."""
    with running_sandbox() as desk:
        for key in ("1", "2", "3"):
            desk.edit(key, subject=f"Subject {key}", priority="1", owner="Ann")
        yield Flow(mesh, request.node.name.replace("_", "-")[5:45], desk)


@pytest.fixture
def ops(flow):
    """Gives another system, to which the flow goes, and whose fields are partly its own."""
    with running_sandbox() as other:
        system = SYSTEM.format(name=f"{flow.name}-ops", url=other.url)
        flow.apply(f"{{instance: {flow.name}-ops, stream: items}}", system)
        flow.sync()
        yield other


def test_differences_between_two_systems_are_found_and_repaired(flow, ops):
    """
    What somebody did to the destination is found exactly, with the fields; afterwards both are the same.
    """
    ops.edit("1", title="another", runbook="its own")
    ops.remove("2")
    ops.edit("9", title="extra", severity="low", owner={"name": "Bob"})
    before = dict(ops.records)
    found = flow.reconcile()
    untouched = dict(ops.records)
    repaired = flow.reconcile("--repair")
    kept = flow.reconcile()
    flow.reconcile("--repair", "--delete-extra")
    last = flow.reconcile()

    assert found["status"] == "STATUS_COMPLETED"
    assert counted(found) == {"equal": 1, "missing": 1, "different": 1, "extra": 1}
    assert untouched == before
    assert {one["kind"]: (one["key"], one["fields"]) for one in found["samples"]} == {
        "KIND_MISSING": ("2", []),
        "KIND_EXTRA": ("9", []),
        "KIND_DIFFERENT": ("1", ["title"]),
    }
    assert repaired["repaired"] == "2"
    assert counted(kept) == {"equal": 3, "extra": 1}
    assert counted(last) == {"equal": 3}
    assert set(ops.records) == {"1", "2", "3"}


def test_a_flow_into_the_hub_is_compared_with_its_own_records(flow):
    """
    Records that another flow has written into the stream are nobody's extra ones.
    """
    stream = f"{flow.name}-all"
    flow.apply(f"{{instance: hub, stream: {stream}}}")
    flow.sync()
    other = f"kind: Flow\nname: {flow.name}-too\nspec:\n  source: {{instance: hub, stream: {stream}}}\n"
    other += f"  destination: {{instance: hub, stream: {stream}-too}}\n"
    flow.mesh.apply(other)
    flow.mesh.answer("sync", "run", f"{flow.name}-too", "--watch")
    flow.desk.remove("3")
    flow.desk.edit("1", subject="new")
    flow.desk.edit("7", subject="added", priority="2")
    found = flow.reconcile()
    flow.reconcile("--repair", "--delete-extra")

    assert counted(found) == {"equal": 1, "missing": 1, "different": 1, "extra": 1}
    assert counted(flow.reconcile()) == {"equal": 3}


TICKETS = """
kind: Instance
name: {name}-ops
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - name: tickets
        path: /tickets
        records_path: tickets
        key: [number]
        write:
          path: /tickets
          id_field: number
          update: {{method: PATCH, path: "/tickets/{{external_id}}"}}
          delete_path: "/tickets/{{external_id}}"
      - {{name: outbox, key: [id], write: {{path: /tickets}}}}
---
"""


def test_tickets_are_known_by_their_links(flow):
    """
    A system that chooses ids itself: what it has lost is created, what somebody changed there is sent again,
    what the source has no more is removed, and other people's tickets are nobody's.
    """
    with running_desk() as desk:
        tickets = TICKETS.format(name=flow.name, url=desk.url)
        flow.apply(f"{{instance: {flow.name}-ops, stream: tickets}}", tickets)
        flow.sync()
        numbers = {ticket["id"]: number for number, ticket in desk.tickets.items()}
        desk.change(numbers["1"], {"title": "somebody's"})
        desk.remove(numbers["2"])
        desk.create({"title": "none of ours"})
        flow.desk.remove("3")
        found = flow.reconcile()
        repaired = flow.reconcile("--repair", "--delete-extra")
        last = flow.reconcile()

    assert counted(found) == {"missing": 1, "different": 1, "extra": 1, "unrelated": 1}
    assert {one["key"]: one["destination_key"] for one in found["samples"]} == {
        "1": numbers["1"],
        "2": "",
        "3": numbers["3"],
    }
    assert (repaired["repaired"], repaired["removed"]) == ("2", "1")
    assert counted(last) == {"equal": 2, "unrelated": 1}
    assert sorted(ticket.get("title") for ticket in desk.tickets.values()) == [
        "Subject 1",
        "Subject 2",
        "none of ours",
    ]


def test_a_side_that_cannot_be_read_is_told_of(flow):
    """
    Before anything is read, with what to do about it.
    """
    with running_desk() as desk:
        flow.apply(
            f"{{instance: {flow.name}-ops, stream: outbox}}", TICKETS.format(name=flow.name, url=desk.url)
        )
        done = flow.mesh.run("reconcile", "run", flow.name, "--watch", "--output", "json")

    assert done.code == 1
    assert done.json["status"] == "STATUS_FAILED"
    assert "cannot be read whole" in done.json["error_message"]


TYPES = """
kind: Credential
name: {name}
spec: {{type: basic, username: isthmus_admin, secret: {{env: TYPES_PASSWORD}}}}
---
kind: Instance
name: {name}-database
spec:
  connector: postgres
  credential: {name}
  configuration:
    {{host: "{host}", port: {port}, database: "{database}", sslmode: disable, schemas: [typed]}}
---
kind: Instance
name: {name}-files
spec:
  connector: files
  configuration:
    streams:
      - {{name: given, path: types-given.jsonl, key: [id]}}
      - {{name: written, path: types-written.csv, key: [id]}}
---
kind: Mapping
name: {name}
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: at, source: at}}
    - {{target: amount, source: amount}}
    - {{target: ok, source: ok}}
    - {{target: tags, source: tags}}
"""
TYPED = """
---
kind: Flow
name: {name}
spec:
  source: {{instance: {name}-files, stream: given}}
  destination: {{instance: {name}-{instance}, stream: {stream}}}
  mapping: {name}
  key: [id]
"""
GIVEN = (
    {"id": 1, "at": "2025-01-01T10:00:00+02:00", "amount": 1.5, "ok": True, "tags": ["x", {"b": 1}]},
    {"id": 2, "at": None, "amount": 3, "ok": False, "tags": []},
    {"id": 3, "at": "2025-06-01T10:00:00.123456Z", "amount": None, "ok": None, "tags": None},
)


@pytest.mark.parametrize(
    ("instance", "stream"), [("database", "typed.things"), ("files", "written")], ids=["postgres", "csv"]
)
def test_values_are_compared_by_what_they_say(mesh, instance, stream):
    """
    A table has types and columns of its own, a file of comma-separated values knows texts only.
    """
    place = json.loads((mesh.home / "mesh.json").read_text())["postgres"]
    password = (mesh.home / "postgres" / "admin.password").read_text().strip()
    reach = {"host": place["host"], "port": place["port"], "dbname": place["database"]}
    with psycopg.connect(**reach, user="isthmus_admin", password=password) as connection:
        connection.execute("create schema if not exists typed")
        connection.execute(
            "create table if not exists typed.things (id bigint primary key, at timestamptz, "
            "amount numeric(12, 2), ok boolean, tags jsonb, its_own text default 'x')"
        )
    name = f"types-{instance}"
    (mesh.files / "types-given.jsonl").write_text("\n".join(map(json.dumps, GIVEN)) + "\n")
    text = TYPES.format(name=name, **place)
    flow = TYPED.format(name=name, instance=instance, stream=stream)
    mesh.apply(text + flow, env={"TYPES_PASSWORD": password})
    mesh.answer("sync", "run", name, "--watch")

    assert counted(mesh.answer("reconcile", "run", name, "--watch")) == {"equal": 3}
