"""Integrations as YAML: applied, compared, exported."""

import pytest

pytestmark = pytest.mark.mesh

DOCUMENTS = """
kind: Credential
name: vendor-token
spec: {{type: bearer, secret: {{env: VENDOR_TOKEN}}}}
---
kind: Instance
name: manifest-vendor
spec:
  connector: http-json
  credential: vendor-token
  limits: {{rate: 50/s, retry: {{attempts: 3}}}}
  configuration:
    base_url: "{url}"
    streams: [{{name: items, path: /items, records_path: items, key: [id]}}]
---
kind: Mapping
name: manifest-mapping
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: title, source: name}}
---
kind: Flow
name: manifest-flow
spec:
  source: {{instance: manifest-vendor, stream: items}}
  mapping: manifest-mapping
  destination: {{instance: hub, stream: manifest_items}}
  key: [id]
  schedules: [{{cron: "0 3 * * *", time_zone: Europe/Zurich}}]
"""
SECRET = {"VENDOR_TOKEN": "canary-manifest-secret"}


@pytest.fixture
def applied(mesh, vendor):
    vendor.serve_json("/items", {"items": [{"id": 1, "name": "a"}]})
    text = DOCUMENTS.format(url=vendor.url)
    mesh.apply(text, env=SECRET)
    return text


def test_applying_twice_changes_nothing(mesh, applied):
    """
    The second time every document is unchanged.
    """
    again = mesh.apply(applied, env=SECRET)

    assert {outcome["action"] for outcome in again} == {"unchanged"}


def test_a_difference_is_shown_before_it_is_applied(mesh, applied):
    """
    `diff` ends with 1 and names the field with both values.
    """
    changed = applied.replace("0 3 * * *", "0 4 * * *").replace("source: name", "source: title")
    file = mesh.home / "changed.yaml"
    file.write_text(changed)

    done = mesh.run("diff", "-f", str(file), "--output", "json", env=SECRET)

    steps = {step["name"]: step for step in done.json}
    assert done.code == 1
    assert steps["manifest-mapping"]["action"] == steps["manifest-flow"]["action"] == "update"
    assert steps["manifest-vendor"]["action"] == "unchanged"


def test_what_is_exported_can_be_applied_and_holds_no_secret(mesh, applied):
    """
    Secrets appear as references only.
    """
    exported = mesh.ok("export").out

    file = mesh.home / "exported.yaml"
    file.write_text(exported)
    outcomes = mesh.answer("apply", "-f", str(file), env={"VENDOR_TOKEN_SECRET": "x", **SECRET})
    assert SECRET["VENDOR_TOKEN"] not in exported
    assert {outcome["action"] for outcome in outcomes} == {"unchanged"}


def test_a_configuration_goes_back_in_one_command(mesh, applied, vendor):
    """
    The history keeps who changed what; going back is a revision of its own.
    """
    vendor.serve_json("/other", {"items": []})
    mesh.apply(applied.replace("path: /items", "path: /other"), env=SECRET)

    changes = mesh.answer("instances", "diff", "manifest-vendor")
    back = mesh.answer("instances", "rollback", "manifest-vendor", "1")

    assert changes[0]["path"] == "/streams/0/path"
    assert back["configuration"]["streams"][0]["path"] == "/items"
    mesh.apply(applied, env=SECRET)


def test_limits_are_shown_compared_and_taken_back(mesh, applied):
    """
    An instance's own limits are part of its document and of its history.
    """
    calm = mesh.apply(applied.replace("attempts: 3", "attempts: 9"), env=SECRET)
    changes = mesh.answer("instances", "diff", "manifest-vendor")
    shown = mesh.answer("instances", "show", "manifest-vendor")
    mesh.apply(applied.replace("  limits: {rate: 50/s, retry: {attempts: 3}}\n", ""), env=SECRET)
    plain = mesh.answer("instances", "show", "manifest-vendor")
    mesh.apply(applied, env=SECRET)

    assert [one["name"] for one in calm if one["action"] == "update"] == ["manifest-vendor"]
    assert [(one["path"], one["after"]) for one in changes] == [("/limits/retry/attempts", "9")]
    assert shown["limits"] == {"rate": "50/s", "retry": {"attempts": 9}}
    assert plain["limits"] == {}


def test_a_wrong_type_in_a_configuration_is_named_by_its_path(mesh, applied):
    """
    The refusal says where and what to do, and nothing is changed.
    """
    file = mesh.home / "wrong.yaml"
    file.write_text(applied.replace("key: [id]}]", "key: 5}]"))

    done = mesh.run("apply", "-f", str(file), env=SECRET)

    assert done.code == 2
    assert "/streams/0/key" in done.err
    assert "Traceback" not in done.err


def test_the_flow_runs_with_its_credential(mesh, applied, vendor):
    """
    What was applied works, and the secret shows in no log.
    """
    mesh.answer("sync", "run", "manifest-flow", "--watch")

    [record] = mesh.answer("records", "query", "manifest_items")
    logs = "".join(path.read_text(errors="replace") for path in (mesh.home / "logs").glob("*.log"))
    assert record["data"] == {"id": 1, "title": "a"}
    assert SECRET["VENDOR_TOKEN"] not in logs


def test_a_mistake_in_the_middle_is_told_as_something_that_failed(mesh, tmp_path):
    """
    The code that promises an unchanged mesh is not for one in which a flow was made already.
    """
    spec = "{source: {instance: hub, stream: a}, destination: {instance: hub, stream: b}, schedules: %s}"
    file = tmp_path / "a.yaml"
    file.write_text("kind: Flow\nname: halfway\nspec: " + spec % "[{cron: '61 * * * *'}]")

    done = mesh.run("apply", "-f", str(file))

    assert done.code == 1
    assert "Flow halfway: " in done.err
    assert mesh.run("flows", "delete", "halfway").code == 0
