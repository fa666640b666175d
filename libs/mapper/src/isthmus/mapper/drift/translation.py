"""Shapes out of JSON Schema, and back."""

from __future__ import annotations

import json
from typing import Any

from isthmus.mapper.drift.shape import DEEPEST, Shape, merged
from isthmus.mapper.schemas import SchemaInvalid, resolve

_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})


def shape_of_schema(schema: object) -> Shape:
    """The shape that a JSON Schema promises; what cannot be told by a shape counts as anything."""
    return _shape(schema, schema, 0)


def _shape(root: object, schema: object, depth: int) -> Shape:
    try:
        schema = resolve(root, schema)
    except (SchemaInvalid, RecursionError):
        return Shape()
    if not isinstance(schema, dict) or depth > DEEPEST or "allOf" in schema or "if" in schema:
        return Shape()
    choices = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(choices, list) and choices:
        shapes = [_shape(root, choice, depth + 1) for choice in choices]
        if not all(shape.types for shape in shapes):
            return Shape()
        whole = shapes[0]
        for shape in shapes[1:]:
            whole = merged(whole, shape)
        return whole
    return _plain(root, schema, depth)


def _plain(root: object, schema: dict[str, Any], depth: int) -> Shape:
    shape = Shape(types=_types(schema))
    properties = schema.get("properties")
    if isinstance(properties, dict):
        shape.members = {str(name): _shape(root, inner, depth + 1) for name, inner in properties.items()}
        required = schema.get("required")
        names = required if isinstance(required, list) else []
        shape.required = {name for name in names if name in shape.members}
    elif not shape.types or "object" in shape.types:
        shape.is_open = True
    if "items" in schema and schema["items"] is not False:
        shape.items = _shape(root, schema["items"], depth + 1)
    form, longest, allowed = schema.get("format"), schema.get("maxLength"), schema.get("enum")
    shape.form = form if isinstance(form, str) else ""
    shape.longest = longest if isinstance(longest, int) else None
    if isinstance(allowed, list):
        shape.allowed = frozenset(json.dumps(value, sort_keys=True) for value in allowed)
    elif "const" in schema:
        shape.allowed = frozenset({json.dumps(schema["const"], sort_keys=True)})
    return shape


def _types(schema: dict[str, Any]) -> set[str]:
    told = schema.get("type")
    names = {told} if isinstance(told, str) else set(map(str, told)) if isinstance(told, list) else set()
    if not names and "properties" in schema:
        names = {"object"}
    if not names <= _TYPES:
        return set()
    return names - {"integer"} if "number" in names else names


def schema_of(shape: Shape) -> dict[str, Any]:
    """The JSON Schema of a shape; `shape_of_schema` reads it back."""
    schema: dict[str, Any] = {}
    types = sorted(shape.types)
    if types:
        schema["type"] = types[0] if len(types) == 1 else types
    if shape.form:
        schema["format"] = shape.form
    if shape.allowed is not None:
        schema["enum"] = [json.loads(value) for value in sorted(shape.allowed)]
    if shape.longest is not None:
        schema["maxLength"] = shape.longest
    if not shape.is_open and (shape.members or "object" in shape.types):
        schema["properties"] = {name: schema_of(shape.members[name]) for name in sorted(shape.members)}
        if shape.required:
            schema["required"] = sorted(shape.required)
    if shape.items is not None:
        schema["items"] = schema_of(shape.items)
    return schema


__all__ = ["schema_of", "shape_of_schema"]
