"""What the values in the fields of records are like."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from isthmus.mapper.drift import kind_of_json
from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.mapper.privacy import DataClass, Scrubber, concealed

MOST_FIELDS = 1000
_DEEPEST = 8
_MOST_DISTINCT = 1000
_MOST_ELEMENTS = 50
_EXAMPLES = 5
_LONGEST = 200


@dataclass(slots=True)
class _Seen:
    """What was seen at one place."""

    there: int = 0
    inside: int = 0
    nulls: int = 0
    types: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    is_more: bool = False
    numbers: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FieldStatistics:
    """What the values of one field are like.

    Attributes:
        places: How often there was something that it lies in.
        missing: How often it was not there.
        nulls: How often it was null.
        distinct: How many different values there were.
        is_distinct_more: There were more than were counted.
        least: The least number or text, as JSON; empty where it may not be told.
        greatest: The greatest one.
        lengths: The fewest and the most characters of a text; None where there was none.
        examples: The most frequent values and how often they were there.
    """

    path: str
    types: tuple[str, ...]
    data_class: DataClass
    places: int
    missing: int
    nulls: int
    distinct: int
    is_distinct_more: bool
    least: str
    greatest: str
    lengths: tuple[int, int] | None
    examples: tuple[tuple[str, int], ...]


def statistics_of(records: Iterable[Any], scrubber: Scrubber) -> list[FieldStatistics]:
    """Tell what the values of records are like, field by field in the order of their paths.

    Args:
        records: Parsed records.
        scrubber: Knows which values are sensitive.
    """
    seen: dict[Path, _Seen] = {(): _Seen()}
    for record in records:
        seen[()].inside += isinstance(record, dict)
        _look(seen, (), record)
    told = [_told(path, one, seen, scrubber) for path, one in seen.items() if path and path[-1] is not EACH]
    return sorted(told, key=lambda one: one.path)


def _look(seen: dict[Path, _Seen], path: Path, value: Any) -> None:
    if len(path) >= _DEEPEST:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            _note(seen, (*path, name), inner)
    elif isinstance(value, list):
        for inner in value[:_MOST_ELEMENTS]:
            _note(seen, (*path, EACH), inner)


def _note(seen: dict[Path, _Seen], path: Path, value: Any) -> None:
    one = seen.get(path)
    if one is None:
        if len(seen) > MOST_FIELDS:
            return
        one = seen[path] = _Seen()
    one.there += 1
    kind = kind_of_json(value)
    if value is None:
        one.nulls += 1
        return
    one.types[kind] += 1
    if isinstance(value, dict | list):
        one.inside += isinstance(value, dict)
        _look(seen, path, value)
        return
    text = json.dumps(value, ensure_ascii=False)
    if text in one.values or len(one.values) < _MOST_DISTINCT:
        one.values[text] += 1
    else:
        one.is_more = True
    if isinstance(value, str):
        one.texts = _ends(one.texts, value)
        one.lengths = _ends(one.lengths, len(value))
    elif not isinstance(value, bool):
        one.numbers = _ends(one.numbers, value)


def _ends(known: list[Any], value: Any) -> list[Any]:
    return [min(known[0], value), max(known[1], value)] if known else [value, value]


def _told(path: Path, one: _Seen, seen: dict[Path, _Seen], scrubber: Scrubber) -> FieldStatistics:
    text = format_path(path)
    kind = scrubber.classes.of(path)
    is_shown = kind < DataClass.CONFIDENTIAL
    ends = one.numbers or one.texts if is_shown else []
    places = seen[path[:-1]].inside
    if is_shown:
        frequent = one.values.most_common(_EXAMPLES)
        examples = [(_short(value), count) for value, count in frequent]
    else:
        # One placeholder for all: how often a single value occurs tells of it, too.
        examples = [(concealed(kind, None), one.values.total())] if one.values else []
    return FieldStatistics(
        text,
        tuple(name for name, _ in one.types.most_common()),
        kind,
        places,
        max(places - one.there, 0),
        one.nulls,
        len(one.values),
        one.is_more,
        _short(json.dumps(ends[0], ensure_ascii=False)) if ends else "",
        _short(json.dumps(ends[1], ensure_ascii=False)) if ends else "",
        (one.lengths[0], one.lengths[1]) if one.lengths else None,
        tuple(examples),
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


__all__ = ["MOST_FIELDS", "FieldStatistics", "statistics_of"]
