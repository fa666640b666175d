"""What applying a mapping gives, and what it tells of where values come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.errors import FieldError, Rejection

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """A rule that does not hold of a record which passes all the same.

    Attributes:
        index: Which record of a batch.
        error: The rule, and what is wrong.
        consequence: warn or default.
    """

    index: int
    error: FieldError
    consequence: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of a batch: every record is in `records`, in `rejected`, or counted in `filtered`.

    `indexes` tells for each of `records` which input record it came from. `notes` are rules that do not hold
    of records which pass all the same.
    """

    records: list[Record]
    indexes: list[int]
    rejected: list[Rejection]
    filtered: int
    notes: Sequence[Note] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """What became of a batch, like `Mapped`, with each record in the form that is fastest to encode.

    A row has no promised form: msgspec encodes it to the very JSON of the mapped record, and
    `TypedPlan.target` reads it.
    """

    records: list[Any]
    indexes: list[int]
    rejected: list[Rejection]
    filtered: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """What one target field is made from.

    Attributes:
        target: Its path.
        sources: The source paths.
        tells_time: Whether its value is the evaluation time or reckoned from it.
    """

    target: str
    sources: tuple[str, ...]
    tells_time: bool = False


__all__ = ["Lineage", "Mapped", "Note", "Record", "Rows"]
