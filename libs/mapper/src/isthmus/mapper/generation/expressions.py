"""CEL expressions inside a plan: how their code reads the record, and what happens where it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from isthmus.mapper.cel.codes import AS_THEY_ARE, Code, Unsupported
from isthmus.mapper.generation.forms import ANYTHING, OBJECT, Form, element_of
from isthmus.mapper.generation.lines import Lines
from isthmus.mapper.model import Expression

if TYPE_CHECKING:
    from isthmus.mapper.cel.expression import CelExpression


@dataclass(frozen=True, slots=True)
class RecordVariable:
    """The object of a plan: a dictionary, a struct, or an element of a list."""

    form: Form

    def read(self, path: tuple[str, ...], lines: Lines) -> tuple[Code, tuple[str, ...]]:
        """Adds lines that read members of a struct; members of a dictionary are left to read."""
        shape = self.form.shape
        if shape is None:
            kind = "map" if self.form.is_object else "dyn"
            return Code(self.form.name, kind, is_safe=True, is_simple=True), path
        text, rest = self.way(path)
        name = lines.name("z")
        lines.add(f"{name} = {text}", f"if {name} is unset: failing()")
        return Code(name, is_simple=True), rest

    @property
    def is_struct(self) -> bool:
        """Whether it is a struct that holds what is read."""
        return self.form.shape is not None

    def way(self, path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The attributes that lead towards a member of a struct, and the members left to read.

        Where null stands for an object on the way, there is no such attribute, which is a failure as well.
        """
        assert self.form.shape is not None
        attributes, rest = self.form.shape.walk(path)
        return ".".join((self.form.name, *attributes)), tuple(str(part) for part in rest)

    def asks(self, path: tuple[str, ...], lines: Lines) -> Code | None:
        """The code that tells whether there is a member; `None` where that takes reading what holds it."""
        shape = self.form.shape
        if shape is None:
            if len(path) == 1 and self.form.is_object:
                return Code(f"({lines.bind(path[0])} in {self.form.name})", "bool", is_safe=True)
            return None
        attributes, rest = shape.walk(path)
        if rest:
            return None
        return Code(
            f"({'.'.join((self.form.name, *attributes))} is not unset)", "bool", is_safe=len(attributes) == 1
        )


def write_value(lines: Lines, expression: Expression, form: Form) -> Code:
    """Adds lines that leave the value of an expression in `v`, and tells what is known of it."""
    body = expression.body
    try:
        with lines.apart() as inside:
            code = body.write(lines, RecordVariable(form), "t", form.whole.name)
    except Unsupported:
        lines.add(f"v = {lines.bind(body.value, 'x')}({_dictionary(lines, form)}, t{_around(body, form)})")
        return Code("v")
    with _guarded(lines, inside, f"v = {lines.bind(body.again, 'x')}(r, t, y{_around(body, form)})"):
        lines.add(f"v = {code.text}")
        if not (code.kind in AS_THEY_ARE or code.is_json):
            plain = lines.bind(body.plain, "f")
            lines.add(f"if v.__class__ is not text and v.__class__ is not integer: v = {plain}(v)")
    return code


def write_condition(lines: Lines, expression: Expression, form: Form) -> str:
    """Adds lines that answer a condition, and gives the name of the answer."""
    body = expression.body
    name = lines.name("a")
    try:
        with lines.apart() as inside:
            code = body.write(lines, RecordVariable(form), "t", form.whole.name)
    except Unsupported:
        asked = f"{lines.bind(body.holds, 'x')}({_dictionary(lines, form)}, t{_around(body, form)})"
        lines.add(f"{name} = {asked}")
        return name
    with _guarded(
        lines, inside, f"{name} = {lines.bind(body.holds_again, 'x')}(r, t, y{_around(body, form)})"
    ):
        lines.add(f"{name} = {code.text if code.kind == 'bool' else f'truth({code.text})'}")
    return name


@contextmanager
def _guarded(lines: Lines, inside: list[str], again: str) -> Iterator[None]:
    """Adds the lines of an expression, those of the context, and what is done where they fail."""
    if not lines.is_guarded:
        lines.same(inside)
        yield
        return
    with lines.block("try:"):
        lines.deeper(inside)
        yield
    with lines.block("except Problem as y:"):
        lines.add(again)


def condition_function(expression: Expression) -> Callable[..., bool]:
    """The function that answers a condition for any object at an evaluation time.

    Where the expression reads the record around the object, that is its third argument.
    """
    lines = Lines()
    form = element_of(OBJECT) if expression.body.outer else ANYTHING
    with lines.block("def holds(r, t, q):" if form.record is not None else "def holds(r, t):"):
        lines.add("m = None")
        lines.add(f"return {write_condition(lines, expression, form)}")
    holds: Callable[..., bool] = lines.function_named("holds")
    return holds


def _around(body: CelExpression, form: Form) -> str:
    """The argument that is the record around the object, where the expression reads that."""
    return f", {form.whole.name}" if body.outer else ""


def _dictionary(lines: Lines, form: Form) -> str:
    return "r" if form.shape is None else f"{lines.bind(msgspec.to_builtins, 'f')}(r)"
