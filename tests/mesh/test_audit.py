"""What is changed in a mesh, and who sees a secret, stands in the audit trail; its secrets do not."""

from pathlib import Path

import pytest
from isthmus.testing.canaries import canary
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh

CANARY = canary("audit")
DOCUMENTS = """
kind: Credential
name: audited
spec:
  type: bearer
  secret: {{env: AUDITED_TOKEN}}
---
kind: Instance
name: audited
spec:
  connector: http-json
  credential: audited
  configuration:
    base_url: "{url}"
    streams: [{{name: alerts, path: /alerts, records_path: items, key: [id]}}]
---
kind: Flow
name: audited
spec:
  source: {{instance: audited, stream: alerts}}
  destination: {{instance: hub, stream: audited}}
  key: [id]
"""
EXPECTED = {
    ("CreateAuthConfig", "OK", "change"),
    ("CreateInstance", "OK", "change"),
    ("CreateFlow", "OK", "change"),
    ("LeaseCredential", "OK", "access"),
    ("StartExecution", "OK", "change"),
    ("DeleteInstance", "FAILED_PRECONDITION", "change"),
}


def trail(mesh, about=""):
    """Gives the records about an id, or all of them."""
    return mesh.answer("audit", "list", "--limit", "0", *(["--about", about] if about else []))


def short(record):
    return record["method"].rpartition("/")[2], record["outcome"], record["kind"][5:].lower()


def test_what_was_done_is_in_the_trail_and_no_secret_is(mesh, vendor, tmp_path):
    """
    From the credential to the first sync and a refused deletion; the export is whole, without the mesh.
    """
    vendor.serve_json("/alerts", {"items": [{"id": 1}]})
    mesh.apply(DOCUMENTS.format(url=vendor.url), env={"AUDITED_TOKEN": CANARY})
    mesh.answer("sync", "run", "audited", "--watch")
    refused = mesh.run("instances", "delete", "audited")
    until(lambda: {short(record) for record in trail(mesh)} >= EXPECTED, "every record")
    file = tmp_path / "trail.jsonl"
    mesh.ok("audit", "export", "--file", str(file))

    assert refused.code != 0
    assert mesh.answer("audit", "verify")["is_intact"]
    assert mesh.answer("audit", "verify", "--file", str(file))["is_intact"]
    assert CANARY not in file.read_text()


def test_an_export_that_was_tampered_with_is_found_out(mesh, tmp_path):
    """
    One letter in one record is enough, and its place is named.
    """
    file = tmp_path / "trail.jsonl"
    mesh.ok("audit", "export", "--file", str(file))
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([first.replace('"subject":"', '"subject":"x'), *rest]))
    done = mesh.run("audit", "verify", "--file", str(file), "--output", "json")

    assert done.code == 1
    assert [(f["kind"], f["sequence"]) for f in done.json["findings"]] == [("changed", 1)]


def test_a_signed_end_is_verified_without_the_mesh(mesh, tmp_path):
    """
    By the public key that came with it; one that somebody else has signed is refused.
    """
    seals, keys, file = (str(tmp_path / name) for name in ("seals.txt", "keys.json", "trail.jsonl"))
    mesh.ok("audit", "seal", "--file", seals, "--keys", keys)
    mesh.ok("audit", "export", "--file", file)
    verify = ("audit", "verify", "--file", file, "--checkpoint", seals, "--keys", keys)
    found = mesh.answer(*verify)
    own = Path(seals).read_text().strip()
    assert "monitoring-seals:1" in Path(keys).read_text()
    Path(seals).write_text(own[:-8] + "AAAAAAAA")
    forged = mesh.run(*verify)

    assert (found["is_intact"], found["compared"], found["remark"]) == (True, 1, "")
    assert (forged.code, "SEAL_INVALID" in forged.err) == (1, True)


def _updates(mesh):
    return mesh.answer("audit", "list", "--rpc", "UpdateFlow", "--limit", "20")


def test_a_change_is_told_with_what_was_there_before(mesh, vendor):
    """
    Both states stand in one record; the newer one comes from the event of the same transaction.
    """
    vendor.serve_json("/alerts", {"items": []})
    documents = DOCUMENTS.format(url=vendor.url)
    flow = documents.rpartition("---")[2].replace("name: audited", "name: retold", 1)
    mesh.apply(documents, env={"AUDITED_TOKEN": CANARY})
    mesh.apply(flow)
    mesh.apply(flow + "  description: told anew\n")
    (details,) = until(
        lambda: [one["details"] for one in _updates(mesh) if "told anew" in str(one["details"])], "the record"
    )

    assert "told anew" not in str(details["before"])
    assert "told anew" in str(details["after"])
