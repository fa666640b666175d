"""Code that computes a value into `v`."""

from __future__ import annotations

import copy
from typing import Protocol

from isthmus.mapper.generation.forms import Form
from isthmus.mapper.generation.lines import METER, Lines
from isthmus.mapper.limits import MAX_TEXT, SHORT_TEXT, SMALL_TEXT
from isthmus.mapper.lineage import sources_of
from isthmus.mapper.model import (
    NOTHING,
    Block,
    Choose,
    Coalesce,
    Combined,
    Concat,
    Condition,
    Constant,
    Expression,
    Items,
    Negated,
    Now,
    Slot,
    Source,
    Step,
    Template,
    Value,
)
from isthmus.mapper.paths import lenient, reader
from isthmus.mapper.reading.conditions import predicate, test_in_record
from isthmus.mapper.tables import Table
from isthmus.mapper.times import KNOWS_24_HOURS

_FAST = {
    "lower": f"v.lower() if v.__class__ is text and size(v) < {SMALL_TEXT} else {{call}}(v)",
    "upper": f"v.upper() if v.__class__ is text and size(v) < {SMALL_TEXT} else {{call}}(v)",
    "cast string": "v if v.__class__ is text else {call}(v)",
    "trim": "v.strip() if v.__class__ is text else {call}(v)",
    "cast boolean": "v if v.__class__ is boolean else {call}(v)",
    "cast integer": "v if v.__class__ is integer and -4294967296 < v < 4294967296 else integer(v)"
    " if v.__class__ is text and size(v) < 19 and v.isdigit() and v.isascii() else {call}(v)",
    "cast number": "v if (v.__class__ is integer or v.__class__ is number)"
    " and -4294967296 < v < 4294967296 else {call}(v)",
}
"""Steps whose usual case is shorter than a call; the call remains for everything unusual."""


_IS_FINITE = "-1e300 < v < 1e300"
_IS_SHORT = f"size(v) <= {SHORT_TEXT}"
_IS_UNICODE = f"{_IS_SHORT} and (v.isascii() or is_unicode(v))"
_MARKS = slice(7, 20, 3)
TEXTS = frozenset({"string", "timestamp", "date"})


class Finish(Protocol):
    """What becomes of a value once it is computed."""

    def found(self, *, is_text: bool) -> None:
        """Adds lines for a value that is not null; `is_text` where it is known to be text."""

    def missing(self) -> None:
        """Adds an `else:` for null, if any."""

    def usual(self, test: str) -> None:
        """Adds lines for a value that is never null, and storable as it is where the test holds."""


class BlockWriter(Protocol):
    """Writes the function of a block nested in a value."""

    def nested(self, block: Block, form: Form) -> str:
        """The function that makes one object from one element of a list inside what the form tells of."""


