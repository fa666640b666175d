"""Records of one kind that a sandbox holds, with every change dated and every effect noted."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from isthmus.sdk.sandbox.clock import SandboxClock

__all__ = ["Collection", "Effect", "Make", "iso"]

Record = dict[str, Any]
Make = Callable[[int, random.Random], Record]
"""Makes the record with a number, the same one for the same number; `Random` is seeded for it."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a caller of the API did to a record.

    Attributes:
        verb: `create`, `update` or `delete`.
        key: The record's key.
    """

    verb: str
    key: str


def iso(moment: datetime) -> str:
    """The way in which most systems write a moment: RFC 3339 in UTC, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Collection:
    """Keeps records as the system of a sandbox would.

    Args:
        clock: Dates changes.
        make: Makes records.
        key: The member that tells records apart.
        stamp: The member with the time of the last change; empty where the system keeps none.
        write: How the system writes a moment.
        seed: Other seeds make other records.

    Attributes:
        effects: What came over the API, in order; what a test changes by itself is none.
        removed: When records went, by key; most systems tell of these for a while.
        refused: Keys whose writes the system refuses.
    """

    def __init__(
        self,
        clock: SandboxClock,
        make: Make,
        *,
        key: str = "id",
        stamp: str = "updated_at",
        write: Callable[[datetime], Any] = iso,
        seed: int = 7,
    ) -> None:
        self.key = key
        self.stamp = stamp
        self.write = write
        self.effects: list[Effect] = []
        self.removed: dict[str, datetime] = {}
        self.refused: set[str] = set()
        self._clock = clock
        self._make = make
        self._seed = seed
        self._records: dict[str, Record] = {}
        self._times: dict[str, datetime] = {}
        self._made = 0
        self._same: datetime | None = None

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: str) -> bool:
        return key in self._records

    @property
    def keys(self) -> set[str]:
        """The keys of all records."""
        return set(self._records)

    def fill(self, count: int) -> None:
        """Make or remove records until there are `count`, without leaving a trace of those removed."""
        while len(self._records) < count:
            self.add()
        for key in list(self._records)[count:]:
            del self._records[key], self._times[key]

    def add(self) -> Record:
        """Make one more record, as a person at the system would."""
        return self.put(self.draft())

    def draft(self) -> Record:
        """What the next record would be, without keeping it."""
        self._made += 1
        return self._make(self._made, random.Random(f"{self._seed}/{self._made}"))  # noqa: S311

    def get(self, key: str) -> Record | None:
        """A record as the system shows it; None where there is none."""
        found = self._records.get(key)
        return None if found is None else dict(found)

    def put(self, record: Mapping[str, Any]) -> Record:
        """Keep a record, in place of the one with its key."""
        key = str(record[self.key])
        moment = self._same or self._clock.tick()
        kept = dict(record)
        if self.stamp:
            kept[self.stamp] = self.write(moment)
        self._records[key], self._times[key] = kept, moment
        self.removed.pop(key, None)
        return dict(kept)

    def change(self, key: str, **members: Any) -> Record:
        """Change members of a record, as a person at the system would."""
        return self.put({**self._records[key], **members})

    def remove(self, key: str) -> None:
        """Remove a record, as a person at the system would."""
        del self._records[key], self._times[key]
        self.removed[key] = self._clock.tick()

    def created(self, record: Mapping[str, Any]) -> Record:
        """Keep what a caller of the API has created."""
        self.effects.append(Effect("create", str(record[self.key])))
        return self.put(record)

    def updated(self, key: str, members: Mapping[str, Any]) -> Record:
        """Keep what a caller of the API has changed."""
        self.effects.append(Effect("update", key))
        return self.put({**self._records[key], **members, self.key: self._records[key][self.key]})

    def deleted(self, key: str) -> None:
        """Remove what a caller of the API has deleted."""
        self.effects.append(Effect("delete", key))
        self.remove(key)

    def listed(self, since: datetime | None = None) -> list[Record]:
        """Records with the oldest change first, from a moment on; those of one moment by their key."""
        order = sorted(self._records, key=lambda key: (self._times[key], key))
        return [dict(self._records[key]) for key in order if since is None or self._times[key] >= since]

    def gone_since(self, since: datetime | None) -> list[str]:
        """Keys of what was removed from a moment on."""
        return [key for key, moment in self.removed.items() if since is None or moment >= since]

    @contextmanager
    def at_one_moment(self) -> Iterator[datetime]:
        """Let all changes inside the block happen at the same moment, as bulk imports do."""
        self._same = self._clock.tick()
        try:
            yield self._same
        finally:
            self._same = None
            self._clock.advance(timedelta(seconds=1))
