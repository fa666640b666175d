"""What maps many records field by field; see `isthmus.mapper.columnar`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any

from isthmus.mapper.casts import bounded
from isthmus.mapper.columnar import Column, ColumnField, Columns, LinesByColumn, Read, ReadPlaces, Work
from isthmus.mapper.columnar import steps as works
from isthmus.mapper.generation.blocks import Writer
from isthmus.mapper.generation.forms import Form
from isthmus.mapper.generation.lines import Lines
from isthmus.mapper.generation.values import is_usual_timestamp
from isthmus.mapper.model import (
    NOTHING,
    Block,
    Condition,
    Constant,
    Now,
    Slot,
    Source,
    Step,
    Template,
    Value,
)
from isthmus.mapper.paths import lenient, reader
from isthmus.mapper.runtime import moment_text
from isthmus.mapper.shapes import Shape
from isthmus.mapper.tables import Table
from isthmus.mapper.values import text_of

_QUICK: dict[str, works.Quick] = {"trim": works.trimmed, "lower": works.lower, "upper": works.upper}
_QUICK_CASTS: dict[str, works.Quick] = {
    "string": works.texts,
    "integer": works.integers,
    "boolean": works.booleans,
}


def lines_by_column(block: Block, shape: Shape, may_be_word: Callable[[Value], bool]) -> LinesByColumn:
    """What writes the records of a mapping as lines, as long as none of them is unusual.

    Args:
        block: What to do; its targets are members of the record itself.
        shape: The places of the structs it gets.
        may_be_word: Whether a text that comes of a value may be the word that stands for absent ones.
    """
    places = _Places(shape)
    fields = [
        ColumnField(
            _read(field.value, places) if field.when is None else _by_record(field.value, shape, field.when),
            field.required,
            field.keep_null,
            may_be_word(field.value),
        )
        for field in block.fields
    ]
    keep = None if block.where is None else _kept(block.where, shape)
    return LinesByColumn(fields, places.read(), keep)


class _Places:
    """The places of structs that are read as columns, each once."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._numbers: dict[tuple[str, ...], int] = {}

    def number(self, way: tuple[str, ...]) -> int:
        """Which of the columns holds a place; the struct around it has one as well."""
        if len(way) > 1:
            self.number(way[:-1])
        return self._numbers.setdefault(way, len(self._numbers))

    def read(self) -> ReadPlaces:
        """What reads all of them."""
        lines = Lines()
        with lines.block("def places(rs):"):
            for (*outer, name), number in self._numbers.items():
                code = f"r.{name} for r in rs"
                if outer:
                    code = f"None if r is None else r.{name} for r in c{self._numbers[tuple(outer)]}"
                lines.add(f"c{number} = [{code}]")
            lines.add("return (" + "".join(f"c{number}, " for number in self._numbers.values()) + ")")
        read: ReadPlaces = lines.function_named("places")
        return read


def _read(value: Value, places: _Places) -> Read:
    """What gives the values of a field."""
    match value.origin:
        case Source():
            read = _source(value.origin, places)
        case Constant(value=constant) if not isinstance(constant, dict | list):
            read = _repeated(lambda _now: constant)
        case Now():
            read = _repeated(moment_text)
        case Template():
            read = _template(value.origin, places, has_steps=bool(value.steps))
        case _:
            return _by_record(value, places.shape)
    for step in value.steps:
        read = _then(read, _work(step))
    return read if value.default is NOTHING else _then(read, _filled(value.default))


def _then(read: Read, work: Work) -> Read:
    return lambda page, now: work(read(page, now), now)


def _repeated(give: Callable[[datetime], Any]) -> Read:
    return lambda page, now: [give(now)] * len(page.records)


def _filled(default: Any) -> Work:
    return works.nulls_too(lambda value: default if value is None else value)


def _source(source: Source, places: _Places) -> Read:
    attributes, rest = places.shape.walk(source.path)
    place = places.number(tuple(attributes))
    if not rest:
        return lambda page, _now: page.places[place]
    inner = lenient(reader(rest)) if source.lenient else reader(rest)
    return lambda page, _now: [inner(value) for value in page.places[place]]


def _template(template: Template, places: _Places, *, has_steps: bool) -> Read:
    """What writes the texts of a template."""
    parts = [
        (_source(Source(part.path), places), part.optional) if isinstance(part, Slot) else part
        for part in template.parts
    ]
    if not any(isinstance(part, Slot) for part in template.parts):
        whole = "".join(part for part in template.parts if isinstance(part, str))
        return _repeated(lambda _now: whole)

    def read(page: Columns, now: datetime) -> Column:
        pieces: list[Any] = []
        empty: list[Any] = []
        for part in parts:
            pieces.append(repeat(part) if isinstance(part, str) else part[0](page, now))
            empty.append("" if isinstance(part, str) or part[1] else None)
        try:
            made: Sequence[Any] = list(map("".join, zip(*pieces, strict=False)))
            return works.in_bounds(made) if has_steps else made
        except (TypeError, ValueError):
            rows = (list(map(_text, row, empty)) for row in zip(*pieces, strict=False))
            made = [None if None in row else "".join(filter(None, row)) for row in rows]
        return [None if one is None else bounded(one) for one in made] if has_steps else made

    return read


def _text(value: Any, empty: str | None) -> str | None:
    """The text of a placeholder's value."""
    return value if value.__class__ is str else empty if value is None else text_of(value)


def _work(step: Step) -> Work:
    """What a step does to a column."""
    if step.takes_null:
        return works.nulls_too_at_time(step.call) if step.needs_now else works.nulls_too(step.call)
    if step.needs_now:
        return works.each_at_time(step.call)
    quick = _quick(step)
    return works.each(step.call) if quick is None else works.quickly(quick, step.call)


def _quick(step: Step) -> works.Quick | None:
    """What does the step for usual values; `None` where nothing is quicker than the step itself."""
    if is_usual_timestamp(step):
        return works.moments
    if step.name == "cast":
        return _QUICK_CASTS.get(step.returns) if step.fast else None
    if isinstance(step.argument, Table):
        return None if step.argument.ignore_case else works.looked_up(step.argument.entries)
    if step.name == "join" and isinstance(step.argument, str):
        return works.joined(step.argument)
    return _QUICK.get(step.name) if step.argument is None else None


def _by_record(value: Value, shape: Shape, when: Condition | None = None) -> Read:
    """What gives the values of a field, computed one by one."""
    lines = Lines()
    writer, form = Writer(lines).values, Form(is_object=True, shape=shape)
    with lines.block("def column(rs, t):"):
        code = writer.expression(value, form=form)
        if when is not None:
            code = f"({code}) if {writer.condition(when, form=form)} else None"
        lines.add("m = None", f"return [{code} for r in rs]")
    column = lines.function_named("column")
    return lambda page, now: column(page.records, now)


def _kept(where: Condition, shape: Shape) -> Callable[[Sequence[Any], datetime], list[bool]]:
    """What tells which records pass a filter."""
    lines = Lines()
    form = Form(is_object=True, shape=shape)
    with lines.block("def kept(rs, t):"):
        condition = Writer(lines).values.condition(where, form=form)
        lines.add("m = None", f"return [True if {condition} else False for r in rs]")
    kept: Callable[[Sequence[Any], datetime], list[bool]] = lines.function_named("kept")
    return kept


__all__ = ["lines_by_column"]
