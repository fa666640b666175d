"""Code that makes one object: filter, fields one after another, nested targets, errors together."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from isthmus.mapper.generation.forms import ANYTHING, OBJECT, Form
from isthmus.mapper.generation.lines import METER, Lines
from isthmus.mapper.generation.values import Finish, ValueWriter
from isthmus.mapper.limits import SHORT_TEXT, SMALL_TEXT
from isthmus.mapper.lineage import block_paths, sources_of
from isthmus.mapper.model import NOTHING, Block, Constant, Definition, Field, Items, Now, Source, Value
from isthmus.mapper.paths import Path, format_path
from isthmus.mapper.plan import Transform
from isthmus.mapper.runtime import FieldInfo
from isthmus.mapper.schemas import validator
from isthmus.mapper.shapes import Shape

_IS_SHORT = f"size(v) <= {SHORT_TEXT}"
_IS_SMALL = f"{_IS_SHORT} and (v.isascii() or is_unicode(v))"
_IS_SCALAR = (
    "v.__class__ is integer and -4294967296 < v < 4294967296 or v.__class__ is boolean"
    " or v.__class__ is number and -4294967296 < v < 4294967296"
)
"""Numbers of usual size and booleans, which like short texts are not charged."""


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
    with lines.block("def transform(r, t):"):
        if shape is None:
            lines.add("if r.__class__ is not dictionary: r = as_record(r)")
        lines.add("m = None")
        block = definition.block
        made = _Dictionary(lines, block) if row_type is None else _Row(lines, block, row_type)
        writer.body(block, made, form=form, check=check)
    return lines.source(), lines.namespace


class Writer:
    """Writes blocks; values ask it for the blocks nested in them."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.values = ValueWriter(lines, self)

    def nested(self, block: Block) -> str:
        """Writes the function for the elements of a list and returns its name."""
        name = self.lines.name("b")
        with self.lines.function(f"def {name}(r, t, m):"):
            self.body(block, _Dictionary(self.lines, block), form=ANYTHING, check=None)
        return name

    def body(self, block: Block, made: _Dictionary, *, form: Form, check: str | None) -> None:
        """Writes filter, fields and result."""
        lines = self.lines
        lines.add("e = None")
        if block.where is not None:
            with lines.block("try:"):
                lines.add(f"if not {self.values.statement(block.where, form=form)}: return None")
            with lines.block("except Problem as x:"):
                lines.add("raise rejected_by_filter(x)")
        made.begin()
        if block.keep_unmapped:
            claimed = lines.bind(_claimed(block), "claimed")
            if not form.is_object:
                lines.add("r = as_record(r)")
            lines.add(f"e = carry(o, r, {claimed}, {METER}, e)")
        for field in block.fields:
            self.field(field, made, form=form)
        made.finish()
        if check is not None:
            lines.add(f"if e is None: e = {check}(o)")
        with lines.block("if e is not None:"):
            lines.add("raise Rejected(e)")
        lines.add(f"return {made.result()}")

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
                with lines.block(f"if {self.values.statement(field.when, form=form)}:"):
                    self.values.write(field.value, finish, form=form)
            else:
                self.values.write(field.value, finish, form=form)
        with lines.block("except Problem as x:"):
            lines.add(f"e = failed(e, {info}, x, v)")


class Made(Protocol):
    """What the fields of a record are put into."""

    def slot(self, target: Path) -> str:
        """The place to assign to."""

    def absent(self, target: Path) -> str | None:
        """What leaves a field out; `None` where nothing is to be done for that."""

    def store(self, field: Field, slot: str, info: str, *, form: Form) -> Finish:
        """What puts the value of a field into its place."""


class _Store:
    """Puts a value into its place, or notes that a required one is missing.

    `absent` is what to do where there is no value and none is needed; `None` for nothing.
    """

    def __init__(
        self, lines: Lines, field: Field, slot: str, info: str, absent: str | None, *, form: Form
    ) -> None:
        self.lines = lines
        self.field = field
        self.slot = slot
        self.info = info
        self.absent = absent
        self.form = form

    def found(self, *, is_text: bool) -> None:
        """Adds lines that store the value, checked where it may not be storable."""
        if is_clean(self.field.value):
            code = "v"
        elif self.form.is_object:
            small = _IS_SHORT if self.form.is_decoded and _is_as_read(self.field.value) else _IS_SMALL
            usual = small if is_text else f"v.__class__ is text and {small} or {_IS_SCALAR}"
            code = f"v if {usual} else clean(v, {METER})"
        else:
            code = f"clean(v, {METER})"
        self.lines.add(f"{self.slot} = {code}")

    def missing(self) -> None:
        """Adds what null means for the field."""
        if self.field.required:
            self.lines.add(f"else: e = missing(e, {self.info})")
        elif self.field.keep_null:
            self.lines.add(f"else: {self.slot} = None")
        elif self.absent is not None:
            self.lines.add(f"else: {self.absent}")


