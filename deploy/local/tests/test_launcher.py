"""The whole mesh starts, comes back after crashes, and stops."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from isthmus.local.control import LauncherGone, tell
from isthmus.local.home import Home
from isthmus.local.names import SERVICES
from isthmus.testing.waiting import until

pytestmark = pytest.mark.mesh
_ISTHMUS = Path(sys.executable).with_name("isthmus")


def isthmus(home, *arguments, check=True, **variables):
    """Run a command and return its JSON answer."""
    environment = {**os.environ, "ISTHMUS_HOME": str(home.root), **variables}
    command = [_ISTHMUS, *arguments, "--output", "json"]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=100)
    assert not check or done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else done


def processes(home):
    return {process["name"]: process for process in tell(home.socket, {"status": 1})["processes"]}


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def home():
    folder = Path(tempfile.mkdtemp(prefix="isthmus-mesh-"))
    yield Home(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def first_start(home):
    yield isthmus(home, "up")
    isthmus(home, "down")


@pytest.fixture(scope="module")
def mesh(home, first_start):
    return home


def test_first_start_shows_the_key_once(mesh, first_start):
    """
    The first start shows the administrator's key, which the command line then uses by itself.
    """
    again = isthmus(mesh, "up")
    caller = isthmus(mesh, "whoami")

    assert first_start["api_key"].startswith("ist_")
    assert "api_key" not in again
    assert caller["tenant_id"].startswith("tnt_")


def test_everything_serves(mesh):
    """
    All services and back ends are healthy processes of their own.
    """
    status = isthmus(mesh, "status")

    assert status["healthy"]
    assert {process["name"] for process in status["processes"]} == {*SERVICES, "postgres", "nats", "openbao"}
    assert len({process["pid"] for process in status["processes"]}) == len(SERVICES) + 3


def test_second_up_changes_nothing(mesh):
    """
    Starting a mesh that runs says so and leaves its processes alone.
    """
    before = processes(mesh)
    answer = isthmus(mesh, "up")

    assert answer["already_running"]
    assert processes(mesh) == before


@pytest.mark.parametrize("name", ["gateway", "nats", "postgres"])
def test_killed_processes_come_back_at_their_address(mesh, name):
    """
    What is killed is started again within seconds, where it was before.
    """
    before = processes(mesh)[name]
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: processes(mesh)[name]["restarts"] == before["restarts"] + 1, "the restart")
    until(lambda: processes(mesh)[name]["state"] == "running", f"{name} to run")

    assert processes(mesh)[name]["address"] == before["address"]


def test_hosts_start_on_demand(mesh):
    """
    Asking twice for a connector's host starts one process.
    """
    assert tell(mesh.socket, {"start_host": "files"}) == {"ok": True}
    assert tell(mesh.socket, {"start_host": "files"}) == {"ok": True}
    until(lambda: processes(mesh)["host-files"]["state"] == "running", "the host to run")


def test_unknown_connectors_are_refused(mesh):
    """
    A connector that is not installed is named in the refusal.
    """
    answer = tell(mesh.socket, {"start_host": "no-such-thing"})

    assert not answer["ok"]
    assert "no-such-thing" in answer["error"]


@pytest.mark.parametrize("line", [b"nonsense\n", b"[]\n", b'{"sing": 1}\n', b"\xff\xfe\n"])
def test_odd_commands_get_an_answer(mesh, line):
    """
    Whatever is sent to the socket, the launcher answers and goes on.
    """
    import socket

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(mesh.socket))
        client.sendall(line)
        answer = json.loads(client.makefile().readline())

    assert not answer["ok"]
    assert tell(mesh.socket, {"status": 1})["ok"]


def test_no_secret_is_on_a_command_line_or_readable_by_others(mesh):
    """
    The process list shows no password and no key, and neither do the files of the home to others.
    """
    secrets = [json.loads(mesh.profile_file.read_text())["api_key"]]
    secrets += json.loads((mesh.keys / "database.json").read_text()).values()
    shown = [Path(f"/proc/{process['pid']}/cmdline").read_text() for process in processes(mesh).values()]
    shown += [Path(f"/proc/{process['pid']}/environ").read_text() for process in processes(mesh).values()]
    open_files = [path for path in mesh.keys.iterdir() if path.stat().st_mode & 0o077]

    assert not any(secret in text for secret in secrets for text in shown)
    assert open_files == []


def test_doctor_finds_the_mesh_well(mesh):
    """
    On a good day every finding has no remedy but that of processes restarted before.
    """
    findings = isthmus(mesh, "doctor")

    assert {finding["verdict"] for finding in findings} <= {"good", "warning"}
    assert any(finding["subject"] == "mesh" for finding in findings)


def test_killed_launcher_takes_everything_along(mesh):
    """
    When the launcher dies nothing outlives it, and the next start finds its data and its key again.
    """
    before = processes(mesh)
    tenant = isthmus(mesh, "whoami")["tenant_id"]
    os.kill(int(mesh.lock_file.read_text()), signal.SIGKILL)
    until(lambda: not any(runs(process["pid"]) for process in before.values()), "the end of all")
    isthmus(mesh, "up")

    assert isthmus(mesh, "whoami")["tenant_id"] == tenant


def test_lost_key_is_replaced(mesh):
    """
    A home that has lost cli.json gets a new key of the same tenant at the next start.
    """
    tenant = isthmus(mesh, "whoami")["tenant_id"]
    isthmus(mesh, "down")
    mesh.profile_file.unlink()
    answer = isthmus(mesh, "up")

    assert answer["api_key"]
    assert isthmus(mesh, "whoami")["tenant_id"] == tenant


def test_down_stops_everything(mesh):
    """
    After `down` no process is left and a second one is no error.
    """
    isthmus(mesh, "up")
    before = processes(mesh)
    isthmus(mesh, "down")

    assert not any(runs(process["pid"]) for process in before.values())
    assert isthmus(mesh, "down")["was_running"] is False
    with pytest.raises(LauncherGone):
        tell(mesh.socket, {"status": 1})
