"""What each keyword of a reader's JSON Schema asks of the values that a writer may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.services.mapping.domain.registry.knowledge import NUMBERS, Known, Schema, kinds_of, matches
from isthmus.services.mapping.domain.registry.mismatch import READER, WRITER, Mismatch, undecided

_ALL_OTHERS = "*"


class Comparing(Protocol):
    """Compares what lies inside values.

    Attributes:
        is_lenient: Writers are trusted to write no members but those that their schema names.
    """

    is_lenient: bool

    def compare(self, schemas: Sequence[object], reader: object, path: Path) -> list[Mismatch]:
        """Compare what satisfies all schemas of the writer with one schema of the reader."""

    def says(self, known: Known, reader: Schema, *words: str) -> bool:
        """Tell whether one of the writer's schemas says the same by these keywords."""

    def excludes(self, known: Known, schema: object) -> bool:
        """Tell whether surely none of the writer's values satisfies a schema of the reader."""


Compared = Callable[[Comparing, Known, Any, Schema, Path], Iterator[Mismatch]]
"""Tells what is wrong for one keyword: the values, the rule, the whole schema, and where it stands."""


def _type(_judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    if lost := known.kinds - kinds_of(rule):
        names = sorted({"number" if kind == "fraction" else kind for kind in lost})
        yield Mismatch(
            format_path(path),
            "TYPE_NOT_ALLOWED",
            f"{WRITER} may hold {' or '.join(names)}, which {READER} does not allow.",
            f"Allow {' and '.join(names)} as well, or add another field.",
            f"Leave {' and '.join(names)} out, or add another field.",
        )


def _listed(_judge: Comparing, _known: Known, _rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    # Values that both sides list were tried before, one by one.
    yield Mismatch(
        format_path(path),
        "VALUES_LISTED",
        f"{READER} lists the values it takes; {WRITER} may hold others.",
        "Leave out the list of values.",
        "Keep the list of values.",
    )


def _bound(word: str, kinds: frozenset[str], holds: Callable[[Known, float], bool]) -> Compared:
    def compare(
        _judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path
    ) -> Iterator[Mismatch]:
        if known.kinds & kinds and not holds(known, rule):
            yield Mismatch(
                format_path(path),
                "LIMIT_NARROWER",
                f"{READER} sets {word} to {rule}; {WRITER} may hold values beyond it.",
                f"Set {word} at least as wide as before, or leave it out.",
                f"Keep {word} at least as narrow as before.",
            )

    return compare


def _at_least(known: Known, rule: float, word: str, implied: float = 0) -> bool:
    return max(known.least(word) or 0, implied) >= rule


def _at_most(known: Known, rule: float, word: str, implied: float | None = None) -> bool:
    found = [limit for limit in (known.most(word), implied) if limit is not None]
    return bool(found) and min(found) <= rule


def _above(known: Known, rule: float, *, is_exclusive: bool) -> bool:
    low, over = known.least("minimum"), known.least("exclusiveMinimum")
    return (over is not None and over >= rule) or (
        low is not None and (low > rule if is_exclusive else low >= rule)
    )


def _below(known: Known, rule: float, *, is_exclusive: bool) -> bool:
    high, under = known.most("maximum"), known.most("exclusiveMaximum")
    return (under is not None and under <= rule) or (
        high is not None and (high < rule if is_exclusive else high <= rule)
    )


def _most_members(known: Known) -> float | None:
    is_closed = any(rule is False for rule in known.others()) and not known.patterned
    return len(known.declared) if is_closed else None


_TEXT, _LIST, _OBJECT = frozenset({"string"}), frozenset({"array"}), frozenset({"object"})
_LIMITS: dict[str, tuple[frozenset[str], Callable[[Known, float], bool]]] = {
    "minimum": (NUMBERS, partial(_above, is_exclusive=False)),
    "exclusiveMinimum": (NUMBERS, partial(_above, is_exclusive=True)),
    "maximum": (NUMBERS, partial(_below, is_exclusive=False)),
    "exclusiveMaximum": (NUMBERS, partial(_below, is_exclusive=True)),
    "minLength": (_TEXT, partial(_at_least, word="minLength")),
    "maxLength": (_TEXT, partial(_at_most, word="maxLength")),
    "minItems": (_LIST, partial(_at_least, word="minItems")),
    "maxItems": (_LIST, partial(_at_most, word="maxItems")),
    "minProperties": (
        _OBJECT,
        lambda known, rule: _at_least(known, rule, "minProperties", len(known.required)),
    ),
    "maxProperties": (
        _OBJECT,
        lambda known, rule: _at_most(known, rule, "maxProperties", _most_members(known)),
    ),
}


def _multiple(_judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    steps = known.all("multipleOf")
    whole = [step for step in steps if isinstance(step, int) and isinstance(rule, int) and step % rule == 0]
    if known.kinds & NUMBERS and not (
        rule in steps or whole or (rule == 1 and "fraction" not in known.kinds)
    ):
        yield Mismatch(
            format_path(path),
            "MULTIPLE_REQUIRED",
            f"{READER} takes multiples of {rule} only; {WRITER} may hold other numbers.",
            "Leave out multipleOf.",
            f"Keep multipleOf: {rule}.",
        )


def _pattern(_judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    if "string" in known.kinds and rule not in known.all("pattern"):
        yield Mismatch(
            format_path(path),
            "PATTERN_REQUIRED",
            f"{READER} takes texts that match {rule!r} only; {WRITER} promises no such thing.",
            "Leave the pattern out, or keep the one there was.",
            "Keep the pattern.",
        )


def _format(_judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    if "string" in known.kinds and rule not in known.all("format"):
        had = ", ".join(sorted(map(str, known.all("format")))) or "no format"
        yield Mismatch(
            format_path(path),
            "FORMAT_CHANGED",
            f"{READER} takes texts of the format {rule}; {WRITER} has {had}.",
            "Keep the format there was, or add another field.",
            f"Keep the format {rule}, or add another field.",
        )


def _unique(_judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    most = known.most("maxItems")
    is_single = most is not None and most <= 1
    if rule is True and "array" in known.kinds and not is_single and True not in known.all("uniqueItems"):
        yield Mismatch(
            format_path(path),
            "UNIQUE_REQUIRED",
            f"{READER} takes lists without repetition only; {WRITER} may repeat elements.",
            "Leave out uniqueItems.",
            "Keep uniqueItems.",
        )


def _members(judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    for name, schema in rule.items() if "object" in known.kinds else ():
        schemas = known.member(name)
        if schemas:
            yield from judge.compare(schemas, schema, (*path, name))
        elif not judge.is_lenient and judge.compare([True], schema, (*path, name)):
            yield Mismatch(
                format_path((*path, name)),
                "FIELD_NOT_PROMISED",
                f"{READER} says what the field holds; {WRITER} may hold anything there.",
                "Close the version before (additionalProperties: false), or compare by the lenient policy.",
                "Keep the field, or compare by the lenient policy.",
            )


def _additional(judge: Comparing, known: Known, rule: Any, schema: Schema, path: Path) -> Iterator[Mismatch]:
    if "object" not in known.kinds or rule is True or rule == {}:
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in known.declared:
        if name in named or any(matches(pattern, name) for pattern in patterns):
            continue
        if rule is not False:
            yield from judge.compare(known.member(name), rule, (*path, name))
        elif not known.document_is_empty(known.member(name), 0):
            yield Mismatch(
                format_path((*path, name)),
                "FIELD_NOT_ALLOWED",
                f"{WRITER} may hold the field; {READER} allows no fields but those it names.",
                "Keep the field, or allow others (additionalProperties).",
                "Leave out the field.",
            )
    if known.others() or not judge.is_lenient:
        yield from _others(judge, known, rule, patterns, path)


def _others(
    judge: Comparing, known: Known, rule: Any, covered: Iterable[str], path: Path
) -> Iterator[Mismatch]:
    """Compares members of names that nobody knows beforehand."""
    place = (*path, _ALL_OTHERS)
    if judge.compare(known.others() or [True], rule, place):
        yield Mismatch(
            format_path(path),
            "FIELDS_NOT_ALLOWED",
            f"{WRITER} may hold fields that it does not name; {READER} does not take all of them.",
            "Allow other fields (additionalProperties), or compare by the lenient policy.",
            "Allow no fields that are not named (additionalProperties: false).",
        )
    for pattern, schema in known.patterned:
        if pattern not in covered:
            yield from judge.compare([schema], rule, place)


def _patterned(judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    for pattern, schema in rule.items() if "object" in known.kinds else ():
        for name in known.declared:
            if matches(pattern, name) is not False:
                yield from judge.compare(known.member(name) or [True], schema, (*path, name))
        same = [inner for other, inner in known.patterned if other == pattern]
        others = [[inner] for other, inner in known.patterned if other != pattern and not same]
        for schemas in [same or known.others() or [True], *others]:
            yield from judge.compare(schemas, schema, (*path, _ALL_OTHERS))


def _required(_judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    for name in rule if "object" in known.kinds else ():
        if name not in known.required:
            yield Mismatch(
                format_path((*path, name)),
                "FIELD_REQUIRED",
                f"{READER} requires the field; {WRITER} may be without it.",
                "Make the field optional.",
                "Keep the field, and keep it required.",
            )


def _depending(judge: Comparing, known: Known, rule: Any, schema: Schema, path: Path) -> Iterator[Mismatch]:
    if "object" not in known.kinds or judge.says(known, schema, "dependentRequired"):
        return
    for name, needed in rule.items():
        if not known.required.issuperset(needed):
            yield undecided((*path, name), "The two differ in what the field depends on (dependentRequired)")


def _elements(judge: Comparing, known: Known, rule: Any, schema: Schema, path: Path) -> Iterator[Mismatch]:
    first = len(schema.get("prefixItems", ()))
    for index in range(first, max(known.positions, first) + 1) if "array" in known.kinds else ():
        if not _is_beyond(known, index):
            yield from judge.compare(known.element(index) or [True], rule, (*path, EACH))


def _positions(judge: Comparing, known: Known, rule: Any, _schema: Schema, path: Path) -> Iterator[Mismatch]:
    for index, schema in enumerate(rule) if "array" in known.kinds else ():
        if not _is_beyond(known, index):
            yield from judge.compare(known.element(index) or [True], schema, (*path, index))


def _is_beyond(known: Known, index: int) -> bool:
    most = known.most("maxItems")
    return most is not None and index >= most


def _excluded(judge: Comparing, known: Known, rule: Any, schema: Schema, path: Path) -> Iterator[Mismatch]:
    if not judge.says(known, schema, "not") and not judge.excludes(known, rule):
        yield undecided(path, "The two differ in what 'not' excludes")


COMPARED: dict[str, Compared] = {
    "type": _type,
    "enum": _listed,
    "const": _listed,
    **{word: _bound(word, *limit) for word, limit in _LIMITS.items()},
    "multipleOf": _multiple,
    "pattern": _pattern,
    "format": _format,
    "uniqueItems": _unique,
    "properties": _members,
    "additionalProperties": _additional,
    "patternProperties": _patterned,
    "required": _required,
    "dependentRequired": _depending,
    "items": _elements,
    "prefixItems": _positions,
    "not": _excluded,
}
"""By keyword; a reader's schema may have others, of which nothing but sameness can be told."""

__all__ = ["COMPARED", "Compared", "Comparing"]
