"""What differs between two configurations, field by field."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from isthmus.services.registry.domain.model import Revision
from isthmus.services.registry.domain.pointer import pointer

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; `before` and `after` are JSON, empty where the field was absent."""

    path: str
    before: str
    after: str


def diff(before: str, after: str) -> list[Change]:
    """Compare two JSON documents and list the differences by path."""
    changes = _compare(json.loads(before), json.loads(after), ())
    return sorted(changes, key=lambda change: change.path)


def differences(before: Revision | None, after: Revision | None) -> list[Change]:
    """Compare two revisions; the fields of the limits stand under `/limits`, None is the empty revision."""
    configuration = diff(before.configuration if before else "{}", after.configuration if after else "{}")
    limits = diff(before.limits if before else "{}", after.limits if after else "{}")
    return configuration + [replace(change, path=f"/limits{change.path}") for change in limits]


def _compare(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            yield from _compare(before.get(name, _ABSENT), after.get(name, _ABSENT), (*path, name))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            yield from _compare(_item(before, index), _item(after, index), (*path, index))
    elif _text(before) != _text(after):
        yield Change(pointer(path), _text(before), _text(after))


def _item(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else _ABSENT


def _text(value: Any) -> str:
    return "" if value is _ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)


__all__ = ["Change", "diff", "differences"]