class ValueWriter:
    """Writes values; `block_writer` is asked for the function of a nested block."""

    def __init__(self, lines: Lines, block_writer: BlockWriter) -> None:
        self.lines = lines
        self.block_writer = block_writer

    def write(self, value: Value, finish: Finish | None = None, *, form: Form) -> None:
        """Adds lines that leave the value in `v` and then finish it.

        Args:
            value: What to compute.
            finish: Adds the lines that use the value; `None` where the caller does.
            form: What the record `r` is known to be.
        """
        if isinstance(value.origin, Expression) and not value.steps and value.default is NOTHING:
            self._expression(value.origin, finish, form=form)
            return
        is_text = self._origin(value, form=form)
        segments = _segments(value.steps)
        for segment in segments[:-1]:
            self._segment(segment, form)
        last = segments[-1] if segments else ()
        if value.steps:
            is_text = value.steps[-1].returns in TEXTS and not value.steps[-1].nullable
        if value.default is not NOTHING or not last or last[0].takes_null:
            self._segment(last, form)
            if value.default is not NOTHING:
                self.lines.add(f"if v is None: v = {self._constant(value.default)}")
                is_text = is_text and isinstance(value.default, str)
            if finish is not None and value.default not in (NOTHING, None):
                finish.found(is_text=is_text)
                return
            if finish is not None:
                with self.lines.block("if v is not None:"):
                    finish.found(is_text=is_text)
        else:
            with self.lines.block("if v is not None:"):
                self._calls(last, form)
                if finish is not None and not last[-1].nullable:
                    finish.found(is_text=is_text)
            if finish is not None and last[-1].nullable:
                with self.lines.block("if v is not None:"):
                    finish.found(is_text=is_text)
        if finish is not None:
            finish.missing()

    def _expression(self, expression: Expression, finish: Finish | None, *, form: Form) -> None:
        """Adds lines for an expression whose value is stored as it is."""
        from isthmus.mapper.generation.expressions import write_value

        code = write_value(self.lines, expression, form)
        if finish is None:
            return
        if code.kind in {"bool", "int"} or (code.kind == "string" and 0 < code.bound <= SMALL_TEXT):
            finish.usual("")
        elif code.kind == "string":
            finish.usual(_IS_SHORT if form.is_decoded else _IS_UNICODE)
        elif code.kind == "double":
            finish.usual(_IS_FINITE)
        else:
            with self.lines.block("if v is not None:"):
                finish.found(is_text=False)
            finish.missing()

    def _segment(self, steps: tuple[Step, ...], form: Form) -> None:
        if not steps:
            return
        if steps[0].takes_null:
            self._calls(steps, form)
            return
        with self.lines.block("if v is not None:"):
            self._calls(steps, form)

    def _calls(self, steps: tuple[Step, ...], form: Form) -> None:
        for step in steps:
            call = self.lines.bind(step.call, "f")
            if is_usual_timestamp(step):
                self._timestamp(call)
                continue
            if step.record_reads:
                code = f"{call}(v, t, {form.whole.name})"
            elif step.needs_now:
                code = f"{call}(v, t)"
            elif isinstance(step.argument, Table) and not step.argument.ignore_case:
                entries = self.lines.bind(step.argument.entries, "d")
                code = f"{entries}[v] if v.__class__ is text and v in {entries} else {call}(v)"
            else:
                code = _FAST.get(_fast_name(step), "{call}(v)").format(call=call)
            self.lines.add(f"v = {code}")

    def _timestamp(self, call: str) -> None:
        """Adds lines that check the two usual spellings in place; all others take the call."""
        lines = self.lines
        spaced, final = lines.bind("- ::"), lines.bind("-T::Z")
        zone, gap, mark = lines.bind("Z"), lines.bind(" "), lines.bind("T")
        # The separators of a time to the second, and what follows the seconds; see `timestamp_text`.
        lines.add(f"z = v[{lines.bind(_MARKS)}] if v.__class__ is text else None")
        for sign, code in (
            (spaced, f"read_iso(v); v = v.replace({gap}, {mark}) + {zone}"),
            (final, "read_iso(v)"),
        ):
            with lines.block(f"{'if' if sign == spaced else 'elif'} z == {sign}:"):
                lines.add(f"try: {code}", f"except Wrong: v = {call}(v)")
        lines.add(f"else: v = {call}(v)")

    def _constant(self, constant: object) -> str:
        if isinstance(constant, dict | list):
            # Every record gets its own copy, for whoever takes the record may change it.
            return self.lines.bind(lambda: copy.deepcopy(constant), "c") + "()"
        return "None" if constant is None else self.lines.bind(constant)

    def _origin(self, value: Value, *, form: Form) -> bool:
        """Adds lines that leave the origin's value in `v`; tells whether that is text unless it is null."""
        origin, lines = value.origin, self.lines
        match origin:
            case Source():
                self.read(origin, "v", form=form)
            case Constant():
                lines.add(f"v = {self._constant(origin.value)}")
            case Now():
                lines.add("v = moment_text(t)")
            case Template():
                self._template(origin, form=form, has_steps=bool(value.steps))
            case Concat():
                parts = "".join(f"{self.expression(part, form=form)}, " for part in origin.values)
                lines.add(f"v = concat(({parts}), {lines.bind(origin.separator)})")
            case Coalesce():
                for index, part in enumerate(origin.values):
                    code = f"v = {self.expression(part, form=form)}"
                    lines.add(code if index == 0 else f"if v is None: {code}")
            case Choose():
                self._choose(origin, form=form)
            case Items():
                self.read(Source(origin.path), "v", form=form)
                block = self.block_writer.nested(origin.block, form)
                lines.add(f"v = items(v, {block}, t, {METER})")
            case Expression():
                from isthmus.mapper.generation.expressions import write_value

                return write_value(lines, origin, form).kind == "string"
        return isinstance(origin, Template | Concat | Now)

    def read(self, source: Source, name: str, *, form: Form) -> None:
        """Adds lines that read a path of the record into a local name."""
        lines, begun = self.lines, False
        form, path = form.located(source.path)
        whole, here = path, form.name
        if form.shape is not None:
            attributes, path = form.shape.walk(path)
            for index, attribute in enumerate(attributes):
                inner = f"{name}.{attribute} if {name} is not None else None"
                lines.add(f"{name} = {inner if index else f'{here}.{attribute}'}")
            if form.shape.tells_missing_at(whole):
                lines.add(f"if {name} is unset: {name} = None")
            begun = True
        if not source.lenient:
            while path and isinstance(path[0], str):
                bound, path = lines.bind(path[0]), path[1:]
                if begun:
                    direct = f"{name}.get({bound}) if {name}.__class__ is dictionary"
                    lines.add(f"{name} = {direct} else member({name}, {bound})")
                else:
                    direct = f"{here}.get({bound})" if form.is_object else f"member({here}, {bound})"
                    lines.add(f"{name} = {direct}")
                begun = True
        if path:
            read = lenient(reader(path)) if source.lenient else reader(path)
            lines.add(f"{name} = {lines.bind(read, 'p')}({name if begun else here})")
        elif not begun:
            lines.add(f"{name} = {here}")

    def _template(self, template: Template, *, form: Form, has_steps: bool) -> None:
        lines = self.lines
        pieces, needed = [], []
        for part in template.parts:
            if isinstance(part, Slot):
                name = lines.name("s")
                self.read(Source(part.path), "v", form=form)
                empty = "''" if part.optional else "None"
                lines.add(f"{name} = v if v.__class__ is text else {empty} if v is None else text_of(v)")
                needed += [] if part.optional else [name]
                pieces.append(name)
            else:
                pieces.append(lines.bind(part))
        # Each piece is a text by now, so that the f-string calls no __format__ of anybody's.
        whole = "f'" + "".join(f"{{{piece}}}" for piece in pieces) + "'"
        missing = " or ".join(f"{name} is None" for name in needed)
        lines.add(f"v = None if {missing} else {whole}" if needed else f"v = {whole}")
        if has_steps and len(pieces) > 1:
            lines.add(f"if v is not None and size(v) > {MAX_TEXT}: v = bounded(v)")

    def _choose(self, choose: Choose, *, form: Form) -> None:
        lines = self.lines
        if not choose.cases:
            lines.add("v = None")
        for index, (condition, value) in enumerate(choose.cases):
            with lines.block(f"{'el' if index else ''}if {self.condition(condition, form=form)}:"):
                lines.add(f"v = {self.expression(value, form=form)}")
        if choose.cases:
            with lines.block("else:"):
                other = "None" if choose.otherwise is None else self.expression(choose.otherwise, form=form)
                lines.add(f"v = {other}")

    def expression(self, value: Value, *, form: Form) -> str:
        """An expression for a nested value: read in place, or else a function of its own."""
        origin = value.origin
        if not value.steps and value.default is NOTHING:
            if isinstance(origin, Constant):
                return self._constant(origin.value)
            if isinstance(origin, Source) and (direct := form.direct(origin.path, self.lines)):
                return direct
        name = self.lines.name("n")
        source = self.lines.bind(", ".join(sources_of(value)))
        with self.lines.function(f"def {name}({form.parameters}):"):
            self.lines.add("v = None")
            with self.lines.block("try:"):
                self.write(value, form=form)
                self.lines.add("return v")
            with self.lines.block("except Refusal as x:"):
                self.lines.add(f"raise x.located({source}, v)")
        return f"{name}({form.arguments})"

    def statement(self, condition: Condition, *, form: Form) -> str:
        """An expression for a condition that stands alone, so that lines may be added in front of it."""
        if isinstance(condition, Expression):
            from isthmus.mapper.generation.expressions import write_condition

            return write_condition(self.lines, condition, form)
        return self.condition(condition, form=form)

    def condition(self, condition: Condition, *, form: Form) -> str:
        """An expression for a condition."""
        if isinstance(condition, Expression):
            name = self.lines.name("n")
            with self.lines.function(f"def {name}({form.parameters}):"):
                self.lines.add(f"return {self.statement(condition, form=form)}")
            return f"{name}({form.arguments})"
        if isinstance(condition, Negated):
            return f"(not {self.condition(condition.condition, form=form)})"
        if isinstance(condition, Combined):
            word = " and " if condition.word == "all" else " or "
            return "(" + word.join(self.condition(part, form=form) for part in condition.conditions) + ")"
        origin, checks = condition.value.origin, condition.checks
        direct = form.direct(origin.path, self.lines) if isinstance(origin, Source) else None
        if direct and not condition.value.steps and len(checks) == 1:
            ((step, _),) = checks
            if step.name in {"equals", "not_equals"} and isinstance(step.argument, str):
                sign = "==" if step.name == "equals" else "!="
                return f"{direct} {sign} {self.lines.bind(step.argument)}"
        if any(step.record_reads for step in condition.value.steps):
            return f"{self.lines.bind(test_in_record(condition), 'q')}({form.name}, t, {form.whole.name})"
        there = form.located(origin.path)[0] if isinstance(origin, Source) else form
        read = form.reader if there is form else there.reader_from_element
        return f"{self.lines.bind(predicate(condition, read), 'q')}({there.name}, t)"


def is_usual_timestamp(step: Step) -> bool:
    """Whether the step reads points in time whose usual spellings need only be cut to form."""
    return step.name == "cast" and step.returns == "timestamp" and step.fast and not KNOWS_24_HOURS


def _fast_name(step: Step) -> str:
    if step.name == "cast":
        return f"cast {step.returns}" if step.fast else ""
    return step.name if step.argument is None else ""


def _segments(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """Chains that need one look for null in front; a step that also takes null stands alone."""
    segments: list[tuple[Step, ...]] = []
    for step in steps:
        previous = segments[-1] if segments else ()
        if not previous or step.takes_null or previous[-1].nullable or previous[-1].takes_null:
            segments.append((step,))
        else:
            segments[-1] = (*previous, step)
    return segments
