"""JSON Schema of the language, written down once here and completed from the function library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isthmus.mapper.casts import CASTS, STRICTNESS
from isthmus.mapper.cel.limits import MAX_EXPRESSION_TEXT
from isthmus.mapper.functions import FUNCTIONS, REQUIRED, Function, Param
from isthmus.mapper.limits import (
    MAX_FIELDS,
    MAX_FORMAT_TEXT,
    MAX_PATH_TEXT,
    MAX_PATTERN_TEXT,
    MAX_RULE_MESSAGE,
    MAX_RULES,
    MAX_STEPS,
)
from isthmus.mapper.reading.conditions import CHECKS, SWITCHES
from isthmus.mapper.reading.mapping import CLASSES, VERSION
from isthmus.mapper.reading.rules import CONSEQUENCES
from isthmus.mapper.reading.values import ORIGINS
from isthmus.mapper.tables import OTHERWISE

Schema = dict[str, Any]
_ONE_ORIGIN = [{"required": [name]} for name in ORIGINS]


def mapping_schema() -> Schema:
    """JSON Schema (2020-12) of a mapping definition, for editors, forms and generated help."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://isthmus.dev/schemas/mapping/{VERSION.removeprefix('isthmus/')}.json",
        "title": "Isthmus mapping",
        "description": "Rules that turn a record of one shape into another.",
        "type": "object",
        "properties": {
            "version": {"const": VERSION, "description": "Version of the language."},
            "description": {"type": "string"},
            "source_schema": _record_schema("takes"),
            "target_schema": _record_schema("gives"),
            "field_mappings": _fields(),
            "transformations": _transformations(),
        },
        "required": ["version", "field_mappings"],
        "additionalProperties": False,
        "$defs": {
            "path": {"type": "string", "minLength": 1, "maxLength": MAX_PATH_TEXT},
            "expression": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_EXPRESSION_TEXT,
                "description": "A CEL expression over record, or item inside items, and now.",
            },
            "field": _field(),
            "value": {"anyOf": [_ref("path"), _ref("made")]},
            "made": {**_object(_value(), description="An origin and its steps."), "oneOf": _ONE_ORIGIN},
            "condition": _condition(),
            "rule": _rule(),
            "steps": {"type": "array", "items": _ref("step"), "maxItems": MAX_STEPS},
            "step": {"anyOf": [{"type": "string"}, *map(_call, FUNCTIONS.values())]},
            "table": _table(),
            "cast": _cast(),
        },
    }


def _record_schema(does: str) -> Schema:
    words = f"JSON Schema of the records it {does}, or a model such as ocsf/vulnerability_finding@1."
    return {"type": ["object", "string"], "description": words}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _object(properties: Schema, *required: str, description: str = "") -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    if description:
        schema["description"] = description
    return schema


def _fields() -> Schema:
    return {"type": "array", "items": _ref("field"), "maxItems": MAX_FIELDS}


def _rules() -> Schema:
    return {
        "where": {**_ref("condition"), "description": "Only records for which this holds are mapped."},
        "unmapped": {"enum": ["drop", "keep"], "default": "drop"},
        "ignore": {"type": "array", "items": {"type": "string"}},
        "nulls": {"enum": ["omit", "keep"], "default": "omit"},
    }


def _transformations() -> Schema:
    return _object(
        {
            **_rules(),
            "validate": {
                "type": "boolean",
                "default": False,
                "description": "Check results by target_schema.",
            },
            "rules": {"type": "array", "items": _ref("rule"), "maxItems": MAX_RULES},
            "split": _object(
                {
                    "each": _ref("path"),
                    "where": {
                        **_ref("condition"),
                        "description": "Elements for which it does not hold are left out.",
                    },
                },
                "each",
                description="Makes one record of each element of a list, in place of one of the record.",
            ),
            "tables": {"type": "object", "additionalProperties": _ref("table")},
            "functions": {"type": "object", "additionalProperties": _ref("steps")},
            "unclassified": {
                "enum": list(CLASSES),
                "default": "internal",
                "description": "Class of source fields whose schema does not name one.",
            },
        },
        description="What concerns more than one field.",
    )


def _value() -> Schema:
    values = {"type": "array", "items": _ref("value"), "minItems": 1, "maxItems": MAX_STEPS}
    branch = {
        "description": "An object is a value with an origin; anything else stands for itself.",
        "if": {"type": "object"},
        "then": _ref("made"),
    }
    case = _object({"when": _ref("condition"), "then": branch}, "when", "then")
    return {
        "source": _ref("path"),
        "expression": _ref("expression"),
        "constant": {"description": "Any JSON."},
        "template": {"type": "string", "description": "Text with {path} and {optional path?}."},
        "concat": {"anyOf": [values, _object({"values": values, "separator": {"type": "string"}}, "values")]},
        "coalesce": values,
        "choose": _object({"cases": {"type": "array", "items": case}, "otherwise": branch}, "cases"),
        "items": _object(
            {"source": _ref("path"), **_rules(), "field_mappings": _fields()}, "source", "field_mappings"
        ),
        "now": {"const": True, "description": "The evaluation time."},
        "steps": _ref("steps"),
        "table": {"anyOf": [{"type": "string"}, _ref("table")]},
        "enum": {"type": "object", "description": "Results by value; other values are refused."},
        "cast": _ref("cast"),
        "default": {"description": "Stands in where there is no value."},
    }


