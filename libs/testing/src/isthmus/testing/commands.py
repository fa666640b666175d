"""Runs `isthmus` hundreds of times for the price of importing it once.

A process imports the command line and opens nothing; each command is a fork of it: a process with arguments,
environment, folder and output of its own, that ends as one started from a shell does.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any, Self

from isthmus.testing.canaries import note
from isthmus.testing.waiting import PATIENCE_SECONDS

__all__ = ["CommandLine", "Done"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it answered."""
        return json.loads(self.out)


class CommandLine:
    """Runs commands, from as many threads as one likes; the process behind it ends with the block."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 -- our own code
                [sys.executable, "-m", "isthmus.testing.commands", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the process end."""
        self._socket.close()
        self._process.wait()

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        timeout: float = PATIENCE_SECONDS,
    ) -> Done:
        """Run a command to its end, with nothing to read.

        Args:
            arguments: What stands behind `isthmus`.
            environment: All of its environment.
            folder: Where it is run; here when not given.
            timeout: Seconds after which it is killed.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        with tempfile.TemporaryFile("w+") as told, _output() as out, _output() as err:
            json.dump([list(arguments), dict(environment), str(folder or Path.cwd())], told)
            told.seek(0)
            ending, theirs = socket.socketpair()
            with ending:
                with theirs, self._lock:
                    files = [told.fileno(), out.fileno(), err.fileno(), theirs.fileno()]
                    socket.send_fds(self._socket, [b"x"], files)
                code = _ending_of(ending, arguments, timeout)
            done = Done(code, _text(out), _text(err))
        note(f"what `isthmus {' '.join(arguments[:4])}` says", done.out, done.err)
        return done


def _output() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _ending_of(ending: socket.socket, arguments: Sequence[str], timeout: float) -> int:
    """Wait for the process id and then for the exit code; kill what takes too long."""
    end = time.monotonic() + timeout
    lines = ending.makefile("r")
    pid = int(lines.readline())
    ending.settimeout(max(0.001, end - time.monotonic()))
    try:
        return int(lines.readline())
    except TimeoutError as late:
        os.kill(pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(["isthmus", *arguments], timeout) from late


@dataclass
class _Server:
    """Forks a child for each command and tells how it has ended."""

    asked: socket.socket
    _endings: dict[int, socket.socket] = field(default_factory=dict)

    def serve(self) -> None:
        """Serve until the other side is gone, and end; come back in every child, to run its command."""
        signal.signal(signal.SIGCHLD, self._reap)
        while True:
            message, files, _, _ = socket.recv_fds(self.asked, 1, 4)
            if not message:
                sys.exit()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            ending = socket.socket(fileno=files.pop())
            if (pid := os.fork()) == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
                return _take_over(*files)
            self._endings[pid] = ending
            _tell(ending, pid)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            for file in files:
                os.close(file)

    def _reap(self, *_: object) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            with self._endings.pop(pid) as ending:
                _tell(ending, os.waitstatus_to_exitcode(status))


def _tell(ending: socket.socket, number: int) -> None:
    with suppress(OSError):  # who waited in vain has gone
        ending.sendall(b"%d\n" % number)


def _take_over(told: int, out: int, err: int) -> None:
    """Make this the process that was asked for."""
    with os.fdopen(told) as file:
        arguments, environment, folder = json.load(file)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["isthmus", *arguments]


def _main() -> None:
    from isthmus.client.cli.run import run, tree

    commands = tree()
    gc.freeze()  # what a child does not touch, it does not copy
    _Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    sys.exit(run(commands))


if __name__ == "__main__":
    _main()
