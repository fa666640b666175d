"""Which members of its variable an expression reads."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.mapper.cel.tree import Call, Const, Ident, Loop, Node, Select, parts, walk

Names = tuple[str, ...]
OPTIONAL_MEMBER = "_?._"


def chain(node: Node, variable: str) -> Names | None:
    """The members that lead from a variable to a node; `None` where it is no such chain."""
    names: list[str] = []
    while isinstance(node, Select) and not node.asks:
        names.append(node.member)
        node = node.operand
    if isinstance(node, Ident) and node.name == variable:
        return tuple(reversed(names))
    return None


def paths_read(root: Node, variable: str) -> tuple[Names, ...]:
    """Every chain of members that is read, each once; an empty one where the variable is read as a whole."""
    found: dict[Names, None] = {}
    _gather(root, variable, found)
    if any(isinstance(node, Loop) and variable in (node.variable, node.accumulator) for node in walk(root)):
        # The name means something else in places, which it is not worth telling apart.
        found[()] = None
    return tuple(found)


def asked_for(root: Node, variable: str) -> Iterator[Names]:
    """The members that the expression asks for with `has`."""
    for node in walk(root):
        if isinstance(node, Select) and node.asks:
            inner = chain(node.operand, variable)
            if inner is not None:
                yield (*inner, node.member)


def _gather(node: Node, variable: str, found: dict[Names, None]) -> None:
    path = chain(node, variable)
    if path is None and isinstance(node, Select) and node.asks:
        inner = chain(node.operand, variable)
        path = None if inner is None else (*inner, node.member)
    elif path is None and isinstance(node, Call) and node.function == OPTIONAL_MEMBER:
        first, second = node.operands
        inner = chain(first, variable)
        if inner is not None and isinstance(second, Const):
            path = (*inner, str(second.value))
    if path is not None:
        found[path] = None
        return
    for part in parts(node):
        _gather(part, variable, found)
