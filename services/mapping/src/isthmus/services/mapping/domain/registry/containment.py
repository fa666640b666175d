"""Whether a reader's JSON Schema (2020-12) takes every value that a writer's allows, and if not, why.

The judgement is careful: where it cannot tell, it says so and counts that as no. It follows references inside
a schema, also back to where they came from, and knows nothing of what lies outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from isthmus.mapper.paths import Path, format_path
from isthmus.mapper.schemas import SchemaInvalid, compile_schema
from isthmus.mapper.values import show
from isthmus.services.mapping.domain.registry.keywords import COMPARED
from isthmus.services.mapping.domain.registry.knowledge import (
    Document,
    Known,
    Schema,
    are_disjoint,
    kinds_of,
)
from isthmus.services.mapping.domain.registry.mismatch import READER, WRITER, Mismatch, undecided

_MOST_STEPS = 20_000
_MOST_MISMATCHES = 100
_DEEPEST = 40
_NOTES = frozenset(
    {
        "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "$vocabulary", "title",
        "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "contentEncoding",
        "contentMediaType", "contentSchema", "then", "else", "minContains", "maxContains",
    }
)  # fmt: skip
_COMBINED = frozenset(("$ref", "allOf", "anyOf", "oneOf", "if"))
_ALIKE = {"contains": ("contains", "minContains", "maxContains")}


def mismatches(writer: object, reader: object, *, is_lenient: bool = False) -> list[Mismatch]:
    """Why a reader's schema does not take everything that a writer's allows; empty where it does.

    Args:
        writer: Schema of what is written.
        reader: Schema that it is read by.
        is_lenient: Writers are trusted to write no members but those that their schema names.
    """
    judge = _Judge(Document(writer), Document(reader), is_lenient=is_lenient)
    return list(dict.fromkeys(judge.compare([writer], reader, ())))[:_MOST_MISMATCHES]


class _Judge:
    def __init__(self, writer: Document, reader: Document, *, is_lenient: bool) -> None:
        self.writer = writer
        self.reader = reader
        self.is_lenient = is_lenient
        self._steps = 0
        self._open: dict[tuple[object, ...], int] = {}
        self._checks: dict[int, Any] = {}

    def compare(self, schemas: Sequence[object], reader: object, path: Path) -> list[Mismatch]:
        """Compare what satisfies all schemas of the writer with one schema of the reader."""
        if reader is True or reader == {} or (len(schemas) == 1 and self._is_the_same(schemas[0], reader)):
            return []
        self._steps += 1
        if self._steps > _MOST_STEPS:
            return [undecided(path, "The schemas are too large to be compared")]
        key = (*map(id, schemas), id(reader))
        if key in self._open:
            # Values are finite: what lies deeper inside them may be taken for granted here.
            return (
                [] if len(path) > self._open[key] else [undecided(path, "A reference leads back to itself")]
            )
        self._open[key] = len(path)
        try:
            found: list[Mismatch] = []
            for atoms in self.writer.alternatives(schemas):
                known = Known(self.writer, atoms)
                if not known.is_empty():
                    found += self.within(known, reader, path)
            return found
        finally:
            del self._open[key]

    def within(self, known: Known, reader: object, path: Path, depth: int = 0) -> list[Mismatch]:
        """Compare known values of the writer with one schema of the reader."""
        if not isinstance(reader, dict):
            return [] if reader is True else [_forbidden(path)]
        if any(self._is_the_same(atom, reader) for atom in known.atoms):
            return []
        self._steps += 1
        if depth > _DEEPEST or self._steps > _MOST_STEPS:
            return [undecided(path, "The schema is too deep or too large to be compared")]
        if known.values is not None and (told := self._values(known.values, reader, path)) is not None:
            return told
        found: list[Mismatch] = []
        if "$ref" in reader:
            target = self.reader.target(reader["$ref"])
            found += (
                self.within(known, target, path, depth + 1)
                if target is not None
                else [undecided(path, f"The reference {reader['$ref']!r} cannot be followed")]
            )
        for part in reader.get("allOf", ()):
            found += self.within(known, part, path, depth + 1)
        for word, several in (("anyOf", self._any_of), ("oneOf", self._one_of)):
            if word in reader and not self.says(known, reader, word):
                found += several(known, reader[word], path, depth + 1)
        if "if" in reader and not self.says(known, reader, "if", "then", "else"):
            found += self._condition(known, reader, path, depth + 1)
        return [*found, *self._keywords(known, reader, path)]

    def _keywords(self, known: Known, reader: Schema, path: Path) -> Iterator[Mismatch]:
        for word, rule in reader.items():
            if (handler := COMPARED.get(word)) is not None:
                yield from handler(self, known, rule, reader, path)
            elif word not in _NOTES | _COMBINED and not word.startswith("x-"):
                is_alike = self.says(known, reader, *_ALIKE.get(word, (word,)))
                if not is_alike or word.startswith("unevaluated"):
                    yield undecided(path, f"The two differ in what {word!r} depends on")

    def _values(self, values: list[Any], reader: Schema, path: Path) -> list[Mismatch] | None:
        """Try all values there are; None where the schema says what cannot be tried."""
        if id(reader) not in self._checks:
            try:
                self._checks[id(reader)] = compile_schema(reader, self.reader.root)
            except (SchemaInvalid, RecursionError):
                self._checks[id(reader)] = None
        check = self._checks[id(reader)]
        if check is None:
            return None
        try:
            lost = [show(value) for value in values if next(check(value), None) is not None]
        except RecursionError:
            return None
        return [_lost_values(path, lost)] if lost else []

    def _any_of(self, known: Known, branches: list[object], path: Path, depth: int) -> list[Mismatch]:
        found: list[Mismatch] = []
        for part in map(known.only, sorted(known.kinds)):
            if part.is_empty():
                continue
            tried = [self.within(part, branch, path, depth) for branch in branches]
            if all(tried):
                meant = [
                    told
                    for told, branch in zip(tried, branches, strict=True)
                    if isinstance(branch, dict) and part.kinds <= kinds_of(branch.get("type"))
                ]
                found += meant[0] if len(meant) == 1 else [_no_alternative(path, part)]
        return found

    def _one_of(self, known: Known, branches: list[object], path: Path, depth: int) -> list[Mismatch]:
        found = self._any_of(known, branches, path, depth)
        for part in map(known.only, sorted(known.kinds)) if not found else ():
            apart = [self.excludes(part, branch) for branch in branches]
            if not part.is_empty() and apart.count(False) != 1:
                found.append(_several_alternatives(path))
        return found

    def excludes(self, known: Known, schema: object) -> bool:
        """Tell whether surely none of the writer's values satisfies a schema of the reader."""
        others = self.reader.alternatives([schema])
        return all(are_disjoint(known, Known(self.reader, atoms)) for atoms in others)

    def _condition(self, known: Known, reader: Schema, path: Path, depth: int) -> list[Mismatch]:
        found: list[Mismatch] = []
        if not self.excludes(known, reader["if"]):
            found += self.within(known, reader.get("then", True), path, depth)
        if self.within(known, reader["if"], path, depth):
            found += self.within(known, reader.get("else", True), path, depth)
        return found

    def says(self, known: Known, reader: Schema, *words: str) -> bool:
        """Tell whether one of the writer's schemas says the same by these keywords."""
        wanted = {word: reader[word] for word in words if word in reader}
        return any(
            self._is_the_same({word: atom[word] for word in words if word in atom}, wanted)
            for atom in known.atoms
        )

    def _is_the_same(self, one: object, other: object) -> bool:
        """Tell whether two schemas are equal, and so is whatever they refer to."""
        if one is other:
            return True
        if not isinstance(one, dict) or not isinstance(other, dict) or one.keys() != other.keys():
            return False
        texts = [json.dumps(side, sort_keys=True) for side in (one, other)]
        if texts[0] != texts[1]:
            return False
        return '"$' not in texts[0] or self._is_one_document

    @cached_property
    def _is_one_document(self) -> bool:
        texts = [json.dumps(side.root, sort_keys=True) for side in (self.writer, self.reader)]
        return texts[0] == texts[1]


