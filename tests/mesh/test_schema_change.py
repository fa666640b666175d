"""A vendor changes the form of its records in the middle of a sync."""

import pytest

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(600)]

DOCUMENTS = """
kind: Instance
name: {name}
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - {{name: items, path: /{name}, records_path: items, key: [id],
          paging: {{kind: cursor, param: after, field: next}}}}
---
kind: Mapping
name: {name}
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
{fields}
---
kind: Flow
name: {name}
spec:
  source: {{instance: {name}, stream: items}}
  mapping: {name}
  destination: {{instance: hub, stream: {name}}}
  key: [id]
"""
PLAIN = """
kind: Instance
name: {name}
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams:
      - {{name: items, path: /{name}, records_path: items, key: [id],
          paging: {{kind: cursor, param: after, field: next}}}}
---
kind: Flow
name: {name}
spec:
  source: {{instance: {name}, stream: items}}
  destination: {{instance: hub, stream: {name}}}
"""
DROPPING = """
  unknown_fields: drop
  on_schema_change: {{additive: pass, breaking: quarantine}}
"""
LEVEL = "    - {target: level, source: level}"
TOTAL, PAGE, GOOD = 60, 20, 40


class Changing:
    """A flow from a vendor whose records are of another form from one number on."""

    def __init__(self, mesh, vendor, name, before, after, documents=DOCUMENTS):
        self.mesh = mesh
        self.vendor = vendor
        self.name = name
        self.documents = documents
        make = lambda n: {"id": n, **(before if n < GOOD else after)}  # noqa: E731
        vendor.serve_pages(f"/{name}", TOTAL, PAGE, make)
        self.apply()

    def apply(self, fields=LEVEL):
        """Applies the documents, with these fields in the mapping, and gives what was done."""
        return self.mesh.apply(self.documents.format(name=self.name, url=self.vendor.url, fields=fields))

    def run(self):
        """Runs the flow to its end, however it ends, and gives the execution."""
        done = self.mesh.run("sync", "run", self.name, "--watch", "--output", "json")
        return done.json

    def schema(self, verb, *words):
        """Asks or says something about the flow's schema."""
        return self.mesh.answer("schema", verb, self.name, *words)

    def stored(self):
        """What the hub holds, by number."""
        found = self.mesh.answer("records", "query", self.name, "--limit", "0")
        return {one["data"]["id"]: one["data"] for one in found}


@pytest.fixture
def changing(mesh, vendor):
    """Makes flows from a vendor that changes."""
    return lambda *what, **options: Changing(mesh, vendor, *what, **options)


BREAKING = {
    "removed": ({"level": "high"}, {}, "level: field removed, string → absent"),
    "changed": ({"level": "high"}, {"level": 3}, "level: type changed, string → integer"),
    "nested": ({"level": {"code": 1}}, {"level": "1"}, "level: type changed, object → string"),
}


@pytest.mark.parametrize("kind", BREAKING)
def test_a_breaking_change_stops_the_flow_before_it_does_harm(changing, kind):
    """
    What came before is durable; nothing that shows the change is sent, and later runs end at once, until
    somebody accepts it. Then the flow goes on where it stood.
    """
    before, after, told = BREAKING[kind]
    flow = changing(f"breaks-{kind}", before, after)

    stopped = flow.run()
    kept = flow.stored()
    again = flow.run()
    [change] = flow.schema("show")["open_changes"]
    accepted = flow.schema("accept")
    onward = flow.run()

    for one in (stopped, again):
        assert (one["status"], one["error"]["reason"]) == ("STATUS_FAILED", "SCHEMA_CHANGED")
    assert told in stopped["error"]["message"]
    assert f"isthmus schema accept {flow.name}" in stopped["error"]["message"]
    assert sorted(kept) == list(range(GOOD))
    assert all(record["level"] == before["level"] for record in kept.values())
    assert int(again["counts"]["read"]) == 0
    assert change["is_breaking"]
    assert [one["status"] for one in accepted] == ["STATUS_ACCEPTED"]
    assert onward["status"] == "STATUS_COMPLETED"
    assert sorted(flow.stored()) == list(range(TOTAL))


ADDITIVE = {
    "added": ({"level": "high"}, {"level": "high", "more": 1}, "field_added"),
    "widened": ({"level": 1}, {"level": 1.5}, "widened"),
    "null": ({"level": "high"}, {"level": None}, "null_allowed"),
    "unread": ({"level": "high", "note": "x"}, {"level": "high", "note": 1}, "type_changed"),
    "unread-gone": ({"level": "high", "note": "x"}, {"level": "high"}, "field_removed"),
}


@pytest.mark.parametrize("kind", ADDITIVE)
def test_what_harms_nothing_passes_and_is_reported(changing, kind):
    """
    New fields, wider types, and whatever happens to fields that the flow does not read.
    """
    before, after, word = ADDITIVE[kind]
    flow = changing(f"adds-{kind}", before, after)

    done = flow.run()

    [change] = flow.schema("history")
    stored = flow.stored()
    assert done["status"] == "STATUS_COMPLETED"
    assert len(stored) == TOTAL
    assert stored[TOTAL - 1].get("level") == after["level"]
    assert (change["status"], change["is_breaking"]) == ("STATUS_PASSED", False)
    assert change["differences"][0]["kind"] == f"KIND_{word.upper()}"


def test_records_of_the_new_form_may_go_to_quarantine(changing):
    """
    The others arrive, in this run and in later ones; a mended mapping takes in what waits.
    """
    flow = changing("quarantines", {"level": "high"}, {"level": 3})

    flow.run()
    flow.schema("quarantine")
    done = flow.run()
    waiting = flow.mesh.answer("quarantine", "list", "--flow", flow.name, "--limit", "0")

    assert done["status"] == "STATUS_COMPLETED"
    assert int(done["counts"]["quarantined"]) == len(waiting) == TOTAL - GOOD
    assert {one["reasons"][0]["reason"] for one in waiting} == {"SCHEMA_CHANGED"}
    assert {one["reasons"][0]["source_path"] for one in waiting} == {"level"}
    assert sorted(flow.stored()) == list(range(GOOD))


def test_another_mapping_may_take_care_of_the_change(changing):
    """
    The flow waits for it, and goes on with it.
    """
    flow = changing("maps", {"level": "high"}, {"level": 3})

    flow.run()
    flow.schema("map")
    waits = flow.run()
    flow.apply("    - {target: level, source: level, cast: string}")
    onward = flow.run()

    assert waits["error"]["reason"] == "SCHEMA_CHANGED"
    assert onward["status"] == "STATUS_COMPLETED"
    assert flow.stored()[TOTAL - 1]["level"] == "3"


def test_unknown_fields_are_kept_or_dropped(changing):
    """
    By choice, where records pass whole; the document says which, and saying it again changes nothing.
    """
    shapes = ({"level": "high"}, {"level": "high", "more": 1})
    keeps = changing("unknown-kept", *shapes, documents=PLAIN)
    drops = changing("unknown-dropped", *shapes, documents=PLAIN + DROPPING)
    again = drops.apply()

    for flow in (keeps, drops):
        assert flow.run()["status"] == "STATUS_COMPLETED"

    assert {one["action"] for one in again} == {"unchanged"}
    assert drops.schema("policy")["breaking"] == "REACTION_QUARANTINE"
    assert "more" in keeps.stored()[TOTAL - 1]
    assert drops.stored()[TOTAL - 1] == {"id": TOTAL - 1, "level": "high"}
    assert drops.schema("history")[0]["differences"][0]["path"] == "more"
