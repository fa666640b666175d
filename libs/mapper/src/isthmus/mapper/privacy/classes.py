"""Classes of fields, as schemas declare them, and which one holds at a place of a record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from typing import Any

from isthmus.mapper.paths import EACH, Path, PathInvalid, format_path, parse_path
from isthmus.mapper.schemas import SchemaInvalid, resolve

KEYWORD = "x-isthmus-class"
"""The member of a JSON Schema that names the class of what it describes."""
PATTERNS = "x-isthmus-classes"
"""The member of a whole JSON Schema that names classes by paths with `*`, for fields nobody knows yet."""
WHOLE = "$"
"""The path of a whole record: its class is that of every field of which nothing else is said."""
ANYWHERE = "**"
"""The first part of a path that stands for any depth: `**.email`."""
_MOST_VISITS = 10_000
"""Places of a schema that are looked at; one that refers to itself twice has no end of them."""
_MOST_DEPTH = 31
_BRANCHES = ("allOf", "anyOf", "oneOf")


class DataClass(IntEnum):
    """How sensitive a field is; a higher number is more sensitive. The numbers are the contract's."""

    PUBLIC = 1
    INTERNAL = 2
    CONFIDENTIAL = 3
    PERSONAL = 4
    SECRET = 5


def class_named(name: object) -> DataClass | None:
    """The class of that name, `None` where there is none."""
    return DataClass.__members__.get(name.upper()) if isinstance(name, str) else None


@dataclass(slots=True)
class Node:
    """A place of records: its own class and the places inside it."""

    own: DataClass | None = None
    members: dict[str, Node] = field(default_factory=dict)
    elements: Node | None = None
    globs: list[tuple[re.Pattern[str], Node]] = field(default_factory=list)
    anywhere: list[tuple[re.Pattern[str], DataClass]] = field(default_factory=list)

    @property
    def names_members(self) -> bool:
        """Whether anything is said of single members."""
        return bool(self.members or self.globs)

    def inside(self, part: object) -> Node | None:
        """The place one step further; elements of a list are one place, whatever their position.

        A name that is declared itself goes before one that only fits a pattern.
        """
        if not isinstance(part, str):
            return self.elements or (Node(anywhere=self.anywhere) if self.anywhere else None)
        found = self.members.get(part)
        if found is None and self.globs:
            found = next((node for pattern, node in self.globs if pattern.fullmatch(part)), None)
        if not self.anywhere:
            return found
        found = found or Node()
        own = found.own
        if own is None:
            own = next((kind for pattern, kind in self.anywhere if pattern.fullmatch(part)), None)
        return Node(own, found.members, found.elements, found.globs, self.anywhere)


class Classes:
    """Which class the values of records have.

    What no declaration covers, by itself or through what it lies in, has the default.

    Args:
        declared: Classes by path, as `isthmus.mapper.paths` writes them; `[*]` stands for every element, `*`
            in a name for any letters, and `**.name` for members of that name at any depth.
        default: Class of everything else.

    Raises:
        PathInvalid: A path cannot be read.
    """

    def __init__(
        self, declared: Mapping[str, DataClass] | None = None, default: DataClass = DataClass.INTERNAL
    ) -> None:
        self.declared = dict(declared or {})
        self.default = default
        self.root = Node()
        for text, kind in self.declared.items():
            node, path = self.root, parse_path(text)
            if len(path) == 2 and path[0] == ANYWHERE:
                node.anywhere.append((_glob(str(path[1])), kind))
                continue
            for part in path:
                node = _child(node, part)
            node.own = kind

    def __bool__(self) -> bool:
        return bool(self.declared) or self.default is not DataClass.INTERNAL

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Classes):
            return NotImplemented
        return (self.declared, self.default) == (other.declared, other.default)

    def __hash__(self) -> int:
        return hash((frozenset(self.declared.items()), self.default))

    def of(self, path: Path) -> DataClass:
        """The class of a place."""
        node: Node | None = self.root
        found = self.root.own
        for part in path:
            node = node.inside(part) if node is not None else None
            if node is not None and node.own is not None:
                found = node.own
        return found or self.default

    def highest(self, path: Path) -> DataClass:
        """The highest class of a place and of what lies inside it."""
        node: Node | None = self.root
        for part in path:
            node = node.inside(part) if node is not None else None
        return max((self.of(path), *_below(node)))

    def paths(self, least: DataClass) -> list[str]:
        """The declared paths of at least a class."""
        return [path for path, kind in self.declared.items() if kind >= least]