def _field() -> Schema:
    schema = _object(
        {
            "target": _ref("path"),
            **_value(),
            "required": {"type": "boolean", "default": False},
            "when": _ref("condition"),
            "nulls": {"enum": ["omit", "keep"]},
            "description": {"type": "string"},
            "class": {"enum": list(CLASSES), "description": "How sensitive it is; else as its sources are."},
        },
        "target",
    )
    return {**schema, "oneOf": _ONE_ORIGIN}


def _condition() -> Schema:
    several = {"type": "array", "items": _ref("condition"), "minItems": 1}
    checks = {name: _argument(FUNCTIONS[name].params[0]) for name in CHECKS}
    switches = {name: {"type": "boolean"} for name in SWITCHES}
    test = _object({"path": _ref("path"), "steps": _ref("steps"), **checks, **switches}, "path")
    return {
        "anyOf": [
            _object({"all": several}, "all"),
            _object({"any": several}, "any"),
            _object({"not": _ref("condition")}, "not"),
            _object({"expression": _ref("expression")}, "expression"),
            {**test, "minProperties": 2},
        ]
    }


def _rule() -> Schema:
    schema = _object(
        {
            "name": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,63}$"},
            "check": {
                "anyOf": [_ref("expression"), _ref("condition")],
                "description": "What has to hold: paths start at the result, $record is its source.",
            },
            "consequence": {"enum": list(CONSEQUENCES)},
            "message": {"type": "string", "maxLength": MAX_RULE_MESSAGE},
            "default": {"type": "object", "minProperties": 1, "description": "Values by target."},
        },
        "name",
        "check",
        "consequence",
        description="What becomes of results for which something does not hold.",
    )
    is_default = {"properties": {"consequence": {"const": "default"}}, "required": ["consequence"]}
    return {
        **schema,
        "if": is_default,
        "then": {"required": ["default"]},
        "else": {"not": {"required": ["default"]}},
    }


def _table() -> Schema:
    return _object(
        {
            "entries": {"type": "object", "description": "Results by value."},
            "default": {"description": "Result for values without an entry."},
            "otherwise": {"enum": list(OTHERWISE), "default": "reject"},
            "ignore_case": {"type": "boolean", "default": False},
        },
        "entries",
    )


def _cast() -> Schema:
    kind = {"enum": list(CASTS)}
    strictness = {"enum": list(STRICTNESS), "default": "lossless"}
    return {"anyOf": [kind, _object({"type": kind, "strictness": strictness}, "type")]}


def _call(function: Function) -> Schema:
    if not function.params:
        return {"const": function.name, "description": function.doc}
    arguments = _arguments(function.params)
    return _object({function.name: arguments}, function.name, description=function.doc)


def _arguments(params: tuple[Param, ...]) -> Schema:
    first = _argument(params[0])
    if len(params) == 1:
        return first
    needed = [param.name for param in params if param.default is REQUIRED]
    by_place = {
        "type": "array",
        "prefixItems": [_argument(param) for param in params],
        "items": False,
        "minItems": len(needed),
    }
    by_name = _object({param.name: _argument(param) for param in params}, *needed)
    alone = [first] if len(needed) <= 1 else []
    return {"anyOf": [*alone, by_place, by_name]}


def _argument(param: Param) -> Schema:
    return _ARGUMENTS[param.kind](param)


def _format(_: Param) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": MAX_FORMAT_TEXT}


_ARGUMENTS: dict[str, Callable[[Param], Schema]] = {
    "text": lambda _: {"type": "string"},
    "pattern": lambda _: {"type": "string", "maxLength": MAX_PATTERN_TEXT, "description": "RE2 syntax."},
    "whole": lambda param: {"type": "integer", "minimum": param.low, "maximum": param.high},
    "number": lambda _: {"type": "number"},
    "any": lambda _: {},
    "values": lambda _: {"type": "array"},
    "texts": lambda _: {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    "members": lambda _: {"type": "object"},
    "choice": lambda param: {"enum": list(param.options)},
    "steps": lambda _: {"anyOf": [_ref("steps"), _ref("step")]},
    "condition": lambda _: _ref("condition"),
    "table": lambda _: {"anyOf": [{"type": "string"}, _ref("table")]},
    "zone": lambda _: {"type": "string", "examples": ["UTC", "Europe/Zurich", "+02:00"]},
    "time": lambda _: {"type": ["string", "number"], "examples": ["2026-01-31T12:00:00Z"]},
    "format": _format,
    "formats": lambda param: {"anyOf": [_format(param), {"type": "array", "items": _format(param)}]},
    "path": lambda _: _ref("path"),
    "cast": lambda _: _ref("cast"),
}
