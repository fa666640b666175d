"""A mesh on servers that are not its own, and starts that cannot work."""

import json
import os
import socketserver
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from isthmus.local.floors import too_old
from isthmus.local.home import Home
from isthmus.local.options import Options
from isthmus.local.private import read_json

pytestmark = pytest.mark.mesh
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
    places += ["--vault-ca-file", str(vault.ca_file)]
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


NATS_ONE_BELOW = b'INFO {"server_id":"X","version":"2.12.5","tls_required":true} \r\n'
BAO_ONE_BELOW = b'HTTP/1.0 200 OK\r\n\r\n{"initialized":true,"version":"2.5.3"}'


@contextmanager
def saying(words):
    """Gives the port of a server that says a few words to whoever comes."""

    class Saying(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(words)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Saying) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("words", "option", "least"),
    [
        (NATS_ONE_BELOW, "--nats-url=nats://127.0.0.1:{port}", "2.12.6"),
        (BAO_ONE_BELOW, "--vault-addr=http://127.0.0.1:{port}", "2.5.4"),
    ],
)
def test_servers_with_known_holes_are_refused(home, words, option, least):
    """
    One version below the floor nothing starts, and it is said what to upgrade to.
    """
    with saying(words) as port:
        refused = isthmus(home, "up", option.format(port=port))

    assert refused.returncode != 0
    assert "SERVER_TOO_OLD" in refused.stderr
    assert least in refused.stderr


@pytest.mark.parametrize(
    "words",
    [b"", b"INFO nonsense\r\n", b"INFO {}\r\n", b"INFO []\r\n", b"\xff" * 99, b"HTTP/1.0 200 OK\r\n\r\n[]"],
)
def test_who_does_not_tell_its_version_is_passed_over(words):
    """
    Rubbish is no version; a server that cannot be used is found by using it.
    """
    with saying(words) as port:
        options = Options(nats_url=f"nats://127.0.0.1:{port}", vault_addr=f"http://127.0.0.1:{port}")

        assert list(too_old(options)) == []


def test_doctor_tells_of_servers_with_known_holes(home):
    """
    Also of one that was good enough when the mesh was first started.
    """
    with saying(NATS_ONE_BELOW) as port:
        Options(services=("gateway",), nats_url=f"nats://127.0.0.1:{port}").save(home)
        found = isthmus(home, "doctor", "--output", "json")
    [finding] = [one for one in json.loads(found.stdout) if one["subject"] == "version of NATS"]

    assert (finding["verdict"], "2.12.6" in finding["remedy"]) == ("bad", True)


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
