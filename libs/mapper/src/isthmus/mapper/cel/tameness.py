"""Whether an expression may be handed to the library, which bounds the turns of loops and nothing else."""

from __future__ import annotations

from isthmus.mapper.cel.builtins import BUILTINS
from isthmus.mapper.cel.limits import TAME_COPIES
from isthmus.mapper.cel.loops import is_binding
from isthmus.mapper.cel.tree import Call, Const, Ident, Loop, Node, parts

_SMALL = 64
_TOO_MANY = 1 << 30
_GATHERS = "_+_"


def is_tame(root: Node) -> bool:
    """Whether no value on the way can be much larger than what goes in.

    Texts grow by being joined, repeated or written into one another. That is bounded by the length of
    the expression as long as it happens neither in a loop, nor to a value that has a name and may
    therefore stand in it many times, nor to something that has grown by replacement already.
    """
    return _copies(root) <= TAME_COPIES


def _copies(node: Node) -> int:
    """About how many times the inputs a value can be as large as, or far too many."""
    if isinstance(node, Const | Ident):
        return int(isinstance(node, Ident))
    if isinstance(node, Call):
        return _of_call(node)
    if not isinstance(node, Loop):
        return sum(map(_copies, parts(node)))
    if is_binding(node):
        is_large = _grows(node.result) or _grows(node.start)
        return _TOO_MANY if is_large else max(_copies(node.start), _copies(node.result))
    turns = _turns(node)
    return _TOO_MANY if any(map(_grows, turns)) else max(_copies(node.over), *map(_copies, turns))


def _turns(node: Loop) -> list[Node]:
    """What a turn of a loop works on, without what the macro itself adds to its accumulator."""
    inner = (node.step.operands if isinstance(node.step, Call) else ()) or (node.step,)
    return [_without_gathering(node, part) for part in inner]


def _of_call(node: Call) -> int:
    inner = [_copies(part) for part in node.operands]
    builtin = BUILTINS.get((node.function, len(node.operands)))
    if builtin is None or not builtin.grows:
        return sum(inner)
    if any(map(_grows, node.operands)):
        return _TOO_MANY
    words = node.operands[1:]
    if node.function == "replace" and len(words) > 1 and _is_short(words[1]):
        return sum(inner) * _SMALL
    if node.function == "join" and all(map(_is_short, words)):
        return sum(inner) * _SMALL
    return _TOO_MANY


def _is_short(node: Node) -> bool:
    return isinstance(node, Const) and isinstance(node.value, str) and len(node.value) <= _SMALL


def _grows(node: Node) -> bool:
    """Whether anything below makes larger values of smaller ones."""
    if isinstance(node, Call):
        builtin = BUILTINS.get((node.function, len(node.operands)))
        if node.function == _GATHERS and not _is_number(node):
            return True
        if builtin is not None and builtin.grows:
            return True
    if isinstance(node, Loop) and not is_binding(node):
        return _grows(node.over) or any(map(_grows, _turns(node)))
    return any(map(_grows, parts(node)))


def _is_number(node: Call) -> bool:
    """Whether a sum is one of numbers, because one of its parts is."""
    return any(isinstance(part, Const) and part.kind in {"int", "uint", "double"} for part in node.operands)


def _without_gathering(loop: Loop, node: Node) -> Node:
    """What a macro itself adds to its accumulator does not count: each turn adds one element."""
    if isinstance(node, Call) and node.function == _GATHERS:
        first, second = node.operands
        if isinstance(first, Ident) and first.name == loop.accumulator:
            return second
    return node
