"""The part of JSON Schema (2020-12) that records are checked against, compiled once.

Reads nothing from anywhere: references stay inside the schema, and patterns run on RE2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from isthmus.mapper.errors import FieldError
from isthmus.mapper.limits import MAX_ERRORS
from isthmus.mapper.paths import Path, format_path
from isthmus.mapper.patterns import PatternInvalid, finds
from isthmus.mapper.values import kind_of, same, sentence, show

Schema = dict[str, Any]
Check = Callable[[Any], Iterator[tuple[Path, str, Any]]]
Checker = Callable[[Any], list[FieldError] | None]

_MAX_DEPTH = 100
_NOTES = frozenset(
    (
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "$anchor",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "format",
        "contentEncoding",
        "contentMediaType",
    )
)
_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and isinstance(value, int | float) and value == int(value)
    ),
    "number": lambda value: not isinstance(value, bool) and isinstance(value, int | float),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


class SchemaInvalid(ValueError):
    """A schema that cannot be used; the message says why."""


def validator(schema: Schema) -> Checker:
    """A function that checks a record and returns its errors, `None` where there are none.

    Raises:
        SchemaInvalid: the schema uses what this checker does not know.
    """
    check = compile_schema(schema)

    def validate(record: Any) -> list[FieldError] | None:
        errors: list[FieldError] = []
        for path, message, value in check(record):
            target = format_path(path) if path else ""
            errors.append(FieldError(target, "", "SCHEMA_MISMATCH", message, show(value, target)))
            if len(errors) >= MAX_ERRORS:
                break
        return errors or None

    return validate


def compile_schema(schema: object, root: object = None, seen: dict[str, Check] | None = None) -> Check:
    """Compiles one (sub)schema to a generator of (path, message, value).

    Raises:
        SchemaInvalid: the schema uses what this checker does not know.
    """
    root = schema if root is None else root
    seen = {} if seen is None else seen
    if schema is True:
        return lambda _: iter(())
    if schema is False:
        return lambda value: iter([((), "Nothing is allowed here.", value)])
    if not isinstance(schema, dict):
        raise SchemaInvalid("A schema is an object, true or false.")
    checks: list[Check] = []
    for keyword, rule in schema.items():
        if keyword == "$ref":
            checks.append(_reference(rule, root, seen))
        elif keyword in _KEYWORDS:
            checks.append(_KEYWORDS[keyword](rule, schema, lambda inner: compile_schema(inner, root, seen)))
        elif keyword not in _NOTES and keyword not in _HANDLED and not keyword.startswith("x-"):
            raise SchemaInvalid(
                f"The keyword {keyword!r} cannot be checked; leave it out or set validate: false."
            )

    def check(value: Any) -> Iterator[tuple[Path, str, Any]]:
        for one in checks:
            yield from one(value)

    return check


def resolve(root: object, schema: object) -> object:
    """Follows local references, at most a few deep, to a schema without `$ref` at its top."""
    for _ in range(_MAX_DEPTH):
        if not (isinstance(schema, dict) and isinstance(schema.get("$ref"), str)):
            return schema
        schema = _target(schema["$ref"], root)
    return True


def _target(reference: str, root: object) -> object:
    if not reference.startswith("#"):
        raise SchemaInvalid(f"The reference {reference[:80]!r} leaves the schema; only #/… can be followed.")
    found = root
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            raise SchemaInvalid(f"The reference {reference[:80]!r} leads nowhere.")
        found = found[name]
    return found


def _reference(rule: object, root: object, seen: dict[str, Check]) -> Check:
    if not isinstance(rule, str):
        raise SchemaInvalid("$ref must be a text.")
    if rule not in seen:
        # Entered before it is compiled, so that a schema may refer to itself.
        seen[rule] = lambda _: iter(())
        seen[rule] = compile_schema(_target(rule, root), root, seen)

    def follow(value: Any) -> Iterator[tuple[Path, str, Any]]:
        # Looked up at each call: inside a cycle the entry is filled only later.
        yield from seen[rule](value)

    return follow


Inner = Callable[[object], Check]


def _type(rule: Any, _schema: Schema, _inner: Inner) -> Check:
    names = [rule] if isinstance(rule, str) else rule
    if not isinstance(names, list) or not names or any(name not in list(_TYPES) for name in names):
        raise SchemaInvalid(f"type must be one or more of {', '.join(_TYPES)}.")
    tests = [_TYPES[name] for name in names]
    wanted = " or ".join(names)
    return _simple(
        lambda value: any(test(value) for test in tests), lambda v: f"{kind_of(v)} is not of type {wanted}."
    )


def _simple(good: Callable[[Any], bool], message: Callable[[Any], str]) -> Check:
    def check(value: Any) -> Iterator[tuple[Path, str, Any]]:
        if not good(value):
            yield (), sentence(message(value)), value

    return check


def _enum(rule: Any, _schema: Schema, _inner: Inner) -> Check:
    if not isinstance(rule, list):
        raise SchemaInvalid("enum must be a list.")
    few = ", ".join(show(item) for item in rule[:8]) + (", …" if len(rule) > 8 else "")
    return _simple(
        lambda value: any(same(value, item) for item in rule), lambda _: f"the value is none of {few}."
    )


def _const(rule: Any, _schema: Schema, _inner: Inner) -> Check:
    return _simple(lambda value: same(value, rule), lambda _: f"the value is not {show(rule)}.")


def _limit(keyword: str, kind: type | tuple[type, ...], good: Callable[[Any, Any], bool]) -> Any:
    def build(rule: Any, _schema: Schema, _inner: Inner) -> Check:
        if isinstance(rule, bool) or not isinstance(rule, int | float):
            raise SchemaInvalid(f"{keyword} must be a number.")
        return _simple(
            lambda value: isinstance(value, bool) or not isinstance(value, kind) or good(value, rule),
            lambda _: f"the value breaks {keyword}: {rule}.",
        )

    return build


def _pattern(rule: Any, _schema: Schema, _inner: Inner) -> Check:
    try:
        found = finds(rule if isinstance(rule, str) else "(")
    except PatternInvalid as problem:
        raise SchemaInvalid(str(problem)) from None
    return _simple(lambda v: not isinstance(v, str) or found(v), lambda _: f"the text does not match {rule}.")


def _required(rule: Any, _schema: Schema, _inner: Inner) -> Check:
    if not isinstance(rule, list) or not all(isinstance(name, str) for name in rule):
        raise SchemaInvalid("required must be a list of names.")

    def check(value: Any) -> Iterator[tuple[Path, str, Any]]:
        if isinstance(value, dict):
            for name in rule:
                if name not in value:
                    yield (name,), "The target schema requires this field.", None

    return check


def _properties(rule: Any, _schema: Schema, inner: Inner) -> Check:
    if not isinstance(rule, dict):
        raise SchemaInvalid("properties must be an object.")
    checks = {name: inner(item) for name, item in rule.items()}

    def check(value: Any) -> Iterator[tuple[Path, str, Any]]:
        if isinstance(value, dict):
            for name, one in checks.items():
                if name in value:
                    yield from _below(name, one(value[name]))

    return check


def _additional(rule: Any, schema: Schema, inner: Inner) -> Check:
    known = frozenset(schema.get("properties") or ())
    one = inner(rule)

    def check(value: Any) -> Iterator[tuple[Path, str, Any]]:
        if isinstance(value, dict):
            for name in value.keys() - known:
                yield from _below(name, one(value[name]))

    return check


def _items(rule: Any, _schema: Schema, inner: Inner) -> Check:
    one = inner(rule)

    def check(value: Any) -> Iterator[tuple[Path, str, Any]]:
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from _below(index, one(item))

    return check


def _below(part: str | int, found: Iterator[tuple[Path, str, Any]]) -> Iterator[tuple[Path, str, Any]]:
    for path, message, value in found:
        yield (part, *path), message, value


def _several(rule: Any, inner: Inner) -> list[Check]:
    if not isinstance(rule, list) or not rule:
        raise SchemaInvalid("allOf, anyOf and oneOf must be lists of schemas.")
    return [inner(item) for item in rule]


def _holds(check: Check, value: Any) -> bool:
    return next(check(value), None) is None


def _all_of(rule: Any, _schema: Schema, inner: Inner) -> Check:
    checks = _several(rule, inner)
    return lambda value: (problem for check in checks for problem in check(value))


def _any_of(rule: Any, _schema: Schema, inner: Inner) -> Check:
    checks = _several(rule, inner)
    return _simple(
        lambda v: any(_holds(c, v) for c in checks), lambda _: "the value fits none of the alternatives."
    )


def _one_of(rule: Any, _schema: Schema, inner: Inner) -> Check:
    checks = _several(rule, inner)
    return _simple(
        lambda v: sum(_holds(c, v) for c in checks) == 1,
        lambda _: "the value does not fit exactly one alternative.",
    )


def _not(rule: Any, _schema: Schema, inner: Inner) -> Check:
    check = inner(rule)
    return _simple(lambda value: not _holds(check, value), lambda _: "the value fits what is excluded.")


def _if(rule: Any, schema: Schema, inner: Inner) -> Check:
    condition, then, other = inner(rule), inner(schema.get("then", True)), inner(schema.get("else", True))
    return lambda value: then(value) if _holds(condition, value) else other(value)


_NUMBER = (int, float)
_HANDLED = frozenset({"then", "else"})
_KEYWORDS: dict[str, Callable[[Any, Schema, Inner], Check]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "minimum": _limit("minimum", _NUMBER, lambda value, rule: value >= rule),
    "maximum": _limit("maximum", _NUMBER, lambda value, rule: value <= rule),
    "exclusiveMinimum": _limit("exclusiveMinimum", _NUMBER, lambda value, rule: value > rule),
    "exclusiveMaximum": _limit("exclusiveMaximum", _NUMBER, lambda value, rule: value < rule),
    "minLength": _limit("minLength", str, lambda value, rule: len(value) >= rule),
    "maxLength": _limit("maxLength", str, lambda value, rule: len(value) <= rule),
    "minItems": _limit("minItems", list, lambda value, rule: len(value) >= rule),
    "maxItems": _limit("maxItems", list, lambda value, rule: len(value) <= rule),
    "minProperties": _limit("minProperties", dict, lambda value, rule: len(value) >= rule),
    "maxProperties": _limit("maxProperties", dict, lambda value, rule: len(value) <= rule),
    "pattern": _pattern,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
}
