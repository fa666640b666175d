"""What generated expressions call, and how loops are charged for it."""

from __future__ import annotations

from typing import Any

from isthmus.mapper.cel import operators, optionals
from isthmus.mapper.cel.limits import CHARACTERS_FOR_ONE, MAX_COST
from isthmus.mapper.cel.values import OverLimit


def over_cost() -> Any:
    """Ends an evaluation whose loops cost too much."""
    raise OverLimit(f"The loops of the record's expressions cost more than {MAX_COST}.")


def heavy(meter: list[int], call: Any, *values: Any) -> Any:
    """Calls a function inside a loop and charges for the size of what it works on, and of what it makes."""
    weight = sum(map(weigh, values))
    meter[1] -= weight // CHARACTERS_FOR_ONE
    if meter[1] < 0:
        over_cost()
    made = call(*values)
    meter[1] -= weigh(made) // CHARACTERS_FOR_ONE
    return made


def weigh(value: Any) -> int:
    """How many characters and elements a value has, those of its elements included."""
    kind = value.__class__
    if kind is str or kind is bytes:
        return len(value)
    if kind is list:
        return len(value) + sum(map(weigh, value))
    if kind is dict:
        return len(value) + sum(map(weigh, value.values()))
    return 1


NAMESPACE: dict[str, Any] = {
    "add": operators.add,
    "at_least": operators.at_least,
    "at_most": operators.at_most,
    "differs": operators.differs,
    "equal": operators.equal,
    "extend": optionals.extend,
    "failing": operators.failing,
    "has": operators.has,
    "heavy": heavy,
    "index": optionals.at,
    "is_in": operators.is_in,
    "joined": operators.joined,
    "less": operators.less,
    "listing": list,
    "map_of": operators.map_of,
    "more": operators.more,
    "multiply": operators.multiply,
    "negation": operators.negation,
    "over_cost": over_cost,
    "OverLimit": OverLimit,
    "put": operators.put,
    "range_of": operators.range_of,
    "select": operators.select,
    "subtract": operators.subtract,
    "truth": operators.truth,
    "whole": operators.whole,
}
"""What generated expressions call, besides what they bind."""
