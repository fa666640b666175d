"""What is known of a piece of generated code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from isthmus.mapper.generation.lines import Lines

AS_THEY_ARE = frozenset({"bool", "int", "null", "double", "string"})
"""Kinds whose values are JSON already."""


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
        is_json: Whether it is read from a record, which holds JSON and nothing else.
        bound: What an integer does not exceed in either direction; 0 where that is not known.
    """

    text: str
    kind: str = "dyn"
    is_safe: bool = False
    is_simple: bool = False
    is_json: bool = False
    bound: int = 0


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of the value in a local name from a line on: that it is `small`, or a `text`."""

    told: str
    name: str


class Variable(Protocol):
    """What a name of an expression stands for."""

    def read(self, path: tuple[str, ...], lines: Lines) -> tuple[Code, tuple[str, ...]]:
        """Adds lines that read members, and gives the code and the members left to read."""


@runtime_checkable
class AskedVariable(Variable, Protocol):
    """One that may be asked whether it has a member."""

    def asks(self, path: tuple[str, ...], lines: Lines) -> Code | None:
        """The code that tells; `None` where that takes reading what holds the member."""


@dataclass(frozen=True, slots=True)
class Local:
    """A variable in a local name of the generated function."""

    code: Code

    def read(self, path: tuple[str, ...], _lines: Lines) -> tuple[Code, tuple[str, ...]]:
        """Reads no member by itself."""
        return self.code, path
