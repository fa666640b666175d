"""Classes of fields as the hub keeps them, and what of records may be shown because of them."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from isthmus.mapper.paths import PathInvalid, parse_path
from isthmus.mapper.privacy import (
    KEYWORD,
    Classes,
    DataClass,
    Scrubber,
    class_named,
    classes_of_schema,
)

STREAM = "stream"
FLOW = "flow"
OTHERS = "*"
"""Stands for the fields of which nothing is said."""
_MOST_FIELDS = 1000
_LONGEST = 500


def packed(declared: Mapping[str, DataClass]) -> str:
    """Classes as they are stored; what cannot be a path is left out."""
    kept = {path: kind.name.lower() for path, kind in declared.items() if path == OTHERS or _is_path(path)}
    few = dict(sorted(kept.items())[:_MOST_FIELDS])
    return json.dumps(few, separators=(",", ":")) if few else ""


def merged(texts: Sequence[str]) -> str:
    """Several sets of classes as one; where they differ, the more sensitive class counts."""
    if len(texts) == 1:
        return texts[0]
    strictest: dict[str, DataClass] = {}
    for classes in map(unpacked, texts):
        for path, kind in {**classes.declared, OTHERS: classes.default}.items():
            strictest[path] = max(kind, strictest.get(path, DataClass.PUBLIC))
    if strictest.get(OTHERS) == DataClass.INTERNAL:
        del strictest[OTHERS]
    return packed(strictest)


@lru_cache(maxsize=256)
def unpacked(text: str) -> Classes:
    """Classes out of what was stored; empty text stands for none."""
    told: dict[str, Any] = json.loads(text) if text else {}
    named = {path: kind for path, name in told.items() if (kind := class_named(name)) is not None}
    default = named.pop(OTHERS, DataClass.INTERNAL)
    return Classes(named, default)


@lru_cache(maxsize=256)
def scrubber_of(text: str) -> Scrubber:
    """What keeps sensitive values of such records out of sight."""
    return Scrubber(unpacked(text))


@lru_cache(maxsize=256)
def classes_in(json_schema: str) -> Mapping[str, DataClass]:
    """Classes that the text of a JSON Schema declares."""
    if KEYWORD not in json_schema:
        return {}
    try:
        return classes_of_schema(json.loads(json_schema))
    except (ValueError, RecursionError):
        return {}


def as_json(text: str) -> Any:
    """The value of a JSON text; the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _is_path(text: str) -> bool:
    try:
        return len(text) <= _LONGEST and parse_path(text) is not None and "\0" not in text
    except PathInvalid:
        return False


__all__ = ["FLOW", "OTHERS", "STREAM", "as_json", "classes_in", "merged", "packed", "scrubber_of", "unpacked"]
