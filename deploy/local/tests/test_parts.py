"""The launcher's parts, each by itself."""

import json
import os
import signal
import socket
import stat
import sys
import threading
import time
from pathlib import Path

import pytest
from isthmus.local.backends.base import BackendFailed
from isthmus.local.backends.ports import PortBook, free_port
from isthmus.local.certification import Certification
from isthmus.local.child import Child, errand
from isthmus.local.control import ControlSocket, tell
from isthmus.local.environment import Environment
from isthmus.local.home import Home
from isthmus.local.logs import RotatingLog, empty
from isthmus.local.options import Options
from isthmus.local.private import read_json, write_private
from isthmus.local.servers import Servers
from isthmus.local.supervisor import Supervisor
from isthmus.local.units import ForkedUnit, Kind
from isthmus.testing.waiting import PATIENCE_SECONDS, until


def drive(steps):
    deadline = time.monotonic() + PATIENCE_SECONDS
    for _ in steps:
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.005)


def look_until(supervisor, name, state):
    def is_so():
        if _status(supervisor, name)["state"] == state:
            return True
        supervisor.look()
        return False

    until(is_so, f"{name} to be {state}", pause=0.005)


def _status(supervisor, name):
    return next(status for status in supervisor.status() if status["name"] == name)


def _wait_for_ever(ready):
    ready(1)
    threading.Event().wait()


@pytest.fixture
def supervisor():
    supervisor = Supervisor()
    yield supervisor
    drive(supervisor.stop())


@pytest.fixture
def unit(tmp_path):
    return lambda name, work, kind=Kind.SERVICE: ForkedUnit(kind, name, tmp_path / f"{name}.log", dict, work)


def test_ports_stay_until_somebody_takes_them(tmp_path):
    """
    A port is remembered over starts, and another one is chosen when a stranger listens there.
    """
    book = PortBook(tmp_path / "ports.json")
    port = book.port("me")
    assert PortBook(tmp_path / "ports.json").port("me") == port
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()

        assert book.port("me") != port


def test_private_files_replace_at_one_stroke(tmp_path):
    """
    A private file is closed to others, and a damaged one reads as empty.
    """
    path = tmp_path / "inner" / "x.json"
    write_private(path, "{")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_json(path) == {}


def test_options_are_remembered_and_taken_back(tmp_path):
    """
    What one start was told holds for the next, until it is told otherwise.
    """
    home = Home(tmp_path)
    Options().changed(nats_url="nats://u:w@there", postgres_url=None).save(home)
    loaded = Options.load(home)

    assert loaded.nats_url == "nats://u:w@there"
    assert "there" not in repr(loaded)
    assert loaded.changed(nats_url="embedded").nats_url == ""


def test_peers_reach_a_service_by_its_route(tmp_path):
    """
    What stands in between is for the others; the service itself listens where it did.
    """
    home = Home(tmp_path)
    home.prepare()
    outside = {"postgres_url": "postgresql://x", "nats_url": "nats://x", "vault_addr": "http://x"}
    options = Options(**outside, services=("gateway",), routes={"gateway": "127.0.0.1:9"})
    servers = Servers.chosen(home, options)
    environment = Environment(home, options, servers, Certification(home, options, servers.openbao))

    assert environment.of_host("files")["ISTHMUS_GATEWAY_ADDRESS"] == "127.0.0.1:9"
    assert environment.of_service("gateway")["ISTHMUS_LISTEN"] == environment.addresses["gateway"]


def test_children_answer_their_parent(tmp_path):
    """
    An errand runs in a process of its own and brings back its answer.
    """
    answer = []
    drive(
        errand("asking", tmp_path / "log", {"WORD": "yes"}, lambda: [os.environ["WORD"], os.getpid()], answer)
    )

    assert answer[0][0] == "yes"
    assert answer[0][1] != os.getpid()
    assert "WORD" not in os.environ


def test_children_inherit_no_secret(tmp_path, monkeypatch):
    """
    What the environment of whoever starts a mesh has of secrets is for those processes that are told it.
    """
    for name in ("ISTHMUS_SECRET_X", "ISTHMUS_SECRETS_KEY", "ISTHMUS_API_KEY", "ISTHMUS_POSTGRES_URL"):
        monkeypatch.setenv(name, "hidden")
    home = Home(tmp_path)
    home.prepare()
    options = Options(nats_url="nats://x", postgres_url="postgresql://x", secrets="environment")
    environment = Environment(
        home, options, Servers.chosen(home, options), Certification(home, options, None)
    )
    told = {}
    for name, known in {
        "host": environment.of_host("files"),
        "credentials": environment.of_service("credentials"),
    }.items():
        answer = []
        drive(errand("looking", tmp_path / "log", known, lambda: dict(os.environ), answer))
        told[name] = {variable for variable, text in answer[0].items() if text == "hidden"}

    assert told == {"host": set(), "credentials": {"ISTHMUS_SECRET_X", "ISTHMUS_SECRETS_KEY"}}


def test_failing_errands_say_why(tmp_path):
    """
    The last words of a child are in the message; its traceback is in the log only.
    """

    def fail():
        raise ValueError("the cellar is flooded")

    with pytest.raises(BackendFailed, match="asking failed: ValueError: the cellar is flooded"):
        drive(errand("asking", tmp_path / "log", {}, fail, []))


