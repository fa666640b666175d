"""A dry run on a whole mesh: what it says comes true, and it leaves nothing behind."""

import json

import pytest

pytestmark = pytest.mark.mesh

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
  transformations: {{where: {{path: id, less_than: 50}}}}
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: level, source: level, enum: {{low: 1, high: 2}}}}
---
kind: Flow
name: {name}
spec:
  source: {{instance: {name}, stream: items}}
  mapping: {name}
  destination: {{instance: hub, stream: {name}}}
  key: [id]
"""
COUNTS = ("read", "created", "updated", "unchanged", "deleted", "filtered", "quarantined")


def counts_of(execution):
    """Gives the figures that a dry run and a sync have in common."""
    return {name: int(execution["counts"].get(name, 0)) for name in COUNTS}


def run(mesh, name, *options):
    """Runs the flow to its end and gives the execution."""
    words = options or ("--watch",)
    return mesh.answer("sync", "run", name, *words)


@pytest.fixture
def flow(mesh, vendor, request):
    """Makes a flow from a vendor's sixty records, one in ten of which no mapping knows."""
    name = f"dry-{request.node.name.split('_')[-1]}"
    levels = {"changed": "low"}

    def make(number):
        level = "odd" if number % 10 == 9 else levels["changed"] if number < 3 else "high"
        return {"id": number, "level": level, "api_key": "s3cr3t"}

    vendor.serve_pages(f"/{name}", 60, 20, make)
    mesh.apply(DOCUMENTS.format(name=name, url=vendor.url))
    return name, levels


def test_what_a_dry_run_says_comes_true(mesh, flow):
    """
    Before the first sync and after a change: counts, reasons and fields are those of the sync that follows.
    """
    name, levels = flow

    first, sync = run(mesh, name, "--dry-run"), run(mesh, name)
    levels["changed"] = "high"
    second, again = run(mesh, name, "--dry-run"), run(mesh, name)

    assert counts_of(first["preview"]) == counts_of(sync)
    assert counts_of(second["preview"]) == counts_of(again)
    assert (counts_of(sync)["created"], counts_of(again)["updated"]) == (45, 3)
    assert first["preview"]["reasons"][0]["path"] == "level"
    changed = [one for one in second["preview"]["samples"] if one["kind"] == "KIND_UPDATED"]
    assert [one["fields"] for one in changed] == [[{"path": "level", "before": "1", "after": "2"}]] * 3
    assert "s3cr3t" not in json.dumps([first, second])


def test_a_dry_run_leaves_nothing_behind(mesh, flow):
    """
    The hub has no such stream, quarantine and schema know nothing, and a person sees that it was a dry run.
    """
    name, _ = flow

    shown = mesh.ok("sync", "run", name, "--dry-run", "--limit", "30").out

    assert "Reading stopped" not in shown
    assert mesh.answer("quarantine", "list", "--flow", name) == []
    assert mesh.answer("links", "list", name) == []
    assert not [one for one in mesh.answer("records", "streams") if one["stream"] == name]
    listed = mesh.ok("executions", "list", "--flow", name).out
    assert "completed (dry run)" in listed
    assert run(mesh, name)["counts"]["created"] == "45"
