"""What records look like: types, members, and which of them are always there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus.mapper.paths import EACH, Path

MOST_MEMBERS = 200
"""An object with more members than this is a table by keys of its own, not a record."""
MOST_FIELDS = 1000
"""The same for pages together, and for records themselves."""
DEEPEST = 12
_KINDS = {
    dict: "object",
    list: "array",
    tuple: "array",
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_LOOKED_INTO = 20


@dataclass(slots=True)
class Shape:
    """What is known of one place in a record.

    Attributes:
        types: Names of JSON types; empty where anything may stand. `number` includes `integer`.
        members: Of an object, by name.
        required: Names of members that are always there.
        is_open: Members are not kept track of.
        items: Elements of a list; None where nothing is known of them.
        form: JSON Schema's `format`; empty where none is promised.
        allowed: The only values, each as JSON; None where others may come.
        longest: Most characters of a text; None where there is no limit.
    """

    types: set[str] = field(default_factory=set)
    members: dict[str, Shape] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    is_open: bool = False
    items: Shape | None = None
    form: str = ""
    allowed: frozenset[str] | None = None
    longest: int | None = None


def kind_of_json(value: Any) -> str:
    """The name of a value's JSON type; what JSON does not know counts as text."""
    return _KINDS.get(type(value), "string")


def infer(records: Iterable[Any]) -> Shape:
    """The narrowest shape that all of these records have."""
    shape = Shape()
    for record in records:
        _note(shape, record, 0)
    return shape


def _note(shape: Shape, value: Any, depth: int) -> None:
    kind = kind_of_json(value)
    is_new = kind not in shape.types
    if is_new:
        _add_type(shape.types, kind)
    if kind == "object":
        _note_members(shape, value, depth, is_first=is_new)
    elif kind == "array" and depth < DEEPEST:
        for element in value[:_LOOKED_INTO]:
            if shape.items is None:
                shape.items = Shape()
            _note(shape.items, element, depth + 1)


def _note_members(shape: Shape, value: dict[str, Any], depth: int, *, is_first: bool) -> None:
    if shape.is_open:
        return
    if depth >= DEEPEST:
        _open(shape)
        return
    if is_first:
        shape.required = set(value)
    elif not shape.required <= value.keys():
        shape.required &= value.keys()
    for name, inner in value.items():
        member = shape.members.get(name)
        if member is None:
            if depth and len(shape.members) >= MOST_MEMBERS:
                _open(shape)
                return
            member = shape.members[name] = Shape()
        _note(member, inner, depth + 1)


def _open(shape: Shape) -> None:
    shape.is_open, shape.members, shape.required = True, {}, set()


def _add_type(types: set[str], kind: str) -> None:
    if kind == "integer" and "number" in types:
        return
    if kind == "number":
        types.discard("integer")
    types.add(kind)


def fits(shape: Shape, value: Any) -> bool:
    """Tell whether a value has the shape and nothing more; members that are not known do not fit."""
    kind = kind_of_json(value)
    types = shape.types
    if kind not in types:
        return not types or (kind == "integer" and "number" in types)
    if kind == "object":
        if shape.is_open:
            return True
        if not shape.required <= value.keys():
            return False
        members = shape.members
        for name, inner in value.items():
            member = members.get(name)
            if member is None or not fits(member, inner):
                return False
    elif kind == "array" and value:
        items = shape.items
        return items is not None and all(fits(items, element) for element in value[:3])
    return True


def merged(one: Shape, other: Shape) -> Shape:
    """The narrowest shape that takes whatever fits one of the two."""
    if not one.types or not other.types:
        return Shape(is_open=True)
    names = dict.fromkeys([*one.members, *other.members])
    is_open = one.is_open or other.is_open or len(names) > MOST_FIELDS
    both = Shape(types=_all_types(one.types, other.types), is_open=is_open)
    if not is_open:
        both.members = {
            name: _either(one.members.get(name), other.members.get(name)) or Shape() for name in names
        }
        both.required = _always(one, other)
    both.items = _either(one.items, other.items)
    # Texts alone have a form, so that what has none, such as null, says nothing about it.
    texts = [shape for shape in (one, other) if "string" in shape.types]
    if len({shape.form for shape in texts}) == 1:
        both.form = texts[0].form
    if one.allowed is not None and other.allowed is not None:
        both.allowed = one.allowed | other.allowed
    lengths = [shape.longest for shape in texts]
    if lengths and None not in lengths:
        both.longest = max(length for length in lengths if length is not None)
    return both


def _all_types(one: set[str], other: set[str]) -> set[str]:
    types: set[str] = set()
    for kind in sorted(one | other):
        _add_type(types, kind)
    return types


def _always(one: Shape, other: Shape) -> set[str]:
    """What is always there; a side that never was an object says nothing about members."""
    sides = [shape.required for shape in (one, other) if "object" in shape.types]
    return set.intersection(*sides) if sides else set()


def _either(one: Shape | None, other: Shape | None) -> Shape | None:
    if one is None or other is None:
        return one or other
    return merged(one, other)


def without(shape: Shape, paths: Iterable[Path]) -> Shape:
    """The same shape less some members."""
    for path in paths:
        shape = _without(shape, path)
    return shape


def _without(shape: Shape, path: Path) -> Shape:
    first, rest = path[0], path[1:]
    if first is EACH:
        return replace(shape, items=_without(shape.items, rest)) if shape.items and rest else shape
    name = str(first)
    if name not in shape.members:
        return shape
    if rest:
        return replace(shape, members={**shape.members, name: _without(shape.members[name], rest)})
    members = {other: member for other, member in shape.members.items() if other != name}
    return replace(shape, members=members, required=shape.required - {name})


def only(shape: Shape) -> Callable[[Any], Any]:
    """A function that leaves out of a record whatever members the shape does not know."""
    if shape.is_open or not shape.types or not shape.types & {"object", "array"}:
        return _same
    members = {name: only(member) for name, member in shape.members.items()}
    items = only(shape.items) if shape.items else _same

    def cut(value: Any) -> Any:
        if isinstance(value, dict) and members:
            return {name: members[name](inner) for name, inner in value.items() if name in members}
        if isinstance(value, list) and items is not _same:
            return [items(element) for element in value]
        return value

    return cut


def _same(value: Any) -> Any:
    return value


__all__ = ["DEEPEST", "MOST_MEMBERS", "Shape", "fits", "infer", "kind_of_json", "merged", "only", "without"]
