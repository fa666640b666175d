"""Which source paths a value is made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

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
    Rule,
    Slot,
    Source,
    Template,
    Value,
)
from isthmus.mapper.outcomes import Lineage
from isthmus.mapper.paths import EACH, RECORD, Path, format_path, into_record


def value_reads(value: Value, *, inner: bool = True) -> Iterator[Source]:
    """Everything a value reads, in reading order; `inner` includes what it reads in list elements.

    Inside elements a path that begins with `RECORD` leads into the record around them.
    """
    yield from _origin_reads(value, inner=inner)
    for step in value.steps:
        for path in step.record_reads:
            yield Source((RECORD, *path), lenient=True, needs_dictionary=True)


def _origin_reads(value: Value, *, inner: bool) -> Iterator[Source]:
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
                for read in _reads(block):
                    is_outer = into_record(read.path) is not None
                    yield read if is_outer else replace(read, path=(*path, EACH, *read.path))
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
    """Everything that a block reads of its record, whether from the record or from elements inside it."""
    for read in _reads(block):
        path = into_record(read.path)
        yield read if path is None else replace(read, path=path)


def reads_record(block: Block) -> bool:
    """Whether what makes objects of elements reads the record around them."""
    return any(into_record(read.path) is not None for read in _reads(block))


def condition_record_reads(condition: Condition) -> tuple[Path, ...]:
    """What a condition about elements reads of the record around them."""
    found = (into_record(read.path) for read in _condition_reads(condition))
    return tuple(dict.fromkeys(path for path in found if path is not None))


def located(inside: Path, path: Path) -> Path:
    """Where in the record a path leads that is read at a place inside it."""
    outer = into_record(path)
    return (*inside, *path) if outer is None else outer


def _reads(block: Block) -> Iterator[Source]:
    if block.where is not None:
        yield from _condition_reads(block.where)
    for field in block.fields:
        yield from field_reads(field)
    for rule in block.rules:
        # What else a rule reads is no record but the result.
        yield from (read for read in _condition_reads(rule.check) if into_record(read.path) is not None)


def rule_paths(rule: Rule) -> tuple[str, str]:
    """What a rule asks about, as text: of the result, and of the record."""
    reads = dict.fromkeys(read.path for read in _condition_reads(rule.check))
    asked = ((path, into_record(path)) for path in reads)
    made, given = [], []
    for path, inside in asked:
        if inside is None:
            made.append(format_path(path))
        else:
            given.append(format_path(inside))
    return ", ".join(made), ", ".join(given)


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
    return tuple(dict.fromkeys(format_path(read.path) for read in _origin_reads(value, inner=inner)))


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


def lineage_of(block: Block, inside: Path = ()) -> tuple[Lineage, ...]:
    """For each target field, what it is made from.

    Args:
        block: Makes the fields.
        inside: Where in a record it reads.
    """
    fields = tuple(
        Lineage(
            format_path(field.target),
            tuple(dict.fromkeys(format_path(located(inside, read.path)) for read in field_reads(field))),
            tells_time(field.value),
        )
        for field in block.fields
    )
    known = {line.target for line in fields}
    mended = {format_path(target): None for rule in block.rules for target, _ in rule.defaults}
    return (*fields, *(Lineage(target, ()) for target in mended if target not in known))
