"""What a full reading no longer shows is deleted, where a flow asks for it."""

import json

import pytest

pytestmark = pytest.mark.mesh

DOCUMENTS = """
kind: Instance
name: shelves
spec:
  connector: files
  configuration:
    streams:
      - {{name: books, path: "absence/*.jsonl", key: [id]}}
---
kind: Flow
name: shelves
spec:
  source: {{instance: shelves, stream: books}}
  destination: {{instance: hub, stream: books}}
  read_mode: full
  deletes: {deletes}
"""


def run(mesh):
    """Runs the flow to its end and gives the execution."""
    return mesh.run("sync", "run", "shelves", "--watch", "--output", "json").json


def books(mesh):
    """How many records the hub holds."""
    return len(mesh.answer("records", "query", "books", "--limit", "0"))


def test_a_flow_deletes_what_its_source_no_longer_has(mesh):
    """
    A file of four is taken away and its records go, as a dry run says; when three are, somebody has to
    allow it.
    """
    folder = mesh.files / "absence"
    folder.mkdir()
    for shelf in range(4):
        lines = (json.dumps({"id": f"{shelf}-{n}"}) for n in range(25))
        (folder / f"{shelf}.jsonl").write_text("\n".join(lines) + "\n")
    mesh.apply(DOCUMENTS.format(deletes="{absent: true}"))
    filled = run(mesh)

    (folder / "0.jsonl").unlink()
    foreseen = mesh.answer("sync", "run", "shelves", "--dry-run")["preview"]
    one_less = run(mesh)
    held = books(mesh)
    for shelf in (1, 2):
        (folder / f"{shelf}.jsonl").unlink()
    warned = mesh.answer("sync", "run", "shelves", "--dry-run")["preview"]
    refused = run(mesh)
    kept = books(mesh)
    mesh.apply(DOCUMENTS.format(deletes="{absent: true, most_percent: 100}"))
    allowed = run(mesh)

    assert [one["status"] for one in (filled, one_less, allowed)] == ["STATUS_COMPLETED"] * 3
    assert (foreseen["counts"]["deleted"], one_less["counts"]["deleted"]) == ("25", "25")
    assert len([one for one in foreseen["samples"] if one["kind"] == "KIND_DELETED"]) == 5
    assert "The sync would fail" in warned["note"]
    assert (held, kept, books(mesh)) == (75, 75, 25)
    assert refused["error"]["reason"] == "DELETIONS_SUSPICIOUS"
    assert "50 of 75 would be deleted, more than 25 %" in refused["error"]["message"]
