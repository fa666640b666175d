"""What is known of the values that satisfy several JSON Schemas at once.

Whatever is left out here makes the known set of values larger, never smaller: a judgement that rests on
it errs on the careful side only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from typing import Any

from isthmus.mapper.patterns import PatternInvalid, finds
from isthmus.mapper.values import same

Schema = dict[str, Any]
KINDS = frozenset({"null", "boolean", "integer", "fraction", "string", "array", "object"})
NUMBERS = frozenset({"integer", "fraction"})
_MOST_ALTERNATIVES = 64
_DEEPEST = 24
_MOST_LOOKS = 200_000
_FEW: dict[str, list[Any]] = {"null": [None], "boolean": [False, True]}


class Document:
    """A JSON Schema with the places that its references name."""

    def __init__(self, root: object) -> None:
        self.root = root
        self._left = _MOST_LOOKS

    def target(self, reference: object) -> object | None:
        """The schema that a reference inside the document names; None where it names nothing."""
        if not isinstance(reference, str) or not re.match(r"#(/|$)", reference):
            return None
        found = self.root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        return found

    def alternatives(self, schemas: Sequence[object], depth: int = 0) -> list[tuple[Schema, ...]]:
        """Conjunctions of plain schemas that together hold every value that satisfies all of these."""
        atoms: list[Schema] = []
        choices: list[list[tuple[Schema, ...]]] = []
        for schema in schemas:
            if schema is False:
                return []
            if not isinstance(schema, dict):
                continue
            if all(schema is not known for known in atoms):
                atoms.append(schema)
            self._left -= 1
            if depth >= _DEEPEST or self._left < 0:
                continue
            for inner in self._parts(schema):
                choices.append([found for branch in inner for found in self.alternatives(branch, depth + 1)])
        kept: list[list[tuple[Schema, ...]]] = []
        for choice in sorted(choices, key=len):
            if math.prod(map(len, kept)) * len(choice) <= _MOST_ALTERNATIVES:
                kept.append(choice)
        return [_joined(atoms, chosen) for chosen in product(*kept)]

    def _parts(self, schema: Schema) -> Iterator[list[list[object]]]:
        """What a schema says besides its own keywords: of each, one of several lists of schemas holds."""
        if (target := self.target(schema.get("$ref"))) is not None:
            yield [[target]]
        for part in _listed(schema.get("allOf")):
            yield [[part]]
        for word in ("anyOf", "oneOf"):
            if branches := _listed(schema.get(word)):
                yield [[branch] for branch in branches]
        if "if" in schema:
            yield [[schema["if"], schema.get("then", True)], [schema.get("else", True)]]


def _joined(atoms: list[Schema], chosen: Sequence[tuple[Schema, ...]]) -> tuple[Schema, ...]:
    found = {id(atom): atom for atom in [*atoms, *(one for several in chosen for one in several)]}
    return tuple(found.values())


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def kind_of(value: Any) -> str:
    """The kind of a JSON value; a number without a fraction is an integer however it is written."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "fraction"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def kinds_of(types: object) -> frozenset[str]:
    """The kinds of value that a schema's `type` allows."""
    names = {types} if isinstance(types, str) else set(_listed(types)) if types is not None else {"any"}
    if "any" in names:
        return KINDS
    return frozenset(names & KINDS) | (NUMBERS if "number" in names else frozenset())


