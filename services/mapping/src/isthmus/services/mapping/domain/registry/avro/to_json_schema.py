"""Avro schemas as JSON Schema of the records that they are written from."""

from __future__ import annotations

from typing import Any

from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.services.mapping.domain.registry.avro.reading import NAMED, Avro, Type
from isthmus.services.mapping.domain.registry.model import Loss

KEYWORD = "x-avro"
"""What JSON Schema has no words for, as Avro says it."""
_INT = {"minimum": -(2**31), "maximum": 2**31 - 1}
_PLAIN: dict[str, dict[str, Any]] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer", **_INT},
    "long": {"type": "integer"},
    "float": {"type": "number", KEYWORD: {"type": "float"}},
    "double": {"type": "number"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
    "string": {"type": "string"},
}
_FORMATS = {
    "date": "date",
    "uuid": "uuid",
    "time-millis": "time",
    "time-micros": "time",
    "timestamp-millis": "date-time",
    "timestamp-micros": "date-time",
}


def json_schema_of(avro: Avro) -> tuple[dict[str, Any], list[Loss]]:
    """The JSON Schema of what an Avro schema describes, and what it cannot say."""
    writing = _Writing(avro)
    schema = writing.type(avro.root, (), is_root=True)
    if writing.definitions:
        schema["$defs"] = writing.definitions
    return schema, writing.losses


class _Writing:
    def __init__(self, avro: Avro) -> None:
        self._avro = avro
        self.definitions: dict[str, Any] = {}
        self.losses: list[Loss] = []

    def type(self, found: Type, path: Path, *, is_root: bool = False) -> dict[str, Any]:
        """The JSON Schema of one type."""
        kind = found["type"]
        if kind == "named" or (kind in NAMED and not is_root):
            return self._reference(self._avro.real(found), path)
        if "logicalType" in found:
            return self._logical(found, path)
        match kind:
            case "union":
                return self._union(found["branches"], path)
            case "array":
                return {"type": "array", "items": self.type(found["items"], (*path, EACH))}
            case "map":
                values = self.type(found["values"], (*path, "*"))
                return {"type": "object", "additionalProperties": values}
        return self._defined(found, path) if kind in NAMED else dict(_PLAIN[kind])

    def _union(self, branches: list[Type], path: Path) -> dict[str, Any]:
        others = [one for one in branches if one["type"] != "null"]
        schemas = [self.type(one, path) for one in others]
        if len(others) == len(branches):
            return {"anyOf": schemas}
        if len(schemas) == 1 and isinstance(schemas[0].get("type"), str) and "enum" not in schemas[0]:
            return {**schemas[0], "type": [schemas[0]["type"], "null"]}
        return {"anyOf": [*schemas, {"type": "null"}]}

    def _reference(self, found: Type, path: Path) -> dict[str, Any]:
        if found is self._avro.root:
            return {"$ref": "#"}
        name = found["name"]
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self._defined(found, path)
        return {"$ref": f"#/$defs/{name}"}

    def _defined(self, found: Type, path: Path) -> dict[str, Any]:
        """A named type; what JSON Schema has no place for is a loss."""
        bare, told = found["name"].rpartition(".")[2], {KEYWORD: {"name": found["name"]}}
        schema: dict[str, Any] = {"title": bare, **({"description": found["doc"]} if found["doc"] else {})}
        if found["aliases"]:
            self.losses.append(
                Loss(format_path(path) if path else "$", f"Aliases of {bare}: JSON Schema has none.")
            )
        if found["type"] == "enum":
            more = {"default": found["default"]} if "default" in found else {}
            return {**schema, "type": "string", "enum": list(found["symbols"]), **more, **told}
        if found["type"] == "fixed":
            if "logicalType" in found:
                return {**schema, **self._logical(found, path)}
            told[KEYWORD]["size"] = found["size"]
            return {**schema, "type": "string", "contentEncoding": "base64", **told}
        schema |= {"type": "object", "properties": {}, "required": [], "additionalProperties": False, **told}
        for field in found["fields"]:
            inner = self.type(field["type"], (*path, field["name"]))
            if field["doc"]:
                inner["description"] = field["doc"]
            if "x-isthmus-class" in field:
                inner["x-isthmus-class"] = field["x-isthmus-class"]
            if field["aliases"]:
                place = format_path((*path, field["name"]))
                self.losses.append(Loss(place, "Aliases: JSON Schema has no other names for a field."))
            if "default" in field:
                inner["default"] = field["default"]
            else:
                schema["required"].append(field["name"])
            schema["properties"][field["name"]] = inner
        return schema

    def _logical(self, found: Type, path: Path) -> dict[str, Any]:
        """Times, decimals and the like, which records have as text."""
        logical = found["logicalType"]
        told = {
            word: found[word]
            for word in ("type", "logicalType", "precision", "scale", "name", "size")
            if word in found
        }
        if logical in _FORMATS:
            return {"type": "string", "format": _FORMATS[logical], KEYWORD: told}
        if logical == "decimal":
            self.losses.append(
                Loss(format_path(path), "A decimal is a text of digits; its precision is not checked.")
            )
        elif logical not in {"duration", "local-timestamp-millis", "local-timestamp-micros"}:
            self.losses.append(
                Loss(format_path(path), f"The logical type {str(logical)[:80]} is not known here.")
            )
            return {**_PLAIN.get(found["type"], {"type": "string"}), KEYWORD: told}
        return {"type": "string", KEYWORD: told}


__all__ = ["KEYWORD", "json_schema_of"]
