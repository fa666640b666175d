"""Which source paths a value is made from."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.mapper.model import (
    Block,
    Choose,
    Coalesce,
    Combined,
    Concat,
    Condition,
    Field,
    Items,
    Negated,
    Slot,
    Source,
    Template,
    Value,
)
from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.mapper.plan import Lineage


def paths_of(value: Value, *, inner: bool = True) -> Iterator[Path]:
    """Every path a value reads, in reading order; `inner` includes those inside list elements."""
    match value.origin:
        case Source(path=path):
            yield path
        case Template(parts=parts):
            yield from (part.path for part in parts if isinstance(part, Slot))
        case Concat(values=values) | Coalesce(values=values):
            for part in values:
                yield from paths_of(part)
        case Choose(cases=cases, otherwise=otherwise):
            for condition, part in cases:
                yield from condition_paths(condition)
                yield from paths_of(part)
            if otherwise is not None:
                yield from paths_of(otherwise)
        case Items(path=path, block=block):
            yield path
            if inner:
                yield from ((*path, EACH, *rest) for rest in block_paths(block))
        case _:
            pass


def condition_paths(condition: Condition) -> Iterator[Path]:
    """Every path a condition reads."""
    if isinstance(condition, Negated):
        yield from condition_paths(condition.condition)
    elif isinstance(condition, Combined):
        for part in condition.conditions:
            yield from condition_paths(part)
    else:
        yield from paths_of(condition.value)


def field_paths(field: Field) -> Iterator[Path]:
    """Every path a field reads, its `when` included."""
    yield from paths_of(field.value)
    if field.when is not None:
        yield from condition_paths(field.when)


def block_paths(block: Block) -> Iterator[Path]:
    """Every path a block reads."""
    if block.where is not None:
        yield from condition_paths(block.where)
    for field in block.fields:
        yield from field_paths(field)


def sources_of(value: Value, *, inner: bool = True) -> tuple[str, ...]:
    """The paths of a value as text, each once."""
    return tuple(dict.fromkeys(format_path(path) for path in paths_of(value, inner=inner)))


def lineage_of(block: Block) -> tuple[Lineage, ...]:
    """For each target field, what it is made from."""
    return tuple(
        Lineage(
            format_path(field.target), tuple(dict.fromkeys(format_path(path) for path in field_paths(field)))
        )
        for field in block.fields
    )
