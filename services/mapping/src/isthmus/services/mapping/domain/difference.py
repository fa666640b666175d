"""What changed between two definitions, told by target field rather than by position."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One change: at a JSON pointer, from one JSON text to another; an empty text means absent."""

    path: str
    target: str
    before: str
    after: str


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    """Compare two definitions.

    Field mappings are matched by their target, so that inserting one does not change all behind it.
    """
    found: list[Difference] = []
    for name in ("source_schema", "target_schema", "transformations"):
        _compare(f"/{name}", before.get(name), after.get(name), found)
    old, new = _by_target(before), _by_target(after)
    for target, (index, field) in new.items():
        _note(f"/field_mappings/{index}", target, old.get(target, (0, None))[1], field, found)
    for target, (index, field) in old.items():
        if target not in new:
            _note(f"/field_mappings/{index}", target, field, None, found)
    return found


def _by_target(definition: dict[str, Any]) -> dict[str, tuple[int, Any]]:
    """Field mappings with their positions; those of a draft need not have a target, nor be objects."""
    fields = definition["field_mappings"]
    return {
        str(field["target"] if isinstance(field, dict) and "target" in field else f"[{index}]"): (
            index,
            field,
        )
        for index, field in enumerate(fields if isinstance(fields, list) else [fields])
    }


def _compare(path: str, before: Any, after: Any, found: list[Difference]) -> None:
    """Go down while both are objects, so that one table entry shows as one change."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            escaped = name.replace("~", "~0").replace("/", "~1")
            _compare(f"{path}/{escaped}", before.get(name), after.get(name), found)
    else:
        _note(path, "", before, after, found)


def _note(path: str, target: str, before: Any, after: Any, found: list[Difference]) -> None:
    old, new = _text(before), _text(after)
    if old != new:
        found.append(Difference(path, target, old, new))


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False)


__all__ = ["Difference", "differences"]
