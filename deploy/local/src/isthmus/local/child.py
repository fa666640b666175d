"""Forks processes from a parent that has imported everything and opened nothing."""

import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isthmus.local.backends.base import BackendFailed, Steps, dies_with_parent, inherited
from isthmus.local.logs import RotatingLog

__all__ = ["Child", "errand"]

_PR_SET_NAME = 15


class Child:
    """A forked process of ours.

    Args:
        name: What `ps` and messages call it.
        log: Where it writes to.
        environment: Added to ours without its secrets; it is set after the fork, so nobody reads it from
            outside.
        work: What it does; gets a function that sends one line to the parent.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        environment: Mapping[str, str],
        work: Callable[[Callable[[str], None]], None],
    ) -> None:
        self.name = name
        self._log = log
        self._status: int | None = None
        self._heard = b""
        reading, writing = os.pipe()
        death = dies_with_parent(signal.SIGTERM)
        _forget_attribute_names()
        self.pid = os.fork()
        if self.pid == 0:
            self._live(writing, death, environment, work)
        os.close(writing)
        os.set_blocking(reading, False)
        self._pipe = reading

    def _live(
        self,
        pipe: int,
        death: Callable[[], None],
        environment: Mapping[str, str],
        work: Callable[[Callable[[str], None]], None],
    ) -> None:
        """Be the child: never returns, so nothing of the parent's runs twice."""
        code = 1
        try:
            os.setpgid(0, 0)
            death()
            pipe = _leave_parent(pipe)
            sys.stdout = sys.stderr = RotatingLog(self._log)
            _call_process(self.name)
            _take_on(environment)
            gc.enable()
            work(lambda line: _send(pipe, line))
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BackendFailed as failure:
            sys.stderr.write(f"{failure}\n")
        except BaseException as failure:
            traceback.print_exc()
            sys.stderr.write(f"{type(failure).__name__}: {' '.join(str(failure).split())[:500]}\n")
        finally:
            os._exit(code)

    @property
    def alive(self) -> bool:
        """Whether the process runs; collects it when it does not."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended(status)
        return self._status is None

    @property
    def exit_code(self) -> int | None:
        """How it ended: negative for a signal; `None` while it runs."""
        return None if self._status is None else os.waitstatus_to_exitcode(self._status)

    def heard(self) -> str | None:
        """Return the line that the child has sent, once it is complete."""
        if self._pipe >= 0:
            try:
                chunk = os.read(self._pipe, 65_536)
            except BlockingIOError:
                chunk = b""
            self._heard += chunk
        return self._heard.decode().rstrip("\n") if self._heard.endswith(b"\n") else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a process that has ended is left alone."""
        if self.alive:
            os.kill(self.pid, number)

    def last_words(self) -> str:
        """Quote the last line of its log."""
        try:
            lines = self._log.read_bytes()[-16_384:].decode(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return _plain(lines[-1]) if lines else "it left no message"

    def _ended(self, status: int) -> None:
        self.heard()
        self._status = status
        os.close(self._pipe)
        self._pipe = -1


def errand(
    name: str, log: Path, environment: Mapping[str, str], work: Callable[[], Any], answer: list[Any]
) -> Steps:
    """Let a short-lived child do something that opens connections, and bring back its JSON answer by steps.

    Args:
        name: What messages call it.
        log: Where it writes to.
        environment: Added to ours.
        work: Returns the answer.
        answer: Receives it.

    Raises:
        BackendFailed: the child failed; the message ends with its last words.
    """
    child = Child(name, log, environment, lambda send: send(json.dumps(work())))
    while child.alive:
        child.heard()
        yield
    line = child.heard()
    if line is None:
        raise BackendFailed(f"{name} failed: {child.last_words()}. Log: {log}")
    answer.append(json.loads(line))


def _take_on(environment: Mapping[str, str]) -> None:
    for name in os.environ.keys() - inherited().keys():
        del os.environ[name]
    os.environ.update(environment)


def _forget_attribute_names() -> None:
    """Empty the interpreter's cache of attributes.

    It counts references to names that are spread over all memory, and a child that put its own names in
    their place would copy the pages of both: some 2 MB a process.
    """
    sys._clear_type_cache()


def _leave_parent(pipe: int) -> int:
    """Let go of everything that belongs to the parent: its signals, its files, its sockets."""
    signal.set_wakeup_fd(-1)
    for handled in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(handled, signal.SIG_DFL)
    os.dup2(pipe, 3)
    for number in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        if number > 3:
            with contextlib.suppress(OSError):
                os.close(number)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return 3


def _send(pipe: int, line: str) -> None:
    data = line.encode() + b"\n"
    while data:
        data = data[os.write(pipe, data) :]


def _call_process(name: str) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, f"isthmus-{name}"[:15].encode())


def _plain(line: str) -> str:
    """Take the message out of a structured log line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line.strip().rstrip(".")
    words = [str(entry.get("message", "")), str(entry.get("error", "")).strip().rpartition("\n")[2]]
    return ": ".join(word for word in words if word).rstrip(".")
