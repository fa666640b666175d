"""There, back, and there again: whether samples arrive where they came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from isthmus.mapper.compiler import compile_mapping
from isthmus.mapper.errors import RecordRejected
from isthmus.mapper.inversion.deriving import Inverse
from isthmus.mapper.paths import EACH, parse_path
from isthmus.mapper.times import moment_at
from isthmus.mapper.values import same


class Verdict(Enum):
    """What became of a sample."""

    SAME = "same"
    RESPELLED = "respelled"
    DIFFERENT = "different"
    NOT_MAPPED = "not_mapped"


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One sample's way there and back.

    Attributes:
        verdict: `SAME` where every covered field came back as it was, `RESPELLED` where one is written
            otherwise but maps to the same, `DIFFERENT` where what is mapped again differs.
        paths: The source fields that came back otherwise, or the target fields that differ.
        message: Why a sample was not mapped, or not back.
    """

    verdict: Verdict
    paths: tuple[str, ...] = ()
    message: str = ""


def round_trips(
    definition: Mapping[str, Any],
    inverse: Inverse,
    samples: Iterable[dict[str, Any]],
    now: datetime | None = None,
) -> list[RoundTrip]:
    """Takes samples there, back and there again, all at one evaluation time."""
    if inverse.definition is None:
        return []
    there, back, moment = compile_mapping(definition), compile_mapping(inverse.definition), moment_at(now)
    covered = _leaves(inverse.definition["field_mappings"])
    lost = {loss.target for loss in inverse.losses if loss.matters}
    targets = [path for path in _leaves(definition["field_mappings"]) if path not in lost]
    found = []
    for sample in samples:
        try:
            mapped = there.apply(sample, now=moment)
            if mapped is None:
                found.append(RoundTrip(Verdict.NOT_MAPPED, message="The filter leaves it out."))
                continue
            returned = back.apply(mapped, now=moment)
            again = there.apply(returned, now=moment)
        except RecordRejected as rejected:
            found.append(RoundTrip(Verdict.NOT_MAPPED, message=str(rejected)))
            continue
        differ = tuple(path for path in targets if not same(_at(mapped, path), _at(again, path)))
        if differ:
            found.append(RoundTrip(Verdict.DIFFERENT, differ))
            continue
        other = tuple(path for path in covered if not same(_at(sample, path), _at(returned, path)))
        found.append(RoundTrip(Verdict.RESPELLED if other else Verdict.SAME, other))
    return found


def _leaves(fields: Iterable[Mapping[str, Any]], where: str = "") -> list[str]:
    """The targets of field mappings, those of the elements of lists in the place of the lists."""
    found: list[str] = []
    for field in fields:
        target = where + field["target"]
        if "items" in field:
            found += _leaves(field["items"]["field_mappings"], f"{target}[*].")
        else:
            found.append(target)
    return found


def _at(record: Any, path: str) -> Any:
    """What stands at a path; missing is null, and in the elements of a list a list of what stands there."""
    return _inside(record, parse_path(path))


def _inside(value: Any, path: tuple[Any, ...]) -> Any:
    for place, segment in enumerate(path):
        if segment is EACH:
            return [_inside(item, path[place + 1 :]) for item in value] if isinstance(value, list) else None
        if isinstance(value, dict):
            value = value.get(segment)
        elif isinstance(value, list) and isinstance(segment, int) and segment < len(value):
            value = value[segment]
        else:
            return None
    return value


__all__ = ["RoundTrip", "Verdict", "round_trips"]
