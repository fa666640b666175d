"""Versions of a mapping in a mesh: what flows use while somebody works at the next one; going back."""

import json

import pytest

pytestmark = pytest.mark.mesh

DOCUMENTS = """
kind: Instance
name: versions
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams: [{{name: alerts, path: /alerts, records_path: items, key: [id]}}]
    classes: {{rules: [{{field: mail, class: personal}}]}}
---
kind: Mapping
name: versions
spec:
  field_mappings:
    - {{target: {key}, source: id, required: true}}
    - {{target: level, constant: {level}}}
    - {{target: mail, source: mail}}
  golden_samples:
    - {{input: {{id: 1}}, expected: {{id: 1, level: {level}}}}}
---
kind: Flow
name: versions
spec:
  source: {{instance: versions, stream: alerts}}
  mapping: versions
  destination: {{instance: hub, stream: versions}}
  key: [id]
"""
ALERTS = [{"id": 1, "mail": "ada@example.org"}]


@pytest.fixture
def documents(mesh, vendor):
    """Writes the documents to a file, with these words, and gives its name."""
    vendor.serve_json("/alerts", {"items": ALERTS})

    def documents(level, key="id"):
        file = mesh.home / "versions.yaml"
        file.write_text(DOCUMENTS.format(url=vendor.url, level=level, key=key))
        return "-f", str(file)

    return documents


@pytest.fixture
def level(mesh):
    """Runs the flow and gives what it has written."""

    def level():
        mesh.answer("sync", "run", "versions", "--watch")
        return mesh.answer("records", "show", "versions", "1")["data"]["level"]

    return level


def test_a_draft_is_tried_used_and_taken_back(mesh, documents, level):
    """
    Flows go on with what is in use; each step is one command, and the file has the last word.
    """
    mesh.answer("apply", *documents("low"))
    assert level() == "low"
    mesh.answer("apply", *documents("high"), "--draft")
    assert level() == "low"

    shown = mesh.answer("mappings", "preview", "versions", "--instance", "versions", "--stream", "alerts")
    [one] = shown["records"]
    assert (one["result"]["record"]["level"], one["source"]["mail"]) == ("high", "‹personal: 15 characters›")
    [change] = mesh.answer("mappings", "diff", "versions")["changes"]
    assert (change["target"], change["kind"]) == ("level", "KIND_RULE_CHANGED")
    mesh.answer("mappings", "activate", "versions")
    assert level() == "high"

    mesh.answer("mappings", "rollback", "versions")
    assert level() == "low"
    assert mesh.run("diff", *documents("high")).code == 1
    mesh.answer("apply", *documents("high"))
    assert level() == "high"


def test_a_change_that_breaks_a_flow_is_refused(mesh, documents):
    """
    The answer names the flow and what it needs; golden samples are tried before that.
    """
    mesh.answer("apply", *documents("low"))
    ended = mesh.run("apply", *documents("low", key="number"))
    assert (ended.code, "golden samples do not hold" in ended.err) != (0, False)

    text = (mesh.home / "versions.yaml").read_text().replace("expected: {id: 1,", "expected: {number: 1,")
    (mesh.home / "versions.yaml").write_text(text)
    ended = mesh.run("apply", "-f", str(mesh.home / "versions.yaml"))

    assert ended.code != 0
    assert "break the flow versions" in ended.err
    assert "knows records by id" in ended.err
    with_values = mesh.answer(
        "mappings", "preview", "versions", "--instance", "versions", "--stream", "alerts", "--values"
    )
    assert json.loads(json.dumps(with_values["records"][0]["source"])) == ALERTS[0]
