"""`isthmus status`."""

import time
from typing import Any

import typer
from isthmus.client.cli.output import Format, Output, emit
from isthmus.client.problem import ExitCode, Problem
from isthmus.local.commands.common import (
    ask_status,
    console,
    is_running,
    launcher_pid,
    local_home,
    not_running,
)
from isthmus.local.health import health_of
from isthmus.local.home import Home
from isthmus.local.memory import pss_of
from rich.console import Console
from rich.table import Table

__all__ = ["register"]

_MEGABYTE = 1024 * 1024


def register(app: typer.Typer) -> None:
    """Add `status`."""
    app.command(epilog="Example: `isthmus status --output json`")(status)


def status(ctx: typer.Context, output: Output = Format.TABLE) -> None:
    """Shows every process of the mesh: whether it works, since when, how often it was restarted, its memory.

    Ends with 1 when something does not work, with 4 when no mesh runs.
    """
    home = local_home(ctx)
    if not is_running(home):
        raise not_running(home)
    found = ask_status(home)
    if found is None:
        message = f"Launcher {launcher_pid(home)} is starting or stuck: look into {home.log('launcher')}."
        raise Problem("LAUNCHER_SILENT", message, exit_code=ExitCode.UNREACHABLE)
    report = _report(found, home)
    if output is Format.TABLE:
        _print(report)
    else:
        emit(report, output)
    if not report["healthy"]:
        raise typer.Exit(1)


def _report(found: dict[str, Any], home: Home) -> dict[str, Any]:
    processes = found["processes"]
    health = health_of(processes, home)
    for process in processes:
        process["health"] = health[process["name"]]
        process["uptime_seconds"] = round(time.time() - process["started_at"]) if process["pid"] else 0
        process["pss_bytes"] = pss_of(process["pid"])
    launcher = {**found["launcher"], "pss_bytes": pss_of(found["launcher"]["pid"], with_children=False)}
    ours = sum(process["pss_bytes"] for process in processes if process["kind"] != "backend")
    return {
        "healthy": all(process["health"] == "serving" for process in processes),
        "launcher": launcher,
        "processes": processes,
        "isthmus_pss_bytes": ours + launcher["pss_bytes"],
        "total_pss_bytes": launcher["pss_bytes"] + sum(process["pss_bytes"] for process in processes),
    }


def _print(report: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("PROCESS", "HEALTH", "PID", "UP", "RESTARTS", "MEMORY", "ADDRESS"):
        right = heading in {"PID", "UP", "RESTARTS", "MEMORY"}
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for process in report["processes"]:
        table.add_row(
            process["name"],
            _coloured(process["health"]),
            str(process["pid"] or "-"),
            _span(process["uptime_seconds"]),
            str(process["restarts"]),
            f"{process['pss_bytes'] / _MEGABYTE:.0f} MB",
            process["address"],
        )
    Console(highlight=False).print(table)
    ours, total = (report[key] / _MEGABYTE for key in ("isthmus_pss_bytes", "total_pss_bytes"))
    launcher = report["launcher"]
    memory = f"memory {ours:.0f} MB, {total:.0f} MB with back ends"
    console().print(f"launcher {launcher['pid']}; {memory}; home {launcher['home']}")
    for process in report["processes"]:
        if process["trouble"]:
            console().print(f"[yellow]{process['name']}[/yellow]: {process['trouble']}")


def _coloured(health: str) -> str:
    colour = {"serving": "green", "starting": "yellow"}.get(health, "red")
    return f"[{colour}]{health}[/{colour}]"


def _span(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
