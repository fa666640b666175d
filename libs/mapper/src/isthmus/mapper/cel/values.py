"""What CEL values are in Python, and how an evaluation can end without one.

Texts, bytes, lists, maps, booleans, doubles and null are what Python calls them; an integer without a
sign has a class of its own because CEL tells the two kinds apart. Keys that are booleans are replaced
in dictionaries, where Python would take `True` for `1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1
HIGHEST_UINT: Final = 2**64 - 1


class Failed(Exception):
    """An expression has no value for this record; the message says why in the words of its author's terms."""


class Unsure(Failed):
    """Only the library's evaluator knows; it decides what this is."""


class OverLimit(Exception):
    """An expression would cost more than it may; nobody evaluates it any further."""


class UInt(int):
    """An integer without a sign."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{int(self)}u"


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A point in time, in nanoseconds since 1970."""

    nanoseconds: int


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time in nanoseconds."""

    nanoseconds: int


@dataclass(frozen=True, slots=True)
class CelType:
    """A type as a value."""

    name: str


class Optional:
    """A value that may be absent."""

    __slots__ = ("has_value", "value")

    def __init__(self, value: Any = None, *, has_value: bool = True) -> None:
        self.value = value
        self.has_value = has_value

    def __repr__(self) -> str:
        return f"Optional({self.value!r})" if self.has_value else "Optional()"


NONE: Final = Optional(has_value=False)


@dataclass(frozen=True, slots=True)
class BooleanKey:
    """Stands for a boolean among the keys of a map."""

    value: bool


TRUE_KEY: Final = BooleanKey(value=True)
FALSE_KEY: Final = BooleanKey(value=False)

TYPE_NAMES: Final = {
    int: "int",
    UInt: "uint",
    float: "double",
    bool: "bool",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    type(None): "null_type",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
    CelType: "type",
    Optional: "optional_type",
}
TYPES: Final = {name: CelType(name) for name in TYPE_NAMES.values()}


def type_name(value: Any) -> str:
    """The CEL name of a value's type."""
    name = TYPE_NAMES.get(value.__class__)
    if name is None or (name == "int" and not LOWEST <= value <= HIGHEST):
        raise Unsure("The value has no type in CEL.")
    return name


def to_key(value: Any) -> Any:
    """What stands for a value among the keys of a dictionary."""
    if value.__class__ is bool:
        return TRUE_KEY if value else FALSE_KEY
    return value


def from_key(key: Any) -> Any:
    """The value that a key of a dictionary stands for."""
    return key.value if key.__class__ is BooleanKey else key


def no_overload(name: str, *values: Any) -> Failed:
    """The failure of a function that does not take values of these types."""
    kinds = ", ".join(TYPE_NAMES.get(value.__class__, "dyn") for value in values)
    return Failed(f"{name} does not take ({kinds}).")