def _claimed(block: Block) -> frozenset[str]:
    """Names that are mapped from, mapped to, or ignored: all but these are carried over."""
    first = [path[0] for path in block_paths(block) if path] + [field.target[0] for field in block.fields]
    return frozenset(name for name in first if isinstance(name, str)) | block.ignore


def is_clean(value: Value) -> bool:
    """Whether the value needs no check before it is stored."""
    if not (value.default is NOTHING or _is_small(value.default)):
        return False
    if value.steps:
        return value.steps[-1].clean
    return isinstance(value.origin, Now | Items) or (
        isinstance(value.origin, Constant) and _is_small(value.origin.value)
    )


def _is_as_read(value: Value) -> bool:
    """Whether a text stands in the record as it is."""
    return isinstance(value.origin, Source) and not value.steps and value.default is NOTHING


def _is_small(value: object) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= SMALL_TEXT)
    )


class _Dictionary:
    """A dictionary to be made, and the objects and lists in it, known before the first record comes."""

    def __init__(self, lines: Lines, block: Block) -> None:
        self.lines = lines
        self.names: dict[Path, str] = {(): "o"}
        self.sizes: dict[Path, int] = {}
        for field in block.fields:
            for depth in range(1, len(field.target)):
                part = field.target[depth]
                if isinstance(part, int):
                    prefix = field.target[:depth]
                    self.sizes[prefix] = max(self.sizes.get(prefix, 0), part + 1)

    def begin(self) -> None:
        """Adds the empty dictionary."""
        self.lines.add("o = {}")

    def absent(self, _target: Path) -> str | None:
        """What leaves a field out; `None` where nothing is to be done for that."""
        return None

    def store(self, field: Field, slot: str, info: str, *, form: Form) -> Finish:
        """What puts the value of a field into its place."""
        return _Store(self.lines, field, slot, info, self.absent(field.target), form=form)

    def result(self) -> str:
        """The expression for what was made."""
        return "o"

    def slot(self, target: Path) -> str:
        """The place to assign to; containers on the way are made first."""
        for depth in range(1, len(target)):
            prefix = target[:depth]
            if prefix not in self.names:
                name = self.lines.name("d")
                empty = f"[None] * {self.sizes[prefix]}" if prefix in self.sizes else "{}"
                self.lines.add(f"{self._place(prefix)} = {name} = {empty}")
                self.names[prefix] = name
        return self._place(target)

    def finish(self) -> None:
        """Takes away containers that stayed empty, innermost first."""
        for prefix, name in reversed(list(self.names.items())):
            if not prefix:
                continue
            empty = f"not trim({name})" if prefix in self.sizes else f"not {name}"
            self.lines.add(f"if {empty}: {self._removal(prefix)}")

    def _removal(self, path: Path) -> str:
        return f"{self._place(path)} = None" if isinstance(path[-1], int) else f"del {self._place(path)}"

    def _place(self, path: Path) -> str:
        last = path[-1]
        index = str(last) if isinstance(last, int) else self.lines.bind(last)
        return f"{self.names[path[:-1]]}[{index}]"


class _Row(_Dictionary):
    """A struct to be made: its values wait in local names until all are known to be good."""

    def __init__(self, lines: Lines, block: Block, row_type: type[msgspec.Struct]) -> None:
        super().__init__(lines, block)
        self.row = lines.bind(row_type, "row")
        self.places: dict[Path, str] = {}

    def begin(self) -> None:
        """Adds nothing: a row is made at the end."""

    def absent(self, target: Path) -> str | None:
        """What leaves a field out."""
        return f"{self._place(target)} = unset" if len(target) == 1 else None

    def result(self) -> str:
        """The expression that makes the row."""
        return f"{self.row}({', '.join(self.places.values())})"

    def _place(self, path: Path) -> str:
        if len(path) > 1:
            return super()._place(path)
        if path not in self.places:
            self.places[path] = self.lines.name("o")
        return self.places[path]

    def _removal(self, path: Path) -> str:
        return self.absent(path) or super()._removal(path)
