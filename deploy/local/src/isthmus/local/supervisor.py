"""Keeps processes running: starts them, starts them again, and stops them in order."""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from isthmus.local.backends.base import BackendFailed, Steps
from isthmus.local.units import Kind, State, Unit

__all__ = ["Supervisor", "say"]

_PAUSE = 0.01
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 10.0
_STEADY_SECONDS = 10.0
_GRACE = {Kind.HOST: 6.0, Kind.SERVICE: 5.0, Kind.BACKEND: 3.0}


@dataclass
class _Watched:
    """A unit and how it has been doing."""

    unit: Unit
    steps: Steps | None = None
    state: State = State.STOPPED
    started_at: float = 0.0
    running_since: float = 0.0
    restarts: int = 0
    failures: int = 0
    again_at: float = 0.0
    trouble: str = field(default="")


class Supervisor:
    """Looks after units in one thread, by looking at them often enough."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether it has been asked to stop; nothing is started any more."""
        return self._stopping

    def has(self, name: str) -> bool:
        """Tell whether a unit of this name is looked after."""
        return name in self._watched

    def add(self, unit: Unit) -> _Watched:
        """Start a unit and look after it from now on."""
        watched = _Watched(unit)
        self._watched[unit.name] = watched
        self._begin(watched)
        return watched

    def start(self, units: Iterable[Unit]) -> Steps:
        """Start units side by side; the steps end when all of them answer.

        Raises:
            BackendFailed: one ended while starting; at the first start nobody waits for a second try.
        """
        mine = [self.add(unit) for unit in units]
        while any(watched.state is State.STARTING for watched in mine):
            self.look()
            yield
        for watched in mine:
            if watched.trouble:
                raise BackendFailed(watched.trouble)

    def look(self) -> float:
        """Look at every unit once and do what is due; returns for how long nothing will be due."""
        now = time.monotonic()
        pause = 1.0
        for watched in list(self._watched.values()):
            if watched.state is State.STARTING:
                self._advance(watched)
                pause = _PAUSE
            elif watched.state is State.RUNNING and not watched.unit.alive:
                self._ended(watched, f"{watched.unit.name} ended unasked")
                pause = _PAUSE
            elif watched.state is State.WAITING and not self._stopping:
                if now >= watched.again_at:
                    watched.restarts += 1
                    self._begin(watched)
                pause = min(pause, max(_PAUSE, watched.again_at - now))
        return pause

    def stop(self) -> Steps:
        """Drain hosts, then services, then back ends; who does not end in time is killed."""
        self._stopping = True
        for kind in Kind:
            yield from self._stop_kind(kind)

    def status(self) -> list[dict[str, Any]]:
        """Describe every unit for people and programs."""
        return [
            {
                "name": watched.unit.name,
                "kind": watched.unit.kind.value,
                "state": watched.state.value,
                "pid": watched.unit.pid,
                "address": watched.unit.address,
                "started_at": watched.started_at,
                "restarts": watched.restarts,
                "trouble": watched.trouble,
                "log": str(watched.unit.log),
            }
            for watched in self._watched.values()
        ]

    def _begin(self, watched: _Watched) -> None:
        watched.state = State.STARTING
        watched.started_at = time.time()
        watched.steps = watched.unit.begin()
        self._advance(watched)

    def _advance(self, watched: _Watched) -> None:
        assert watched.steps is not None
        try:
            next(watched.steps)
        except StopIteration:
            watched.steps = None
            watched.state = State.RUNNING
            watched.running_since = time.monotonic()
            watched.trouble = ""
        except (BackendFailed, OSError) as failure:
            watched.unit.kill()
            self._ended(watched, str(failure))

    def _ended(self, watched: _Watched, why: str) -> None:
        """Wait before the next try: longer after each failure, from the beginning after steady work."""
        steady = watched.state is State.RUNNING and time.monotonic() - watched.running_since > _STEADY_SECONDS
        watched.failures = 0 if steady else watched.failures + 1
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(max(watched.failures - 1, 0), 10))
        watched.again_at = time.monotonic() + wait
        watched.state = State.WAITING
        watched.trouble = why
        watched.steps = None
        say(f"{why}; next try in {wait:.1f} s")

    def _stop_kind(self, kind: Kind) -> Steps:
        units = [watched for watched in self._watched.values() if watched.unit.kind is kind]
        for watched in units:
            watched.steps = None
            watched.state = State.STOPPED
            watched.unit.ask_to_stop()
        deadline = time.monotonic() + _GRACE[kind]
        while any(watched.unit.alive for watched in units):
            if time.monotonic() > deadline:
                for watched in units:
                    if watched.unit.alive:
                        say(f"{watched.unit.name} did not stop within {_GRACE[kind]:.0f} s and is killed")
                        watched.unit.kill()
            yield


def say(text: str) -> None:
    """Write a line with the time into the launcher's log."""
    sys.stderr.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n")
    sys.stderr.flush()
