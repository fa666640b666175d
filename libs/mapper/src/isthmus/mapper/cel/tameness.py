"""How much memory the library may take for an expression: it bounds turns of loops and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.mapper.cel.builtins import BUILTINS, Builtin
from isthmus.mapper.cel.loops import is_binding
from isthmus.mapper.cel.tree import Call, Const, Ident, Loop, Node, parts, walk

_TURNS = 10_000
"""All loops of an expression together turn no more often in the library."""
_SHORT = 64
_FAR_TOO_MANY = 1 << 62
_GATHERS = "_+_"
_MADE = frozenset({"string", "bytes", "list", "map", "dyn"})
_OWN = 8
"""What a function of ours makes is no larger than this times its operands, unless it says that it grows."""


def copies(root: Node, functions: Mapping[str, Builtin] | None = None) -> int:
    """How many times as large as everything that goes in a value on the way can be, at most.

    Texts grow by being joined, repeated or written into one another, and what a loop makes of a text
    is made anew at each turn.

    Args:
        root: The expression.
        functions: Functions besides those of the language, by name.
    """
    return _Growth(functions or {}).of(root, {}, in_loop=False)


class _Growth:
    def __init__(self, functions: Mapping[str, Builtin]) -> None:
        self._functions = functions

    def of(self, node: Node, names: Mapping[str, int], *, in_loop: bool) -> int:
        if isinstance(node, Const):
            return 0
        if isinstance(node, Ident):
            return names.get(node.name, 1)
        if isinstance(node, Loop):
            return self._of_loop(node, names, in_loop=in_loop)
        inner = [self.of(part, names, in_loop=in_loop) for part in parts(node)]
        return min(sum(inner) * (self._factor(node) if isinstance(node, Call) else 1), _FAR_TOO_MANY)

    def _of_loop(self, node: Loop, names: Mapping[str, int], *, in_loop: bool) -> int:
        if is_binding(node):
            started = self.of(node.start, names, in_loop=in_loop)
            return self.of(node.result, {**names, node.accumulator: started}, in_loop=in_loop) + started
        over = self.of(node.over, names, in_loop=in_loop)
        inside = {**names, node.variable: over, node.accumulator: 1}
        turn = max(self.of(part, inside, in_loop=True) for part in _turn(node))
        makes = any(self._makes(each) for part in _turn(node) for each in walk(part))
        return min(over + turn * (_TURNS if makes and not in_loop else 1), _FAR_TOO_MANY)

    def _makes(self, node: Node) -> bool:
        """Whether it makes a text or list of others, instead of passing one on."""
        if not isinstance(node, Call):
            return False
        builtin = self._builtin(node)
        return node.function == _GATHERS or (
            builtin is not None and builtin.kind in _MADE and builtin.is_heavy
        )

    def _factor(self, node: Call) -> int:
        """How much larger than its operands together the result of a function can be."""
        builtin = self._builtin(node)
        if node.function in self._functions:
            return _FAR_TOO_MANY if builtin is not None and builtin.grows else _OWN
        if builtin is None or not builtin.grows:
            return 1
        words = node.operands[2:3] if node.function == "replace" else node.operands[1:2]
        return _SHORT if all(map(_is_short, words)) else _FAR_TOO_MANY

    def _builtin(self, node: Call) -> Builtin | None:
        return self._functions.get(node.function) or BUILTINS.get((node.function, len(node.operands)))


def _turn(node: Loop) -> list[Node]:
    """What a turn works on, without what the macro itself adds to its accumulator."""
    inner = (node.step.operands if isinstance(node.step, Call) else ()) or (node.step,)
    return [_without_gathering(node, part) for part in inner]


def _without_gathering(loop: Loop, node: Node) -> Node:
    if isinstance(node, Call) and node.function == _GATHERS:
        first, second = node.operands
        if isinstance(first, Ident) and first.name == loop.accumulator:
            return second
    return node


def _is_short(node: Node) -> bool:
    return isinstance(node, Const) and isinstance(node.value, str) and len(node.value) <= _SHORT