class Known:
    """What is known of the values of one conjunction.

    Args:
        document: Where the schemas come from.
        atoms: Schemas, all of which hold; what they refer to stands among them.
        kinds: Only values of these kinds are meant.
    """

    def __init__(self, document: Document, atoms: tuple[Schema, ...], kinds: frozenset[str] = KINDS) -> None:
        self.document = document
        self.atoms = atoms
        for atom in atoms:
            kinds &= kinds_of(atom.get("type"))
        self.kinds = kinds
        self.values = self._values()
        if self.values is not None:
            self.kinds &= frozenset(map(kind_of, self.values))

    def only(self, kind: str) -> Known:
        """The same values, as far as they are of one kind."""
        return Known(self.document, self.atoms, self.kinds & {kind})

    def _values(self) -> list[Any] | None:
        """All values there are, where they are listed."""
        found = _FEW.get("".join(self.kinds))
        for atom in self.atoms:
            for listed in ([atom["const"]] if "const" in atom else None, atom.get("enum")):
                if isinstance(listed, list):
                    before = listed if found is None else found
                    found = [value for value in before if any(same(value, one) for one in listed)]
        return None if found is None else [value for value in found if kind_of(value) in self.kinds]

    def all(self, word: str) -> list[Any]:
        """Everything that the schemas say by one keyword."""
        return [atom[word] for atom in self.atoms if word in atom]

    def least(self, *words: str) -> float | None:
        """The highest of some lower limits."""
        return max(self._numbers(words), default=None)

    def most(self, *words: str) -> float | None:
        """The lowest of some upper limits."""
        return min(self._numbers(words), default=None)

    def _numbers(self, words: Sequence[str]) -> list[float]:
        found = [value for word in words for value in self.all(word)]
        return [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]

    @cached_property
    def required(self) -> frozenset[str]:
        """Names of members that are always there."""
        return frozenset(name for names in self.all("required") for name in _listed(names))

    @cached_property
    def declared(self) -> dict[str, list[object]]:
        """Schemas of the members that are named."""
        found: dict[str, list[object]] = {}
        for members in self.all("properties"):
            for name, schema in members.items() if isinstance(members, dict) else ():
                found.setdefault(name, []).append(schema)
        return found

    @cached_property
    def patterned(self) -> list[tuple[str, object]]:
        """Schemas of the members whose names match a pattern."""
        found = [rule for rule in self.all("patternProperties") if isinstance(rule, dict)]
        return [one for rule in found for one in rule.items()]

    def member(self, name: str) -> list[object]:
        """Schemas that the member of a name satisfies."""
        found = list(self.declared.get(name, ()))
        found += [schema for pattern, schema in self.patterned if matches(pattern, name)]
        for atom in self.atoms:
            if "additionalProperties" in atom and not names(atom, name):
                found.append(atom["additionalProperties"])
        return found

    def others(self) -> list[object]:
        """Schemas that members satisfy which no name and no pattern tells of."""
        return self.all("additionalProperties")

    def element(self, index: int) -> list[object]:
        """Schemas that an element of a list satisfies; beyond `positions` they are the same for all."""
        found: list[object] = []
        for atom in self.atoms:
            first = _listed(atom.get("prefixItems"))
            if index < len(first):
                found.append(first[index])
            elif "items" in atom:
                found.append(atom["items"])
        return found

    @property
    def positions(self) -> int:
        """How many elements at the beginning have schemas of their own."""
        return max((len(_listed(rule)) for rule in self.all("prefixItems")), default=0)

    def is_empty(self, depth: int = 0) -> bool:
        """Tell whether there is surely no such value."""
        if not self.kinds or self.values == []:
            return True
        if self.kinds == {"object"} and depth < 4:
            return any(self.document_is_empty(self.member(name), depth + 1) for name in self.required)
        return False

    def document_is_empty(self, schemas: Sequence[object], depth: int) -> bool:
        """Tell whether surely no value satisfies all of these schemas."""
        found = self.document.alternatives(schemas)
        return all(Known(self.document, atoms).is_empty(depth) for atoms in found)


def names(schema: Schema, name: str) -> bool:
    """Tell whether a schema's own `properties` or `patternProperties` speak of a member."""
    declared, patterns = schema.get("properties"), schema.get("patternProperties")
    if isinstance(declared, dict) and name in declared:
        return True
    return isinstance(patterns, dict) and any(matches(pattern, name) is not False for pattern in patterns)


def matches(pattern: str, name: str) -> bool | None:
    """Tell whether a name matches a pattern; None where the pattern cannot be tried."""
    try:
        return bool(finds(pattern)(name))
    except PatternInvalid:
        return None


def are_disjoint(one: Known, other: Known, depth: int = 0) -> bool:
    """Tell whether surely no value belongs to both."""
    kinds = one.kinds & other.kinds
    if not kinds or one.is_empty() or other.is_empty():
        return True
    if one.values is not None and other.values is not None:
        return not any(same(a, b) for a in one.values for b in other.values)
    if kinds != {"object"} or depth > 3:
        return False
    for name in one.required | other.required:
        pairs = product(
            one.document.alternatives(one.member(name)), other.document.alternatives(other.member(name))
        )
        if all(are_disjoint(Known(one.document, a), Known(other.document, b), depth + 1) for a, b in pairs):
            return True
    return False


__all__ = [
    "KINDS",
    "NUMBERS",
    "Document",
    "Known",
    "Schema",
    "are_disjoint",
    "kind_of",
    "kinds_of",
    "matches",
    "names",
]
