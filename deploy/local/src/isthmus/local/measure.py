"""Measures what a mesh costs on this machine: `python -m isthmus.local.measure`.

Starts one in a new home, twice, adds a connector host, and prints times and memory beside the budgets.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.local.control import tell
from isthmus.local.home import Home
from isthmus.local.memory import pss_of

__all__ = ["Measurement", "main", "measure"]

_MEGABYTE = 1024 * 1024
_SETTLING_SECONDS = 5.0
_LONGEST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure and what it may be at most."""

    what: str
    value: float
    budget: float
    unit: str


def measure(home: Home, first_connector: str = "cisa-kev", connector: str = "files") -> list[Measurement]:
    """Start a mesh in an empty home and measure it; leaves it stopped."""
    try:
        first = _timed(home, "up")
        _timed(home, "down")
        second = _timed(home, "up")
        time.sleep(_SETTLING_SECONDS)
        ours, total = _memory(home)
        # The first host also wakes the services that every host calls.
        _start_host(home, first_connector)
        time.sleep(_SETTLING_SECONDS)
        with_first, _ = _memory(home)
        host_seconds = _start_host(home, connector)
        time.sleep(_SETTLING_SECONDS)
        with_host, _ = _memory(home)
    finally:
        down = _timed(home, "down")
    return [
        Measurement("first start, with its command", first, 10.0, "s"),
        Measurement("later start, with its command", second, 5.0, "s"),
        Measurement("stop, with its command", down, 15.0, "s"),
        Measurement("memory of Isthmus, idle", ours, 300.0, "MB"),
        Measurement("memory with back ends, idle", total, 600.0, "MB"),
        Measurement("one more host: start", host_seconds * 1000, 300.0, "ms"),
        Measurement("one more host: memory", with_host - with_first, 30.0, "MB"),
    ]


def _timed(home: Home, command: str) -> float:
    began = time.monotonic()
    subprocess.run(  # noqa: S603 -- our own command
        [sys.executable, "-m", "isthmus.client.cli", command, "--output", "json"],
        env={**os.environ, "ISTHMUS_HOME": str(home.root)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began


def _memory(home: Home) -> tuple[float, float]:
    """Return the proportional memory of our processes, and of all with the back ends, in megabytes."""
    processes = _processes(home)
    launcher = pss_of(int(home.lock_file.read_text()), with_children=False)
    ours = launcher + sum(pss_of(process["pid"]) for process in processes if process["kind"] != "backend")
    others = sum(pss_of(process["pid"]) for process in processes if process["kind"] == "backend")
    return ours / _MEGABYTE, (ours + others) / _MEGABYTE


def _start_host(home: Home, connector: str) -> float:
    began = time.monotonic()
    tell(home.socket, {"start_host": connector})
    while time.monotonic() - began < _LONGEST_SECONDS:
        states = {process["name"]: process["state"] for process in _processes(home)}
        if states[f"host-{connector}"] == "running":
            return time.monotonic() - began
        time.sleep(0.005)
    raise TimeoutError(f"the host of {connector} was not ready within {_LONGEST_SECONDS:.0f} s")


def _processes(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tell(home.socket, {"status": 1})["processes"]
    return found


def _print(figures: Sequence[Measurement]) -> None:
    for figure in figures:
        verdict = "ok" if figure.value <= figure.budget else "over"
        line = f"{figure.what:<32}{figure.value:>8.1f} of {figure.budget:>5.0f} {figure.unit:<3} {verdict}"
        sys.stdout.write(f"{line}\n")


def main() -> None:
    """Measure and print; with `--json` for programs."""
    folder = Path(tempfile.mkdtemp(prefix="isthmus-measure-"))
    try:
        figures = measure(Home(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({figure.what: figure.value for figure in figures}, indent=2) + "\n")
    else:
        _print(figures)


if __name__ == "__main__":
    main()
