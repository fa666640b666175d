"""Code that writes many records as lines of text, one loop for all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from isthmus.mapper.generation.blocks import Writer
from isthmus.mapper.generation.columns import lines_by_column
from isthmus.mapper.generation.forms import Form
from isthmus.mapper.generation.lines import METER, Lines
from isthmus.mapper.generation.made import is_clean
from isthmus.mapper.generation.values import TEXTS, Finish
from isthmus.mapper.model import (
    NOTHING,
    Block,
    Choose,
    Coalesce,
    Concat,
    Constant,
    Definition,
    Field,
    Items,
    Now,
    Source,
    Template,
    Value,
)
from isthmus.mapper.paths import Path
from isthmus.mapper.shapes import Shape
from isthmus.mapper.textlines import (
    ABSENT,
    BOOLEAN,
    DELIMITER,
    INTEGER,
    LEFT_OUT,
    STRING,
    LineSource,
    OddValueError,
    TextColumn,
    WriteMany,
)

_MOST_FORMS = 16
_UNKNOWN = "unknown"
_SMALL_INTEGER = "-4294967296 < v < 4294967296"
_KINDS = {str: STRING, int: INTEGER, bool: BOOLEAN}


def line_source(definition: Definition, shape: Shape, row: Callable[[Any, Any], Any]) -> LineSource | None:
    """What writes the mapped records as lines; `None` where lines cannot say exactly what is mapped.

    Args:
        definition: What to do; its targets are members of the record itself.
        shape: The places of the structs it gets.
        row: Maps one record to its values.
    """
    columns: list[TextColumn] = []
    unknown: set[int] = set()
    for place, field in enumerate(definition.block.fields):
        kind = _kind(field.value)
        if kind is None or (field.keep_null and field.when is not None) or _has_items(field.value):
            return None
        if kind == _UNKNOWN:
            unknown.add(place)
            kind = STRING
        columns.append(TextColumn(str(field.target[0]), kind, field.keep_null))

    @lru_cache(maxsize=_MOST_FORMS)
    def make(kinds: tuple[str, ...], key: frozenset[int]) -> WriteMany:
        return _generate(definition.block, shape, kinds, key)

    by_column = lines_by_column(definition.block, shape, lambda value: _may_read(value, ABSENT))
    return LineSource(tuple(columns), frozenset(unknown), make, row, by_column)


def _generate(block: Block, shape: Shape, kinds: tuple[str, ...], key: frozenset[int]) -> WriteMany:
    lines = Lines()
    lines.namespace["odd"] = OddValueError
    made = _Line(lines, block, kinds, key)
    form = Form(is_object=True, shape=shape)
    writer = Writer(lines)
    with lines.block("def transform(w, rs, t):"):
        made.begin()
        with lines.block("for r in rs:"):
            lines.add("m = e = None")
            _filter(writer, block, form)
            for field in block.fields:
                writer.field(field, made, form=form)
            with lines.block("if e is not None:"):
                lines.add("refuse(e)", "continue")
            lines.add(f"made.append({made.result()})")
        lines.add(f"return {made.met()}")
    write: WriteMany = lines.function_named("transform")
    return write


def _filter(writer: Writer, block: Block, form: Form) -> None:
    if block.where is None:
        return
    lines = writer.lines
    with lines.block("try:"), lines.block(f"if not {writer.values.condition(block.where, form=form)}:"):
        lines.add("skip()", "continue")
    with lines.block("except Problem as x:"):
        lines.add("refuse(rejected_by_filter(x).errors)", "continue")


class _Line:
    """A line to be made: its values wait in local names until all are known to be good."""

    def __init__(self, lines: Lines, block: Block, kinds: tuple[str, ...], key: frozenset[int]) -> None:
        self.lines = lines
        self.kinds = kinds
        self.key = key
        self.absent_text = lines.bind(ABSENT)
        self.places = {field.target: place for place, field in enumerate(block.fields)}
        self.told = [field.keep_null or (field.required and field.when is None) for field in block.fields]

    def begin(self) -> None:
        """Adds what happens once."""
        self.lines.add("made, skip, refuse, mark = w.lines, w.skip, w.refuse, w.mark")
        for place, told in enumerate(self.told):
            self.lines.add(f"s{place} = {told}")

    def slot(self, target: Path) -> str:
        """The local name of a value as text."""
        return f"o{self.places[target]}"

    def absent(self, target: Path) -> str | None:
        """What leaves a value out."""
        place = self.places[target]
        if place in self.key:
            return f"raise odd({place}, None)"
        return f"o{place} = {self.absent_text}" if self.kinds[place] != LEFT_OUT else None

    def store(self, field: Field, slot: str, info: str, *, form: Form) -> Finish:
        """What prepares a value for the line."""
        del form
        return _Print(self, field, slot, info)

    def result(self) -> str:
        """The expression of the line."""
        values = [f"o{place}, " for place, kind in enumerate(self.kinds) if kind != LEFT_OUT]
        return f"{self.lines.bind(DELIMITER.join, 'join')}(({''.join(values)}))"

    def met(self) -> str:
        """The expression that tells of each column whether a value was met."""
        return "(" + "".join(f"s{place}, " for place in range(len(self.kinds))) + ")"


class _Print:
    """Leaves a value as what a line shows of it, after a look at what may be unusual about it."""

    def __init__(self, line: _Line, field: Field, slot: str, info: str) -> None:
        self.line = line
        self.field = field
        self.slot = slot
        self.info = info
        self.place = line.places[field.target]

    def found(self, *, is_text: bool) -> None:
        """Adds lines for a value."""
        lines, place, kind = self.line.lines, self.place, self.line.kinds[self.place]
        odd = f"raise odd({place}, v)"
        is_sure = _kind(self.field.value) == kind
        code = "v"
        if kind == LEFT_OUT:
            lines.add(odd)
            return
        if kind == STRING:
            if not (is_text or is_sure):
                lines.add(f"if v.__class__ is not text: {odd}")
            if place in self.line.key:
                lines.add(f"if not v: {odd}")
            if _may_read(self.field.value, ABSENT):
                lines.add(f"if v == {self.line.absent_text}: mark()")
        elif kind == INTEGER:
            if not is_sure:
                lines.add(f"if v.__class__ is not integer: {odd}")
            code = "text(v)"
            if not (is_sure and is_clean(self.field.value)):
                code = f"text(v if {_SMALL_INTEGER} else clean(v, {METER}))"
        else:
            if not is_sure or place in self.line.key:
                lines.add(f"if v.__class__ is not boolean{' or True' * (place in self.line.key)}: {odd}")
            yes, no = (lines.bind(str(word)) for word in (True, False))
            code = f"{yes} if v else {no}"
        lines.add(f"{self.slot} = {code}")
        if not self.line.told[place]:
            lines.add(f"s{place} = True")

    def usual(self, test: str) -> None:
        """Adds lines for a value that is never null, which may be unusual for a line in other ways."""
        del test
        self.found(is_text=False)

    def missing(self) -> None:
        """Adds what null means for the column."""
        if self.field.required:
            self.line.lines.add(f"else: e = missing(e, {self.info})")
            return
        absent = self.line.absent(self.field.target)
        if absent is not None:
            self.line.lines.add(f"else: {absent}")


def _kind(value: Value) -> str | None:
    """What a value gives, as far as that is known beforehand; `None` for what lines cannot say."""
    kind = _kind_of_last(value)
    if value.default is NOTHING or value.default is None or kind is None:
        return kind
    other = _KINDS.get(type(value.default))
    return kind if other == kind or (kind == _UNKNOWN and other is not None) else None


def _kind_of_last(value: Value) -> str | None:
    if value.steps:
        last = value.steps[-1]
        if last.returns == "any":
            return _UNKNOWN if last.outcomes is None else _kind_of_all(last.outcomes)
        return STRING if last.returns in TEXTS else last.returns if last.returns in _KINDS.values() else None
    match value.origin:
        case Source() | Coalesce() | Choose():
            return _UNKNOWN
        case Now() | Template() | Concat():
            return STRING
        case Constant(value=constant):
            return _kind_of_all((constant,))
        case _:
            return None


def _kind_of_all(outcomes: tuple[Any, ...]) -> str | None:
    kinds = {_KINDS.get(type(one)) for one in outcomes if one is not None}
    return kinds.pop() if len(kinds) == 1 else _UNKNOWN if not kinds else None


def _has_items(value: Value) -> bool:
    """Whether a list of objects is made on the way, which is charged to the record."""
    match value.origin:
        case Items():
            return True
        case Concat(values=values) | Coalesce(values=values):
            return any(map(_has_items, values))
        case Choose(cases=cases, otherwise=otherwise):
            parts = [part for _, part in cases] + ([otherwise] if otherwise is not None else [])
            return any(map(_has_items, parts))
        case _:
            return False


def _may_read(value: Value, word: str) -> bool:
    """Whether a text that comes of a value may be a certain word."""
    if value.default == word:
        return True
    if value.steps:
        last = value.steps[-1]
        if last.outcomes is not None:
            return word in last.outcomes
        return last.returns not in {"timestamp", "date"}
    match value.origin:
        case Now():
            return False
        case Template(parts=parts):
            return all(part in word for part in parts if isinstance(part, str))
        case _:
            return True


__all__ = ["line_source"]
