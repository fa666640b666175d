"""CEL expressions inside a plan: how their code reads the record, and what happens where it fails."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.mapper.cel.codes import Code, Unsupported
from isthmus.mapper.generation.forms import Form
from isthmus.mapper.generation.lines import Lines
from isthmus.mapper.model import Expression

_NEEDS_NO_LOOK = frozenset({"bool", "int", "null"})


@dataclass(frozen=True, slots=True)
class RecordVariable:
    """The object of a plan, in the local name `r`: a dictionary, a struct, or an element of a list."""

    form: Form

    def read(self, path: tuple[str, ...], lines: Lines) -> tuple[Code, tuple[str, ...]]:
        """Adds lines that read members of a struct; members of a dictionary are left to read."""
        shape = self.form.shape
        if shape is None:
            kind = "map" if self.form.is_object else "dyn"
            return Code("r", kind, is_safe=True, is_simple=True), path
        attributes, rest = shape.walk(path)
        name = lines.name("z")
        # Where null stands for an object on the way, there is no attribute, which is a failure too.
        lines.add(f"{name} = {'.'.join(('r', *attributes))}", f"if {name} is unset: failing()")
        return Code(name, is_simple=True), tuple(str(part) for part in rest)

    def asks(self, path: tuple[str, ...], lines: Lines) -> Code | None:
        """The code that tells whether there is a member; `None` where that takes reading what holds it."""
        shape = self.form.shape
        if shape is None:
            if len(path) == 1 and self.form.is_object:
                return Code(f"({lines.bind(path[0])} in r)", "bool", is_safe=True)
            return None
        attributes, rest = shape.walk(path)
        if rest:
            return None
        return Code(f"({'.'.join(('r', *attributes))} is not unset)", "bool", is_safe=len(attributes) == 1)


def write_value(lines: Lines, expression: Expression, form: Form) -> str:
    """Adds lines that leave the value of an expression in `v`; gives its CEL type, or `dyn`."""
    body = expression.body
    again = lines.bind(body.again, "x")
    try:
        with lines.apart() as inside:
            code = body.write(lines, RecordVariable(form), "t")
    except Unsupported:
        lines.add(f"v = {lines.bind(body.value, 'x')}({_dictionary(lines, form)}, t)")
        return "dyn"
    with lines.block("try:"):
        lines.deeper(inside)
        lines.add(f"v = {code.text}")
        if code.kind == "string":
            pass
        elif code.kind not in _NEEDS_NO_LOOK:
            from isthmus.mapper.cel.plain import plain

            lines.add(
                f"if v.__class__ is not text and v.__class__ is not integer: v = {lines.bind(plain, 'f')}(v)"
            )
    with lines.block("except Problem as y:"):
        lines.add(f"v = {again}(r, t, y)")
    return code.kind


def write_condition(lines: Lines, expression: Expression, form: Form) -> str:
    """Adds lines that answer a condition, and gives the name of the answer."""
    body = expression.body
    name = lines.name("a")
    try:
        with lines.apart() as inside:
            code = body.write(lines, RecordVariable(form), "t")
    except Unsupported:
        lines.add(f"{name} = {lines.bind(body.holds, 'x')}({_dictionary(lines, form)}, t)")
        return name
    with lines.block("try:"):
        lines.deeper(inside)
        lines.add(f"{name} = {code.text if code.kind == 'bool' else f'truth({code.text})'}")
    with lines.block("except Problem as y:"):
        lines.add(f"{name} = {lines.bind(body.holds_again, 'x')}(r, t, y)")
    return name


def _dictionary(lines: Lines, form: Form) -> str:
    if form.shape is None:
        return "r"
    import msgspec

    return f"{lines.bind(msgspec.to_builtins, 'f')}(r)"
