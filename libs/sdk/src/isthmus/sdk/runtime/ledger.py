"""Where writes to systems without transactions are announced; a port that the host fills."""

import base64
import hashlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from isthmus.sdk.model import Operation
from isthmus.sdk.tracking import Outcome

T = TypeVar("T")


class Standing(StrEnum):
    """What is known of an announced record."""

    FRESH = "fresh"
    LINKED = "linked"
    UNCHANGED = "unchanged"
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True, slots=True)
class Announced:
    """A record that is about to be written.

    Attributes:
        key: Which record.
        correlation_id: The same for every attempt at it.
        operation: What is to happen to it.
        content_hash: Of its content; empty for deletions.
    """

    key: str
    correlation_id: str
    operation: Operation
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of an announced record."""

    standing: Standing
    external_id: str = ""
    open_for: float = 0.0


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of an announced record."""

    key: str
    outcome: Outcome
    external_id: str = ""


class Claim(Protocol):
    """Announced records that nobody else writes for the time being."""

    @property
    def known(self) -> Sequence[Known]:
        """One for each announced record."""
        ...

    def check(self) -> None:
        """Raise a failure when the time is over."""
        ...

    async def keep(self, work: Awaitable[T]) -> T:
        """Wait for some work and hold the records meanwhile; give the work up when they are lost."""
        ...

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Store durably what came of the records, and let them go."""
        ...


class Ledger(Protocol):
    """Where writes are announced durably before they are made."""

    def correlation_id(self, key: str) -> str:
        """Name a record for the system; the same key has the same name for ever."""
        ...

    async def announce(self, records: Sequence[Announced]) -> Claim:
        """Store durably that records are about to be written; each key comes once.

        Raises:
            Fault: `FENCED`, or the ledger is out of reach.
        """
        ...


def correlation_id(*parts: str) -> str:
    """Makes a name of 30 letters and digits out of what tells a record from all others."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part.encode()).to_bytes(8, "big"))
        digest.update(part.encode())
    return "ist-" + base64.b32encode(digest.digest()[:17]).decode().lower().rstrip("=")[:26]


__all__ = ["Announced", "Claim", "Known", "Ledger", "Settled", "Standing", "correlation_id"]
