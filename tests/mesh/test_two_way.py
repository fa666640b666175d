"""Two systems keep the same incidents, whoever changes them."""

import pytest
from isthmus.testing.sandbox import running_sandbox

pytestmark = [pytest.mark.mesh, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(300)]

SYSTEMS = """
kind: Instance
name: {name}-desk
spec:
  connector: http-json
  configuration: &desk
    base_url: "{desk}"
    streams:
      - name: tickets
        path: /items
        records_path: items
        key: [id]
        write: {{method: PUT, path: "/items/{{id}}", delete_path: "/items/{{id}}"}}
---
kind: Instance
name: {name}-ops
spec:
  connector: http-json
  configuration:
    base_url: "{ops}"
    streams:
      - name: incidents
        path: /items
        records_path: items
        key: [id]
        write: {{method: PUT, path: "/items/{{id}}", delete_path: "/items/{{id}}"}}
---
kind: Mapping
name: {name}-to-ops
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: title, source: subject}}
    - {{target: severity, source: priority, enum: {{"1": high, "2": low}}}}
    - {{target: state, source: state}}
---
kind: Mapping
name: {name}-to-desk
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: subject, source: title}}
    - {{target: priority, source: severity, enum: {{high: "1", low: "2"}}}}
    - {{target: state, source: state}}
"""
FLOW = """
---
kind: Flow
name: {name}
spec:
  source: {{instance: {name}-desk, stream: tickets}}
  destination: {{instance: {name}-ops, stream: incidents}}
  mapping: {name}-to-ops
  reverse_mapping: {name}-to-desk
  key: [id]
  reverse_key: [id]
  direction: both
  read_mode: full
  reverse_read_mode: full
"""


class Both:
    """Two systems and the flow between them."""

    def __init__(self, mesh, name, desk, ops):
        self.mesh, self.name, self.desk, self.ops = mesh, name, desk, ops

    def apply(self, more=""):
        """Describes the systems and the flow; `more` is indented like the flow's fields."""
        names = {"name": self.name, "desk": self.desk.url, "ops": self.ops.url}
        self.mesh.apply((SYSTEMS + FLOW).format(**names) + more)

    def round(self):
        """Runs a round and gives the execution; the effects of earlier rounds are forgotten."""
        self.desk.effects.clear()
        self.ops.effects.clear()
        return self.mesh.answer("sync", "run", self.name, "--watch")

    def conflicts(self, *options):
        """Lists conflicts of the flow."""
        return self.mesh.answer("conflicts", "list", "--flow", self.name, *options)

    @property
    def effects(self):
        """What the last round did to both systems."""
        return self.desk.effects, self.ops.effects

    def as_ops(self):
        """Gives the desk's tickets as the other system would hold them."""
        severity = {"1": "high", "2": "low"}
        return {
            key: {
                "id": key,
                "title": record["subject"],
                "severity": severity[record["priority"]],
                "state": record["state"],
            }
            for key, record in self.desk.content("note").items()
        }


@pytest.fixture
def both(mesh, request):
    """Gives two empty systems, named after the test."""
    with running_sandbox() as desk, running_sandbox() as ops:
        name = request.node.name.replace("_", "-")[5:45]
        yield Both(mesh, name, desk, ops)


def test_changes_go_both_ways_and_none_comes_back(both):
    """
    Records, changes and deletions of either side arrive on the other; a round without news writes nothing.
    """
    both.desk.edit("1", subject="Disk full", priority="1", state="open")
    both.desk.edit("2", subject="Mail late", priority="2", state="open", note="the desk's own")
    both.ops.edit("7", title="Link down", severity="high", state="open", runbook="https://x")
    both.apply()
    first = both.round()
    both.desk.edit("1", state="closed")
    both.ops.edit("2", title="Mail is late")
    both.ops.remove("7")
    second = both.round()
    told = both.effects[0][:], both.effects[1][:]
    both.round()

    assert [leg["leg"] for leg in first["legs"]] == [
        "LEG_READ_SOURCE",
        "LEG_READ_DESTINATION",
        "LEG_WRITE_DESTINATION",
        "LEG_WRITE_SOURCE",
    ]
    assert second["status"] == "STATUS_COMPLETED"
    assert sorted(told[0]) == [("DELETE", "7"), ("PUT", "2")]
    assert told[1] == [("PUT", "1")]
    assert both.effects == ([], [])
    assert both.as_ops() == both.ops.content("runbook")
    assert set(both.desk.records) == {"1", "2"}
