"""What the launcher keeps running: back ends, services and connector hosts, all handled alike."""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from isthmus.local.backends.base import Backend, BackendFailed, Steps
from isthmus.local.child import Child

__all__ = ["BackendUnit", "ForkedUnit", "Kind", "State", "Unit"]

_READY_SECONDS = 60.0


class Kind(StrEnum):
    """What a process is; in the order in which they stop."""

    HOST = "host"
    SERVICE = "service"
    BACKEND = "backend"


class State(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"


class Unit(ABC):
    """One process that is started again when it ends unasked."""

    kind: Kind

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.address = ""

    @property
    @abstractmethod
    def pid(self) -> int:
        """Process id; 0 when none runs."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether the process runs."""

    @abstractmethod
    def begin(self) -> Steps:
        """Start by steps; when they end, it answers.

        Raises:
            BackendFailed: it ended instead, or took too long.
        """

    @abstractmethod
    def ask_to_stop(self) -> None:
        """Ask for an orderly end."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once."""


class BackendUnit(Unit):
    """A server that is not ours."""

    kind = Kind.BACKEND

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend.name, backend.log)
        self._backend = backend

    @property
    def pid(self) -> int:
        """Process id; 0 when none runs."""
        return self._backend.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._backend.alive

    def begin(self) -> Steps:
        """Start by steps; recovery after a crash may take its time."""
        yield from self._backend.starting()
        port = next(iter(self._backend.ports.values()), 0)
        self.address = f"127.0.0.1:{port}"

    def ask_to_stop(self) -> None:
        """Ask for an orderly end."""
        self._backend.ask_to_stop()

    def kill(self) -> None:
        """End it at once."""
        self._backend.kill()


class ForkedUnit(Unit):
    """A service or a host, forked from us.

    Args:
        kind: Which of the two.
        name: What it is called; unique in the mesh.
        log: Where it writes to.
        environment: Called at each start.
        work: Serves until told to stop; gets a function to call with its port once it answers.
        prepare: What has to be done before each start.
    """

    def __init__(
        self,
        kind: Kind,
        name: str,
        log: Path,
        environment: Callable[[], dict[str, str]],
        work: Callable[[Callable[[int], None]], None],
        *,
        prepare: Callable[[], Steps] = lambda: iter(()),
    ) -> None:
        super().__init__(name, log)
        self._prepare = prepare
        self.kind = kind
        self._environment = environment
        self._work = work
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 when none runs."""
        return self._child.pid if self._child is not None and self.alive else 0

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.alive

    def begin(self) -> Steps:
        """Fork and wait until the child says on which port it answers."""
        yield from self._prepare()
        environment = self._environment()
        # So that several are forked one right after another: what we write between two forks, each
        # child keeps a copy of.
        yield
        child = Child(self.name, self.log, environment, self._live)
        self._child = child
        deadline = time.monotonic() + _READY_SECONDS
        while (port := child.heard()) is None:
            if not child.alive:
                raise BackendFailed(
                    f"{self.name} ended while starting: {child.last_words()}. Log: {self.log}"
                )
            if time.monotonic() > deadline:
                self.kill()
                raise BackendFailed(
                    f"{self.name} was not ready within {_READY_SECONDS:.0f} s. Log: {self.log}"
                )
            yield
        self.address = f"127.0.0.1:{port}"

    def ask_to_stop(self) -> None:
        """Ask for an orderly end."""
        if self._child is not None:
            self._child.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    def _live(self, send: Callable[[str], None]) -> None:
        self._work(lambda port: send(str(port)))
