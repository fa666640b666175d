"""Rules of mappings have their consequences, and executions tell what was wrong with how many records."""

import pytest
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh

DOCUMENTS = """
kind: Instance
name: ruled
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams: [{{name: assets, path: /assets, records_path: items, key: [id]}}]
---
kind: Mapping
name: ruled
spec:
  transformations:
    rules:
      - {{name: owned, check: "has(result.owner)", consequence: warn, message: Nobody owns it.}}
      - {{name: scored, check: {{path: score, is_null: false}}, consequence: default, default: {{score: 0}}}}
      - {{name: in-range, check: "result.score <= 10", consequence: quarantine, message: Scores end at 10.}}
      - name: ours
        check: {{path: $record.tenant, not_equals: other}}
        consequence: stop
        message: Not ours.
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: owner, source: owner}}
    - {{target: score, source: score, cast: integer}}
---
kind: Flow
name: ruled
spec:
  source: {{instance: ruled, stream: assets}}
  mapping: ruled
  destination: {{instance: hub, stream: ruled}}
  key: [id]
"""
SOUND = {"id": "a1", "owner": "Ann", "score": 3}


def serve(mesh, vendor, *assets):
    """Have a source with assets, and a flow with rules for them."""
    vendor.serve_json("/assets", {"items": list(assets)})
    mesh.apply(DOCUMENTS.format(url=vendor.url))


def test_rules_warn_mend_and_quarantine(mesh, vendor):
    """
    Thousands of equal findings are one, with the count, the rule and the first keys.
    """
    ownerless = [{"id": f"b{number}", "score": 1} for number in range(1500)]
    wrong = [{"id": f"c{number}", "owner": "Ann", "score": "x"} for number in range(5)]
    serve(
        mesh,
        vendor,
        SOUND,
        *ownerless,
        *wrong,
        {"id": "d", "owner": "Ann", "score": 11},
        {"id": "e", "owner": "Bob"},
    )

    done = mesh.answer("sync", "run", "ruled", "--watch")

    counts = done["counts"]
    assert (int(counts["read"]), int(counts["created"]), int(counts["quarantined"])) == (1508, 1502, 6)
    assert mesh.answer("records", "show", "ruled", "e")["data"] == {"id": "e", "owner": "Bob", "score": 0}
    found = mesh.answer("executions", "show", done["execution_id"])["findings"]
    told = {
        (
            one["reason"],
            one.get("rule", ""),
            one["consequence"].removeprefix("CONSEQUENCE_"),
            int(one["records"]),
        )
        for one in found
    }
    assert told == {
        ("RULE_BROKEN", "owned", "WARNED", 1500),
        ("NOT_INTEGER", "", "QUARANTINED", 5),
        ("RULE_BROKEN", "in-range", "QUARANTINED", 1),
        ("RULE_BROKEN", "scored", "DEFAULTED", 1),
    }
    assert found[0]["keys"] == ["b0", "b1", "b2"]
    assert found[0]["message"].startswith("Nobody owns it (rule owned).")
    reasons = {one["reasons"][0]["reason"] for one in mesh.answer("quarantine", "list", "--flow", "ruled")}
    assert reasons == {"RULE_BROKEN", "NOT_INTEGER"}
    line = "although a rule does not hold: Nobody owns it"
    until(lambda: any(line in one["message"] for one in mesh.answer("logs")), "the warning in the log")


def test_a_rule_stops_an_execution(mesh, vendor):
    """
    It fails for good, says which rule it was, and nothing of the record arrives or is passed over.
    """
    serve(mesh, vendor, {**SOUND, "id": "s1"}, {**SOUND, "id": "s2", "tenant": "other"})

    failed = mesh.run("sync", "run", "ruled", "--watch", "--output", "json").json

    assert failed["status"] == "STATUS_FAILED"
    assert failed["error"]["reason"] == "RULE_STOPPED"
    assert "Not ours (rule ours)" in failed["error"]["message"]
    vendor.serve_json("/assets", {"items": [{**SOUND, "id": "s1"}, {**SOUND, "id": "s2"}]})
    mended = mesh.answer("sync", "run", "ruled", "--watch")
    assert int(mended["counts"]["read"]) == 2
    assert mesh.answer("records", "show", "ruled", "s2")["data"]["score"] == 3
