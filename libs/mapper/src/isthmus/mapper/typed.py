"""From a definition to a plan for structs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from isthmus.mapper.columnar import LinesByColumn, RowsByColumn
from isthmus.mapper.generation import generate
from isthmus.mapper.generation.texts import line_source
from isthmus.mapper.lineage import block_reads, expressions_of
from isthmus.mapper.model import Definition
from isthmus.mapper.plan import Batches, MapMany, TypedPlan
from isthmus.mapper.ruling import NOTED
from isthmus.mapper.shapes import Shape, shape_of
from msgspec.structs import astuple


def typed_plan(definition: Definition, extra_paths: tuple[str, ...]) -> TypedPlan | None:
    """The plan for records decoded into structs; `None` where no struct can stand for the record."""
    if (
        definition.split is not None
        or definition.block.keep_unmapped
        or any(rule.consequence in NOTED for rule in definition.block.rules)
    ):
        return None
    expressions = tuple(expressions_of(definition.block))
    asked = [source for expression in expressions for source in expression.reads]
    reads = tuple(block_reads(definition.block))
    if any(read.needs_dictionary for read in reads):
        return None
    shape = shape_of(reads, extra_paths, asked)
    if shape is None:
        return None
    try:
        record_type = shape.struct()
    except ValueError:
        # Quotes, backslashes and control characters cannot stand in the name of a struct's field.
        return None
    transform = generate(definition, shape)
    row_shape = _row_shape(definition)
    row_type: type[msgspec.Struct] | None = None
    row_transform = transform
    if row_shape is not None:
        row_type = row_shape.struct("Row")
        row_transform = generate(definition, shape, row_type)
    lines = by_column = None
    if (
        row_type is not None
        and not expressions
        and all(len(field.target) == 1 for field in definition.block.fields)
    ):
        # Values of a row follow one another as the fields do.
        row: Callable[[Any, datetime], Any] = row_transform
        lines = line_source(definition, shape, lambda record, now: astuple(row(record, now)))
        if lines is not None and isinstance(lines.by_column, LinesByColumn):
            by_column = RowsByColumn(lines.by_column, row_type)
    getters = {path: shape.getter(path) for path in extra_paths}
    return TypedPlan(
        record_type,
        getters,
        transform,
        row_transform,
        row_shape,
        lines,
        by_column,
        batches_of(definition, shape),
        batches_of(definition, shape, row_type),
    )


def batches_of(
    definition: Definition, shape: Shape | None = None, row_type: type[msgspec.Struct] | None = None
) -> Batches:
    """The way for many records of a mapping with expressions; others have ways of their own.

    Results that rules ask about are made one by one.
    """
    if definition.split is not None or definition.block.rules or not any(expressions_of(definition.block)):
        return Batches()

    def make() -> MapMany | None:
        from isthmus.mapper.generation.batches import generate_batch

        return generate_batch(definition, shape, row_type)

    return Batches(make)


def _row_shape(definition: Definition) -> Shape | None:
    """The shape of what is mapped; `None` where that has to be a dictionary."""
    if definition.validate or definition.block.rules:
        return None
    shape = Shape()
    for field in definition.block.fields:
        place = shape.member(str(field.target[0]))
        place.is_whole = place.tells_missing = True
    try:
        shape.struct()
    except ValueError:
        return None
    return shape
