"""Where in an expression it failed, and over which value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isthmus.mapper.cel.codes import Code, Local, Unsupported
from isthmus.mapper.cel.environment import Checked
from isthmus.mapper.cel.generator import Generator
from isthmus.mapper.cel.limits import MAX_COST
from isthmus.mapper.cel.reads import chain
from isthmus.mapper.cel.tree import Const, Ident, Loop, Node, Select, Tree, parts
from isthmus.mapper.generation.lines import Lines


@dataclass(frozen=True, slots=True)
class Culprit:
    """The innermost part that has no value though all its own parts have one.

    Attributes:
        place: Line and column.
        path: The members that lead to the value it failed over; `None` where that is no member.
        value: That value.
        variable: What the members belong to.
    """

    place: tuple[int, int]
    path: tuple[str, ...] | None
    value: Any
    variable: str = ""


class Locator:
    """Evaluates an expression part by part; made when the first record fails."""

    def __init__(self, checked: Checked, variables: Mapping[str, str]) -> None:
        self._checked = checked
        self._variables = variables

    def culprit(self, values: Mapping[str, Any]) -> Culprit | None:
        """The part that fails for these values; `None` where none does by itself."""
        for node, run in self._parts:
            try:
                run(values, [0, MAX_COST])
            except Exception:
                return self._told(node, values)
        return None

    @cached_property
    def _parts(self) -> list[tuple[Node, Any]]:
        made = []
        for node in _inside_out(self._checked.tree.root):
            try:
                made.append((node, self._compiled(node)))
            except (Unsupported, RecursionError):
                continue
        return made

    def _compiled(self, node: Node) -> Any:
        lines, tree = Lines(), self._checked.tree
        with lines.block("def run(s, m):"):
            places = {}
            for name, kind in self._variables.items():
                local = lines.name("v")
                lines.add(f"{local} = s[{lines.bind(name)}]")
                places[name] = Local(Code(local, kind, is_safe=True, is_simple=True))
            part = Tree(node, tree.types, tree.names, tree.places)
            made = Generator(lines, part, places, self._checked.environment.functions).write()
            lines.add(f"return {made.text}")
        return lines.function_named("run")

    def _told(self, node: Node, values: Mapping[str, Any]) -> Culprit:
        place = self._checked.place(node)
        for part in parts(node):
            for variable in self._variables:
                path = chain(part, variable)
                if path is None:
                    continue
                value = values[variable]
                for name in path:
                    value = value[name]
                if isinstance(node, Select) and isinstance(value, dict):
                    return Culprit(place, (*path, node.member), None, variable)
                return Culprit(place, path, value, variable)
        return Culprit(place, None, None)


def _inside_out(node: Node) -> Iterator[Node]:
    """The parts that have a value of their own, from the inside out; there are none inside macros."""
    if isinstance(node, Const | Ident):
        return
    for part in (node.over,) if isinstance(node, Loop) else parts(node):
        yield from _inside_out(part)
    yield node
