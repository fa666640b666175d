"""`isthmus down`."""

import os
import signal
from contextlib import suppress

import typer
from isthmus.client.cli.output import Format, Output, emit
from isthmus.client.problem import Problem
from isthmus.local.commands.common import (
    console,
    is_running,
    launcher_pid,
    local_home,
    wait_until_gone,
    working,
)
from isthmus.local.control import LauncherGone, tell
from isthmus.local.home import Home
from isthmus.local.leftovers import clear_away

__all__ = ["register"]

_PATIENCE_SECONDS = 20.0


def register(app: typer.Typer) -> None:
    """Add `down`."""
    app.command(epilog="Example: `isthmus down --output json`")(down)


def down(ctx: typer.Context, output: Output = Format.TABLE) -> None:
    """Stops the mesh: hosts finish their batch, services their calls, then the back ends stop; data stay.

    Takes at most 15 seconds. Where nothing runs it says so and succeeds.
    """
    home = local_home(ctx)
    was_running = is_running(home)
    if was_running:
        with working("stopping …"):
            _stop(home)
    left = clear_away(home) if home.run.is_dir() else 0
    if output is not Format.TABLE:
        emit({"home": str(home.root), "was_running": was_running, "left_over_processes": left}, output)
    elif was_running or left:
        console().print(f"The mesh in {home.root} has stopped.")
    else:
        console().print(f"No mesh runs in {home.root}.")


def _stop(home: Home) -> None:
    """Ask; whoever does not listen is told by signal, and in the end by force."""
    try:
        tell(home.socket, {"stop": 1}, timeout=3.0)
    except LauncherGone:
        _send(home, signal.SIGTERM)
    if wait_until_gone(home, _PATIENCE_SECONDS):
        return
    _send(home, signal.SIGKILL)
    if not wait_until_gone(home, 2.0):
        message = f"The mesh in {home.root} does not stop: end process {launcher_pid(home)} by hand."
        raise Problem("STOP_FAILED", message)


def _send(home: Home, number: signal.Signals) -> None:
    pid = launcher_pid(home)
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
