"""The tree of a checked expression, read from what the library serialises."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from isthmus.mapper.cel import wire

DYN: Final = "dyn"
INDEX: Final = "_[_]"
_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_WELL_KNOWN = {2: "timestamp", 3: "duration"}
_KINDS = {2: "null", 6: "list", 7: "map", 11: "type"}


@dataclass(frozen=True, slots=True)
class Const:
    """A literal; `kind` is its type."""

    id: int
    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Ident:
    """A variable, or the name of a type."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """A member of something, or the question whether there is one."""

    id: int
    operand: Node
    member: str
    asks: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator; `target` is what stands in front of the dot."""

    id: int
    target: Node | None
    function: str
    arguments: tuple[Node, ...]

    @property
    def operands(self) -> tuple[Node, ...]:
        """Everything it works on, the target first."""
        return self.arguments if self.target is None else (self.target, *self.arguments)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list; elements at the places of `optional` are left out where they are empty."""

    id: int
    elements: tuple[Node, ...]
    optional: frozenset[int]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map from its entries: key, value, and whether an empty value leaves the entry out."""

    id: int
    entries: tuple[tuple[Node, Node, bool], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A protocol buffer message, of which this product knows none."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Loop:
    """What a macro stands for: an accumulator that each element of a range changes."""

    id: int
    variable: str
    second: str
    over: Node
    accumulator: str
    start: Node
    condition: Node
    step: Node
    result: Node


Node = Const | Ident | Select | Call | Listing | Mapping | Message | Loop


@dataclass(frozen=True, slots=True)
class Tree:
    """A checked expression.

    Attributes:
        root: The whole.
        types: The type of each node as far as it is known; others are dynamic.
        names: The variable that a node stands for, where that is another than its text says.
        places: Where in the text each node stands, counted in characters.
    """

    root: Node
    types: dict[int, str]
    names: dict[int, str] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)

    def type_of(self, node: Node) -> str:
        """The name of a node's type."""
        return self.types.get(node.id, DYN)


def read_tree(data: bytes) -> Tree:
    """Reads a serialised checked expression.

    Raises:
        WireInvalid: it is none.
    """
    outer = wire.fields(data)
    message = wire.inner(outer, 2) or {}
    # What was only parsed has its expression and its places elsewhere, and no types.
    is_checked = wire.text(outer, 1).endswith(".CheckedExpr")
    root = wire.inner(message, 4 if is_checked else 2)
    if root is None:
        raise wire.WireInvalid("The message holds no expression.")
    types, names, places = {}, {}, {}
    if is_checked:
        for entry in wire.each(message, 3):
            types[wire.number(entry, 1)] = _type(wire.inner(entry, 2) or {})
        for entry in wire.each(message, 2):
            name = wire.text(wire.inner(entry, 2) or {}, 1)
            if name:
                names[wire.number(entry, 1)] = name
    for entry in wire.each(wire.inner(message, 5 if is_checked else 3) or {}, 4):
        places[wire.number(entry, 1)] = wire.number(entry, 2)
    return Tree(_node(root), types, names, places)


def _type(message: wire.Fields) -> str:
    """The name of a type, without its parameters."""
    kind = next(iter(message), 1)
    if kind == 3:
        return _PRIMITIVES.get(wire.number(message, 3), DYN)
    if kind == 5:
        return _WELL_KNOWN.get(wire.number(message, 5), DYN)
    if kind == 14:
        name = wire.text(wire.inner(message, 14) or {}, 1)
        return "optional" if name == "optional_type" else DYN
    return _KINDS.get(kind, DYN)


def _node(message: wire.Fields) -> Node:
    here = wire.number(message, 2)
    for kind, read in _READERS.items():
        inner = wire.inner(message, kind)
        if inner is not None:
            return read(here, inner)
    raise wire.WireInvalid("The expression has a part of an unknown kind.")


def _optional_node(message: wire.Fields, number: int) -> Node | None:
    inner = wire.inner(message, number)
    return None if inner is None else _node(inner)


def _needed(message: wire.Fields, number: int) -> Node:
    node = _optional_node(message, number)
    if node is None:
        raise wire.WireInvalid("The expression lacks a part.")
    return node


def _const(here: int, message: wire.Fields) -> Const:
    for kind, values in message.items():
        if kind in _CONSTANTS:
            name, read = _CONSTANTS[kind]
            return Const(here, name, read(values[-1]))
    raise wire.WireInvalid("The literal is of an unknown kind.")


def _double(value: int | bytes) -> Any:
    return struct.unpack("<d", wire.as_bytes(value))[0]


def _ident(here: int, message: wire.Fields) -> Ident:
    return Ident(here, wire.text(message, 1))


def _select(here: int, message: wire.Fields) -> Select:
    return Select(here, _needed(message, 1), wire.text(message, 2), bool(wire.number(message, 3)))


def _call(here: int, message: wire.Fields) -> Call | Select:
    arguments = tuple(_node(item) for item in wire.each(message, 3))
    function = wire.text(message, 2)
    if function == INDEX and len(arguments) == 2:
        name = arguments[1]
        if isinstance(name, Const) and name.kind == "string":
            # The same as the member of that name, which need not look like a name.
            return Select(here, arguments[0], name.value, asks=False)
    return Call(here, _optional_node(message, 1), function, arguments)


def _listing(here: int, message: wire.Fields) -> Listing:
    optional: set[int] = set()
    for item in message.get(2, ()):
        optional.update(_packed(item))
    return Listing(here, tuple(_node(item) for item in wire.each(message, 1)), frozenset(optional))


def _packed(item: int | bytes) -> Iterator[int]:
    if isinstance(item, int):
        yield item
        return
    # Places in a list that a person wrote are below 128, or else each takes more bytes than one.
    at = value = shift = 0
    for at in range(len(item)):
        value |= (item[at] & 0x7F) << shift
        shift += 7
        if item[at] < 0x80:
            yield value
            value = shift = 0


def _mapping(here: int, message: wire.Fields) -> Mapping | Message:
    name = wire.text(message, 1)
    if name:
        return Message(here, name)
    entries = [
        (_needed(entry, 3), _needed(entry, 4), bool(wire.number(entry, 5))) for entry in wire.each(message, 2)
    ]
    return Mapping(here, tuple(entries))


def _loop(here: int, message: wire.Fields) -> Loop:
    return Loop(
        id=here,
        variable=wire.text(message, 1),
        second=wire.text(message, 8),
        over=_needed(message, 2),
        accumulator=wire.text(message, 3),
        start=_needed(message, 4),
        condition=_needed(message, 5),
        step=_needed(message, 6),
        result=_needed(message, 7),
    )


_CONSTANTS: dict[int, tuple[str, Callable[[int | bytes], Any]]] = {
    1: ("null", lambda _: None),
    2: ("bool", bool),
    3: ("int", wire.signed),
    4: ("uint", wire.as_int),
    5: ("double", _double),
    6: ("string", lambda value: wire.as_bytes(value).decode()),
    7: ("bytes", wire.as_bytes),
}
_READERS: dict[int, Callable[[int, wire.Fields], Node]] = {
    3: _const,
    4: _ident,
    5: _select,
    6: _call,
    7: _listing,
    8: _mapping,
    9: _loop,
}


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes right below one."""
    match node:
        case Select(operand=operand):
            return (operand,)
        case Call():
            return node.operands
        case Listing(elements=elements):
            return elements
        case Mapping(entries=entries):
            return tuple(part for key, value, _ in entries for part in (key, value))
        case Loop():
            return (node.over, node.start, node.condition, node.step, node.result)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    for part in parts(node):
        yield from walk(part)
