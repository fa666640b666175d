"""What records have been, told by the system that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Journal", "State"]

State = dict[str, Any] | None
"""What a record is; None when it is deleted."""


class Journal:
    """Every state that each record has been in, oldest first."""

    def __init__(self) -> None:
        self.states: dict[str, list[State]] = {}
        self._living: dict[str, dict[str, Any]] = {}

    def note(self, key: str, state: State) -> None:
        """Take down a change; one that changes nothing is none."""
        known = self.states.setdefault(key, [])
        if known and known[-1] == state:
            return
        known.append(state)
        if state is None:
            self._living.pop(key, None)
        else:
            self._living[key] = state

    def living(self) -> Mapping[str, dict[str, Any]]:
        """What there is now, by key."""
        return self._living

    def without_deletions(self) -> dict[str, list[State]]:
        """What somebody sees who is never told of deletions."""
        return {key: [state for state in states if state] for key, states in self.states.items()}
