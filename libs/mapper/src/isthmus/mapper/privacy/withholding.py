"""Takes secret fields out of records before they go anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isthmus.mapper.paths import EACH, Path, format_path, parse_path
from isthmus.mapper.privacy.classes import Classes, DataClass, Node, has_pattern


def without_secrets(
    classes: Classes, named: Sequence[str] | None
) -> tuple[tuple[str, ...], Callable[[Any], Any] | None]:
    """What takes secret fields out of records of a source, except those that a mapping names.

    Args:
        classes: Of the source's records.
        named: Paths that a mapping reads; None where there is no mapping.

    Returns:
        The paths that are taken out, and the function that does it and never changes the record itself;
        None where there is nothing to take out.
    """
    reads = [parse_path(path) for path in named or ()]
    # Only who names a secret itself, or something inside it, has thought of it.
    paths = [parse_path(text) for text in classes.paths(DataClass.SECRET)]
    if any(map(has_pattern, paths)):
        return tuple(map(format_path, paths)), lambda record: _kept(record, classes.root, (), reads)
    cut = [path for path in paths if path and not any(read[: len(path)] == path for read in reads)]
    if not cut:
        return (), None

    def leave_out(record: Any) -> Any:
        for path in cut:
            record = _without(record, path)
        return record

    return tuple(map(format_path, cut)), leave_out


def _kept(value: Any, node: Node, place: Path, reads: Sequence[Path]) -> Any:
    """What is left of a value, where classes are told by patterns and each name has to be looked at."""
    if isinstance(value, dict):
        left = {}
        for name, inner in value.items():
            at, inside = (*place, name), node.inside(name) or Node()
            if inside.own is not DataClass.SECRET:
                left[name] = _kept(inner, inside, at, reads)
            elif any(read[: len(at)] == at for read in reads):
                left[name] = inner
        return left
    if isinstance(value, list):
        at, inside = (*place, EACH), node.inside(0) or Node()
        if inside.own is DataClass.SECRET and not any(read[: len(at)] == at for read in reads):
            return []
        return [_kept(inner, inside, at, reads) for inner in value]
    return value


def _without(value: Any, path: Path) -> Any:
    part, rest = path[0], path[1:]
    if isinstance(part, str):
        if not isinstance(value, dict) or part not in value:
            return value
        if not rest:
            return {name: inner for name, inner in value.items() if name != part}
        return {**value, part: _without(value[part], rest)}
    if not isinstance(value, list):
        return value
    return [_without(inner, rest) for inner in value] if rest else []
