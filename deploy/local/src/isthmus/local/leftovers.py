"""Processes that a crashed launcher has left behind."""

import json
import os
import signal
from collections.abc import Iterable

import psutil
from isthmus.local.home import Home
from isthmus.local.private import read_json, write_private

__all__ = ["clear_away", "remember"]

_GRACE_SECONDS = 6.0


def remember(home: Home, pids: Iterable[int]) -> None:
    """Write down which processes are ours, with the moment each was started, since ids come back."""
    known = {str(pid): _born(pid) for pid in pids if pid}
    write_private(home.processes_file, json.dumps(known))


def clear_away(home: Home) -> int:
    """End processes of an earlier launcher that still run; they hold ports and data.

    Returns:
        How many there were.
    """
    left = [
        psutil.Process(int(pid))
        for pid, born in read_json(home.processes_file).items()
        if int(pid) != os.getpid() and born and _born(int(pid)) == born
    ]
    for process in left:
        _send(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(left, timeout=_GRACE_SECONDS)
    for process in stubborn:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=_GRACE_SECONDS)
    home.processes_file.unlink(missing_ok=True)
    return len(left)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _born(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0
