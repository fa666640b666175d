"""The process that starts the whole mesh and keeps it running.

It imports everything, opens nothing but its command socket, and forks one process for each service and
connector host. Run as `python -m isthmus.local.launcher HOME`; `isthmus up` does.
"""

import fcntl
import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.local.backends.base import Backend, BackendFailed, Steps
from isthmus.local.bytecode import is_compiled
from isthmus.local.certification import Certification
from isthmus.local.child import errand
from isthmus.local.control import ControlSocket
from isthmus.local.gaps import fill_gaps
from isthmus.local.home import Home
from isthmus.local.idle_code import give_back_idle_code, giving_back
from isthmus.local.leftovers import clear_away, remember
from isthmus.local.logs import empty, rotate
from isthmus.local.names import HUB, WITHOUT_DATABASE
from isthmus.local.options import Options
from isthmus.local.private import read_json, write_private
from isthmus.local.servers import Servers
from isthmus.local.supervisor import Supervisor, say
from isthmus.local.units import BackendUnit, ForkedUnit, Kind

if TYPE_CHECKING:
    from isthmus.local.environment import Environment

__all__ = ["AlreadyRunning", "Launcher", "main"]

_STEP = 0.005
_START_SECONDS = 90.0
_STOP_SECONDS = 15.0
_LOG_CHECK_SECONDS = 30.0
_LARGEST_LOG = 20 * 1024 * 1024
_LARGEST_AUDIT_LOG = 100 * 1024 * 1024

Report = Callable[[dict[str, Any]], None]


class AlreadyRunning(Exception):
    """Another launcher looks after this home."""


