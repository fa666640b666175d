"""Bad input of every kind gives a clear error at the right place and loses nothing."""

import json

import pytest
from isthmus.testing.vendor import Reply

pytestmark = pytest.mark.mesh

INSTANCE = """
kind: Instance
name: {name}
spec:
  connector: http-json
  configuration:
    base_url: "{url}"
    streams: [{{name: items, path: {path}, records_path: items, key: [id]}}]
---
kind: Flow
name: {name}
spec:
  source: {{instance: {name}, stream: items}}
  destination: {{instance: hub, stream: {name}}}
  max_attempts: 1
"""
GOOD = json.dumps({"items": [{"id": 1}]}).encode()


def prepared(mesh, vendor, name, reply):
    """Applies a good instance, then lets its vendor go bad."""
    vendor.serve_json(f"/{name}", GOOD)
    mesh.apply(INSTANCE.format(name=name, url=vendor.url, path=f"/{name}"))
    vendor.routes[f"/{name}"] = lambda query: reply


@pytest.mark.parametrize(
    ("name", "reply", "reason"),
    [
        (
            "html",
            Reply(b"<html>sign in</html>", headers={"Content-Type": "text/html"}),
            "ANSWER_IS_HTML",
        ),
        ("truncated", Reply(GOOD[:-4], declared=len(GOOD)), "ANSWER_TRUNCATED"),
        ("half-json", Reply(GOOD[:-4]), "ANSWER_TRUNCATED"),
        ("not-utf8", Reply(b'{"items": [{"id": 1}], "next": "\xff\xfe"}'), "ANSWER_NOT_UTF8"),
        ("unauthorized", Reply(b"{}", 401), "AUTHENTICATION_FAILED"),
        ("forbidden", Reply(b"{}", 403), "PERMISSION_MISSING_AT_SYSTEM"),
        ("missing", Reply(b"{}", 404), "NOT_FOUND_AT_SYSTEM"),
        ("huge", Reply(b'{"items": [' + b" " * 200_000_000 + b"]}"), "ANSWER_TOO_LARGE"),
    ],
)
def test_a_vendor_that_answers_badly_fails_the_execution_with_a_remedy(mesh, vendor, name, reply, reason):
    """
    The execution says what happened to what; nothing half-read arrives.
    """
    prepared(mesh, vendor, name, reply)

    done = mesh.run("sync", "run", name, "--watch", "--output", "json")

    assert done.code == 1
    assert done.json["error"]["reason"] == reason
    assert len(done.json["error"]["message"]) > 20
    assert mesh.answer("records", "count", name)["records"] == 0


def test_a_vendor_that_recovers_is_waited_for(mesh, vendor):
    """
    429, 500 and pages cut off in the middle are repeated, and the execution succeeds.
    """
    replies = [Reply(b"{}", 429, {"Retry-After": "1"}), Reply(b"{}", 500), Reply(GOOD[:-4]), Reply(GOOD)]
    vendor.serve_json("/flaky", GOOD)
    mesh.apply(
        INSTANCE.format(name="flaky", url=vendor.url, path="/flaky").replace(
            "max_attempts: 1", "max_attempts: 5"
        )
    )
    vendor.routes["/flaky"] = lambda query: replies.pop(0) if len(replies) > 1 else replies[0]

    done = mesh.answer("sync", "run", "flaky", "--watch")

    assert done["status"] == "STATUS_COMPLETED"
    assert mesh.answer("records", "count", "flaky")["records"] == 1


def test_a_record_twice_in_one_answer_is_stored_once(mesh, vendor):
    """
    Of one key the last form counts.
    """
    prepared(mesh, vendor, "twice", Reply(b'{"items": [{"id": 1, "v": "a"}, {"id": 1, "v": "b"}]}'))

    mesh.answer("sync", "run", "twice", "--watch")

    [record] = mesh.answer("records", "query", "twice")
    assert record["data"]["v"] == "b"


@pytest.mark.parametrize(
    "hostile",
    ['{"id": 7, "t": "a\\u0000b"}', '{"id": 7, "t": "\\ud800"}', '{"id": 7, "n": 1e999999}'],
)
def test_what_the_store_cannot_hold_waits_in_quarantine(mesh, vendor, hostile):
    """
    The good record of the same page arrives.
    """
    body = f'{{"items": [{hostile}, {{"id": 8}}]}}'.encode()
    prepared(mesh, vendor, "hostile", Reply(body))
    mesh.run("flows", "reset", "hostile")

    done = mesh.answer("sync", "run", "hostile", "--watch")

    kept = [record["data"]["id"] for record in mesh.answer("records", "query", "hostile")]
    assert done["status"] == "STATUS_COMPLETED"
    assert kept == [8]
    assert int(done["counts"]["quarantined"]) == 1


def test_an_unreachable_host_fails_the_check_at_reach(mesh, free_port):
    """
    Applying says so at once, and the instance stays in error until it is mended.
    """
    file = mesh.home / "away.yaml"
    file.write_text(
        INSTANCE.format(name="away", url=f"http://127.0.0.1:{free_port}", path="/x").split("---")[0]
    )

    done = mesh.run("apply", "-f", str(file))
    shown = mesh.answer("instances", "show", "away")

    assert done.code == 1
    assert "reach" in done.out
    assert shown["status"] == "STATUS_ERROR"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: Instance\nname: [", "malformed YAML"),
        ("kind: Instance\nname: x\nspec: {connector: nonesuch}", "CONNECTOR_UNKNOWN"),
        (
            "kind: Flow\nname: x\nspec:\n  source: {instance: gone, stream: s}\n"
            "  destination: {instance: hub, stream: s}\n",
            "gone",
        ),
    ],
)
def test_bad_documents_are_refused_with_the_place(mesh, text, expected):
    """
    One sentence with a remedy, never a traceback.
    """
    file = mesh.home / "bad.yaml"
    file.write_text(text)

    done = mesh.run("apply", "-f", str(file))

    assert done.code != 0
    assert expected in done.err
    assert "Traceback" not in done.err


def test_a_wrong_key_is_refused_as_such(mesh):
    """
    A key that is not valid is told apart from a mesh that is away.
    """
    done = mesh.run("connectors", "list", env={"ISTHMUS_API_KEY": "ist_nobody_" + "x" * 64})

    assert done.code == 3
    assert "CALLER_UNKNOWN" in done.err
