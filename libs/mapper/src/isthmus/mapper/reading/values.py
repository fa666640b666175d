"""Reads values: one origin, then table, steps, cast and default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isthmus.mapper.functions import FUNCTIONS
from isthmus.mapper.limits import MAX_STEPS, MAX_TEMPLATE_TEXT
from isthmus.mapper.model import (
    NOTHING,
    Choose,
    Coalesce,
    Concat,
    Condition,
    Constant,
    Items,
    Now,
    Origin,
    Slot,
    Source,
    Step,
    Template,
    Value,
)
from isthmus.mapper.paths import EACH, PathInvalid, parse_source
from isthmus.mapper.reading.conditions import read_condition
from isthmus.mapper.reading.expressions import element, read_expression
from isthmus.mapper.reading.report import join
from isthmus.mapper.reading.steps import Scope, bind, read_steps

ORIGINS = ("source", "expression", "constant", "template", "concat", "coalesce", "choose", "items", "now")
VALUE_MEMBERS = (*ORIGINS, "steps", "table", "enum", "cast", "default")


def read_value(scope: Scope, raw: object, place: str) -> Value | None:
    """Reads a value; a bare text is a source path."""
    if isinstance(raw, str):
        return Value(Source(scope.path(raw, place)))
    return read_value_members(scope, scope.report.members(raw, place, VALUE_MEMBERS), place)


def read_value_members(scope: Scope, members: dict[str, Any], place: str) -> Value | None:
    """Reads a value from the members of an object, whose other members are somebody else's."""
    named = [name for name in ORIGINS if name in members]
    steps = _read_chain(scope, members, place)
    default = members.get("default", NOTHING)
    if len(named) != 1:
        if not named:
            scope.report.add(
                place, "ORIGIN_MISSING", f"Say where the value comes from: {', '.join(ORIGINS)}."
            )
        else:
            scope.report.add(place, "MEMBERS_EXCLUDE", f"Give only one of {', '.join(named)}.")
        return None
    name = named[0]
    origin = _ORIGIN_READERS[name](scope, members[name], join(place, name))
    return None if origin is None else Value(origin, steps, default)


def _read_chain(scope: Scope, members: dict[str, Any], place: str) -> tuple[Step, ...]:
    """The order in which a value is worked on: steps, then table or enum, then cast."""
    steps: list[Step] = []
    if "steps" in members:
        steps += read_steps(scope, members["steps"], join(place, "steps"))
    if "table" in members and "enum" in members:
        scope.report.add(place, "MEMBERS_EXCLUDE", "Give either table or enum, not both.")
    more: list[Step | None] = []
    if "table" in members:
        more.append(bind(scope, FUNCTIONS["lookup"], members["table"], join(place, "table")))
    if "enum" in members:
        more.append(bind(scope, FUNCTIONS["lookup"], {"entries": members["enum"]}, join(place, "enum")))
    if "cast" in members:
        more.append(bind(scope, FUNCTIONS["cast"], members["cast"], join(place, "cast")))
    return (*steps, *(step for step in more if step is not None))


def _source(scope: Scope, raw: object, place: str) -> Origin:
    return Source(scope.path(raw, place))


def _constant(_scope: Scope, raw: object, _place: str) -> Origin:
    return Constant(raw)


def _now(scope: Scope, raw: object, place: str) -> Origin:
    if raw is not True:
        scope.report.add(place, "VALUE_NOT_ALLOWED", "Write now: true.")
    return Now()


def _values(scope: Scope, raw: object, place: str) -> tuple[Value, ...]:
    items = scope.report.items(raw, place, MAX_STEPS, "a list of paths or values")
    if isinstance(raw, list) and not raw:
        scope.report.add(place, "EMPTY", "At least one value is needed here.")
    read = (read_value(scope, item, join(place, index)) for index, item in enumerate(items))
    return tuple(value for value in read if value is not None)


def _concat(scope: Scope, raw: object, place: str) -> Origin:
    if isinstance(raw, list):
        return Concat(_values(scope, raw, place), "")
    members = scope.report.members(raw, place, ("values", "separator"), ("values",))
    separator = members.get("separator", "")
    if not isinstance(separator, str):
        scope.report.wrong_type(join(place, "separator"), "a text", separator)
        separator = ""
    return Concat(_values(scope, members.get("values", [None]), join(place, "values")), separator)


