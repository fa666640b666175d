"""A mesh on servers that are not its own, and starts that cannot work."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from isthmus.local.home import Home
from isthmus.local.options import Options
from isthmus.local.private import read_json

pytestmark = [pytest.mark.mesh, pytest.mark.xdist_group("mesh")]
_ISTHMUS = Path(sys.executable).with_name("isthmus")


def isthmus(home, *arguments):
    environment = {**os.environ, "ISTHMUS_HOME": str(home.root)}
    command = [_ISTHMUS, *arguments]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=100)


@pytest.fixture
def home():
    with tempfile.TemporaryDirectory(prefix="isthmus-mesh-") as folder:
        home = Home(Path(folder))
        Options(services=("identity", "gateway")).save(home)
        yield home
        isthmus(home, "down")


def test_servers_outside_replace_our_own(home, postgres, nats_server, vault, backend_home):
    """
    With all three addresses given no back end is started, and the next start needs no addresses.
    """
    address = nats_server.url.rpartition("@")[2]
    places = ["--postgres-url", postgres.database(), "--nats-url", f"nats://{address}"]
    places += ["--nats-users", str(backend_home / "nats" / "users")]
    places += ["--vault-addr", vault.address, "--vault-roles", str(vault.folder / "roles")]
    first = isthmus(home, "up", *places)
    isthmus(home, "down")
    isthmus(home, "up")
    status = json.loads(isthmus(home, "status", "--output", "json").stdout)

    assert first.returncode == 0, first.stderr
    assert status["healthy"]
    assert {process["kind"] for process in status["processes"]} == {"service"}
    assert not any((home.root / name).exists() for name in ("postgres", "nats", "openbao"))


def test_unreachable_database_fails_in_one_sentence(home):
    """
    A wrong address is told apart from a defect, leaves nothing running, and is not remembered.
    """
    failed = isthmus(home, "up", "--postgres-url", "postgresql://u:hidden-word@127.0.0.1:1/x")

    assert failed.returncode == 1
    assert "PostgreSQL cannot be used" in failed.stderr
    assert "hidden-word" not in failed.stderr
    assert "Traceback" not in failed.stderr
    assert (
        "postgres_url" not in home.options_file.read_text()
        or not read_json(home.options_file)["postgres_url"]
    )
    assert "No mesh runs" in isthmus(home, "status").stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["up", "--vault-addr", "http://127.0.0.1:1"], "--vault-roles"),
        (["up", "--vault-addr", "http://127.0.0.1:1", "--vault-token-file", "/nowhere"], "cannot be read"),
        (["up", "--vault-addr", "http://127.0.0.1:1", "--vault-roles", "/nowhere"], "identity.role-id"),
        (["--home", "/proc/nowhere", "up"], "--home"),
        (["up", "--nonsense"], "--help"),
    ],
)
def test_mistakes_are_told_with_their_remedy(home, arguments, words):
    """
    What cannot work is refused before anything starts.
    """
    refused = isthmus(home, *arguments)

    assert refused.returncode != 0
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_doctor_tells_of_servers_that_do_not_answer(home):
    """
    A server outside that is gone is found, with what to do.
    """
    Options(services=("gateway",), nats_url="nats://127.0.0.1:1").save(home)
    found = isthmus(home, "doctor", "--output", "json")
    [finding] = [one for one in json.loads(found.stdout) if one["subject"] == "outside NATS"]

    assert found.returncode == 1
    assert finding["verdict"] == "bad"
    assert "127.0.0.1:1" in finding["remedy"]


def test_doctor_finds_open_secrets(home):
    """
    A key that others can read is found, with the command that closes it.
    """
    home.prepare()
    key = home.keys / "x.jwk"
    key.write_text("{}")
    key.chmod(0o644)
    findings = json.loads(isthmus(home, "doctor", "--output", "json").stdout)
    [finding] = [one for one in findings if one["subject"] == "secrets"]

    assert finding["verdict"] == "bad"
    assert finding["remedy"] == f"Run `chmod 600 {key}`."
