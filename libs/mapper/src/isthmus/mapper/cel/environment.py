"""What expressions are checked in: variables with their types, and functions.

The library is imported when the first expression is read and not before: whoever maps without
expressions does without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from isthmus.mapper.cel.functions import OWN, OwnFunction
from isthmus.mapper.cel.limits import MAX_EXPRESSION_TEXT, MAX_NODES
from isthmus.mapper.cel.reference import hosted
from isthmus.mapper.cel.tree import Node, Tree, read_tree, walk

_KINDS = {
    "bool": "BOOL",
    "bytes": "BYTES",
    "double": "DOUBLE",
    "duration": "DURATION",
    "dyn": "DYN",
    "int": "INT",
    "list": "LIST",
    "map": "MAP",
    "null": "NULL",
    "string": "STRING",
    "timestamp": "TIMESTAMP",
    "type": "TYPE",
    "uint": "UINT",
}
_PLACE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_STATUS = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$")


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with an expression; line and column count from 1 and are 0 where they are unknown."""

    line: int
    column: int
    message: str


class ExpressionInvalid(ValueError):
    """An expression cannot be used; `mistakes` lists everything that was found."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(mistake.message for mistake in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Checked:
    """An expression that was checked: its tree, the type of its result, and the library's own form of it."""

    text: str
    tree: Tree
    result: str
    compiled: Any
    environment: Environment

    def place(self, node: Node) -> tuple[int, int]:
        """Line and column of a node."""
        before = self.text[: self.tree.places.get(node.id, 0)]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


class Environment:
    """Variables by name with their types; every expression that is checked here may use them."""

    def __init__(self, variables: Mapping[str, str], functions: tuple[OwnFunction, ...] = OWN) -> None:
        from cel_expr_python import cel  # type: ignore[import-untyped]
        from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings  # type: ignore[import-untyped]

        types = {name: getattr(cel.Type, _KINDS[kind]) for name, kind in variables.items()}
        self.functions = {function.name: function.builtin for function in functions}
        self.library = cel.NewEnv(
            variables=types,
            extensions=[
                ext_bindings.ExtBindings(),
                ext_encoders.ExtEncoders(),
                ext_math.ExtMath(),
                ext_optional.ExtOptional(),
                ext_strings.ExtStrings(),
            ],
            functions=[_declaration(function) for function in functions],
        )

    def check(self, text: str, *, only_parse: bool = False) -> Checked:
        """Parses and checks an expression.

        Raises:
            ExpressionInvalid: it cannot be read, or its types do not fit.
        """
        _check_text(text)
        try:
            compiled = self.library.compile(text, disable_check=only_parse)
        except (RuntimeError, ValueError) as problem:
            raise ExpressionInvalid(*_mistakes(str(problem))) from None
        tree = read_tree(compiled.serialize())
        if sum(1 for _ in walk(tree.root)) > MAX_NODES:
            raise ExpressionInvalid(Mistake(0, 0, f"An expression has at most {MAX_NODES} parts; split it."))
        return Checked(text, tree, tree.type_of(tree.root), compiled, self)


@lru_cache(maxsize=512)
def _declaration(function: OwnFunction) -> Any:
    """One of our functions as the library knows it."""
    from cel_expr_python import cel

    name = function.name.replace(".", "_")
    overloads = [
        cel.Overload(
            id=f"isthmus_{name}_{number}",
            return_type=getattr(cel.Type, _KINDS[function.returns]),
            parameters=[getattr(cel.Type, _KINDS[kind]) for kind in kinds],
            is_member=function.is_member,
            impl=hosted(function.call),
        )
        for number, kinds in enumerate(function.overloads)
    ]
    return cel.FunctionDecl(function.name, overloads)


def _check_text(text: str) -> None:
    if len(text) > MAX_EXPRESSION_TEXT:
        hint = f"An expression has at most {MAX_EXPRESSION_TEXT} characters; split it."
        raise ExpressionInvalid(Mistake(0, 0, hint))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ExpressionInvalid(Mistake(0, 0, "An expression is Unicode text; mend its encoding.")) from None


def _mistakes(told: str) -> list[Mistake]:
    """What the library said, without its way of drawing places."""
    found = [
        Mistake(max(int(line), 0), max(int(column), 0), _STATUS.sub("", message))
        for line, column, message in _PLACE.findall(told)
    ]
    return list(dict.fromkeys(found)) or [Mistake(0, 0, _STATUS.sub("", told.splitlines()[0]))]


@lru_cache(maxsize=16)
def environment(variables: tuple[tuple[str, str], ...], plugins: tuple[OwnFunction, ...] = ()) -> Environment:
    """An environment with these variables, and functions of plug-ins; making one takes a while."""
    return Environment(dict(variables), OWN + plugins)
