"""What is known of a piece of generated code, and what it may call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from isthmus.mapper.cel import operators, optionals
from isthmus.mapper.cel.limits import CHARACTERS_FOR_ONE, MAX_COST
from isthmus.mapper.cel.values import OverLimit
from isthmus.mapper.generation.lines import Lines


class Unsupported(Exception):
    """This expression is not compiled; the library evaluates it."""


@dataclass(frozen=True, slots=True)
class Code:
    """A Python expression.

    Attributes:
        text: Made of generated names, templates of this package and numbers.
        kind: The CEL type of every value it gives, or `dyn`.
        is_safe: Whether it cannot fail.
        is_simple: Whether it is a name or number, and may stand in several places.
    """

    text: str
    kind: str = "dyn"
    is_safe: bool = False
    is_simple: bool = False


class Variable(Protocol):
    """What a name of an expression stands for."""

    def read(self, path: tuple[str, ...], lines: Lines) -> tuple[Code, tuple[str, ...]]:
        """Adds lines that read members, and gives the code and the members left to read."""

    def is_object(self) -> bool:
        """Whether it is a map for sure, in a local name."""


@dataclass(frozen=True, slots=True)
class Local:
    """A variable in a local name of the generated function."""

    code: Code

    def read(self, path: tuple[str, ...], _lines: Lines) -> tuple[Code, tuple[str, ...]]:
        """Reads no member by itself."""
        return self.code, path

    def is_object(self) -> bool:
        """What is in it is known to nobody."""
        return False


def over_cost() -> Any:
    """Ends an evaluation whose loops cost too much."""
    raise OverLimit(f"The loops of the record's expressions cost more than {MAX_COST}.")


def heavy(meter: list[int], call: Any, *values: Any) -> Any:
    """Calls a function inside a loop and charges for the size of what it works on."""
    weight = sum(map(weigh, values))
    meter[1] -= weight // CHARACTERS_FOR_ONE
    if meter[1] < 0:
        over_cost()
    return call(*values)


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
