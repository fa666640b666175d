"""Lets faults strike one after another, several at a time but never two at one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from campaign.schedule import Strike

__all__ = ["Storm", "World"]

Undo = Callable[[], None]
_MOST_AT_ONCE = 3
_STEP = 0.05


class World(Protocol):
    """What faults strike."""

    def strike(self, strike: Strike) -> Undo | None:
        """Let a fault begin; what it gives ends it. None means that there was nothing to strike."""


@dataclass
class _Active:
    strike: Strike
    ends_at: float
    undo: Undo


class Storm:
    """Strikes in the order of the schedule.

    Args:
        world: What is struck.
        tell: Gets a line for each fault.

    Attributes:
        struck: Faults that found something to strike.
    """

    def __init__(self, world: World, tell: Callable[[str], None]) -> None:
        self._world = world
        self._tell = tell
        self._active: list[_Active] = []
        self.struck: list[Strike] = []

    def rage(self, strikes: list[Strike], before_each: Callable[[], None]) -> None:
        """Let all of these strike, and end; something else is done before each."""
        try:
            for strike in strikes:
                before_each()
                self._let_pass(strike.pause)
                self._make_room(strike)
                self._begin(strike)
        finally:
            self.calm_down()

    def calm_down(self) -> None:
        """Wait for the ends of all faults under way."""
        while self._active:
            self._let_pass(_STEP)

    def _begin(self, strike: Strike) -> None:
        undo = self._world.strike(strike)
        if undo is None:
            self._tell(f"{strike}: nothing there to strike")
            return
        self.struck.append(strike)
        self._tell(str(strike))
        if strike.seconds:
            self._active.append(_Active(strike, time.monotonic() + strike.seconds, undo))

    def _make_room(self, strike: Strike) -> None:
        while len(self._active) >= _MOST_AT_ONCE or self._is_taken(strike.target):
            self._let_pass(_STEP)

    def _is_taken(self, target: str) -> bool:
        """Two faults at one place would undo one another."""
        return any(one.strike.target == target for one in self._active)

    def _let_pass(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            self._end_what_is_over()
            if time.monotonic() >= end:
                return
            time.sleep(min(_STEP, max(0.0, end - time.monotonic())))

    def _end_what_is_over(self) -> None:
        for active in [one for one in self._active if one.ends_at <= time.monotonic()]:
            self._active.remove(active)
            active.undo()