class Launcher:
    """One mesh on this machine.

    Args:
        home: Its folder.
        options: Servers outside.
        report: Gets told how the start goes on.
    """

    def __init__(self, home: Home, options: Options, report: Report) -> None:
        self._home = home
        self._report = report
        self._lock = self._take_lock()
        self._servers = Servers.chosen(home, options)
        self._certification = Certification(
            home, options, self._servers.openbao, self._servers.take_certificates
        )
        self._supervisor = Supervisor()
        self._environment: Environment | None = None
        self._options = options
        self._stop_asked = False
        self._started_at = time.time()
        self._control: ControlSocket | None = None

    def run(self) -> int:
        """Start, look after everything until told to stop, and stop; returns the exit code."""
        waking = self._listen_to_signals()
        try:
            clear_away(self._home)
            self._drive(self._start(), _START_SECONDS, "The mesh was not up")
            if not self._stop_asked:
                self._look_after(waking)
        except (BackendFailed, OSError) as failure:
            return self._failed(str(failure))
        except Exception as failure:
            traceback.print_exc()
            return self._failed(f"{type(failure).__name__}: {failure}. Log: {self._home.log('launcher')}")
        else:
            return 0
        finally:
            with suppress(BackendFailed):
                self._drive(self._supervisor.stop(), _STOP_SECONDS, "The mesh had not stopped")
            self._leave()

    def _start(self) -> Steps:
        """Start back ends and import code side by side, then everything that needs both."""
        began = time.monotonic()
        self._step("starting back ends and loading code")
        gc.disable()
        later = self._servers.secured(self._home.tls) if self._certification.active else []
        backends = [BackendUnit(backend) for backend in self._servers.all() if backend not in later]
        yield from _together(self._supervisor.start(backends), self._load_code())
        environment = self._environment = self._known()
        self._step("preparing the database and certificates")
        yield from _together(self._furnish_database(environment), self._certify(later))
        self._rehearse(environment)
        fill_gaps()
        # From here on the children share every page that nobody writes to.
        gc.freeze()
        self._step("starting services")
        yield from self._supervisor.start(self._services(environment))
        gc.enable()
        self._open_control()
        self._step("making tenant and connectors known")
        new_key = ""
        if "identity" in self._options.services:
            new_key = yield from self._introduce(environment)
        self._publish(environment)
        self._options.save(self._home)
        self._remember()
        give_back_idle_code()
        seconds = round(time.monotonic() - began, 2)
        say(f"ready after {seconds} s")
        self._report({"ready": seconds, "api_key": new_key})

    def _known(self) -> "Environment":
        from isthmus.local.environment import Environment

        return Environment(self._home, self._options, self._servers, self._certification)

    def _step(self, what: str) -> None:
        say(what)
        self._report({"step": what})

    def _failed(self, why: str) -> int:
        self._report({"failed": why})
        say(why)
        return 1

    def _load_code(self) -> Steps:
        """Import everything; code that was never compiled is compiled in a child first.

        Compiling takes memory that is not given back, and every process of the mesh would inherit it.
        """
        if not (sys.dont_write_bytecode or is_compiled()):
            work = partial(_compile, self._options.services)
            yield from errand("loading code", self._home.log("setup"), {}, work, [])
        from isthmus.local.preload import preload

        yield from preload(self._options.services)

    def _services(self, environment: "Environment") -> list[ForkedUnit]:
        return [
            ForkedUnit(
                Kind.SERVICE,
                name,
                self._home.log(name),
                partial(environment.of_service, name),
                partial(_serve, name),
            )
            for name in self._options.services
        ]

    def _furnish_database(self, environment: "Environment") -> Steps:
        from isthmus.local.furnishing import make_database

        postgres = self._servers.postgres
        auditor = None if postgres is None else postgres.folder / "auditor.password"
        work = partial(make_database, environment.admin_url, environment.database_secrets, auditor)
        yield from errand("database set-up", self._home.log("setup"), {}, work, [])

    def _rehearse(self, environment: "Environment") -> None:
        from isthmus.local.rehearsal import rehearse

        with_database = [name for name in self._options.services if name not in WITHOUT_DATABASE]
        if with_database:
            rehearse(with_database[0], environment.of_service(with_database[0]))

    def _certify(self, waiting: list[Backend]) -> Steps:
        """Have certificates issued, and start the back ends that wait for theirs."""
        from isthmus.local.backends.vault_pki import subjects
        from isthmus.local.preload import connector_names

        if self._certification.warning:
            say(self._certification.warning)
            self._report({"warning": self._certification.warning})
        yield from self._certification.issue(subjects(connector_names()))
        yield from self._supervisor.start([BackendUnit(backend) for backend in waiting])

    def _introduce(self, environment: "Environment") -> Any:
        """Make first tenant and connectors known; returns the administrator's key when it is new."""
        from isthmus.local.furnishing import introduce
        from isthmus.local.preload import connector_class, connector_names

        names = connector_names() if "registry" in self._options.services else []
        connectors = {name: found for name in names if (found := connector_class(name))}
        known = read_json(self._home.profile_file)
        known_tenant = known.get("tenant_id", "") if known.get("api_key") else ""
        answers: list[dict[str, Any]] = []
        work = partial(introduce, connectors, known_tenant)
        yield from errand("first set-up", self._home.log("setup"), environment.of_launcher(), work, answers)
        answer = answers[0]
        broken = [f"Connector {name} cannot be loaded." for name in names if name not in connectors]
        for warning in [*answer["warnings"], *broken]:
            say(warning)
            self._report({"warning": warning})
        profile = {
            "addresses": environment.addresses,
            "gateway_url": f"http://{environment.http_address}",
            "tenant_id": answer["tenant_id"],
            "api_key": answer["api_key"] or known.get("api_key", ""),
        }
        write_private(self._home.profile_file, json.dumps(profile, indent=2))
        return answer["api_key"]

    def _publish(self, environment: "Environment") -> None:
        known = {**environment.describe(), "pid": os.getpid(), "started_at": self._started_at}
        write_private(self._home.mesh_file, json.dumps(known, indent=2))

    # Running

    def _look_after(self, waking: int) -> None:
        assert self._control is not None
        self._control.watch(waking)
        logs_checked = time.monotonic()
        pids: set[int] = set()
        while not self._stop_asked:
            self._control.wait(self._certification.tend(self._supervisor.look()))
            self._servers.tend()
            running = {status["pid"] for status in self._supervisor.status()}
            if running != pids:
                pids = running
                self._remember()
            if time.monotonic() - logs_checked > _LOG_CHECK_SECONDS:
                logs_checked = time.monotonic()
                self._shorten_logs()

    def _command(self, command: dict[str, Any]) -> dict[str, Any]:
        if "start_host" in command:
            return self._start_host(str(command["start_host"]))
        if "stop" in command:
            self._stop_asked = True
            return {"ok": True}
        if "status" in command:
            own = {"pid": os.getpid(), "started_at": self._started_at, "home": str(self._home.root)}
            return {"ok": True, "launcher": own, "processes": self._supervisor.status()}
        return {"ok": False, "error": "Send start_host, status or stop."}

    def _start_host(self, connector: str) -> dict[str, Any]:
        from isthmus.local.preload import connector_names

        name = f"host-{connector}"
        if self._supervisor.has(name):
            return {"ok": True}
        if connector != HUB and connector not in connector_names():
            return {
                "ok": False,
                "error": f"No connector {connector} is installed; there are {connector_names()}.",
            }
        assert self._environment is not None
        environment = partial(self._environment.of_host, connector)
        self._supervisor.add(
            ForkedUnit(
                Kind.HOST,
                name,
                self._home.log(name),
                environment,
                partial(_host, connector),
                prepare=partial(self._make_known, connector),
            )
        )
        return {"ok": True}

    def _make_known(self, connector: str) -> Steps:
        """Let hosts of a connector take part that was installed after the start."""
        if self._servers.nats is not None:
            yield from self._servers.nats.admit(connector)
        yield from self._certification.introduce(f"host:{connector}")

    def _shorten_logs(self) -> None:
        """Keep what the back ends write short."""
        for backend in self._servers.all():
            empty(backend.log, _LARGEST_LOG)
        openbao = self._servers.openbao
        if openbao is not None and rotate(openbao.audit_log, _LARGEST_AUDIT_LOG):
            openbao.reopen_audit_log()

    # Beginning and end

    def _drive(self, steps: Steps, seconds: float, complaint: str) -> None:
        deadline = time.monotonic() + seconds
        for _ in steps:
            if time.monotonic() > deadline:
                raise BackendFailed(f"{complaint} after {seconds:.0f} s; look into {self._home.logs}.")
            if self._stop_asked and not self._supervisor.stopping:
                return
            if self._control is None:
                time.sleep(_STEP)
            else:
                self._control.wait(_STEP)

    def _listen_to_signals(self) -> int:
        """Let signals wake the loop up; returns what becomes readable then."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._ask_to_stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        return reading

    def _ask_to_stop(self) -> None:
        self._stop_asked = True

    def _open_control(self) -> None:
        self._control = ControlSocket(self._home.socket, self._command)

    def _remember(self) -> None:
        remember(self._home, (status["pid"] for status in self._supervisor.status()))

    def _take_lock(self) -> int:
        self._home.prepare()
        lock = os.open(self._home.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise AlreadyRunning(f"A mesh already runs in {self._home.root}.") from error
        os.truncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        return lock

    def _leave(self) -> None:
        if self._control is not None:
            self._control.close()
        self._home.processes_file.unlink(missing_ok=True)
        self._home.mesh_file.unlink(missing_ok=True)
        os.close(self._lock)


def _compile(services: tuple[str, ...]) -> bool:
    from isthmus.local.preload import preload

    return all(step is None for step in preload(services))


def _together(*all_steps: Steps) -> Steps:
    running = list(all_steps)
    while running:
        for steps in list(running):
            try:
                next(steps)
            except StopIteration:
                running.remove(steps)
        yield


def _serve(name: str, ready: Callable[[int], None]) -> None:
    from isthmus.kit import serve
    from isthmus.local.programs import service_code

    code = service_code(name)
    serve(code.settings(), code.wire, name=name, ready=giving_back(ready))


def _host(connector: str, ready: Callable[[int], None]) -> None:
    from isthmus.local.programs import host_code

    host_code()(connector, giving_back(ready))


def main() -> int:
    """Read options from standard input, start the mesh of the home that is named, look after it."""
    home = Home(Path(sys.argv[1]))
    options = Options(**json.loads(sys.stdin.readline() or "{}"))
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

    def report(progress: dict[str, Any]) -> None:
        with suppress(OSError, ValueError):
            sys.stdout.write(json.dumps(progress) + "\n")
            sys.stdout.flush()

    try:
        return Launcher(home, options, report).run()
    except AlreadyRunning as running:
        report({"already": str(running)})
        return 0


if __name__ == "__main__":
    sys.exit(main())
