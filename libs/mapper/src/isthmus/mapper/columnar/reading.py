"""The places of many records as columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Column = Sequence[Any]
"""One value for each record; `None` is null."""
Work = Callable[[Column, datetime], Column]
"""What becomes of a column at an evaluation time."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Some records, field by field.

    Attributes:
        records: The structs.
        places: The columns of all places that are read, by their numbers.
    """

    records: Sequence[Any]
    places: Sequence[Column]


Read = Callable[[Columns, datetime], Column]
"""Gives a column of some records."""
ReadPlaces = Callable[[Sequence[Any]], Sequence[Column]]
"""Gives the columns of all places that are read."""


__all__ = ["Column", "Columns", "Read", "ReadPlaces", "Work"]
