"""What another version of a mapping changes about each target field, told for people."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from isthmus.mapper.provenance import Provenance, provenance_of
from isthmus.services.mapping.domain.documents import Documents

_MOST_NAMED = 5


class Effect(StrEnum):
    """What becomes of a target field."""

    ADDED = "added"
    REMOVED = "removed"
    ORIGIN_CHANGED = "origin_changed"
    RULE_CHANGED = "rule_changed"


@dataclass(frozen=True, slots=True)
class FieldEffect:
    """What becomes of one target field, and what it is made from before and after."""

    target: str
    kind: Effect
    before: tuple[str, ...]
    after: tuple[str, ...]
    message: str


@lru_cache(maxsize=16)
def provenance(documents: Documents) -> tuple[Provenance, ...]:
    """Tell what every target field of a definition is made of.

    Raises:
        MappingInvalid: it has mistakes.
    """
    return provenance_of(documents.definition())


def effects(before: Documents, after: Documents) -> list[FieldEffect]:
    """Compare two definitions by what they make: fields in the newer one's order, removed ones last."""
    old, new = _told(before), _told(after)
    found = []
    for target, (one, rule) in new.items():
        if target not in old:
            made = f"{target} is new: it is made from {_words(one)}."
            found.append(FieldEffect(target, Effect.ADDED, (), one.sources, made))
            continue
        former, former_rule = old[target]
        if former.sources != one.sources or former.origin != one.origin:
            message = f"{target} comes from {_words(one)} instead of {_words(former)}."
            found.append(FieldEffect(target, Effect.ORIGIN_CHANGED, former.sources, one.sources, message))
        elif rule != former_rule:
            what = ", ".join(_changed(former_rule, rule))
            message = f"{target} is still made from {_words(one)}, but not in the same way: {what} changed."
            found.append(FieldEffect(target, Effect.RULE_CHANGED, former.sources, one.sources, message))
    for target, (former, _) in old.items():
        if target not in new:
            message = f"{target} is not made any more; it was made from {_words(former)}."
            found.append(FieldEffect(target, Effect.REMOVED, former.sources, (), message))
    return found


def _told(documents: Documents) -> dict[str, tuple[Provenance, dict[str, Any]]]:
    """Each target field with what it is made of, and all that its rule says, shared parts included."""
    definition = documents.definition()
    shared = definition.get("transformations", {})
    parts = {"tables": shared.get("tables", {}), "functions": shared.get("functions", {})}
    return {one.target: (one, dict(_rule(one, definition, parts))) for one in provenance(documents)}


def _rule(one: Provenance, definition: dict[str, Any], shared: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    raw: Any = definition
    for part in one.place.split("/")[1:]:
        raw = raw[int(part)] if isinstance(raw, list) else raw[part]
    for name, value in raw.items():
        if name == "items":  # fields inside a list are told of one by one
            yield name, {inner: said for inner, said in value.items() if inner != "field_mappings"}
        elif name not in {"target", "description"}:
            yield name, value
    for kind, names in (("tables", one.tables), ("functions", one.functions)):
        for name in names:
            if name in shared[kind]:
                yield f"{kind[:-1]} {name}", shared[kind][name]


def _changed(before: dict[str, Any], after: dict[str, Any]) -> Iterable[str]:
    return (name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name))


def _words(one: Provenance) -> str:
    if one.sources:
        more = f" and {len(one.sources) - _MOST_NAMED} more" if len(one.sources) > _MOST_NAMED else ""
        return ", ".join(one.sources[:_MOST_NAMED]) + more
    return "the evaluation time" if one.origin == "now" else "no field of the source"


__all__ = ["Effect", "FieldEffect", "effects", "provenance"]