def _glob(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", name))), re.IGNORECASE | re.DOTALL)


def has_pattern(path: Path) -> bool:
    """Whether a path stands for names that nobody has spelled out."""
    return any(isinstance(part, str) and "*" in part for part in path)


def _child(node: Node, part: object) -> Node:
    if isinstance(part, str) and "*" in part:
        pattern = _glob(part)
        for known, inner in node.globs:
            if known == pattern:
                return inner
        node.globs.append((pattern, Node()))
        return node.globs[-1][1]
    if isinstance(part, str):
        return node.members.setdefault(part, Node())
    node.elements = node.elements or Node()
    return node.elements


def _below(node: Node | None) -> Iterator[DataClass]:
    if node is None:
        return
    if node.own is not None:
        yield node.own
    yield from (kind for _, kind in node.anywhere)
    for inner in (*node.members.values(), *(inner for _, inner in node.globs), node.elements):
        yield from _below(inner)


def classes_of_schema(schema: object) -> dict[str, DataClass]:
    """Read the classes that a JSON Schema declares, by path; an unknown name counts as confidential.

    Of several declarations for one place, in alternatives for example, the highest holds. Where there are too
    many places to look at, because parts refer to themselves, all that is deeper is as sensitive as the most
    sensitive that the schema declares.
    """
    found: dict[str, DataClass] = {}
    patterns = schema.get(PATTERNS) if isinstance(schema, dict) else None
    if isinstance(patterns, dict):
        for text, name in patterns.items():
            if _is_path(text):
                found[text] = class_named(name) or DataClass.CONFIDENTIAL
    if highest := max(_all_declared(schema), default=None):
        _Collector(schema, highest).collect(schema, (), found)
    return found


def _is_path(text: str) -> bool:
    try:
        return bool(parse_path(text))
    except PathInvalid:
        return False


def _all_declared(schema: object) -> Iterator[DataClass]:
    """Every class that stands somewhere in a schema."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if (declared := _declared(one)) is not None:
            yield declared
        waiting += _values(one) + _listed(one)


class _Collector:
    """Goes through the places of one schema.

    Args:
        root: The schema, to which references lead.
        highest: The most sensitive class in it.
    """

    def __init__(self, root: object, highest: DataClass) -> None:
        self._root = root
        self._highest = highest
        self._visits = count()

    def collect(self, schema: object, path: Path, found: dict[str, DataClass], depth: int = 0) -> None:
        """Note the classes of a place and of all inside it."""
        own = _declared(schema)
        try:
            schema = resolve(self._root, schema)
        except SchemaInvalid:
            schema = None
        for declared in (own, _declared(schema)):
            _note(found, path, declared)
        if not isinstance(schema, dict):
            return
        if max(depth, len(path)) >= _MOST_DEPTH or next(self._visits) > _MOST_VISITS:
            _note(found, path, self._highest)
            return
        self._inside(schema, path, found, depth + 1)

    def _inside(self, schema: dict[str, Any], path: Path, found: dict[str, DataClass], depth: int) -> None:
        for name, inner in _members(schema.get("properties")):
            self.collect(inner, (*path, str(name)), found, depth)
        for inner in (schema.get("items"), *_listed(schema.get("prefixItems"))):
            self.collect(inner, (*path, EACH), found, depth)
        for inner in (schema.get("additionalProperties"), *_values(schema.get("patternProperties"))):
            # Members of names that nobody knows beforehand: the whole object is as sensitive as they are.
            others: dict[str, DataClass] = {}
            self.collect(inner, (), others, depth)
            _note(found, path, max(others.values(), default=None))
        for word in _BRANCHES:
            for inner in _listed(schema.get(word)):
                self.collect(inner, path, found, depth)


def _note(found: dict[str, DataClass], path: Path, declared: DataClass | None) -> None:
    if declared is not None:
        text = format_path(path)
        found[text] = max(declared, found.get(text, DataClass.PUBLIC))


def _members(found: object) -> list[tuple[Any, Any]]:
    return list(found.items()) if isinstance(found, dict) else []


def _listed(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _values(found: object) -> list[Any]:
    return list(found.values()) if isinstance(found, dict) else []


def _declared(schema: object) -> DataClass | None:
    if not isinstance(schema, dict) or KEYWORD not in schema:
        return None
    return class_named(schema[KEYWORD]) or DataClass.CONFIDENTIAL


def annotated(schema: Mapping[str, Any], declared: Mapping[str, DataClass]) -> dict[str, Any]:
    """A copy of a JSON Schema that also declares these classes; places it does not know are added."""
    done = dict(schema)
    patterns: dict[str, str] = {}
    for text, kind in declared.items():
        try:
            path = parse_path(text)
        except PathInvalid:
            continue
        if has_pattern(path):
            patterns[text] = kind.name.lower()
        else:
            _annotate(done, path, kind)
    if patterns:
        done[PATTERNS] = patterns
    return done


def _annotate(schema: dict[str, Any], path: Path, kind: DataClass) -> None:
    for part in path:
        word, name = ("properties", part) if isinstance(part, str) else ("items", "")
        known = schema.get(word)
        holder = dict(known) if isinstance(known, dict) else {}
        schema[word] = holder
        if word == "properties":
            known = holder.get(str(name))
            holder[str(name)] = dict(known) if isinstance(known, dict) else {}
            holder = holder[str(name)]
        schema = holder
    schema[KEYWORD] = kind.name.lower()
