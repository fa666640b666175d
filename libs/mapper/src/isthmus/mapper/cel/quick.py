"""Code for the usual case alone: whatever else a record holds makes it fail, and then all is done in full.

Plans hold expressions in this form. It may take for granted that what Python refuses is refused: a text plus
something else, a member of a list, the beginning of a number. Where Python would give something, and CEL
something else or nothing, the class is looked at. Reads of members are shared by all expressions of a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from isthmus.mapper.cel.builtins import BUILTINS, Builtin
from isthmus.mapper.cel.codes import AS_THEY_ARE, Code, Fact, Variable
from isthmus.mapper.cel.generator import Generator
from isthmus.mapper.cel.inlining import SPECIAL, Special, flat
from isthmus.mapper.cel.texts import finder
from isthmus.mapper.cel.tree import Call, Const, Listing, Node, Select, Tree
from isthmus.mapper.cel.values import Failed
from isthmus.mapper.generation.expressions import RecordVariable
from isthmus.mapper.generation.lines import Lines

_SMALL: Final = 1 << 31
_LARGEST: Final = 1 << 62
_IS_SMALL: Final = f"({{0}} < {1 << 30} or {{0}} < {_SMALL}) and ({{0}} > -{1 << 30} or {{0}} > -{_SMALL})"
"""Python compares integers below 2³⁰ faster than others, and one side at a time faster than both."""
_IS_COUNT: Final = f"{{0}} >= 0 and ({{0}} < {1 << 30} or {{0}} < {_SMALL})"
_COMPARED: Final = {
    "_<_": ("<", "less"),
    "_<=_": ("<=", "at_most"),
    "_>_": (">", "more"),
    "_>=_": (">=", "at_least"),
}
_CLASSES: Final = {"int": "integer", "double": "number", "string": "text"}


class QuickGenerator(Generator):
    """Writes the usual case of one expression."""

    def __init__(
        self, lines: Lines, tree: Tree, variables: Mapping[str, Variable], functions: Mapping[str, Builtin]
    ) -> None:
        super().__init__(lines, tree, variables, functions)
        self.special = {**SPECIAL, **_QUICK}

    def first(self, code: Code) -> tuple[str, str]:
        """The code where it is evaluated first, and where it stands again."""
        if code.is_simple:
            return code.text, code.text
        name = self.lines.name("z")
        return f"({name} := {code.text})", name

    def _select(self, node: Select) -> Code:
        path = None if node.asks else self.path(node)
        variable = None if path is None else self.scope[path[0]]
        if path is None or not isinstance(variable, RecordVariable) or not path[1]:
            return super()._select(node)
        if variable.is_struct:
            return self._attribute(variable, path[1])
        held = Code(variable.form.name, is_simple=True)
        for depth in range(1, len(path[1]) + 1):
            part = path[1][:depth]
            name = self.lines.known.get(part)
            if name is None:
                held = self._kept(part, Code(f"{held.text}[{self.lines.bind(part[-1])}]", is_json=True))
            else:
                held = Code(name, is_simple=True, is_json=True)
        return held

    def _attribute(self, variable: RecordVariable, path: tuple[str, ...]) -> Code:
        name = self.lines.known.get(path)
        if name is not None:
            return Code(name, is_simple=True, is_json=True)
        text, rest = variable.way(path)
        fresh = self.lines.name("z")
        read = f"({fresh} if ({fresh} := {text}) is not unset else failing())"
        members = "".join(f"[{self.lines.bind(member)}]" for member in rest)
        return self._kept(path, Code(read + members, is_json=True))

    def is_object(self, path: tuple[str, ...]) -> bool:
        """Whether what a path leads to, which has a local name, is an object for sure: a member was read."""
        size = len(path) + 1
        return not self.lines.is_guarded and any(
            isinstance(key, tuple) and len(key) >= size and key[: size - 1] == path
            for key in self.lines.known
        )

    def joined(self, left: Code, right: Code) -> Code:
        """Two texts as one; where that succeeds, both are known to be texts."""
        made = Code(f"({left.text} + {right.text})", "string")
        if self.is_passing:
            self.lines.pending |= {Fact("text", code.text) for code in (left, right)}
        return made

    @property
    def is_passing(self) -> bool:
        """Whether nothing later is evaluated where a line here fails, so that the line tells something."""
        return not (self.lines.is_guarded or self.conditional or self.looping)

    def _kept(self, key: object, code: Code) -> Code:
        """The code in a local name for others, where it is evaluated whatever the record holds."""
        if self.conditional or self.looping:
            return code
        held = self.name(code)
        self.lines.known[key] = held.text
        return held

    def small(self, code: Code) -> Code | None:
        """An integer so small that sums and products need no look; anything else fails."""
        if code.bound:
            return code
        if code.kind != "dyn" or not code.is_json:
            return None
        key = Fact("small", code.text)
        name = self.lines.known.get(key) if code.is_simple else None
        if name is not None:
            return Code(name, "int", is_simple=True, bound=_SMALL)
        if code.is_simple and self.is_passing:
            test = f"{code.text}.__class__ is integer and {_IS_SMALL.format(code.text)}"
            self.lines.add(f"if not ({test}): failing()")
            self.lines.known[key] = code.text
            return Code(code.text, "int", is_simple=True, bound=_SMALL)
        first, again = self.first(code)
        text = f"({again} if {first}.__class__ is integer and {_IS_SMALL.format(again)} else failing())"
        made = Code(text, "int", bound=_SMALL)
        return self._kept(key, made) if code.is_simple else made


def _quick(generator: Generator) -> QuickGenerator | None:
    """The generator, where it writes the usual case; in loops, whose work is charged, it does not."""
    return generator if isinstance(generator, QuickGenerator) and not generator.looping else None


def _usual(name: str, generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
    return SPECIAL[name].write(generator, nodes) if name in SPECIAL else None


def _comparison(name: str) -> Special:
    sign, call = _COMPARED[name]

    def write(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
        writer = _quick(generator)
        is_constant = isinstance(nodes[1], Const) and nodes[1].kind in _CLASSES
        if writer is None or not is_constant:
            return _usual(name, generator, nodes)
        left, right = writer.code(nodes[0]), writer.code(nodes[1])
        if left.kind != "dyn":
            return _usual(name, generator, nodes)
        small = writer.lines.known.get(Fact("small", left.text))
        if small is not None and right.kind == "int":
            return Code(f"({small} {sign} {right.text})", "bool")
        first, again = writer.first(left)
        test = f"{first}.__class__ is {_CLASSES[right.kind]}"
        return Code(f"({again} {sign} {right.text} if {test} else {call}({again}, {right.text}))", "bool")

    return Special(2, write)


def _equality(name: str, sign: str) -> Special:
    def write(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
        writer = _quick(generator)
        if writer is None or not (isinstance(nodes[1], Const) and nodes[1].kind == "string"):
            return _usual(name, generator, nodes)
        left, right = writer.code(nodes[0]), writer.code(nodes[1])
        return Code(f"({left.text} {sign} {right.text})", "bool", left.is_safe)

    return Special(2, write)


def _arithmetic(name: str, sign: str) -> Special:
    def write(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
        writer = _quick(generator)
        if writer is None:
            return _usual(name, generator, nodes)
        left, right = writer.code(nodes[0]), writer.code(nodes[1])
        kinds = {left.kind, right.kind}
        if sign == "+" and "string" in kinds and not writer.copies:
            # Nothing but a text can be put in front of or behind a text.
            return writer.joined(left, right)
        if "int" in kinds:
            one, other = writer.small(left), writer.small(right)
            if one is not None and other is not None:
                bound = one.bound * other.bound if sign == "*" else one.bound + other.bound
                if bound < _LARGEST:
                    return Code(f"({one.text} {sign} {other.text})", "int", bound=bound)
        return _usual(name, generator, nodes)

    return Special(2, write)


def _division(sign: str, call: str) -> Special:
    helper = BUILTINS[call, 2].call

    def write(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
        writer, by = _quick(generator), nodes[1]
        if writer is None or not (isinstance(by, Const) and by.kind == "int" and 0 < by.value < _SMALL):
            return None
        left = writer.code(nodes[0])
        if left.kind not in {"int", "dyn"}:
            return None
        first, again = writer.first(left)
        test = f"{first}.__class__ is integer and {_IS_COUNT.format(again)}"
        other = f"{writer.lines.bind(helper, 'f')}({again}, {by.value})"
        return Code(f"({again} {sign} {by.value} if {test} else {other})", "int")

    return Special(2, write)


def _is_in(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
    writer, container = _quick(generator), nodes[1]
    if writer is None or not isinstance(container, Listing) or container.optional:
        return _usual("@in", generator, nodes)
    words = [each.value for each in container.elements if isinstance(each, Const) and each.kind == "string"]
    value = writer.code(nodes[0])
    if len(words) != len(container.elements) or not value.is_json:
        return _usual("@in", generator, nodes)
    return Code(f"({value.text} in {writer.lines.bind(frozenset(words), 'w')})", "bool")


def _on_text(name: str, method: str) -> Special:
    def write(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
        writer, part = _quick(generator), nodes[1]
        if writer is None or not (isinstance(part, Const) and part.kind == "string"):
            return _usual(name, generator, nodes)
        text = writer.code(nodes[0])
        if not (text.is_json or text.kind == "string"):
            return _usual(name, generator, nodes)
        bound = writer.lines.bind(part.value)
        if method:
            # Of all that JSON knows, only texts have the method.
            return Code(f"{text.text}.{method}({bound})", "bool")
        if text.kind == "string" or Fact("text", text.text) in writer.lines.known:
            return Code(f"({bound} in {text.text})", "bool")
        first, again = writer.first(text)
        other = f"{writer.lines.bind(BUILTINS[name, 2].call, 'f')}({again}, {bound})"
        return Code(f"({bound} in {again} if {first}.__class__ is text else {other})", "bool")

    return Special(2, write)


def _matches(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
    writer, pattern = _quick(generator), nodes[1]
    if writer is None or not (isinstance(pattern, Const) and pattern.kind == "string"):
        return _usual("matches", generator, nodes)
    text = writer.code(nodes[0])
    if not (text.is_json or text.kind == "string"):
        return _usual("matches", generator, nodes)
    try:
        return Code(f"{writer.lines.bind(finder(pattern.value), 'f')}({text.text})", "bool")
    except Failed:
        return None


def _case(name: str, method: str) -> Special:
    def write(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
        writer = _quick(generator)
        if writer is None:
            return None
        text = writer.code(nodes[0])
        if not (text.is_json or text.kind == "string"):
            return None
        first, again = writer.first(text)
        other = f"{writer.lines.bind(BUILTINS[name, 1].call, 'f')}({again})"
        return Code(f"({again}.{method}() if {first}.isascii() else {other})", "string")

    return Special(1, write)


def _size(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
    writer = _quick(generator)
    value = None if writer is None else writer.code(nodes[0])
    if value is None or not value.is_json:
        return None
    return Code(f"size({value.text})", "int", bound=_SMALL)


def _index(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
    writer, place = _quick(generator), nodes[1]
    if writer is None or not (isinstance(place, Const) and place.kind == "int" and place.value >= 0):
        return None
    held = writer.code(nodes[0])
    if not held.is_json:
        return None
    first, again = writer.first(held)
    text = f"({again}[{place.value}] if {first}.__class__ is listing else index({again}, {place.value}))"
    return Code(text, is_json=True)


def _or_value(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
    writer, asked = _quick(generator), nodes[0]
    if writer is None or not isinstance(asked, Call) or asked.function != "_?._":
        return _usual("orValue", generator, nodes)
    operand, member = asked.operands
    path = writer.path(operand)
    variable = None if path is None else writer.scope[path[0]]
    if path is None or not isinstance(variable, RecordVariable) or not isinstance(member, Const):
        return _usual("orValue", generator, nodes)
    if variable.is_struct and not variable.way((*path[1], member.value))[1]:
        return _usual("orValue", generator, nodes)
    held = writer.code(operand) if path[1] else Code("r")
    with writer.apart() as body:
        other = writer.code(nodes[1])
    if body:
        return _usual("orValue", generator, nodes)
    bound = writer.lines.bind(member.value)
    is_json = other.is_json or other.kind in AS_THEY_ARE
    if writer.is_object(path[1]):
        return Code(f"({held.text}[{bound}] if {bound} in {held.text} else {other.text})", is_json=is_json)
    name = writer.lines.name("z")
    # Of all that JSON knows, only objects have the method.
    read = f"({name} := {held.text}.get({bound}, unset))"
    return Code(f"({name} if {read} is not unset else {other.text})", is_json=is_json)


def _condition(writer: QuickGenerator, node: Node) -> Code:
    code = writer.code(node)
    if code.kind == "bool":
        return code
    first, again = writer.first(code)
    return Code(f"({again} if {first}.__class__ is boolean else truth({again}))", "bool")


def _logic(name: str, word: str) -> Special:
    def write(generator: Generator, nodes: tuple[Node, ...]) -> Code | None:
        writer = _quick(generator)
        if writer is None:
            return _usual(name, generator, nodes)
        operands = flat(name, nodes)
        texts = [_condition(writer, operands[0]).text]
        for node in operands[1:]:
            with writer.apart() as body:
                code = _condition(writer, node)
            if body:
                # What needs lines of its own is asked only where those before do not decide.
                held = writer.lines.name("z")
                writer.lines.add(f"{held} = {f' {word} '.join(texts)}")
                with writer.block(f"if {held}:" if word == "and" else f"if not {held}:"):
                    writer.lines.deeper(body)
                    writer.lines.add(f"{held} = {code.text}")
                texts = [held]
            else:
                texts.append(code.text)
        return Code(f"({f' {word} '.join(texts)})", "bool")

    return Special(2, write)


_QUICK: Final[dict[str, Special]] = {
    **{name: _comparison(name) for name in _COMPARED},
    "_==_": _equality("_==_", "=="),
    "_!=_": _equality("_!=_", "!="),
    "_+_": _arithmetic("_+_", "+"),
    "_-_": _arithmetic("_-_", "-"),
    "_*_": _arithmetic("_*_", "*"),
    "_/_": _division("//", "_/_"),
    "_%_": _division("%", "_%_"),
    "@in": Special(2, _is_in),
    "startsWith": _on_text("startsWith", "startswith"),
    "endsWith": _on_text("endsWith", "endswith"),
    "contains": _on_text("contains", ""),
    "matches": Special(2, _matches),
    "lowerAscii": _case("lowerAscii", "lower"),
    "upperAscii": _case("upperAscii", "upper"),
    "size": Special(1, _size),
    "_[_]": Special(2, _index),
    "orValue": Special(2, _or_value),
    "_&&_": _logic("_&&_", "and"),
    "_||_": _logic("_||_", "or"),
}
"""What is written otherwise where only the usual case counts."""
