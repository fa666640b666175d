"""Shapes: which places of a record are read, and the struct type that holds exactly these.

A strict path goes through objects or rejects its field, so the objects on its way become structs; a
page that has something else there does not decode and is read as dictionaries instead. A lenient path
promises nothing about what stands on its way, so all below its first uncertain name stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec
from isthmus.mapper.model import Source
from isthmus.mapper.paths import Path, reader

Getter = Callable[[Any], Any]


@dataclass(slots=True)
class Shape:
    """One place of a record: whole, or an object of which some members are read.

    Attributes:
        attribute: The name under which the struct around it holds the place.
        members: Places inside by JSON name; empty where the value is kept whole.
        is_whole: Whether the value itself is read, whatever it is.
        tells_missing: Whether missing is `msgspec.UNSET` here, not the same as null.
    """

    attribute: str = ""
    members: dict[str, Shape] = field(default_factory=dict)
    is_whole: bool = False
    tells_missing: bool = False

    def member(self, name: str) -> Shape:
        """The place of that name inside, made where there is none yet."""
        found = self.members.get(name)
        if found is None:
            found = self.members[name] = Shape(f"f{len(self.members)}")
        return found

    def add(self, names: Iterable[str]) -> None:
        """Adds a strict path."""
        here = self
        for name in names:
            if here.is_whole:
                return
            here = here.member(name)
        here.is_whole = True

    def add_lenient(self, names: Iterable[str]) -> None:
        """Adds a lenient path: what no strict path goes through is kept whole."""
        here = self
        for name in names:
            if here.is_whole:
                return
            is_new = name not in here.members
            here = here.member(name)
            if is_new:
                break
        here.is_whole = True

    def tell_missing(self, path: Path) -> None:
        """Tells missing from null where a path leads to, or at the whole value on its way."""
        here = self
        for segment in path:
            if here.is_whole or not isinstance(segment, str):
                break
            here = here.members[segment]
        here.tells_missing = True

    def walk(self, path: Path) -> tuple[list[str], Path]:
        """The attributes that lead towards a path, and what of it is left to read in a whole value."""
        here, attributes = self, list[str]()
        for depth, segment in enumerate(path):
            if here.is_whole or not isinstance(segment, str):
                return attributes, path[depth:]
            here = here.members[segment]
            attributes.append(here.attribute)
        return attributes, ()

    def tells_missing_at(self, path: Path) -> bool:
        """Whether the value that a path leads to, or the whole value on its way, may be `msgspec.UNSET`."""
        here = self
        for segment in path:
            if here.is_whole or not isinstance(segment, str):
                break
            here = here.members[segment]
        return here.tells_missing

    def reader(self, path: Path) -> Getter:
        """A function that reads a path of a struct as `isthmus.mapper.paths.reader` does of a dictionary."""
        attributes, rest = self.walk(path)
        read = _through(attributes)
        if self.tells_missing_at(path):
            read = _or_null(read)
        if not rest:
            return read
        inner = reader(rest)
        return lambda record: inner(read(record))

    def getter(self, path: str) -> Getter:
        """A function that reads a dotted path, by the rules for keys and cursors."""
        parts = tuple(path.split("."))
        attributes, rest = self.walk(parts)
        read = _through(attributes)
        if self.tells_missing_at(parts):
            read = _or_null(read)
        if rest:
            read = _then(read, tuple(map(str, rest)))
        literal = self.members.get(path)
        if len(parts) == 1 or literal is None:
            return read
        own = attrgetter(literal.attribute)

        def literal_or_dotted(record: Any) -> Any:
            value = own(record)
            return read(record) if value is msgspec.UNSET else value

        return literal_or_dotted

    def struct(self, name: str = "Record") -> type[msgspec.Struct]:
        """The struct type that holds the members.

        Raises:
            ValueError: a name cannot be the name of a struct's field.
        """
        fields: list[tuple[str, Any, Any]] = []
        for member in self.members.values():
            missing = msgspec.UNSET if member.tells_missing else None
            kind = Any if member.is_whole else member.struct("Part") | None
            fields.append((member.attribute, kind, missing))
        names = {member.attribute: name for name, member in self.members.items()}
        # Decoded records hold no cycles; what the collector need not visit costs nothing.
        return msgspec.defstruct(name, fields, rename=names, gc=False, eq=False)


def shape_of(
    sources: Iterable[Source], extra_paths: Iterable[str], asked: Iterable[Source] = ()
) -> Shape | None:
    """The shape that holds what is read; `None` where some of it is the record as a whole.

    Args:
        sources: What a mapping reads.
        extra_paths: Dotted paths that are read besides.
        asked: Those of the sources where missing is not the same as null.
    """
    shape, lenient = Shape(), []
    for source in sources:
        names = _names(source.path)
        if not names:
            return None
        if source.lenient and len(names) > 1:
            lenient.append(names)
        else:
            shape.add(names)
    mapped = frozenset(shape.members) | {names[0] for names in lenient}
    for path in extra_paths:
        if "." in path and path in mapped:
            # The mapping takes missing for null in a place where keys and cursors do not.
            return None
        shape.add(_dotted(path))
    for names in lenient:
        shape.add_lenient(names)
    for path in extra_paths:
        if "." in path:
            literal = shape.member(path)
            literal.is_whole = literal.tells_missing = True
    for source in asked:
        shape.tell_missing(source.path)
    return shape


def row_getter(shape: Shape | None, path: str) -> Getter:
    """A function that reads a dotted path of what was mapped, by the rules for keys and cursors.

    Args:
        shape: The places of the struct it is; `None` for a dictionary.
        path: A name with dots of its own is found as well.
    """
    parts = tuple(path.split("."))
    if shape is None:
        follow = _then(lambda row: row, parts)
        return lambda row: row[path] if path in row else follow(row)
    own, outer = shape.members.get(path), shape.members.get(parts[0])
    outside = _nothing if outer is None or len(parts) == 1 else _then(attrgetter(outer.attribute), parts[1:])
    if own is None:
        return outside
    inside = attrgetter(own.attribute)

    def read(row: Any) -> Any:
        value = inside(row)
        return outside(row) if value is msgspec.UNSET else value

    return read


def _names(path: Path) -> tuple[str, ...]:
    """The names a path begins with."""
    names: list[str] = []
    for segment in path:
        if not isinstance(segment, str):
            break
        names.append(segment)
    return tuple(names)


def _dotted(path: str) -> list[str]:
    """The names a dotted path begins with; a part of digits may also be a place in a list."""
    first, *others = path.split(".")
    names = [first]
    for part in others:
        if part.isdecimal():
            break
        names.append(part)
    return names


def _through(attributes: list[str]) -> Getter:
    first, *others = attributes
    start = attrgetter(first)
    if not others:
        return start

    def read(record: Any) -> Any:
        value = start(record)
        for attribute in others:
            if value is None:
                return None
            value = getattr(value, attribute)
        return value

    return read


def _or_null(read: Getter) -> Getter:
    """A function that reads null where there is nothing."""

    def value(record: Any) -> Any:
        found = read(record)
        return None if found is msgspec.UNSET else found

    return value


def _nothing(_record: Any) -> None:
    return None


def _then(read: Getter, parts: tuple[str, ...]) -> Getter:
    """Follows dotted parts through dictionaries and lists; what is not there is null."""

    def follow(record: Any) -> Any:
        here = read(record)
        for part in parts:
            if isinstance(here, dict):
                here = here.get(part)
            elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
                here = here[int(part)]
            else:
                return None
        return here

    return follow
