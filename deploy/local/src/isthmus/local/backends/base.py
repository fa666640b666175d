"""What all back ends have in common: one process, started by steps, stopped for sure."""

import contextlib
import ctypes
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

from isthmus.local.backends.asking import HttpRequest, ask
from isthmus.local.backends.ports import PortBook, is_free
from isthmus.local.private import private_folder

__all__ = [
    "Backend",
    "BackendFailed",
    "Steps",
    "dies_with_parent",
    "inherited",
    "spawn",
    "start_all",
    "wait_until",
]

Steps = Iterator[None]
"""Work that yields whenever it waits, so that several back ends start side by side without threads."""

_NOT_FOR_ALL = ("ISTHMUS_SECRET", "ISTHMUS_API_KEY", "ISTHMUS_POSTGRES_URL", "ISTHMUS_VAULT_TOKEN")
"""How variables begin that may hold secrets."""
_PAUSE = 0.01
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class BackendFailed(Exception):
    """A back end did not start or stop; the message says which one, why, and what to do."""


def dies_with_parent(death: signal.Signals) -> Callable[[], None]:
    """Make the hook for a new child that lets the kernel end it when the thread that started it ends."""
    parent = os.getpid()

    def hook() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death))
            if os.getppid() != parent:
                os._exit(1)

    return hook


def inherited() -> dict[str, str]:
    """Return our environment without what may be a secret: whoever needs one is told it."""
    return {name: text for name, text in os.environ.items() if not name.startswith(_NOT_FOR_ALL)}


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    death: signal.Signals = signal.SIGTERM,
    account: tuple[int, int] | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that writes to a log file and does not outlive us.

    Args:
        command: Program and arguments; never a secret among them, since everybody can list processes.
        log: Appended to.
        death: What the process gets when we are gone.
        account: User and group id to run as; ours when absent.
        cwd: Folder to start in.
        environment: Added to what it inherits.
    """
    user, group = account or (None, None)
    with log.open("ab") as output:
        # The hook needs fork instead of vfork; it only calls prctl, which is safe there.
        return subprocess.Popen(  # noqa: S603 -- programs and arguments are ours
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=user,
            group=group,
            extra_groups=[] if account else None,
            cwd=cwd,
            env={**inherited(), **(environment or {})},
            process_group=0,
            preexec_fn=dies_with_parent(death),  # noqa: PLW1509
        )


def wait_until(holds: Callable[[], bool]) -> Steps:
    """Yield until the condition holds; whoever drives the steps keeps the deadline."""
    while not holds():
        yield


class Backend(ABC):
    """One server process with its data in a folder of the home."""

    name = ""
    """What logs and messages call it."""
    remedy = "Look into its log."
    """What a person can do when it does not start."""
    stop_signal = signal.SIGTERM
    """Asks for an orderly end."""
    port_owners: tuple[str, ...] = ()
    """Names under which the home remembers its ports."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = private_folder(home / self.name)
        self.log = private_folder(home / "logs") / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.ports: dict[str, int] = {}
        """Port by owner name; empty before the first start."""
        self._held: dict[str, tuple[int, socket.socket]] = {}

    @property
    def pid(self) -> int:
        """Process id, 0 when it does not run."""
        return self.process.pid if self.process is not None and self.alive else 0

    @property
    def alive(self) -> bool:
        """Whether the process runs; says nothing about its health."""
        return self.process is not None and self.process.poll() is None

    @abstractmethod
    def starting(self) -> Steps:
        """Start by steps; when they end, the back end answers."""

    def start(self, timeout: float = 60.0) -> None:
        """Start and wait until it answers.

        Raises:
            BackendFailed: it ended or did not answer in time.
        """
        start_all([self], timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """Ask for an orderly end, and end it by force when that takes too long."""
        if self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def ask_to_stop(self) -> None:
        """Send the signal of an orderly end without waiting for it."""
        if self.alive and self.process is not None:
            self.process.send_signal(self.stop_signal)

    def kill(self) -> None:
        """End the process at once, as a crash would; data on disk stays."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()

    def ports_free(self) -> Steps:
        """Choose the ports at the first start; keep them over a restart, since clients know them."""
        if not self.ports:
            book = PortBook(self.home / "run" / "ports.json")
            self._held = {owner: book.held(owner) for owner in self.port_owners}
            self.ports = {owner: port for owner, (port, _) in self._held.items()}
        yield from wait_until(lambda: all(is_free(port) for port in self.ports.values()))

    def check_alive(self) -> None:
        """Raise when the process that is being started has ended.

        Raises:
            BackendFailed: with the last line of its log.
        """
        if not self.alive:
            raise BackendFailed(
                f"{self.name} ended while starting: {self.last_words()} {self.remedy} Log: {self.log}"
            )

    def last_words(self) -> str:
        """Quote the last line of the log."""
        try:
            lines = self.log.read_bytes()[-4096:].decode(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return f"“{lines[-1].strip()}”." if lines else "it left no message."

    def answering(self, path: str, port: int, trust: ssl.SSLContext | None = None) -> Steps:
        """Wait until a GET is answered with 200.

        Args:
            path: What is asked for.
            port: Of ours.
            trust: What checks our own certificate; None where the server speaks plain text.

        Raises:
            BackendFailed: the server has ended, or somebody else answers in its place.
        """
        while True:
            self.check_alive()
            try:
                status, _ = yield from ask(HttpRequest("GET", port, path, trust=trust))
                if status == 200:
                    return
            except ssl.SSLCertVerificationError as error:
                message = f"{self.name} on port {port} shows a certificate that is not ours: {error}."
                raise BackendFailed(f"{message} {self.remedy} Log: {self.log}") from error
            except (OSError, HTTPException):
                pass  # it does not listen yet
            yield


def start_all(backends: Sequence[Backend], timeout: float = 60.0) -> None:
    """Start back ends side by side and wait until all of them answer.

    Args:
        backends: Those that do not run yet.
        timeout: Seconds for all together; recovery after a crash is part of it.

    Raises:
        BackendFailed: one did not start; those already started are left running for the caller to stop.
    """
    deadline = time.monotonic() + timeout
    running = {backend: backend.starting() for backend in backends}
    while running:
        for backend, steps in list(running.items()):
            try:
                next(steps)
            except StopIteration:
                del running[backend]
        if running and time.monotonic() > deadline:
            names = ", ".join(backend.name for backend in running)
            first = next(iter(running))
            raise BackendFailed(
                f"{names} did not answer within {timeout:.0f} s. {first.remedy} Log: {first.log}"
            )
        if running:
            time.sleep(_PAUSE)
