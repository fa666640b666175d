"""Records that cannot be mapped wait whole, and arrive once the mapping is mended."""

import time

import pytest

pytestmark = [pytest.mark.mesh, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(300)]

DOCUMENTS = """
kind: Instance
name: severities
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams: [{{name: alerts, path: /alerts, records_path: items, key: [id]}}]
---
kind: Mapping
name: severities
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: severity, source: level, enum: {{"1": high, {more}"2": low}}}}
---
kind: Flow
name: severities
spec:
  source: {{instance: severities, stream: alerts}}
  mapping: severities
  destination: {{instance: hub, stream: severities}}
  key: [id]
"""
ALERTS = [{"id": 1, "level": "1"}, {"id": 2, "level": "9", "note": "whole"}, {"id": 3, "level": "2"}]


def waited_for(condition, seconds=60):
    """Asks again until the answer is yes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.3)


def test_a_requeued_record_is_delivered_once_the_mapping_is_mended(mesh, vendor):
    """
    It waits whole, with reason and field path; the others are not held up.
    """
    vendor.serve_json("/alerts", {"items": ALERTS})
    mesh.apply(DOCUMENTS.format(url=vendor.url, more=""))
    done = mesh.answer("sync", "run", "severities", "--watch")
    [waiting] = mesh.answer("quarantine", "list", "--flow", "severities")
    shown = mesh.answer("quarantine", "show", waiting["quarantine_id"])

    mesh.apply(DOCUMENTS.format(url=vendor.url, more='"9": critical, '))
    mesh.answer("quarantine", "requeue", "--flow", "severities")

    assert int(done["counts"]["quarantined"]) == 1
    assert shown["record"] == ALERTS[1]
    assert shown["reasons"][0]["target_path"] == "severity"
    waited_for(lambda: mesh.answer("records", "count", "severities")["records"] == 3)
    assert mesh.answer("records", "show", "severities", "2")["data"]["severity"] == "critical"
    waited_for(lambda: mesh.answer("quarantine", "list", "--flow", "severities") == [])


def test_a_dropped_record_stays_visible(mesh, vendor):
    """
    Giving up is a decision that somebody made.
    """
    vendor.serve_json("/alerts", {"items": [{"id": 5, "level": "x"}]})
    mesh.apply(DOCUMENTS.format(url=vendor.url, more=""))
    mesh.answer("sync", "run", "severities", "--watch")
    [waiting] = mesh.answer("quarantine", "list", "--flow", "severities")

    dropped = mesh.answer("quarantine", "drop", waiting["quarantine_id"])

    shown = mesh.answer("quarantine", "show", waiting["quarantine_id"])
    assert dropped["dropped"] in (1, "1")
    assert shown["status"] == "STATUS_DROPPED"
    assert shown["decided_by"]
