"""Two systems keep the same incidents, whoever changes them."""

import json
from datetime import UTC, datetime

import pytest
import yaml
from isthmus.testing.sandbox import running_sandbox
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh

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


ALL = """  conflict:
    {policy: newest, field: changed_at, tolerance_seconds: 2.5, otherwise: source}
  deletes: {kind: tombstone, field: state, value: closed, most: 9}
"""


def test_a_two_way_flow_is_exported_as_it_was_applied(both):
    """
    Applying it again changes nothing, and a changed policy is seen by `diff`.
    """
    both.apply(ALL)
    names = {"name": both.name, "desk": both.desk.url, "ops": both.ops.url}
    again = both.mesh.apply((SYSTEMS + FLOW).format(**names) + ALL)
    exported = [one for one in yaml.safe_load_all(both.mesh.ok("export").out) if one["name"] == both.name]
    file = both.mesh.home / "other.yaml"
    file.write_text((SYSTEMS + FLOW).format(**names) + ALL.replace("newest", "merge"))

    assert {one["action"] for one in again} == {"unchanged"}
    assert exported[0]["spec"]["conflict"]["otherwise"] == "source"
    assert exported[0]["spec"]["deletes"]["value"] == "closed"
    assert both.mesh.run("diff", "-f", str(file)).code == 1


def test_conflicts_are_settled_by_the_newest_version_and_recorded(both):
    """
    The later change wins on both sides, whichever side it was made on; both versions stay on record.
    """
    for key in ("1", "2"):
        both.desk.edit(key, subject="old", priority="1", state="open")
    both.apply("  conflict: {policy: newest, field: changed_at, tolerance_seconds: 5}\n")
    both.round()
    for key, late in (("1", both.desk), ("2", both.ops)):
        both.desk.edit(key, subject="the desk's", at=at(9 if late is both.desk else 8))
        both.ops.edit(key, title="the others'", at=at(9 if late is both.ops else 8))
    both.round()
    told = {one["source_key"]: one for one in both.conflicts("--all")}
    both.round()

    assert [both.desk.records[key]["subject"] for key in ("1", "2")] == ["the desk's", "the others'"]
    assert both.as_ops() == both.ops.content()
    assert told["1"]["policy"] == "newest"
    assert told["1"]["reason"] == "The source changed it 3600 s later."
    assert told["1"]["base"]["title"] == "old"
    assert told["2"]["source_record"]["title"] == "the desk's"
    assert told["2"]["destination_record"]["title"] == "the others'"
    assert both.effects == ([], [])


def test_a_conflict_in_review_waits_for_a_person_and_holds_nothing_up(both):
    """
    Neither side is written to before the decision; others go on; the decision is carried out at once.
    """
    both.desk.edit("1", subject="old", priority="1", state="open")
    both.apply("  conflict: {policy: review}\n")
    both.round()
    both.desk.edit("1", subject="the desk's")
    both.ops.edit("1", title="the others'")
    both.desk.edit("2", subject="new", priority="2", state="open")
    both.round()
    held = both.effects[0][:], both.effects[1][:]
    both.round()
    [waiting] = both.conflicts()
    [pair] = both.mesh.answer("pairs", "list", both.name, "--status", "in_review")
    chosen = {"id": "1", "title": "agreed", "severity": "low", "state": "open"}

    command = ("conflicts", "resolve", waiting["conflict_id"], "--record", json.dumps(chosen))
    decided = both.mesh.answer(*command, "--reason", "spoke with both")

    assert held == ([], [("PUT", "2")])
    assert (waiting["fields"], pair["source_key"]) == (["title"], "1")
    assert decided["result"] == chosen
    assert "spoke with both" in decided["reason"]
    assert decided["decided_by"]
    until(
        lambda: both.desk.records["1"]["subject"] == "agreed" and both.ops.records["1"]["title"] == "agreed",
        "what was agreed to be on both sides",
    )
    assert both.mesh.run(*command).code != 0
    assert both.conflicts() == []


