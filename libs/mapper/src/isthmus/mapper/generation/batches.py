"""Code that maps many records in one loop, each straight through: whatever is unusual ends its turn.

A record whose turn ended is mapped again by the function for one record, which knows every case and says
what is wrong. So nothing here looks back: no `try` around a field, no list of errors, and a dictionary is
made at once of values that are known to be good. Texts and numbers of the definition become constants of
the code; they are put into the syntax tree as objects and are never read as code.
"""

from __future__ import annotations

import ast
import keyword
from dataclasses import dataclass
from typing import Any

import msgspec
from isthmus.mapper.cel.codes import AS_THEY_ARE, Code, Unsupported
from isthmus.mapper.cel.namespace import NAMESPACE
from isthmus.mapper.generation.blocks import Writer
from isthmus.mapper.generation.expressions import RecordVariable
from isthmus.mapper.generation.forms import OBJECT, Form
from isthmus.mapper.generation.lines import METER, Lines
from isthmus.mapper.generation.made import Store
from isthmus.mapper.limits import SHORT_TEXT, SMALL_TEXT
from isthmus.mapper.lineage import sources_of
from isthmus.mapper.model import NOTHING, Definition, Expression, Field
from isthmus.mapper.paths import format_path
from isthmus.mapper.plan import MapMany
from isthmus.mapper.runtime import FieldInfo
from isthmus.mapper.schemas import validator
from isthmus.mapper.shapes import Shape

_MOST_SHARED = 30
"""Objects of one class share the keys of their members up to so many (PEP 412)."""
_LARGE = (1 << 30) - 1
"""Python compares integers up to here faster than others."""
_IS_USUAL = "-4294967296 < {} < 4294967296"
_CONSTANTS = (str, int, float, frozenset)


def generate_batch(
    definition: Definition, shape: Shape | None = None, row_type: type[msgspec.Struct] | None = None
) -> MapMany | None:
    """The function that maps many records; `None` where records have to be mapped one by one.

    Args:
        definition: What to do.
        shape: The places of the structs it gets; `None` where it gets dictionaries.
        row_type: A struct with one field for each target, to be made in place of a dictionary.
    """
    block = definition.block
    if block.keep_unmapped or any(isinstance(part, int) for field in block.fields for part in field.target):
        return None
    many: MapMany = compiled(*generate_batch_source(definition, shape, row_type))
    return many


def generate_batch_source(
    definition: Definition, shape: Shape | None = None, row_type: type[msgspec.Struct] | None = None
) -> tuple[str, dict[str, Any]]:
    """The source of that function and the objects its identifiers stand for."""
    lines = _Batch(definition, shape, row_type).write()
    return lines.source(), lines.namespace


def compiled(source: str, namespace: dict[str, Any]) -> Any:
    """The function `transform`, with what its identifiers stand for as constants and local names."""
    tree = ast.parse(source)
    # Only what is a constant to Python can be one; texts have a UTF-8 form there.
    constants = {
        name: thing for name, thing in namespace.items() if name[0] in "kw" and _is_constant(name, thing)
    }
    names = _Names(constants, namespace)
    names.visit(tree)
    function = next(
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "transform"
    )
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} & namespace.keys()
    for name in sorted(used):
        function.args.args.append(ast.arg(name))
        function.args.defaults.append(ast.Name(name, ast.Load()))
    # The tree is made of this package's templates around generated identifiers; it sees no builtins.
    exec(compile(ast.fix_missing_locations(tree), "<isthmus mapping>", "exec"), namespace)  # noqa: S102
    return namespace["transform"]


def _is_constant(name: str, thing: Any) -> bool:
    if not name[1:].isdigit() or thing.__class__ not in _CONSTANTS:
        return False
    try:
        return thing.__class__ is not str or bool(thing.encode() or True)
    except UnicodeEncodeError:
        return False