def _coalesce(scope: Scope, raw: object, place: str) -> Origin:
    def forgiving(value: Value) -> Value:
        if isinstance(value.origin, Source):
            return Value(Source(value.origin.path, lenient=True), value.steps, value.default)
        return value

    return Coalesce(tuple(forgiving(value) for value in _values(scope, raw, place)))


def _choose(scope: Scope, raw: object, place: str) -> Origin:
    members = scope.report.members(raw, place, ("cases", "otherwise"), ("cases",))
    cases: list[tuple[Condition, Value]] = []
    for index, item in enumerate(
        scope.report.items(members.get("cases", []), join(place, "cases"), MAX_STEPS)
    ):
        where = join(join(place, "cases"), index)
        case = scope.report.members(item, where, ("when", "then"), ("when", "then"))
        condition = read_condition(scope, case["when"], join(where, "when")) if "when" in case else None
        value = _branch(scope, case["then"], join(where, "then")) if "then" in case else None
        if condition is not None and value is not None:
            cases.append((condition, value))
    otherwise = (
        _branch(scope, members["otherwise"], join(place, "otherwise")) if "otherwise" in members else None
    )
    return Choose(tuple(cases), otherwise)


def _branch(scope: Scope, raw: object, place: str) -> Value | None:
    """What a case gives: an object is a value with an origin, anything else stands for itself."""
    return read_value(scope, raw, place) if isinstance(raw, dict) else Value(Constant(raw))


def _items(scope: Scope, raw: object, place: str) -> Origin | None:
    from isthmus.mapper.reading.mapping import RULES, read_block

    members = scope.report.members(
        raw, place, ("source", *RULES, "field_mappings"), ("source", "field_mappings")
    )
    path = scope.path(members.get("source", "$"), join(place, "source"))
    with element(scope):
        return Items(path, read_block(scope, members, place, members.get("field_mappings", []), place))


def _template(scope: Scope, raw: object, place: str) -> Origin | None:
    if not isinstance(raw, str) or len(raw) > MAX_TEMPLATE_TEXT:
        scope.report.add(
            place, "TEMPLATE_INVALID", f"A template is a text of at most {MAX_TEMPLATE_TEXT} characters."
        )
        return None
    try:
        return Template(parse_template(raw, in_element=scope.in_element))
    except PathInvalid as problem:
        scope.report.add(place, "TEMPLATE_INVALID", str(problem))
        return None


def parse_template(text: str, *, in_element: bool = False) -> tuple[str | Slot, ...]:
    """Cuts a template into texts and slots; `{{` and `}}` are braces.

    Raises:
        PathInvalid: a brace is left open or a path cannot be read.
    """
    parts: list[str | Slot] = []
    literal, at = "", 0
    while at < len(text):
        char = text[at]
        if char in "{}" and text[at + 1 : at + 2] == char:
            literal, at = literal + char, at + 2
        elif char == "{":
            end = _closing(text, at + 1)
            inner = text[at + 1 : end]
            optional = inner.endswith("?")
            path = parse_source(inner[:-1] if optional else inner, in_element=in_element)
            if EACH in path:
                raise PathInvalid(f"The slot {{{inner}}} gives a list; join it with steps first.")
            parts += ([literal] if literal else []) + [Slot(path, optional)]
            literal, at = "", end + 1
        elif char == "}":
            raise PathInvalid(f"The brace at character {at + 1} closes nothing; write }}}} for a brace.")
        else:
            literal, at = literal + char, at + 1
    return tuple([*parts, literal] if literal else parts)


def _closing(text: str, at: int) -> int:
    quoted = False
    while at < len(text):
        if quoted and text[at] == "\\":
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] == "}" and not quoted:
            return at
        at += 1
    raise PathInvalid("A slot is not closed; write {path}, and {{ for a brace.")


_ORIGIN_READERS: dict[str, Callable[[Scope, Any, str], Origin | None]] = {
    "source": _source,
    "expression": read_expression,
    "constant": _constant,
    "template": _template,
    "concat": _concat,
    "coalesce": _coalesce,
    "choose": _choose,
    "items": _items,
    "now": _now,
}
