"""The mesh does its main job: evidence out of its own back ends, and out of public catalogues."""

import json

import psycopg
import pytest

pytestmark = pytest.mark.mesh

KEV = """
kind: Instance
name: kev-mirror
spec: {{connector: cisa-kev, configuration: {{url: "{url}"}}}}
---
kind: Flow
name: kev-mirror
spec:
  source: {{instance: kev-mirror, stream: vulnerabilities}}
  destination: {{instance: hub, stream: kev_test}}
"""
OSCAL = """
kind: Instance
name: nist
spec: {{connector: nist-oscal, configuration: {{url: "{url}"}}}}
---
kind: Flow
name: nist-controls
spec:
  source: {{instance: nist, stream: controls}}
  destination: {{instance: hub, stream: controls}}
"""


def admin(mesh):
    """Opens the mesh's own database past all services, for an independent count."""
    place = json.loads((mesh.home / "mesh.json").read_text())["postgres"]
    password = (mesh.home / "postgres" / "admin.password").read_text().strip()
    return psycopg.connect(
        host=place["host"],
        port=place["port"],
        dbname=place["database"],
        user="isthmus_admin",
        password=password,
    )


def settings_of_server(mesh):
    with admin(mesh) as connection:
        return dict(connection.execute("select name, setting from pg_settings").fetchall())


@pytest.fixture(scope="module")
def demo(mesh):
    return mesh.answer("demo", "--no-network")


def test_the_demonstration_reads_maps_and_writes_everything(demo):
    """
    Every flow ends well and nothing goes to quarantine.
    """
    found = {item["flow"]: item["execution"] for item in demo["flows"]}

    assert len(found) == 11
    assert {item["status"] for item in found.values()} == {"STATUS_COMPLETED"}
    assert {item["counts"]["quarantined"] for item in found.values()} == {"0"}


@pytest.mark.parametrize(
    ("requirement", "setting", "good"),
    [
        ("PG-TLS", "ssl", {"on"}),
        ("PG-FSYNC", "fsync", {"on"}),
        ("PG-PASSWORD-ENCRYPTION", "password_encryption", {"scram-sha-256"}),
        ("PG-LOG-CONNECTIONS", "log_connections", {"on", "all"}),
        ("PG-CHECKSUMS", "data_checksums", {"on"}),
    ],
)
def test_checks_tell_the_truth_about_the_running_server(mesh, demo, requirement, setting, good):
    """
    A check passes exactly when the server's own setting is good.
    """
    told = {check["requirement"]: check["status"] for check in demo["checks"]}

    assert told[requirement] == ("pass" if settings_of_server(mesh)[setting] in good else "fail")


def test_each_failed_check_has_one_ticket_however_often_it_fails(mesh, demo):
    """
    Collecting again writes no second ticket.
    """
    again = mesh.answer("demo", "--no-network")

    tickets = [json.loads(line) for line in (mesh.files / "tickets.jsonl").read_text().splitlines()]
    failed = [check["requirement"] for check in again["checks"] if check["status"] == "fail"]
    assert len(tickets) == len({ticket["id"] for ticket in tickets}) == len(failed)


def test_the_vaults_audit_log_becomes_security_events(mesh, demo):
    """
    Events carry who asked what of the vault, as the event object wants them.
    """
    [record] = mesh.answer("records", "query", "security_event", "--limit", "1")

    assert {"id", "timestamp", "event", "metadata"} <= record["data"].keys()
    assert record["data"]["metadata"]["product"] == "OpenBao"


def test_a_newer_catalogue_stores_the_new_and_changed_entries_only(mesh, vendor, shared):
    """
    Unchanged entries cost no write; history keeps the one earlier form of each changed entry.
    """
    old, new = (
        json.loads((shared / "data" / "kev" / f"kev-{day}.json").read_text())
        for day in ("2025-01-24", "2025-08-25")
    )
    before = {entry["cveID"]: entry for entry in old["vulnerabilities"]}
    changed = [e for e in new["vulnerabilities"] if e["cveID"] in before and before[e["cveID"]] != e]
    fresh = [e for e in new["vulnerabilities"] if e["cveID"] not in before]
    vendor.serve_json("/kev.json", old)
    mesh.apply(KEV.format(url=f"{vendor.url}/kev.json"))
    first = mesh.answer("sync", "run", "kev-mirror", "--watch")
    vendor.serve_json("/kev.json", new)

    second = mesh.answer("sync", "run", "kev-mirror", "--watch")

    assert int(first["counts"]["created"]) == len(before) == 1252
    assert int(second["counts"]["created"]) == len(fresh)
    assert int(second["counts"]["updated"]) == len(changed)
    assert int(second["counts"]["unchanged"]) == 1404 - len(fresh) - len(changed)
    assert mesh.answer("records", "count", "kev_test")["records"] == 1404
    with admin(mesh) as connection:
        [rows] = connection.execute(
            "select count(*) from records.records where stream = 'kev_test'"
        ).fetchone()
        [history] = connection.execute(
            "select count(*) from records.record_history where stream = 'kev_test'"
        ).fetchone()
    assert rows == 1404
    assert history == len(changed)


def controls_in(node):
    """Counts controls and enhancements by walking the document, independently of the connector."""
    nested = node.get("groups", []) + node.get("controls", [])
    return len(node.get("controls", [])) + sum(controls_in(child) for child in nested)


def test_the_controls_of_a_catalogue_arrive_with_their_nesting_resolved(mesh, vendor, shared):
    """
    Family, enhancement, parameters and parts are fields of each control.
    """
    text = (shared / "data" / "oscal" / "nist-800-53-rev5-low-catalog.json").read_bytes()
    vendor.serve_json("/catalog.json", text)
    mesh.apply(OSCAL.format(url=f"{vendor.url}/catalog.json"))

    done = mesh.answer("sync", "run", "nist-controls", "--watch")

    assert int(done["counts"]["created"]) == controls_in(json.loads(text)["catalog"])
    account = mesh.answer("records", "show", "controls", "ac-2")["data"]
    assert account["family"]
    assert account["parameters"]
    assert account["parts"]
