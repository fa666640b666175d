"""Operators whose usual case is written out where they stand; a call remains for everything unusual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.mapper.cel.builtins import BUILTINS
from isthmus.mapper.cel.codes import AS_THEY_ARE, Code
from isthmus.mapper.cel.texts import finder
from isthmus.mapper.cel.tree import Call, Const, Listing, Node, Select
from isthmus.mapper.cel.values import Failed

if TYPE_CHECKING:
    from isthmus.mapper.cel.generator import Generator

_CLASSES: Final = {"int": "integer", "double": "number", "string": "text"}
"""Kinds whose class a value of unknown type is compared with before it is worked on in place."""
_NUMBERS: Final = frozenset({"int", "uint", "double"})
_ORDERED: Final = frozenset({"string", "bytes", "bool", "timestamp", "duration"})
_OPTIONALS: Final = (("optional.of", 1), ("optional.none", 0))
_SMALL: Final = 1 << 31
_IS_SMALL: Final = "-2147483648 < {0} < 2147483648"

Write = Callable[["Generator", tuple[Node, ...]], Code | None]


@dataclass(frozen=True, slots=True)
class Special:
    """An operator that is written out; `write` gives nothing where a call is as good."""

    operands: int
    write: Write


def _pair(writer: Generator, nodes: tuple[Node, ...]) -> tuple[Code, Code]:
    return writer.name(writer.code(nodes[0])), writer.name(writer.code(nodes[1]))


def _comparison(sign: str, call: str) -> Write:
    def write(writer: Generator, nodes: tuple[Node, ...]) -> Code:
        left, right = _pair(writer, nodes)
        plain = f"{left.text} {sign} {right.text}"
        if left.kind == right.kind and left.kind in _ORDERED | _NUMBERS:
            return Code(f"({plain})", "bool", left.is_safe and right.is_safe)
        for known, other in ((left, right), (right, left)):
            if other.kind == "dyn" and known.kind in _CLASSES:
                test = f"{other.text}.__class__ is {_CLASSES[known.kind]}"
                return Code(f"({plain} if {test} else {call}({left.text}, {right.text}))", "bool")
        return writer.call(call, [left, right], "bool", is_heavy=True)

    return write


def _equality(*, same: bool) -> Write:
    call = "equal" if same else "differs"

    def write(writer: Generator, nodes: tuple[Node, ...]) -> Code:
        left, right = _pair(writer, nodes)
        is_safe = left.is_safe and right.is_safe
        for known, other in ((left, right), (right, left)):
            text = _known_equality(known, other, same=same)
            if text is not None:
                return Code(text, "bool", is_safe)
        made = writer.call(call, [left, right], "bool", is_heavy=True)
        return Code(made.text, "bool", is_safe and not writer.looping)

    return write


def _known_equality(known: Code, other: Code, *, same: bool) -> str | None:
    """Equality where the type of one side is known, and nothing of the other has to be."""
    if known.kind in {"null", "bool"}:
        return f"({other.text} {'is' if same else 'is not'} {known.text})"
    if known.kind == "string" or (known.kind in _NUMBERS and other.kind in _NUMBERS):
        return f"({other.text} {'==' if same else '!='} {known.text})"
    if known.kind in _NUMBERS:
        if same:
            return f"({other.text} == {known.text} and {other.text}.__class__ is not boolean)"
        return f"({other.text} != {known.text} or {other.text}.__class__ is boolean)"
    return None


def _arithmetic(sign: str, call: str) -> Write:
    def write(writer: Generator, nodes: tuple[Node, ...]) -> Code | None:
        left, right = _pair(writer, nodes)
        kinds = {left.kind, right.kind}
        called = f"{call}({left.text}, {right.text})"
        plain = f"{left.text} {sign} {right.text}"
        if "double" in kinds:
            tests = [f"{c.text}.__class__ is number" for c in (left, right) if c.kind != "double"]
            text = f"({plain} if {tests[0]} else {called})" if tests else f"({plain})"
            return Code(text, "double", not tests and left.is_safe and right.is_safe)
        if "int" in kinds:
            small = [_small(code) for code in (left, right)]
            tests = [test for test in small if test]
            return Code(f"({plain} if {' and '.join(tests)} else {called})" if tests else f"({plain})", "int")
        if kinds & {"string", "list"} and sign == "+":
            return _joining(writer, left, right)
        return writer.call(call, [left, right], "dyn", is_heavy=sign == "+")

    return write


def _small(code: Code) -> str:
    """What tells that an integer is so small that sums and products of two need no look; empty if known."""
    if code.kind == "int":
        number = code.text.strip("()")
        if number.lstrip("-").isdigit() and abs(int(number)) < _SMALL:
            return ""
        return _IS_SMALL.format(code.text)
    return f"{code.text}.__class__ is integer and {_IS_SMALL.format(code.text)}"


def _joining(writer: Generator, left: Code, right: Code) -> Code:
    kind = "string" if "string" in {left.kind, right.kind} else "list"
    called = f"add({left.text}, {right.text})"
    if writer.looping or writer.copies:
        # What is joined again and again, or holds itself several times, is looked at each time.
        return writer.call("add", [left, right], kind, is_heavy=True)
    name = "text" if kind == "string" else "listing"
    tests = [f"{code.text}.__class__ is {name}" for code in (left, right) if code.kind != kind]
    plain = f"{left.text} + {right.text}"
    return writer.name(Code(f"{plain} if {' and '.join(tests)} else {called}" if tests else plain, kind))


def _is_in(writer: Generator, nodes: tuple[Node, ...]) -> Code:
    value, container = nodes
    if isinstance(container, Listing) and not container.optional:
        constants = [each.value for each in container.elements if isinstance(each, Const)]
        if len(constants) == len(container.elements) and all(isinstance(c, str) for c in constants):
            held = writer.name(writer.code(value))
            words = writer.lines.bind(frozenset(constants), "w")
            # What is no text is none of these words; a list or map cannot be looked up at all.
            text = f"({held.text}.__class__ is text and {held.text} in {words})"
            return Code(text, "bool", held.is_safe)
    left, right = _pair(writer, nodes)
    return writer.call("is_in", [left, right], "bool", is_heavy=True)


def _on_text(name: str, method: str) -> Write:
    call = BUILTINS[name, 2].call

    def write(writer: Generator, nodes: tuple[Node, ...]) -> Code | None:
        if writer.looping or not isinstance(nodes[1], Const) or nodes[1].kind != "string":
            return None
        text, part = _pair(writer, nodes)
        plain = f"{part.text} in {text.text}" if method == "in" else f"{text.text}.{method}({part.text})"
        if text.kind == "string":
            return Code(f"({plain})", "bool", text.is_safe)
        other = f"{writer.lines.bind(call, 'f')}({text.text}, {part.text})"
        return Code(f"({plain} if {text.text}.__class__ is text else {other})", "bool")

    return write


def _matches(writer: Generator, nodes: tuple[Node, ...]) -> Code | None:
    pattern = nodes[1]
    if writer.looping or not isinstance(pattern, Const) or pattern.kind != "string":
        return None
    try:
        find = writer.lines.bind(finder(pattern.value), "f")
    except Failed:
        return None
    text = writer.name(writer.code(nodes[0]))
    call = writer.lines.bind(BUILTINS["matches", 2].call, "f")
    other = f"{call}({text.text}, {writer.lines.bind(pattern.value)})"
    return Code(f"({find}({text.text}) if {text.text}.__class__ is text else {other})", "bool")


def _negation(writer: Generator, nodes: tuple[Node, ...]) -> Code:
    code = writer.code(nodes[0])
    if code.kind == "bool":
        return Code(f"(not {code.text})", "bool", code.is_safe)
    return Code(f"negation({code.text})", "bool")


def condition(writer: Generator, node: Node) -> Code:
    """The code of a boolean, and of nothing else."""
    code = writer.code(node)
    return code if code.kind == "bool" else Code(f"truth({code.text})", "bool")


def _choice(writer: Generator, nodes: tuple[Node, ...]) -> Code:
    asked = condition(writer, nodes[0])
    with writer.apart() as first:
        yes = writer.code(nodes[1])
    with writer.apart() as second:
        no = writer.code(nodes[2])
    kind = yes.kind if yes.kind == no.kind else "dyn"
    is_safe = asked.is_safe and yes.is_safe and no.is_safe
    bound = max(yes.bound, no.bound) if yes.bound and no.bound and kind == yes.kind else 0
    is_json = all(code.is_json or code.kind in AS_THEY_ARE for code in (yes, no))
    if not first and not second:
        text = f"({yes.text} if {asked.text} else {no.text})"
        return Code(text, kind, is_safe, is_json=is_json, bound=bound)
    name = writer.lines.name("z")
    for head, body, code in ((f"if {asked.text}:", first, yes), ("else:", second, no)):
        with writer.block(head):
            writer.lines.deeper(body)
            writer.lines.add(f"{name} = {code.text}")
    return Code(name, kind, is_safe, is_simple=True, is_json=is_json)


def _optional(writer: Generator, nodes: tuple[Node, ...]) -> Code | None:
    """An optional member of a variable, without a call where it can be asked for."""
    made = _present(writer, nodes)
    if made is None:
        return None
    there, absent = (writer.lines.bind(BUILTINS[name].call, "f") for name in _OPTIONALS)
    return _either(writer, *made, other=([], Code(f"{absent}()", "optional")), wrapped=there)


def _or_value(writer: Generator, nodes: tuple[Node, ...]) -> Code | None:
    """A member or another value."""
    first, second = nodes
    if not isinstance(first, Call) or first.function != "_?._":
        return None
    made = _present(writer, first.operands)
    if made is None:
        return None
    with writer.apart() as body:
        other = writer.code(second)
    return _either(writer, *made, other=(body, other))


def _present(writer: Generator, nodes: tuple[Node, ...]) -> tuple[Code, list[str], Code] | None:
    """Whether a member is there, and the lines and the code that read it."""
    operand, member = nodes
    if not isinstance(member, Const):
        return None
    asked = writer.presence(operand, member.value)
    if asked is None:
        return None
    with writer.apart() as body:
        value = writer.code(Select(0, operand, member.value, asks=False))
    return asked, body, value


def _either(
    writer: Generator,
    asked: Code,
    body: list[str],
    value: Code,
    *,
    other: tuple[list[str], Code],
    wrapped: str = "",
) -> Code:
    yes = f"{wrapped}({value.text})"
    if not body and not other[0]:
        return Code(f"({yes} if {asked.text} else {other[1].text})", "optional" if wrapped else "dyn")
    name = writer.lines.name("z")
    for head, lines, text in ((f"if {asked.text}:", body, yes), ("else:", other[0], other[1].text)):
        with writer.block(head):
            writer.lines.deeper(lines)
            writer.lines.add(f"{name} = {text}")
    return Code(name, "optional" if wrapped else "dyn", is_simple=True)


def flat(function: str, nodes: tuple[Node, ...]) -> list[Node]:
    """The operands of a chain of one operator."""
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Call) and node.function == function and len(node.operands) == 2:
            found += flat(function, node.operands)
        else:
            found.append(node)
    return found


def _logic(function: str, word: str, decisive: str) -> Write:
    neutral = "True" if decisive == "False" else "False"

    def write(writer: Generator, nodes: tuple[Node, ...]) -> Code:
        lines = writer.lines
        written: list[tuple[list[str], Code]] = []
        operands = flat(function, nodes)
        for node in operands:
            with writer.apart() as body:
                code = condition(writer, node)
            written.append((body, code))
        if all(code.is_safe for _, code in written[:-1]) and not any(body for body, _ in written[1:]):
            lines.same(written[0][0])
            text = f" {word} ".join(code.text for _, code in written)
            return Code(f"({text})", "bool", all(code.is_safe for _, code in written))
        return _one_by_one(writer, written, decisive, neutral)

    return write


def _one_by_one(
    writer: Generator, written: list[tuple[list[str], Code]], decisive: str, neutral: str
) -> Code:
    """An operand that fails counts only if no other decides: meanwhile the result is `None`."""
    lines = writer.lines
    name, last = lines.name("z"), len(written) - 1
    may_fail = False
    for place, (body, code) in enumerate(written):
        target = name if place == 0 else lines.name("y")
        with lines.apart() as whole:
            if code.is_safe or place == last:
                lines.same(body)
                lines.add(f"{target} = {code.text}")
            else:
                may_fail = True
                with writer.block("try:", counts=True):
                    lines.deeper(body)
                    lines.add(f"{target} = {code.text}")
                with lines.block("except OverLimit:"):
                    lines.add("raise")
                with lines.block("except Problem:"):
                    lines.add(f"{target} = None")
        if place == 0:
            lines.same(whole)
            continue
        with writer.block(f"if {name} is not {decisive}:"):
            lines.deeper(whole)
            lines.add(f"if {target} is not {neutral}: {name} = {target}")
    if may_fail:
        lines.add(f"if {name} is None: failing()")
    return Code(name, "bool", all(code.is_safe for _, code in written), is_simple=True)


SPECIAL: Final[dict[str, Special]] = {
    "_==_": Special(2, _equality(same=True)),
    "_!=_": Special(2, _equality(same=False)),
    "_<_": Special(2, _comparison("<", "less")),
    "_<=_": Special(2, _comparison("<=", "at_most")),
    "_>_": Special(2, _comparison(">", "more")),
    "_>=_": Special(2, _comparison(">=", "at_least")),
    "_+_": Special(2, _arithmetic("+", "add")),
    "_-_": Special(2, _arithmetic("-", "subtract")),
    "_*_": Special(2, _arithmetic("*", "multiply")),
    "@in": Special(2, _is_in),
    "startsWith": Special(2, _on_text("startsWith", "startswith")),
    "endsWith": Special(2, _on_text("endsWith", "endswith")),
    "contains": Special(2, _on_text("contains", "in")),
    "matches": Special(2, _matches),
    "_?._": Special(2, _optional),
    "orValue": Special(2, _or_value),
    "!_": Special(1, _negation),
    "_?_:_": Special(3, _choice),
    "_&&_": Special(2, _logic("_&&_", "and", "False")),
    "_||_": Special(2, _logic("_||_", "or", "True")),
}
"""What is written out, by the name of the function."""
