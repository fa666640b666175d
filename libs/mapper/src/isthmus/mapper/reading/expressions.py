"""Reads CEL expressions; the library that checks them is imported when there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from isthmus.mapper.functions import FUNCTIONS, plugins
from isthmus.mapper.model import Expression
from isthmus.mapper.reference import expression_signature
from isthmus.mapper.schemas import SchemaInvalid, resolve

if TYPE_CHECKING:
    from isthmus.mapper.cel.environment import Checked
    from isthmus.mapper.reading.steps import Scope

_TYPES = {"string": "string", "integer": "int", "boolean": "bool", "array": "list", "object": "map"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let"}
    | {"loop", "namespace", "null", "package", "return", "true", "var", "void", "while"}
)
RECORD, ITEM, RESULT = "record", "item", "result"
"""What expressions call the record, the element of a list, and what was made of the record."""

_QUOTED = re.compile(r"'([A-Za-z_.]+)'")
_DEEPEST = 4
_MOST = 500


@contextmanager
def element(scope: Scope, variable: str = ITEM, schema: dict[str, Any] | None = None) -> Iterator[None]:
    """Inside, what is read is not the record but, for example, the element of a list in it.

    The record stays within reach.
    """
    outer = scope.variable, scope.schema
    scope.variable, scope.schema = variable, schema
    yield
    scope.variable, scope.schema = outer


def read_expression(
    scope: Scope, raw: object, place: str, *, is_condition: bool = False
) -> Expression | None:
    """Reads and checks an expression; `None` where it is wrong, which is noted."""
    report = scope.report
    if not isinstance(raw, str):
        report.wrong_type(place, "a CEL expression (a text)", raw)
        return None
    scope.expressions -= 1
    if scope.expressions < 0:
        report.add(place, "TOO_MANY", "The definition has too many expressions; split it.")
        return None
    from isthmus.mapper.cel.environment import ExpressionInvalid
    from isthmus.mapper.cel.expression import NOW, CelExpression

    known_names = (scope.variable, RECORD) if scope.in_element else (RECORD,)
    variables = (*((name, "dyn") for name in known_names), (NOW, "timestamp"))
    try:
        checked, typed = _checked(scope, raw, variables)
    except ExpressionInvalid as invalid:
        for mistake in invalid.mistakes:
            report.add(place, "EXPRESSION_INVALID", _told(mistake, scope, raw))
        return None
    if is_condition and typed.result not in {"bool", "dyn"}:
        hint = f"A condition is true or false; this is of type {typed.result}: compare it with something."
        report.add(place, "EXPRESSION_NOT_BOOLEAN", hint)
        return None
    return Expression(CelExpression(checked, scope.variable, RECORD if scope.in_element else ""))


def _checked(scope: Scope, raw: str, variables: tuple[tuple[str, str], ...]) -> tuple[Checked, Checked]:
    """The expression, checked without and with the types that the schema tells.

    Raises:
        ExpressionInvalid: it cannot be used.
    """
    from isthmus.mapper.cel.environment import ExpressionInvalid

    try:
        return _checked_with(scope, raw, variables, ())
    except ExpressionInvalid:
        brought = tuple(name for name in plugins.names() if f"{name}." in raw)
        if not brought:
            raise
    for name in brought:
        problem = plugins.missing(name)
        if problem is not None:
            from isthmus.mapper.cel.environment import Mistake

            raise ExpressionInvalid(Mistake(0, 0, problem.message))
    return _checked_with(scope, raw, variables, brought)


def _checked_with(
    scope: Scope, raw: str, variables: tuple[tuple[str, str], ...], brought: tuple[str, ...]
) -> tuple[Checked, Checked]:
    from isthmus.mapper.cel.environment import environment
    from isthmus.mapper.cel.functions import of_plugins
    from isthmus.mapper.cel.tree import Call, walk

    functions = of_plugins(brought)
    checked = environment(variables, functions).check(raw)
    called = {node.function for node in walk(checked.tree.root) if isinstance(node, Call)}
    for function in functions:
        plugin = plugins.plugin(function.name.partition(".")[0])
        if function.name in called and plugin is not None:
            scope.report.plugins[plugin.name] = plugin.version
    known = _known(scope, checked)
    return checked, environment((*variables, *known), functions).check(raw) if known else checked


def _told(mistake: Any, scope: Scope, raw: str) -> str:
    where = f"At line {mistake.line}, character {mistake.column}: " if mistake.line else ""
    hint = ""
    called = _misused(mistake.message, raw)
    if called:
        hint = f" Call it as {called}."
    elif "undeclared reference" in mistake.message:
        names = f"{scope.variable!r}, 'record'" if scope.in_element else "'record'"
        hint = f" An expression knows {names} and 'now'; docs/functions.md lists all functions."
    return f"{where}{mistake.message}.{hint}".replace("..", ".")


def _misused(message: str, raw: str) -> str:
    """How a function of the library is called that an expression calls with what it does not take."""
    for word in _QUOTED.findall(message):
        for function in FUNCTIONS.values():
            if (
                function.cel
                and word in (function.cel, function.cel.partition(".")[2])
                and function.cel in raw
            ):
                return expression_signature(function)
    return ""


def _known(scope: Scope, checked: Checked) -> tuple[tuple[str, str], ...]:
    """The types of members that the schema tells; those that may be null or of several types stay dynamic.

    So do those that are asked for with `has`: a member with a type is a variable to the library, and of
    a variable it asks nothing.
    """
    found: dict[str, str] = {}
    if scope.schema is not None:
        try:
            _gather(scope.schema, scope.schema, scope.variable, found, 0)
        except (SchemaInvalid, RecursionError):
            # Whoever checks the schema says what is wrong with it.
            return ()
    from isthmus.mapper.cel.reads import asked_for

    for path in asked_for(checked.tree.root, scope.variable):
        found.pop(".".join((scope.variable, *path)), None)
    return tuple(sorted(found.items()))


def _gather(root: dict[str, Any], schema: object, prefix: str, found: dict[str, str], depth: int) -> None:
    schema = resolve(root, schema)
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return
    properties = schema.get("properties")
    if not isinstance(properties, dict) or any(word in schema for word in ("anyOf", "oneOf", "allOf", "if")):
        return
    for name, told in properties.items():
        if len(found) >= _MOST or not _NAME.fullmatch(name) or name in _RESERVED:
            continue
        inner = resolve(root, told)
        kind = _TYPES.get(str(inner.get("type"))) if isinstance(inner, dict) else None
        if kind == "map":
            _gather(root, inner, f"{prefix}.{name}", found, depth + 1)
        elif kind is not None:
            found[f"{prefix}.{name}"] = kind
