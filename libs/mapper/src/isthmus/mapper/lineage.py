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
    Expression,
    Field,
    Items,
    Negated,
    Now,
    Origin,
    Slot,
    Source,
    Template,
    Value,
)
from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.mapper.plan import Lineage


def value_reads(value: Value, *, inner: bool = True) -> Iterator[Source]:
    """Everything a value reads, in reading order; `inner` includes what it reads in list elements."""
    match value.origin:
        case Source():
            yield value.origin
        case Expression():
            yield from value.origin.reads
        case Template(parts=parts):
            yield from (Source(part.path) for part in parts if isinstance(part, Slot))
        case Concat(values=values) | Coalesce(values=values):
            for part in values:
                yield from value_reads(part)
        case Choose(cases=cases, otherwise=otherwise):
            for condition, part in cases:
                yield from _condition_reads(condition)
                yield from value_reads(part)
            if otherwise is not None:
                yield from value_reads(otherwise)
        case Items(path=path, block=block):
            yield Source(path)
            if inner:
                yield from (Source((*path, EACH, *read.path), read.lenient) for read in block_reads(block))
        case _:
            pass


def _condition_reads(condition: Condition) -> Iterator[Source]:
    if isinstance(condition, Negated):
        yield from _condition_reads(condition.condition)
    elif isinstance(condition, Combined):
        for part in condition.conditions:
            yield from _condition_reads(part)
    elif isinstance(condition, Expression):
        yield from condition.reads
    else:
        yield from value_reads(condition.value)


def field_reads(field: Field) -> Iterator[Source]:
    """Everything a field reads, its condition included."""
    yield from value_reads(field.value)
    if field.when is not None:
        yield from _condition_reads(field.when)


def block_reads(block: Block) -> Iterator[Source]:
    """Everything a block reads."""
    if block.where is not None:
        yield from _condition_reads(block.where)
    for field in block.fields:
        yield from field_reads(field)


def block_paths(block: Block) -> Iterator[Path]:
    """Every path a block reads."""
    return (read.path for read in block_reads(block))


def expressions_of(block: Block) -> Iterator[Expression]:
    """The expressions in a block that read its record, those in the elements of its lists left out."""
    if block.where is not None:
        yield from _condition_expressions(block.where)
    for field in block.fields:
        if field.when is not None:
            yield from _condition_expressions(field.when)
        yield from _value_expressions(field.value)


def _value_expressions(value: Value) -> Iterator[Expression]:
    match value.origin:
        case Expression():
            yield value.origin
        case Concat(values=values) | Coalesce(values=values):
            for part in values:
                yield from _value_expressions(part)
        case Choose(cases=cases, otherwise=otherwise):
            for condition, part in cases:
                yield from _condition_expressions(condition)
                yield from _value_expressions(part)
            if otherwise is not None:
                yield from _value_expressions(otherwise)


def _condition_expressions(condition: Condition) -> Iterator[Expression]:
    if isinstance(condition, Expression):
        yield condition
    elif isinstance(condition, Negated):
        yield from _condition_expressions(condition.condition)
    elif isinstance(condition, Combined):
        for part in condition.conditions:
            yield from _condition_expressions(part)


def sources_of(value: Value, *, inner: bool = True) -> tuple[str, ...]:
    """The paths of a value as text, each once."""
    return tuple(dict.fromkeys(format_path(read.path) for read in value_reads(value, inner=inner)))


def tells_time(value: Value) -> bool:
    """Whether a value is the evaluation time or reckoned from it, so that it is another one every time.

    A verdict, or anything else with few outcomes, is not: it changes when what it judges has changed.
    """
    tells = _origin_tells_time(value.origin)
    for step in value.steps:
        if step.outcomes is not None or step.returns == "boolean":
            tells = False
        elif step.needs_now and step.returns != "array":
            tells = True
    return tells


def _origin_tells_time(origin: Origin) -> bool:
    match origin:
        case Now():
            return True
        case Expression(body=body):
            return body.tells_time
        case Concat(values=values) | Coalesce(values=values):
            return any(map(tells_time, values))
        case Choose(cases=cases, otherwise=otherwise):
            results = [part for _, part in cases] + ([otherwise] if otherwise is not None else [])
            return any(map(tells_time, results))
        case Items(block=block):
            return any(tells_time(field.value) for field in block.fields)
    return False


def lineage_of(block: Block) -> tuple[Lineage, ...]:
    """For each target field, what it is made from."""
    return tuple(
        Lineage(
            format_path(field.target),
            tuple(dict.fromkeys(format_path(read.path) for read in field_reads(field))),
            tells_time(field.value),
        )
        for field in block.fields
    )
