"""A person logs in on a machine of its own, works, and leaves; all by the command line."""

import json
import os
import stat
import subprocess
import sys

import pytest
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh


@pytest.fixture
def elsewhere(mesh, tmp_path):
    """Another machine: it knows where the mesh is, and has no key."""
    profile = json.loads((mesh.home / "cli.json").read_text())
    (tmp_path / "cli.json").write_text(json.dumps({**profile, "api_key": ""}))
    return mesh.elsewhere(tmp_path)


def test_a_user_logs_in_works_and_leaves(mesh, elsewhere):
    """
    The made-up password is changed at the first login, every service knows the user, and afterwards nobody.
    """
    made = mesh.answer("users", "create", "cli-ann", "--role", "auditor")
    old, new = elsewhere.home / "old", elsewhere.home / "new"
    old.write_text(made["password"])
    new.write_text("a much better one")
    files = ("--password-file", str(old))

    refused = elsewhere.run("login", "cli-ann", *files)
    elsewhere.ok("login", "cli-ann", *files, "--new-password-file", str(new))
    me = elsewhere.answer("whoami")
    elsewhere.ok("connectors", "list")
    forbidden = elsewhere.run("service-accounts", "create", "x", "--role", "auditor")
    kept = elsewhere.home / "session.json"
    private, token = stat.S_IMODE(kept.stat().st_mode), kept.read_text()
    elsewhere.ok("logout")
    kept.write_text(token)
    after = until(lambda: elsewhere.run("whoami"), "the end of the session", such=lambda done: done.code != 0)

    assert "PASSWORD_CHANGE_REQUIRED" in refused.err
    assert me["subject"] == f"user:{made['user_id']}"
    assert "PERMISSION_MISSING" in forbidden.err
    assert private == 0o600
    assert "CALLER_UNKNOWN" in after.err


def test_support_comes_for_a_while_and_leaves_a_trail(mesh):
    """
    Another tenant is opened by its administrator only, for what was asked, and sees every look in its trail.
    """
    name = f"host-{os.urandom(4).hex()}"
    made = mesh.answer("tenants", "create", name)
    host = {"ISTHMUS_API_KEY": made["api_key"]}
    asked = mesh.answer("support", "request", name, "--reason", "nothing arrives")
    before = mesh.run("support", "token", asked["support_access_id"])
    mesh.ok("support", "approve", asked["support_access_id"], env=host)
    guest = {"ISTHMUS_API_KEY": mesh.ok("support", "token", asked["support_access_id"]).out.strip()}
    mesh.ok("flows", "list", env=guest)
    refused = mesh.run("users", "create", "mine", env=guest)

    def looked_at():
        trail = mesh.answer("audit", "list", "--about", asked["support_access_id"], env=host)
        return [one for one in trail if one["method"].endswith("/ListFlows")]

    looked = until(looked_at, "the record of what the guest has looked at")

    assert "SUPPORT_ACCESS_NOT_OPEN" in before.err
    assert "PERMISSION_MISSING" in refused.err
    assert {one["subject"] for one in looked} == {asked["requester"]}


def test_a_machine_without_a_browser_is_let_in_by_a_code(mesh, elsewhere, tmp_path_factory):
    """
    It shows a code, which is confirmed where somebody has logged in, and keeps a session of its own.
    """
    made = mesh.answer("users", "create", "cli-ben", "--role", "auditor")
    files = elsewhere.home / "old", elsewhere.home / "new"
    for file, text in zip(files, (made["password"], "a much better one"), strict=True):
        file.write_text(text)
    elsewhere.ok("login", "cli-ben", "--password-file", str(files[0]), "--new-password-file", str(files[1]))
    third = mesh.elsewhere(tmp_path_factory.mktemp("third"))
    (third.home / "cli.json").write_text((elsewhere.home / "cli.json").read_text())
    command = [sys.executable, "-m", "isthmus.client.cli", "--home", str(third.home), "login"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as waiting:
        code = waiting.stderr.readline().split()[-1]
        elsewhere.ok("login", "approve", code)
        waiting.communicate(timeout=120)

    assert waiting.returncode == 0
    assert third.answer("whoami")["subject"] == f"user:{made['user_id']}"
    assert stat.S_IMODE((third.home / "session.json").stat().st_mode) == 0o600