def test_fields_are_merged_and_deletions_leave_a_tombstone(both):
    """
    Each side's changes of different fields both count; what one side deletes is closed on the other.
    """
    for key in ("1", "2"):
        both.desk.edit(key, subject="old", priority="1", state="open")
    both.apply("  conflict: {policy: merge}\n  deletes: {kind: tombstone, field: state, value: closed}\n")
    both.round()
    both.desk.edit("1", subject="new")
    both.ops.edit("1", severity="low")
    both.desk.remove("2")
    both.round()
    both.round()

    assert both.desk.content()["1"] == {"id": "1", "subject": "new", "priority": "2", "state": "open"}
    assert both.ops.content()["1"] == {"id": "1", "title": "new", "severity": "low", "state": "open"}
    assert both.ops.content()["2"]["state"] == "closed"
    assert set(both.desk.records) == {"1"}
    assert both.effects == ([], [])


def test_what_a_side_refuses_waits_in_quarantine_and_is_tried_again_on_request(both):
    """
    It is not sent again every round; once it is requeued it arrives.
    """
    both.desk.edit("1", subject="odd", priority="1", state="open")
    both.ops.refuses.add("1")
    both.apply()
    both.round()
    both.round()
    [waiting] = both.mesh.answer("quarantine", "list", "--flow", both.name)
    [pair] = both.mesh.answer("pairs", "list", both.name)
    both.ops.refuses.clear()

    both.mesh.answer("quarantine", "requeue", "--flow", both.name)

    assert pair["status"] == "STATUS_HELD"
    assert waiting["attempts"] == 1
    until(lambda: both.as_ops() == both.ops.content(), "both to be the same")
    until(lambda: both.mesh.answer("quarantine", "list", "--flow", both.name) == [], "nothing to be waiting")


HUB = """
---
kind: Flow
name: {name}-hub
spec:
  source: {{instance: {name}-desk, stream: tickets}}
  destination: {{instance: hub, stream: {name}}}
  mapping: {name}-to-ops
  key: [id]
  reverse_key: [id]
  direction: both
  read_mode: full
"""


def test_the_hub_is_a_side_like_any_other(both):
    """
    Its changes and deletions are read from its own log of changes; one mapping is named, and undone for
    the way back.
    """
    hub = f"{both.name}-hub"
    both.desk.edit("1", subject="one", priority="1", state="open")
    both.desk.edit("2", subject="two", priority="2", state="open")
    both.apply(HUB.format(name=both.name))
    both.mesh.answer("sync", "run", hub, "--watch")
    both.ops.edit("1", title="by hand", severity="low", state="open")
    both.mesh.apply(FEED.format(name=both.name))
    both.mesh.answer("sync", "run", f"{both.name}-feed", "--watch")
    both.desk.effects.clear()
    both.mesh.answer("sync", "run", hub, "--watch")
    both.mesh.answer("sync", "run", hub, "--watch")

    assert both.desk.effects == [("PUT", "1")]
    assert both.desk.records["1"]["subject"] == "by hand"
    assert both.mesh.answer("records", "show", both.name, "2")["data"]["title"] == "two"


def test_a_deleted_flow_leaves_no_pairs_behind(both):
    """
    What both systems hold stays as it is.
    """
    both.desk.edit("1", subject="one", priority="1", state="open")
    both.apply()
    flow_id = both.round()["flow_id"]
    kept = both.mesh.answer("pairs", "list", flow_id)

    both.mesh.answer("flows", "delete", both.name)

    assert len(kept) == 1
    until(lambda: both.mesh.answer("pairs", "list", flow_id) == [], "the pairs to be forgotten")
    assert both.as_ops() == both.ops.content()


FEED = """
kind: Flow
name: {name}-feed
spec:
  source: {{instance: {name}-ops, stream: incidents}}
  destination: {{instance: hub, stream: {name}}}
  key: [id]
"""


def at(hour):
    """Gives a time on a day to come, later than all that the systems stamp."""
    return datetime(2030, 1, 1, hour, tzinfo=UTC)