def _forbidden(path: Path) -> Mismatch:
    return Mismatch(
        format_path(path),
        "NOTHING_ALLOWED",
        f"{WRITER} may hold a value; {READER} allows none.",
        "Allow a value.",
        "Leave the value out.",
    )


def _lost_values(path: Path, lost: list[str]) -> Mismatch:
    few = ", ".join(lost[:8]) + (f" and {len(lost) - 8} more" if len(lost) > 8 else "")
    return Mismatch(
        format_path(path),
        "VALUES_NOT_ALLOWED",
        f"{WRITER} may hold {few}, which {READER} does not allow.",
        "Allow these values as well.",
        "Hold none but the values that were allowed before.",
    )


def _no_alternative(path: Path, known: Known) -> Mismatch:
    return Mismatch(
        format_path(path),
        "NO_ALTERNATIVE",
        f"{WRITER} may hold {', '.join(sorted(known.kinds))} for which {READER} has no single alternative.",
        "Add an alternative that takes them.",
        "Keep to the alternatives that there were.",
    )


def _several_alternatives(path: Path) -> Mismatch:
    return Mismatch(
        format_path(path),
        "ALTERNATIVES_OVERLAP",
        f"Values of {WRITER} may satisfy several alternatives of {READER}, which allows only one (oneOf).",
        "Use anyOf, or tell the alternatives apart by a required field with a constant.",
        "Tell the alternatives apart by a required field with a constant.",
    )


__all__ = ["mismatches"]
