"""Code that makes one object: filter, fields one after another, nested targets, errors together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from isthmus.mapper.generation.forms import ANYTHING, OBJECT, Form, element_of
from isthmus.mapper.generation.lines import METER, Lines
from isthmus.mapper.generation.made import Dictionary, Made, Row
from isthmus.mapper.generation.values import ValueWriter
from isthmus.mapper.lineage import block_paths, reads_record, sources_of
from isthmus.mapper.model import Block, Condition, Definition, Field, Rule, Source, Split
from isthmus.mapper.paths import format_path
from isthmus.mapper.plan import Transform
from isthmus.mapper.ruling import NOTED, BrokenRule
from isthmus.mapper.runtime import FieldInfo
from isthmus.mapper.schemas import validator
from isthmus.mapper.shapes import Shape


def generate(
    definition: Definition, shape: Shape | None = None, row_type: type[msgspec.Struct] | None = None
) -> Transform:
    """The function that maps a record at an evaluation time.

    Args:
        definition: What to do.
        shape: The places of the structs it gets; `None` where it gets dictionaries.
        row_type: A struct with one field for each target, to be made in place of a dictionary.
    """
    source, namespace = generate_source(definition, shape, row_type)
    # The source is made of this package's templates around generated identifiers; it sees no builtins.
    exec(compile(source, "<isthmus mapping>", "exec"), namespace)  # noqa: S102
    transform: Transform = namespace["transform"]
    return transform


def generate_source(
    definition: Definition, shape: Shape | None = None, row_type: type[msgspec.Struct] | None = None
) -> tuple[str, dict[str, Any]]:
    """The source of that function and the objects its identifiers stand for."""
    lines = Lines()
    form = OBJECT if shape is None else Form(is_object=True, shape=shape)
    writer = Writer(lines)
    check = None
    if definition.validate and definition.target_schema is not None:
        check = lines.bind(validator(definition.target_schema), "check")
    if definition.split is not None:
        Writer(lines).split(definition.block, definition.split, check)
        return lines.source(), lines.namespace
    notes = any(rule.consequence in NOTED for rule in definition.block.rules)
    with lines.block("def transform(r, t, w=None):" if notes else "def transform(r, t):"):
        if shape is None:
            lines.add("if r.__class__ is not dictionary: r = as_record(r)")
        lines.add("m = None")
        block = definition.block
        made = Dictionary(lines, block) if row_type is None else Row(lines, block, row_type)
        writer.body(block, made, form=form, check=check)
    return lines.source(), lines.namespace


class Writer:
    """Writes blocks; values ask it for the blocks nested in them."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.values = ValueWriter(lines, self)

    def nested(self, block: Block, form: Form) -> str:
        """Writes the function for the elements of a list and returns the expression for it."""
        name = self.lines.name("b")
        inner = element_of(form) if reads_record(block) else ANYTHING
        with self.lines.function(f"def {name}({inner.parameters}):"):
            self.body(block, Dictionary(self.lines, block), form=inner, check=None)
        return name if inner is ANYTHING else f"(lambda x, y, z: {name}(x, y, z, {form.whole.name}))"

    def body(self, block: Block, made: Dictionary, *, form: Form, check: str | None) -> None:
        """Writes filter, fields and result."""
        lines = self.lines
        lines.add("e = None")
        if block.where is not None:
            self.filter(block.where, "return None", form=form)
        made.begin()
        if block.keep_unmapped:
            claimed = lines.bind(_claimed(block), "claimed")
            if not form.is_object:
                lines.add("r = as_record(r)")
            lines.add(f"e = carry(o, r, {claimed}, {METER}, e)")
        for field in block.fields:
            self.field(field, made, form=form)
        made.finish()
        for rule in block.rules:
            self.rule(rule, form)
        if check is not None:
            lines.add(f"if e is None: e = {check}(o)")
        with lines.block("if e is not None:"):
            lines.add("raise Rejected(e)")
        lines.add(f"return {made.result()}")

    def split(self, block: Block, split: Split, check: str | None) -> None:
        """Writes the function that makes several objects of one record."""
        lines, name = self.lines, self.lines.name("b")
        with lines.function(f"def {name}(r, t, m, q, w):"):
            self.body(block, Dictionary(lines, block), form=element_of(OBJECT), check=check)
        with lines.block("def transform(r, t, w=None):"):
            lines.add("if r.__class__ is not dictionary: r = as_record(r)", "m = v = None")
            if split.where is not None:
                self.filter(split.where, "return []", form=OBJECT)
            with lines.block("try:"):
                self.values.read(Source(split.each), "v", form=OBJECT)
            told = lines.bind(format_path(split.each))
            with lines.block("except Problem as x:"):
                lines.add(f"raise unsplit({told}, x)")
            lines.add(f"return parts(v, (lambda x: {name}(x, t, None, r, w)), {told})")

    def filter(self, where: Condition, otherwise: str, *, form: Form) -> None:
        """Writes what a condition leaves out."""
        lines = self.lines
        with lines.block("try:"):
            lines.add(f"if not {self.values.statement(where, form=form)}: {otherwise}")
        with lines.block("except Problem as x:"):
            lines.add("raise rejected_by_filter(x)")

    def rule(self, rule: Rule, form: Form) -> None:
        """Writes what asks the result about one rule."""
        lines = self.lines
        inner = Form(is_object=True, record=replace(form.whole, name="q"))
        name = lines.name("b")
        with lines.function(f"def {name}({inner.parameters}):"):
            lines.add(f"return {self.values.statement(rule.check, form=inner)}")
        told = lines.bind(BrokenRule(rule), "i")
        with lines.block("if e is None:"):
            with lines.block("try:"):
                lines.add(f"z = {name}(o, t, {METER}, {form.whole.name})")
            with lines.block("except Problem as x:"):
                lines.add("z = x")
            notes = "w" if rule.consequence in NOTED else "None"
            lines.add(f"if z is not True: e = broken({told}, z, o, {notes})")

    def field(self, field: Field, made: Made, *, form: Form) -> None:
        """Writes what computes one field and puts it into its place."""
        lines = self.lines
        slot = made.slot(field.target)
        absent = made.absent(field.target)
        if absent is not None and field.when is not None:
            lines.add(absent)
        info = lines.bind(
            FieldInfo(format_path(field.target), ", ".join(sources_of(field.value, inner=False))), "i"
        )
        if not (isinstance(field.value.origin, Source) and field.when is None):
            lines.add("v = None")
        finish = made.store(field, slot, info, form=form)
        with lines.block("try:"):
            if field.when is not None:
                with lines.block(f"if {self.values.statement(field.when, form=form)}:"), lines.forgetting():
                    self.values.write(field.value, finish, form=form)
            else:
                self.values.write(field.value, finish, form=form)
        with lines.block("except Problem as x:"):
            lines.add(f"e = failed(e, {info}, x, v)")


def _claimed(block: Block) -> frozenset[str]:
    """Names that are mapped from, mapped to, or ignored: all but these are carried over."""
    first = [path[0] for path in block_paths(replace(block, rules=())) if path] + [
        field.target[0] for field in block.fields
    ]
    return frozenset(name for name in first if isinstance(name, str)) | block.ignore
