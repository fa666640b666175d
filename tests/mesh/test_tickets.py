"""A ticket system that gives no answer: what a person sees, and what becomes of his decision."""

import pytest
from isthmus.testing.tickets import Break, running_desk
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh

DOCUMENTS = """
kind: Instance
name: doubtful
spec:
  connector: http-json
  configuration:
    base_url: "{source}"
    streams: [{{name: alerts, path: /doubtful, records_path: items, key: [id]}}]
---
kind: Instance
name: doubtful-desk
spec:
  connector: http-json
  configuration:
    base_url: "{desk}"
    streams:
      - {{name: tickets, key: [id], write: {{path: /tickets, id_field: number}}}}
---
kind: Flow
name: doubtful
spec:
  source: {{instance: doubtful, stream: alerts}}
  destination: {{instance: doubtful-desk, stream: tickets}}
  key: [id]
"""


@pytest.fixture
def desk():
    """Gives a ticket system that takes neither of the first two records and says nothing."""
    with running_desk(lambda number: Break.BEFORE if number in {1, 2} else None) as answering:
        yield answering


def links(mesh, *options):
    """Gives external ids of the flow's links by key."""
    return {link["key"]: link["external_id"] for link in mesh.answer("links", "list", "doubtful", *options)}


def test_a_person_decides_where_nobody_knows(mesh, vendor, desk):
    """
    Two records wait. The one that is missing there is requeued and created, the one that a person
    finds there is dropped and adopted, and changed under its id from then on.
    """
    vendor.serve_json("/doubtful", {"items": [{"id": "a"}, {"id": "b"}, {"id": "c"}]})
    mesh.apply(DOCUMENTS.format(source=vendor.url, desk=desk.url))
    done = mesh.answer("sync", "run", "doubtful", "--watch")
    waiting = mesh.answer("quarantine", "list", "--flow", "doubtful", "--reason", "OUTCOME_UNKNOWN")
    by_key = {record["key"]: record["quarantine_id"] for record in waiting}
    in_doubt = links(mesh, "--in-doubt")

    mesh.answer("quarantine", "requeue", by_key["a"])
    mesh.answer("quarantine", "drop", by_key["b"])
    mesh.answer("links", "adopt", "doubtful", "b", "T-77")
    until(lambda: links(mesh, "--in-doubt") == {}, "no link to be in doubt")
    until(lambda: mesh.answer("links", "show", "doubtful", "a")["state"] == "STATE_LINKED", "the link")

    assert int(done["counts"]["quarantined"]) == len(by_key) == 2
    assert in_doubt == {"a": "", "b": ""}
    assert sorted(body["id"] for body in desk.created) == ["a", "c"]
    assert links(mesh)["b"] == "T-77"


def test_links_of_a_deleted_flow_are_orphaned_until_somebody_forgets_them(mesh, vendor):
    """
    They tell what the flow has created where; deleting with --forget-links leaves none.
    """
    with running_desk(lambda _: None) as desk:
        vendor.serve_json("/doubtful", {"items": [{"id": "a"}, {"id": "b"}]})
        documents = DOCUMENTS.replace("doubtful", "orphan").replace("/orphan", "/doubtful")
        mesh.apply(documents.format(source=vendor.url, desk=desk.url))
        mesh.answer("sync", "run", "orphan", "--watch")
        deleted = mesh.answer("flows", "delete", "orphan")["deleted"]
        until(lambda: deleted in [one["flow_id"] for one in orphans(mesh)], "the orphans")
        [told] = [one for one in orphans(mesh) if one["flow_id"] == deleted]
        kept = mesh.answer("links", "list", deleted)
        forgotten = mesh.answer("links", "forget", deleted, "--all")
        mesh.apply(documents.format(source=vendor.url, desk=desk.url))
        mesh.answer("sync", "run", "orphan", "--watch")
        gone = mesh.answer("flows", "delete", "orphan", "--forget-links")

    assert (told["flow_name"], int(told["links"]), len(kept)) == ("orphan", 2, 2)
    assert (int(forgotten["forgotten"]), gone["links_forgotten"]) == (2, 2)
    assert mesh.answer("links", "list", gone["deleted"]) == []


def orphans(mesh):
    """Lists whose links no flow uses any more."""
    return mesh.answer("links", "flows", "--orphaned")
