"""Protobuf schemas as JSON Schema of the records that they are written from."""

from __future__ import annotations

from typing import Any

from isthmus.services.mapping.domain.registry.model import Loss
from isthmus.services.mapping.domain.registry.protobuf.reading import WELL_KNOWN, Field, Proto

KEYWORD = "x-protobuf"
"""What JSON Schema has no words for, as Protobuf says it."""
_WHOLE = {
    "int32": (-(2**31), 2**31 - 1),
    "sint32": (-(2**31), 2**31 - 1),
    "sfixed32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "fixed32": (0, 2**32 - 1),
}
_PLAIN: dict[str, dict[str, Any]] = {
    "int64": {"type": "integer"},
    "sint64": {"type": "integer"},
    "sfixed64": {"type": "integer"},
    "uint64": {"type": "integer", "minimum": 0},
    "fixed64": {"type": "integer", "minimum": 0},
    "double": {"type": "number"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "string": {"type": "string"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
}
_KNOWN: dict[str, dict[str, Any]] = {
    "Timestamp": {"type": "string", "format": "date-time"},
    "Duration": {"type": "string", "pattern": r"^-?\d+(\.\d+)?s$"},
    "Struct": {"type": "object"},
    "ListValue": {"type": "array"},
    "Value": {},
    "Any": {"type": "object"},
    "Empty": {"type": "object"},
    "FieldMask": {"type": "string"},
    "BoolValue": {"type": ["boolean", "null"]},
    "StringValue": {"type": ["string", "null"]},
    "BytesValue": {"type": ["string", "null"], "contentEncoding": "base64"},
    "DoubleValue": {"type": ["number", "null"]},
    "FloatValue": {"type": ["number", "null"]},
    "Int32Value": {"type": ["integer", "null"]},
    "Int64Value": {"type": ["integer", "null"]},
    "UInt32Value": {"type": ["integer", "null"], "minimum": 0},
    "UInt64Value": {"type": ["integer", "null"], "minimum": 0},
}


def json_schema_of(proto: Proto) -> tuple[dict[str, Any], list[Loss]]:
    """The JSON Schema of what a file's first message describes, and what it cannot say."""
    losses = [
        Loss(place, f"Left out, because it says nothing of records: {what}.")
        for place, what in proto.left_out
    ]
    definitions = {name: _message(proto, name, losses) for name in proto.messages if name != proto.root}
    schema = _message(proto, proto.root, losses)
    if definitions:
        schema["$defs"] = definitions
    return schema, losses


def _message(proto: Proto, name: str, losses: list[Loss]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for one in proto.messages[name].fields:
        called = one.json_name or one.name
        told = {"number": one.number, "type": one.kind}
        told |= {"name": one.name} if one.json_name else {}
        properties[called] = {**_field(proto, one), KEYWORD: told}
        if one.label == "required":
            required.append(called)
        if one.oneof:
            message = f"Only one field of {one.oneof} is set at a time (oneof)."
            losses.append(Loss(called if name == proto.root else f"{name}.{called}", message))
    schema: dict[str, Any] = {"title": name.rpartition(".")[2], "type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {**schema, "additionalProperties": False, KEYWORD: {"name": name}}


def _field(proto: Proto, one: Field) -> dict[str, Any]:
    inner = _kind(proto, one.kind)
    if one.key:
        return {"type": "object", "additionalProperties": inner}
    return {"type": "array", "items": inner} if one.label == "repeated" else inner


def _kind(proto: Proto, kind: str) -> dict[str, Any]:
    if kind in proto.messages:
        return {"$ref": "#" if kind == proto.root else f"#/$defs/{kind}"}
    if kind in proto.enums:
        return {"type": "string", "enum": list(proto.enums[kind])}
    if kind in _WHOLE:
        low, high = _WHOLE[kind]
        return {"type": "integer", "minimum": low, "maximum": high}
    known = _KNOWN.get(kind.removeprefix(WELL_KNOWN), {}) if kind.startswith(WELL_KNOWN) else _PLAIN[kind]
    return dict(known)


__all__ = ["KEYWORD", "json_schema_of"]
