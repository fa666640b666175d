"""Code for macros: loops over lists and maps, and names for values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.mapper.cel.codes import Code, Local, Unsupported
from isthmus.mapper.cel.inlining import condition
from isthmus.mapper.cel.tree import Call, Const, Ident, Listing, Loop, Node

if TYPE_CHECKING:
    from isthmus.mapper.cel.generator import Generator

_NEVER_FALSE = "@not_strictly_false"


def is_binding(node: Loop) -> bool:
    """Whether the loop never turns, and only gives a value a name."""
    return (
        isinstance(node.over, Listing)
        and not node.over.elements
        and isinstance(node.condition, Const)
        and node.condition.value is False
    )


def loop(writer: Generator, node: Loop) -> Code:
    """Adds the statements of a macro and gives the code of its result."""
    if is_binding(node):
        return _binding(writer, node)
    if node.second:
        raise Unsupported("Macros with two variables are not known here.")
    if isinstance(node.condition, Call) and node.condition.function == _NEVER_FALSE:
        return _quantifier(writer, node)
    return _fold(writer, node)


def _binding(writer: Generator, node: Loop) -> Code:
    lines = writer.lines
    started = writer.code(node.start)
    name = lines.name("b")
    lines.add(f"{name} = {started.text}")
    outer = dict(writer.scope)
    writer.scope[node.accumulator] = Local(Code(name, started.kind, is_safe=True, is_simple=True))
    writer.copies += 1
    result = writer.name(writer.code(node.result))
    writer.copies -= 1
    writer.scope = outer
    return Code(result.text, result.kind, is_simple=True)


def _turns(writer: Generator, node: Loop) -> tuple[str, str]:
    """Adds lines that charge for the turns; gives the name of the range and of its variable."""
    lines = writer.lines
    over = writer.name(writer.code(node.over))
    ranged, variable = lines.name("z"), lines.name("i")
    lines.add(f"{ranged} = {over.text} if {over.text}.__class__ is listing else range_of({over.text})")
    lines.add(f"{writer.meter}[1] -= size({ranged}) + 1", f"if {writer.meter}[1] < 0: over_cost()")
    return ranged, variable


def _quantifier(writer: Generator, node: Loop) -> Code:
    """`all` and `exists`: one element decides, and one that fails counts only if no other does."""
    lines, step = writer.lines, node.step
    if not isinstance(step, Call) or step.function not in {"_&&_", "_||_"}:
        raise Unsupported("This macro is not known here.")
    decisive = "False" if step.function == "_&&_" else "True"
    neutral = "True" if decisive == "False" else "False"
    ranged, variable = _turns(writer, node)
    name = lines.name("z")
    lines.add(f"{name} = {neutral}")
    outer = dict(writer.scope)
    writer.looping += 1
    with writer.block(f"for {variable} in {ranged}:", counts=True):
        writer.scope[node.variable] = Local(Code(variable, is_safe=True, is_simple=True))
        with writer.block("try:", counts=True):
            asked = condition(writer, step.operands[1])
            lines.add(f"if {asked.text} is {decisive}:")
            lines.add(f"    {name} = {decisive}", "    break")
        with lines.block("except OverLimit:"):
            lines.add("raise")
        with lines.block("except Problem:"):
            lines.add(f"{name} = None")
    writer.looping -= 1
    writer.scope = outer
    lines.add(f"if {name} is None: failing()")
    return Code(name, "bool", is_simple=True)


def _fold(writer: Generator, node: Loop) -> Code:
    """`map`, `filter`, `exists_one`: each element may add to what was gathered."""
    lines = writer.lines
    kind = "list" if isinstance(node.start, Listing) else "int"
    is_known = (isinstance(node.start, Listing) and not node.start.elements) or (
        isinstance(node.start, Const) and node.start.kind == "int"
    )
    if not is_known or not (isinstance(node.condition, Const) and node.condition.value is True):
        raise Unsupported("This macro is not known here.")
    ranged, variable = _turns(writer, node)
    name = lines.name("z")
    lines.add(f"{name} = {writer.code(node.start).text}")
    outer = dict(writer.scope)
    writer.looping += 1
    with writer.block(f"for {variable} in {ranged}:", counts=True):
        writer.scope[node.variable] = Local(Code(variable, is_safe=True, is_simple=True))
        _step(writer, node, node.step, name)
    writer.looping -= 1
    writer.scope = dict(outer)
    writer.scope[node.accumulator] = Local(Code(name, kind, is_safe=True, is_simple=True))
    result = writer.name(writer.code(node.result))
    writer.scope = outer
    return Code(result.text, result.kind, is_simple=True)


def _step(writer: Generator, node: Loop, step: Node, name: str) -> None:
    """Adds what one element does to what was gathered."""
    lines = writer.lines
    if isinstance(step, Ident) and step.name == node.accumulator:
        lines.add("pass")
        return
    if isinstance(step, Call) and step.function == "_?_:_":
        asked = condition(writer, step.operands[0])
        with writer.block(f"if {asked.text}:"):
            _step(writer, node, step.operands[1], name)
        with writer.block("else:"):
            _step(writer, node, step.operands[2], name)
        return
    added = _added(node, step)
    if isinstance(added, Listing) and not added.optional:
        for element in added.elements:
            lines.add(f"{name}.append({writer.code(element).text})")
    elif isinstance(added, Const) and added.kind == "int":
        lines.add(f"{name} += {added.value:d}")
    else:
        raise Unsupported("This macro is not known here.")


def _added(node: Loop, step: Node) -> Node | None:
    """What is added to the accumulator."""
    if isinstance(step, Call) and step.function == "_+_":
        first, second = step.operands
        if isinstance(first, Ident) and first.name == node.accumulator:
            return second
    return None
