"""Which source field goes with which target field, how sure that is, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.suggestions.fields import Leaf, leaves_of
from isthmus.mapper.suggestions.names import likeness
from isthmus.mapper.suggestions.values import DISTINCTIVE

LEAST = 0.5
"""From which confidence on a pair is proposed unless somebody asks for less."""
_FLOOR = 0.15
_SUREST = 0.99
"""Nobody but a person is certain."""
_SAME_KIND = {True: 0.5, False: 0.25}
"""What a kind of value in common adds of what is missing to certainty, for rare kinds and for common ones."""
_OTHER_KIND = 0.35
_CHOICES_IN_COMMON = 0.5
_CONVERTED = 0.93
_LIST_CROSSED = 0.85
_DEEPER = 0.985
_NUMERIC = frozenset({"integer", "number"})
_LOOSE_KINDS = frozenset({"integer", "number", "boolean", "hostname", "semver"})


@dataclass(frozen=True, slots=True)
class Pair:
    """A source field and a target field that seem to mean the same.

    Attributes:
        confidence: From 0 to 1.
        reasons: Why, in words.
    """

    source: Leaf
    target: Leaf
    confidence: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Pairs, each field in one at most, the surest first, and what is left of the target."""

    pairs: tuple[Pair, ...]
    constants: tuple[Leaf, ...]
    """Target fields that have one value only."""
    missing: tuple[Leaf, ...]
    """Required target fields for which nothing was found."""


def suggest(
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    samples: Sequence[Mapping[str, Any]] = (),
    least: float = LEAST,
) -> Suggestions:
    """Proposes which fields of two schemas go together.

    Args:
        source: JSON Schema of the records that come.
        target: JSON Schema of the records that are wanted.
        samples: Some of the records that come; they tell what the schema does not.
        least: Pairs of less confidence are left out.
    """
    given, wanted = leaves_of(source, samples), leaves_of(target)
    constants = tuple(leaf for leaf in wanted if len(leaf.choices) == 1)
    fixed = {leaf.path for leaf in constants}
    judged = [
        pair
        for one in given
        for other in wanted
        if other.path not in fixed and (pair := judge(one, other)).confidence >= least
    ]
    # The surest pair first, always in the same order: no two fields would rather have each other.
    judged.sort(
        key=lambda pair: (-pair.confidence, len(pair.target.path), pair.target.text, pair.source.text)
    )
    taken: list[Pair] = []
    sources, targets = set(), set()
    for pair in judged:
        if pair.source.path not in sources and pair.target.path not in targets:
            sources.add(pair.source.path)
            targets.add(pair.target.path)
            taken.append(pair)
    missing = tuple(
        leaf for leaf in wanted if leaf.is_required and leaf.path not in targets and leaf.path not in fixed
    )
    return Suggestions(tuple(taken), tuple(leaf for leaf in constants if leaf.is_required), missing)


def judge(source: Leaf, target: Leaf) -> Pair:
    """How sure it is that two fields mean the same, and why."""
    alike, shared = likeness(source.name, target.name)
    if alike < _FLOOR:
        return Pair(source, target, 0.0, ())
    reasons = [f"names share {', '.join(shared)}" if shared else "names are spelt alike"]
    sure = alike
    fits = _types_fit(source, target)
    if fits == 0.0:
        return Pair(source, target, 0.0, ())
    if source.kind and target.kind:
        if source.kind == target.kind:
            sure += (1 - sure) * _SAME_KIND[source.kind in DISTINCTIVE]
            reasons.append(f"both hold values such as {_KINDS.get(source.kind, source.kind)}")
        elif not {source.kind, target.kind} <= _LOOSE_KINDS:
            sure *= _OTHER_KIND
    elif target.kind and not source.kind and source.samples:
        sure *= _OTHER_KIND
    common = _choices_in_common(source, target)
    if common:
        sure += (1 - sure) * _CHOICES_IN_COMMON * common
        reasons.append("values are the same words")
    if fits < 1:
        reasons.append("the type has to be converted")
    if source.is_list == target.is_list and bool(source.list_path) == bool(target.list_path):
        crossed = 1.0
    else:
        crossed = _LIST_CROSSED
        reasons.append("one of them is in a list")
    deeper = _DEEPER ** (len(source.path) + len(target.path) - 2)
    return Pair(source, target, round(min(_SUREST, sure * fits * crossed * deeper), 3), tuple(reasons))


_KINDS = {
    "time": "times",
    "ip": "IP addresses",
    "email": "e-mail addresses",
    "cve": "CVE ids",
    "cwe": "CWE ids",
    "url": "links",
    "uuid": "UUIDs",
    "mac": "MAC addresses",
    "integer": "whole numbers",
    "number": "numbers",
    "boolean": "yes and no",
    "hostname": "host names",
}


def _types_fit(source: Leaf, target: Leaf) -> float:
    """1 where nothing has to be converted, less where something has, 0 where nothing can be."""
    if not source.types or not target.types:
        return 0.98
    if source.types & target.types:
        return 1.0
    if source.types <= _NUMERIC and target.types <= _NUMERIC:
        return 1.0
    if "object" in source.types or "object" in target.types:
        return 0.0
    if "boolean" in source.types | target.types and "string" not in source.types | target.types:
        return 0.0
    return _CONVERTED


def _choices_in_common(source: Leaf, target: Leaf) -> float:
    """How many of the values that the source has the target knows, from 0 to 1; spelling does not count."""
    given = {_folded(one) for one in (source.choices or source.samples) if isinstance(one, str)}
    known = {_folded(one) for one in target.choices if isinstance(one, str)}
    if not given or len(known) < 2:
        return 0.0
    return len(given & known) / len(given)


def _folded(text: str) -> str:
    return text.strip().lower().replace("-", "_").replace(" ", "_")