def _descriptors():
    return sorted(entry.name for entry in Path("/dev/fd").iterdir())


def test_children_hold_nothing_of_the_parent(tmp_path):
    """
    Files and sockets of the parent are closed in the child.
    """
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        answer = []
        drive(errand("looking", tmp_path / "log", {}, _descriptors, answer))

    assert set(answer[0]) <= {"0", "1", "2", "3", "4"}


def test_logs_rotate_without_losing_a_line(tmp_path):
    """
    A full log gives way to a new one, and only the newest few are kept.
    """
    path = tmp_path / "log"

    def write():
        log = RotatingLog(path, largest=100, kept=2)
        for number in range(40):
            log.write(f"line {number:04}\n")

    drive(errand("writing", path, {}, write, []))
    lines = "".join((tmp_path / name).read_text() for name in ("log.2", "log.1", "log")).splitlines()

    assert lines == [f"line {number:04}" for number in range(40 - len(lines), 40)]
    assert len(lines) >= 20
    assert not (tmp_path / "log.3").exists()


def test_full_logs_of_others_are_emptied_in_place(tmp_path):
    """
    A writer that keeps its file open goes on in an empty one, and the old lines are kept once.
    """
    path = tmp_path / "log"
    with path.open("a") as writer:
        writer.write("old\n")
        writer.flush()
        empty(path, 3)
        writer.write("new\n")

    assert path.read_text() == "new\n"
    assert (tmp_path / "log.1").read_text() == "old\n"


def test_crashed_units_are_started_again(supervisor, unit):
    """
    A unit that is killed is forked anew, and the count of its restarts tells.
    """
    drive(supervisor.start([unit("worker", _wait_for_ever)]))
    first = _status(supervisor, "worker")["pid"]
    os.kill(first, signal.SIGKILL)
    look_until(supervisor, "worker", "waiting")
    look_until(supervisor, "worker", "running")

    assert _status(supervisor, "worker")["restarts"] == 1
    assert _status(supervisor, "worker")["pid"] not in {0, first}


def test_pauses_between_starts_grow(supervisor, unit):
    """
    A unit that keeps failing is tried less and less often.
    """
    supervisor.add(unit("broken", lambda ready: sys.exit(3)))
    pauses = []
    for _ in range(3):
        look_until(supervisor, "broken", "waiting")
        pauses.append(supervisor._watched["broken"].again_at - time.monotonic())
        look_until(supervisor, "broken", "starting")

    assert pauses[0] < pauses[1] < pauses[2] <= 10.0


def test_start_fails_with_the_first_trouble(supervisor, unit):
    """
    A unit that ends before it is ready fails the start, with its last words.
    """

    def work(ready):
        sys.stderr.write('{"message": "no bread today"}\n')
        sys.exit(1)

    with pytest.raises(BackendFailed, match="baker ended while starting: no bread today"):
        drive(supervisor.start([unit("baker", work), unit("worker", _wait_for_ever)]))


def test_stop_goes_in_order_and_ends_the_stubborn(unit, monkeypatch):
    """
    Hosts stop before services; what ignores SIGTERM is killed after its grace.
    """
    monkeypatch.setattr("isthmus.local.supervisor._GRACE", dict.fromkeys(Kind, 0.3))

    def stubborn(ready):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _wait_for_ever(ready)

    supervisor = Supervisor()
    host, service = unit("host", _wait_for_ever, Kind.HOST), unit("service", stubborn)
    drive(supervisor.start([host, service]))
    drive(supervisor.stop())

    assert (host._child.exit_code, service._child.exit_code) == (-signal.SIGTERM, -signal.SIGKILL)


def test_children_end_with_their_parent(tmp_path):
    """
    A child whose parent is killed does not outlive it.
    """

    def parent(send):
        child = Child("inner", tmp_path / "inner", {}, lambda _: threading.Event().wait())
        send(json.dumps(child.pid))
        threading.Event().wait()

    outer = Child("outer", tmp_path / "outer", {}, parent)
    while (line := outer.heard()) is None:
        time.sleep(0.005)
    outer.signal(signal.SIGKILL)
    until(lambda: not _runs(int(line)), "the end of the inner one", pause=0.01)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_control_socket_serves_while_waiting(tmp_path):
    """
    A command is answered from within the wait, and the socket is closed to others.
    """
    control = ControlSocket(tmp_path / "s", lambda command: {"ok": True, "heard": command})
    answers = []
    asking = threading.Thread(target=lambda: answers.append(tell(tmp_path / "s", {"hello": 1})))
    asking.start()
    while asking.is_alive():
        control.wait(0.05)
    mode = stat.S_IMODE((tmp_path / "s").stat().st_mode)
    control.close()

    assert answers == [{"ok": True, "heard": {"hello": 1}}]
    assert mode == 0o600


def test_socket_paths_stay_short(tmp_path):
    """
    A home deep in the tree gets its socket elsewhere.
    """
    deep = Home(tmp_path / ("x" * 120))

    assert len(str(deep.socket)) < 108
    assert deep.socket != Home(tmp_path / ("y" * 120)).socket


def test_free_ports_are_below_those_of_outgoing_connections():
    """
    A port that is free for a moment is not taken by somebody's outgoing connection.
    """
    assert free_port() < 32_768
