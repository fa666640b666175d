"""Field mappings out of suggestions, ready to be read, mended and applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.mapper.suggestions.fields import Leaf
from isthmus.mapper.suggestions.matching import Pair, Suggestions

_CASTS = ("integer", "number", "boolean", "string")
_MOST_ENTRIES = 20


@dataclass(frozen=True, slots=True)
class Proposal:
    """One field mapping, how sure it is, and why; inside a list, with the list it is in.

    Attributes:
        field: The field mapping.
        pairs: What it comes from; empty for a constant.
    """

    field: dict[str, Any]
    confidence: float
    pairs: tuple[Pair, ...] = ()


def proposals(found: Suggestions) -> list[Proposal]:
    """The field mappings that suggestions amount to: constants first, then the surest pairs."""
    written = [
        Proposal({"target": _flat(leaf.path), "constant": leaf.choices[0]}, 1.0)
        for leaf in found.constants
        if EACH not in leaf.path
    ]
    lists: dict[tuple[Path, Path], list[Pair]] = {}
    for pair in found.pairs:
        here, there = pair.source.list_path, pair.target.list_path
        if here and there and EACH not in there[:-1]:
            lists.setdefault((here, there), []).append(pair)
        else:
            written.append(Proposal(_field(pair, (), ()), pair.confidence, (pair,)))
    taken = {_root(one.field["target"]) for one in written}
    for (here, there), pairs in lists.items():
        target = format_path(there[:-1])
        if target in taken:
            continue
        taken.add(target)
        items = {
            "source": format_path(here[:-1]),
            "field_mappings": [_field(pair, here, there) for pair in pairs],
        }
        best = max(pair.confidence for pair in pairs)
        written.append(Proposal({"target": target, "items": items}, best, tuple(pairs)))
    return list(_without_conflicts(written))


def _root(target: str) -> str:
    """The path of the list that a target with a position lies in, or the target."""
    return target.partition("[")[0]


def _without_conflicts(written: Iterable[Proposal]) -> Iterator[Proposal]:
    """What may stand in one mapping: no target inside another."""
    seen: list[str] = []
    for one in written:
        target = one.field["target"]
        if not any(_inside(target, other) or _inside(other, target) for other in seen):
            seen.append(target)
            yield one


def _inside(one: str, other: str) -> bool:
    return one == other or one.startswith((f"{other}.", f"{other}["))


def _field(pair: Pair, here: Path, there: Path) -> dict[str, Any]:
    source, target = pair.source, pair.target
    path = source.path[len(here) :]
    made: dict[str, Any] = {"target": _flat(target.path[len(there) :])}
    is_spread = EACH in path
    made["source"] = format_path(path) if target.is_list else _flat(path)
    if source.is_list and not target.is_list:
        made["steps"] = ["first"]
    elif target.is_list and not source.is_list and not is_spread:
        made["steps"] = ["as_list"]
    if entries := _entries(source, target):
        made["enum"] = entries
    elif cast := _cast(source, target):
        made["cast"] = cast
    if target.is_required:
        made["required"] = True
    return made


def _flat(path: Path) -> str:
    """A path in which the first element stands for all, since a target names one place."""
    return format_path(tuple(0 if part is EACH else part for part in path))


def _cast(source: Leaf, target: Leaf) -> str:
    if target.is_list:
        return ""
    if target.kind == "time" and "string" in (target.types or {"string"}):
        return "timestamp"
    if not target.types or source.types & target.types:
        return ""
    return next((name for name in _CASTS if name in target.types), "")


def _entries(source: Leaf, target: Leaf) -> dict[str, Any]:
    """A table from the source's words to the target's, where both are known and not the same."""
    given = [one for one in source.choices or dict.fromkeys(source.samples) if isinstance(one, str)]
    if not given or not target.choices or len(given) > _MOST_ENTRIES or target.is_list:
        return {}
    known = {_key(one): one for one in target.choices if isinstance(one, str)}
    entries = {one: known[_key(one)] for one in given if _key(one) in known}
    return {} if len(entries) < len(given) or all(a == b for a, b in entries.items()) else entries


def _key(text: str) -> str:
    return text.strip().lower().replace("-", "_").replace(" ", "_")
