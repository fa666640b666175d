"""The places of many structs as columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import astuple

Column = Sequence[Any]
"""One value for each record; `None` is null."""
Work = Callable[[Column, datetime], Column]
"""What becomes of a column at an evaluation time."""


class Columns:
    """The columns of some structs of one type, each made when it is asked for first.

    Args:
        records: The structs, at least one.
    """

    def __init__(self, records: Sequence[Any]) -> None:
        self.records = records
        self._tables: dict[tuple[str, ...], dict[str, Column]] = {(): _table(records)}

    def __len__(self) -> int:
        return len(self.records)

    def at(self, attributes: tuple[str, ...]) -> Column:
        """The values at a place; null where a struct on the way is."""
        way, name = attributes[:-1], attributes[-1]
        table = self._tables.get(way)
        if table is None:
            table = self._tables[way] = _table(self.at(way))
        return table[name] if table else [None] * len(self.records)


Read = Callable[[Columns, datetime], Column]
"""Gives a column of some records."""


def _table(structs: Column) -> dict[str, Column]:
    """The columns of structs by their attributes; none at all where every struct is null."""
    some = next((one for one in structs if one is not None), None)
    if some is None:
        return {}
    names = some.__struct_fields__
    try:
        rows = list(map(astuple, structs))
    except TypeError:
        nothing = (None,) * len(names)
        rows = [nothing if one is None else astuple(one) for one in structs]
    return dict(zip(names, zip(*rows, strict=True), strict=True))


__all__ = ["Column", "Columns", "Read", "Work"]
