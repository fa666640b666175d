"""Chains of hashed entries, in which nothing can be changed, removed, put in or moved without being found.

The hash of an entry covers the hash of the one before it, its own place and everything that it says:
SHA-256 over the former in hexadecimal digits, a line break, and the entry as canonical JSON.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

BEGINNING = "0" * 64
"""What stands for the hash before the first entry."""
_MOST_MOVED = 1000

Find = Callable[[str], int | None]


class Kind(StrEnum):
    """What is wrong with a chain."""

    CHANGED = "changed"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CUT_OFF = "cut_off"
    REWRITTEN = "rewritten"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where it begins, and one sentence for people."""

    kind: Kind
    sequence: int
    message: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of a chain as it is kept.

    Attributes:
        sequence: Its place, from 1.
        content: What it says, in values that JSON has; neither its place nor hashes.
        previous_hash: The hash of the entry before it.
        hash: Its own.
    """

    sequence: int
    content: Mapping[str, Any]
    previous_hash: str
    hash: str

    def is_true_at(self, sequence: int) -> bool:
        """Tell whether its hash is right, were it to stand at this place."""
        return hash_of(self.previous_hash, sequence, self.content) == self.hash


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a chain ended with at some time, as somebody else has kept it."""

    sequence: int
    hash: str


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return an object as JSON in the one form that is hashed: names in order, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def hash_of(previous_hash: str, sequence: int, content: Mapping[str, Any]) -> str:
    """Return the hash of an entry at some place after some other one."""
    body = canonical({**content, "sequence": sequence})
    return hashlib.sha256(previous_hash.encode() + b"\n" + body).hexdigest()


@dataclass(slots=True)
class Inspection:
    """Looks at a chain from its first entry to its last and says what is wrong with it.

    Args:
        find: Gives where an entry with a certain hash stands now, or None; asked only for hashes that an
            entry names as the one before it while another one stands there.
        checkpoints: What is known of the chain from elsewhere.
        first: With which place it begins.
    """

    find: Find
    checkpoints: Iterable[Checkpoint] = ()
    first: int = 1
    verified: int = 0
    last: Checkpoint | None = None
    compared: int = 0
    _expected: int = 0
    _before: str | None = None
    _doubtful: bool = False
    _moved: dict[int, int] = field(default_factory=dict)
    _known: dict[int, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._expected = self.first
        self._before = BEGINNING if self.first == 1 else None
        for one in self.checkpoints:
            if one.sequence >= self.first:
                self._known.setdefault(one.sequence, []).append(one.hash)
        self.compared = sum(map(len, self._known.values()))

    def take(self, entry: Entry) -> Iterator[Finding]:
        """Look at the next entry, by place, and give what is wrong up to it."""
        if entry.sequence > self._expected:
            yield _missing(self._expected, entry.sequence - 1)
            self._doubtful = True
        elif entry.sequence < self._expected:
            yield Finding(Kind.INSERTED, entry.sequence, f"There are two records {entry.sequence}.")
            self._doubtful = True
            return
        yield from self._judged(entry)
        for told in self._known.pop(entry.sequence, ()):
            if told != entry.hash and not self._doubtful and entry.sequence not in self._moved:
                message = f"Record {entry.sequence} is another one than an earlier checkpoint says."
                yield Finding(Kind.REWRITTEN, entry.sequence, message)
        self.verified += 1
        self._expected = entry.sequence + 1
        self._before = entry.hash
        self.last = Checkpoint(entry.sequence, entry.hash)

    def end(self) -> Iterator[Finding]:
        """Say what can be said only when everything has been seen."""
        yield from self._displaced()
        beyond = max(self._known, default=0)
        if beyond >= self._expected:
            message = (
                f"Records {self._expected} to {beyond} are missing at the end; a checkpoint knows of them."
            )
            yield Finding(Kind.CUT_OFF, self._expected, message)

    def _judged(self, entry: Entry) -> Iterator[Finding]:
        linked = self._before is None or entry.previous_hash == self._before
        if entry.is_true_at(entry.sequence):
            if not linked and not self._doubtful:
                message = (
                    f"Record {entry.sequence - 1} was replaced: the next one knows another one before it."
                )
                yield Finding(Kind.CHANGED, max(entry.sequence - 1, self.first), message)
            self._doubtful = False
            return
        self._doubtful = True
        place = self._place_of(entry)
        if place is None:
            yield Finding(Kind.CHANGED, entry.sequence, f"Record {entry.sequence} is not what it was.")
        elif len(self._moved) < _MOST_MOVED:
            self._moved[entry.sequence] = place

    def _place_of(self, entry: Entry) -> int | None:
        """Return where a true entry belongs that stands in a wrong place."""
        if entry.previous_hash == BEGINNING:
            return 1 if entry.is_true_at(1) else None
        if entry.previous_hash == self._before:
            before: int | None = self._expected - 1
        else:
            before = self.find(entry.previous_hash)
        # The one before may have moved, too; most often it has moved as far as this one.
        places = {before + 1, *(before + 1 - shift for shift in (1, -1))} if before is not None else set()
        if before in self._moved:
            places.add(self._moved[before] + 1)
        places |= {entry.sequence - 1, entry.sequence + 1}
        return next((place for place in sorted(places) if place > 0 and entry.is_true_at(place)), None)

    def _displaced(self) -> Iterator[Finding]:
        """Tell entries that changed places from those that others have pushed away, or drawn near."""
        for stands, shift in self._runs():
            places = {stand - shift for stand in stands}
            belongs = stands[0] - shift
            if (places - set(stands)) & self._moved.keys():
                message = f"Record {stands[0]} stood at place {belongs} of the chain before."
                yield Finding(Kind.REORDERED, stands[0], message)
            elif shift > 0:
                message = f"Record {belongs} was put in; those after it stood {shift} earlier before."
                yield Finding(Kind.INSERTED, belongs, message)
            else:
                message = f"A record is missing at {stands[0]}; those after it stood {-shift} later before."
                yield Finding(Kind.DELETED, stands[0], message)

    def _runs(self) -> list[tuple[list[int], int]]:
        """Return neighbours that have moved equally far, with how far that is."""
        runs: list[tuple[list[int], int]] = []
        for stands, belongs in self._moved.items():
            shift = stands - belongs
            if runs and runs[-1][1] == shift and runs[-1][0][-1] == stands - 1:
                runs[-1][0].append(stands)
            else:
                runs.append(([stands], shift))
        return runs


def inspect(
    entries: Iterable[Entry], checkpoints: Iterable[Checkpoint] = (), *, first: int = 1
) -> Iterator[Finding]:
    """Look at a chain, or the later part of one, that fits into memory; give what is wrong with it.

    Args:
        entries: In any order; each says its place.
        checkpoints: What is known of the chain from elsewhere.
        first: With which place it has to begin.
    """
    kept = list(entries)
    places = {entry.hash: entry.sequence for entry in kept}
    kept.sort(key=lambda entry: entry.sequence)
    inspection = Inspection(places.get, checkpoints, first=first)
    for entry in kept:
        yield from inspection.take(entry)
    yield from inspection.end()


def _missing(first: int, last: int) -> Finding:
    which = f"Record {first} is" if first == last else f"Records {first} to {last} are"
    return Finding(Kind.DELETED, first, f"{which} missing.")


__all__ = [
    "BEGINNING",
    "Checkpoint",
    "Entry",
    "Finding",
    "Inspection",
    "Kind",
    "canonical",
    "hash_of",
    "inspect",
]
