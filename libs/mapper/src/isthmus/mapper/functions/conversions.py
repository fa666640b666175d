"""Casts and lookups as steps."""

from __future__ import annotations

from isthmus.mapper.casts import CASTS
from isthmus.mapper.functions.registry import Param, Step, function
from isthmus.mapper.tables import Table


@function(
    "cast", Param("to", "cast"), area="conversions", returns="any", example=({"cast": "integer"}, "42", 42)
)
def cast(to: tuple[str, str]) -> Step:
    """Converts to a type: string, integer, number, boolean, timestamp, date, json, array or object."""
    name, strictness = to
    return CASTS[name].at(strictness)


@function(
    "lookup",
    Param("table", "table"),
    area="conversions",
    returns="any",
    example=({"lookup": {"entries": {"1": "low", "2": "high"}}}, 2, "high"),
)
def lookup(table: Table) -> Step:
    """Looks the value up in a table, named or written out."""
    return table.lookup()