class _Names(ast.NodeTransformer):
    """Puts constants in the place of the names that stand for them."""

    def __init__(self, constants: dict[str, Any], namespace: dict[str, Any]) -> None:
        self.constants = constants
        self.namespace = namespace

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """The attribute under the name that its identifier stands for."""
        self.generic_visit(node)
        node.attr = self.constants.get(node.attr, node.attr)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """The constant that the name stands for, or the name."""
        if node.id in self.constants:
            return ast.copy_location(ast.Constant(self.constants[node.id]), node)
        return node


@dataclass(slots=True)
class _Place:
    """Where the value of a field comes from when all is made: an expression, or a local name."""

    text: str
    may_be_absent: bool = False


Members = dict[str, "_Place | Members"]


class _Batch:
    """Writes the loop."""

    def __init__(
        self, definition: Definition, shape: Shape | None, row_type: type[msgspec.Struct] | None
    ) -> None:
        self.definition = definition
        self.lines = Lines()
        self.lines.namespace.update(NAMESPACE)
        self.lines.is_guarded = False
        self.form = OBJECT if shape is None else Form(is_object=True, shape=shape)
        self.row = None if row_type is None else self.lines.bind(row_type, "row")
        self.values = Writer(self.lines).values

    def write(self) -> Lines:
        """The lines of the function."""
        lines = self.lines
        with (
            lines.block("def transform(rs, t, made, odd, skip):"),
            lines.block("for r in rs:"),
        ):
            with lines.block("try:"):
                lines.add("m = None")
                with lines.apart() as inside:
                    self._record()
                lines.same(inside)
            with lines.block("except Problem:"):
                lines.add("if odd(r): return")
        return lines

    def _record(self) -> None:
        lines, block = self.lines, self.definition.block
        if self.form.shape is None:
            lines.add("if r.__class__ is not dictionary: failing()")
        if block.where is not None:
            with lines.block(f"if not {self.values.statement(block.where, form=self.form)}:"):
                lines.add("skip()", "continue")
        members: Members = {}
        for field in block.fields:
            inner = members
            for part in field.target[:-1]:
                inner = inner.setdefault(str(part), {})  # type: ignore[assignment]
            inner[str(field.target[-1])] = self._field(field)
        lines.add(f"made.append({self._whole(members)})")

    def _whole(self, members: Members) -> str:
        """Adds the lines that make the record, and gives its expression."""
        if self.row is None:
            made = self._object(members)
            if self.definition.validate and self.definition.target_schema is not None:
                check = self.lines.bind(validator(self.definition.target_schema), "check")
                self.lines.add(f"if {check}({made}) is not None: failing()")
            return made
        texts = []
        for member in members.values():
            if isinstance(member, _Place):
                texts.append(member.text)
            else:
                text = self._object(member)
                texts.append(f"{text} or unset" if _may_be_empty(member) else text)
        return f"{self.row}({', '.join(texts)})"

    def _object(self, members: Members) -> str:
        """Adds the lines that make an object, without what has no value, and gives its name."""
        lines, made = self.lines, []
        for key, member in members.items():
            if isinstance(member, _Place):
                made.append((key, member.text, f"{member.text} is not unset" if member.may_be_absent else ""))
            else:
                text = self._object(member)
                made.append((key, text, text if _may_be_empty(member) else ""))
        name = lines.name("d")
        is_shared = len(made) <= _MOST_SHARED and not any(map(_is_special, members))
        lines.add(
            f"{name} = {lines.bind(type('Members', (), {}), 'members')}()" if is_shared else f"{name} = {{}}"
        )
        for key, text, test in made:
            bound = lines.bind(key)
            place = f"{name}.{bound}" if is_shared else f"{name}[{bound}]"
            lines.add(f"{f'if {test}: ' if test else ''}{place} = {text}")
        if is_shared:
            lines.add(f"{name} = {name}.__dict__")
        return name

    def _field(self, field: Field) -> _Place:
        """Adds the lines that compute a field."""
        lines = self.lines
        if field.when is None:
            return self._value(field)
        asked = self.values.statement(field.when, form=self.form)
        slot = lines.name("o")
        with lines.block(f"if {asked}:"), lines.forgetting():
            place = self._value(field)
            lines.add(f"{slot} = {place.text}")
        lines.add(f"else: {slot} = unset")
        return _Place(slot, may_be_absent=True)

    def _value(self, field: Field) -> _Place:
        value = field.value
        if isinstance(value.origin, Expression) and not value.steps and value.default is NOTHING:
            self.lines.pending = set()
            try:
                with self.lines.apart() as inside:
                    code = value.origin.body.write(self.lines, RecordVariable(self.form), "t")
                self.lines.same(inside)
                return self._stored(field, code)
            except Unsupported:
                pass
        store = self._store(field)
        self.values.write(value, store, form=self.form)
        return _Place(store.slot, may_be_absent=not field.keep_null)

    def _store(self, field: Field) -> _Storing:
        slot = self.lines.name("o")
        info = self.lines.bind(FieldInfo(format_path(field.target), ", ".join(sources_of(field.value))), "i")
        return _Storing(self.lines, field, slot, info, f"{slot} = unset", form=self.form)

    def _stored(self, field: Field, code: Code) -> _Place:
        """Adds the lines that make sure that the value of an expression can be stored."""
        lines = self.lines
        if code.kind in {"bool", "int"} or (code.kind == "string" and 0 < code.bound <= SMALL_TEXT):
            return _Place(code.text)
        slot = lines.name("o")
        if code.kind == "string":
            lines.add(f"{slot} = {code.text}")
            lines.known |= dict.fromkeys(lines.pending, slot)
            self._text(slot)
            return _Place(slot)
        if code.kind == "double":
            lines.add(f"{slot} = {code.text}")
            lines.add(f"if not ({slot} < 1e300 and {slot} > -1e300): clean({slot}, {METER})")
            return _Place(slot)
        if code.is_json:
            lines.add(f"{slot} = {code.text}")
            self._json(field, slot)
            return _Place(slot, may_be_absent=not field.keep_null)
        lines.add(f"v = {code.text}")
        if code.kind not in AS_THEY_ARE:
            plain = lines.bind(field.value.origin.body.plain, "f")  # type: ignore[union-attr]
            lines.add(f"if v.__class__ is not text and v.__class__ is not integer: v = {plain}(v)")
        store = self._store(field)
        with lines.block("if v is not None:"):
            store.found(is_text=False)
        store.missing()
        return _Place(store.slot, may_be_absent=not field.keep_null)

    def _text(self, slot: str) -> None:
        """Adds the look at a text that is stored."""
        lines = self.lines
        lines.add(f"if size({slot}) > {SHORT_TEXT}: clean({slot}, {METER})")
        if not self.form.is_decoded:
            lines.add(f"elif not {slot}.isascii(): is_unicode({slot})")

    def _json(self, field: Field, slot: str) -> None:
        """Adds the look at what was read from the record and is most often a text."""
        lines = self.lines
        with lines.block(f"if {slot}.__class__ is text:"):
            self._text(slot)
        absent = "failing()" if field.required else "pass" if field.keep_null else f"{slot} = unset"
        lines.add(f"elif {slot} is None: {absent}")
        with lines.block(f"elif {slot}.__class__ is integer:"):
            test = f"({slot} > {_LARGE} or {slot} < -{_LARGE}) and not {_IS_USUAL.format(slot)}"
            lines.add(f"if {test}: clean({slot}, {METER})")
        usual = f"{slot}.__class__ is boolean or {slot}.__class__ is number and {_IS_USUAL.format(slot)}"
        lines.add(f"elif not ({usual}): {slot} = clean({slot}, {METER})")


class _Storing(Store):
    """Leaves a value in a local name; a required one that is missing is unusual."""

    def missing(self) -> None:
        """Adds what null means for the field."""
        if self.field.required:
            self.lines.add("else: failing()")
        else:
            super().missing()


def _is_special(name: str) -> bool:
    """Whether Python means something by the name of an attribute."""
    return name.startswith("__") or keyword.iskeyword(name) or not _is_constant("k0", name)


def _may_be_empty(members: Members) -> bool:
    return all(
        member.may_be_absent if isinstance(member, _Place) else _may_be_empty(member)
        for member in members.values()
    )


__all__ = ["compiled", "generate_batch", "generate_batch_source"]
