"""What the local commands share."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from isthmus.client.cli.context import home_of
from isthmus.client.problem import ExitCode, Problem
from isthmus.client.profile import find_home
from isthmus.local.control import LauncherGone, tell
from isthmus.local.home import Home
from rich.console import Console

__all__ = ["console", "is_running", "launcher_pid", "local_home", "not_running", "working"]


def local_home(ctx: typer.Context) -> Home:
    """Return the home that `--home` or the environment names."""
    return Home(find_home(home_of(ctx)))


def is_running(home: Home) -> bool:
    """Tell whether a launcher holds the home's lock; a file left by a crash does not count."""
    try:
        lock = os.open(home.lock_file, os.O_RDWR)
    except FileNotFoundError:
        return False
    except PermissionError as error:
        message = f"The mesh in {home.root} belongs to another user: run the command as that user."
        raise Problem("HOME_NOT_YOURS", message, exit_code=ExitCode.REFUSED) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def launcher_pid(home: Home) -> int:
    """Return the launcher's process id, 0 when unknown."""
    try:
        return int(home.lock_file.read_text() or "0")
    except (OSError, ValueError):
        return 0


def not_running(home: Home) -> Problem:
    """Say that no mesh runs here and how to start one."""
    message = f"No mesh runs in {home.root}: start it with `isthmus up`."
    return Problem("MESH_NOT_RUNNING", message, exit_code=ExitCode.UNREACHABLE)


def console() -> Console:
    """Return where people read along; answers for programs go to standard output."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show that something is going on, on terminals only."""
    where = console()
    if not where.is_terminal:
        yield
        return
    with where.status(text):
        yield


def wait_until_gone(home: Home, seconds: float) -> bool:
    """Wait until the launcher has let go of the home; tell whether it has."""
    deadline = time.monotonic() + seconds
    while is_running(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def ask_status(home: Home) -> dict[str, object] | None:
    """Ask the launcher how everything is; `None` when it does not answer."""
    try:
        return tell(home.socket, {"status": 1}, timeout=3.0)
    except LauncherGone:
        return None
