"""Records that cannot be mapped wait whole, and arrive once the mapping is mended."""

import base64

import pytest
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh

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
    until(lambda: mesh.answer("records", "count", "severities")["records"] == 3, "the requeued record")
    assert mesh.answer("records", "show", "severities", "2")["data"]["severity"] == "critical"
    until(lambda: mesh.answer("quarantine", "list", "--flow", "severities") == [], "nothing to be waiting")


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


PLAIN = """
kind: Instance
name: {name}
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams: [{{name: items, path: /{name}, records_path: items, key: [id]}}]
---
kind: Flow
name: {name}
spec:
  source: {{instance: {name}, stream: items}}
  destination: {{instance: hub, stream: {name}}}
"""
BAD = {
    rb'{"id": 2, "at": {"place": "\ud800"}}': ("RECORD_NOT_JSON", "at.place"),
    b'{"id": 3, "n": [0, 1e999999]}': ("RECORD_NOT_JSON", "n.1"),
    b'{"id": 5, "id": 6}': ("RECORD_DUPLICATE_KEYS", "id"),
    b'{"id": 7, "name": "M\xfcller"}': ("RECORD_NOT_UTF8", "name"),
    b'{"id": 8, "n": NaN}': ("RECORD_NOT_JSON", "n"),
}


def kept(shown):
    """The bytes that wait, as the command line shows them."""
    if shown["is_binary"]:
        return base64.b64decode(shown["record"])
    return shown["record"].encode()


def waiting(mesh, flow):
    """What waits in a flow."""
    return mesh.answer("quarantine", "list", "--flow", flow)


def test_records_that_cannot_be_read_wait_whole_and_the_others_arrive(mesh, vendor):
    """
    They are kept as the vendor sent them, still unreadable when requeued, and may be dropped.
    """
    raw = [b'{"id": 1}', *list(BAD)[:2], b'{"id": 4}', *list(BAD)[2:], b'{"id": 9}']
    vendor.serve_json("/unread", b'{"items": [%b]}' % b", ".join(raw))
    mesh.apply(PLAIN.format(name="unread", url=vendor.url))

    done = mesh.answer("sync", "run", "unread", "--watch")
    found = waiting(mesh, "unread")
    [latin] = [one for one in found if one["is_binary"] and b"M" in kept(one)]
    shown = mesh.answer("quarantine", "show", latin["quarantine_id"])
    mesh.answer("quarantine", "requeue", "--flow", "unread")
    until(
        lambda: [one for one in waiting(mesh, "unread") if int(one["attempts"]) > 1][4:],
        "five second attempts",
    )
    again = waiting(mesh, "unread")
    dropped = mesh.answer("quarantine", "drop", "--flow", "unread")

    assert done["status"] == "STATUS_COMPLETED"
    assert [int(done["counts"][name]) for name in ("read", "created", "quarantined")] == [8, 3, 5]
    assert [one["data"]["id"] for one in mesh.answer("records", "query", "unread")] == [1, 4, 9]
    for seen in (found, again):
        reasons = {kept(one): (one["reasons"][0]["reason"], one["reasons"][0]["source_path"]) for one in seen}
        assert reasons == BAD
    assert shown["record_text"] == r'{"id": 7, "name": "M\xfcller"}'
    assert int(dropped["dropped"]) == 5


def test_a_large_record_waits_whole_and_is_requeued(mesh, vendor):
    """
    Three megabytes are too much for a batch; they wait whole, and arrive once a mapping leaves them out.
    """
    large = {"id": 2, "level": "1", "blob": "é" * 1_500_000}
    vendor.serve_json("/alerts", {"items": [{"id": 1, "level": "1"}, large]})
    mesh.apply(PLAIN.format(name="large", url=vendor.url).replace("path: /large", "path: /alerts"))

    done = mesh.answer("sync", "run", "large", "--watch")
    [listed] = waiting(mesh, "large")
    shown = mesh.answer("quarantine", "show", listed["quarantine_id"])
    documents = DOCUMENTS.format(url=vendor.url, more="").split("---")
    mesh.apply(documents[1].replace("name: severities", "name: smaller"))
    flow = PLAIN.format(name="large", url=vendor.url).split("---")[1]
    mesh.apply(flow + "  mapping: smaller\n  key: [id]\n")
    mesh.answer("quarantine", "requeue", shown["quarantine_id"])

    assert [int(done["counts"][name]) for name in ("created", "quarantined")] == [1, 1]
    assert shown["record"] == large
    assert shown["reasons"][0]["reason"] == "RECORD_TOO_LARGE"
    until(lambda: mesh.answer("records", "count", "large")["records"] == 2, "the requeued record")
    assert mesh.answer("records", "show", "large", "2")["data"] == {"id": 2, "severity": "high"}
    until(lambda: mesh.answer("quarantine", "list", "--flow", "large") == [], "nothing to be waiting")
