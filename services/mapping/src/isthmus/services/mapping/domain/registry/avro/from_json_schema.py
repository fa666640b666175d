"""JSON Schema as an Avro schema, with everything that Avro cannot say told."""

from __future__ import annotations

import re
from typing import Any

from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.services.mapping.domain.registry.avro.to_json_schema import KEYWORD
from isthmus.services.mapping.domain.registry.knowledge import Document
from isthmus.services.mapping.domain.registry.model import Loss

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INT = range(-(2**31), 2**31)
_UNCHECKED = (
    "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
    "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "contains", "not", "if",
    "unevaluatedProperties",
)  # fmt: skip
_FORMATS = {
    "date-time": {"type": "long", "logicalType": "timestamp-micros"},
    "date": {"type": "int", "logicalType": "date"},
    "time": {"type": "long", "logicalType": "time-micros"},
    "uuid": {"type": "string", "logicalType": "uuid"},
}
_DEEPEST = 40
_MOST_LOOKS = 20_000


def avro_of(schema: dict[str, Any], name: str) -> tuple[Any, list[Loss]]:
    """The Avro schema of records that a JSON Schema describes, and what it cannot say.

    Args:
        schema: The JSON Schema.
        name: What the record is called where the schema has no title.
    """
    writing = _Writing(Document(schema))
    return writing.type(schema, (), name), writing.losses


class _Writing:
    def __init__(self, document: Document) -> None:
        self._document = document
        self.losses: list[Loss] = []
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()
        self._left = _MOST_LOOKS
        self._split: dict[tuple[int, str], dict[str, Any]] = {}

    def _lose(self, path: Path, message: str) -> None:
        loss = Loss(format_path(path) if path else "$", message)
        if loss not in self.losses:
            self.losses.append(loss)

    def type(self, schema: Any, path: Path, name: str) -> Any:
        """The Avro type of one schema."""
        schema = self._followed(schema)
        self._left -= 1
        if not isinstance(schema, dict) or len(path) > _DEEPEST or "allOf" in schema or self._left < 0:
            return self._text(path)
        if id(schema) in self._names:
            return self._names[id(schema)]
        told, kinds = schema.get(KEYWORD), schema.get("type")
        if isinstance(told, dict) and ("logicalType" in told or told.get("type") == "float"):
            return self._nullable(schema, dict(told) if len(told) > 1 else told["type"])
        branches = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(kinds, list) and not branches:
            branches = [self._one(schema, kind) for kind in kinds]
        if isinstance(branches, list):
            return self._union(branches, path, name)
        for word in _UNCHECKED:
            is_range = kinds == "integer" and word in {"minimum", "maximum"} and _is_int(schema)
            if word in schema and not is_range:
                self._lose(path, f"{word} is not checked.")
        return self._plain(schema, kinds, path, name)

    def _one(self, schema: dict[str, Any], kind: str) -> dict[str, Any]:
        """The schema with one of its types; the same one each time, so that it is known again."""
        return self._split.setdefault((id(schema), kind), {**schema, "type": kind})

    def _followed(self, schema: Any) -> Any:
        for _ in range(_DEEPEST):
            if not (isinstance(schema, dict) and "$ref" in schema):
                break
            schema = self._document.target(schema["$ref"])
        return schema

    def _nullable(self, schema: dict[str, Any], found: Any) -> Any:
        kinds = schema.get("type")
        return [found, "null"] if isinstance(kinds, list) and "null" in kinds else found

    def _plain(self, schema: dict[str, Any], kind: Any, path: Path, name: str) -> Any:
        if "enum" in schema or "const" in schema:
            return self._enum(schema, path, name)
        match kind or ("object" if "properties" in schema else None):
            case "object":
                found = self._object(schema, path, name)
            case "array":
                found = self._array(schema, path, name)
            case "integer":
                found = "int" if _is_int(schema) else "long"
            case "number":
                found = "double"
            case "boolean" | "null":
                found = kind
            case "string":
                found = self._string(schema, path)
            case _:
                found = self._text(path)
        return found

    def _array(self, schema: dict[str, Any], path: Path, name: str) -> Any:
        if "prefixItems" in schema:
            self._lose(path, "Elements with types by position are JSON texts.")
            return {"type": "array", "items": "string"}
        items = self.type(schema.get("items", True), (*path, EACH), f"{name}_item")
        return {"type": "array", "items": items}

    def _string(self, schema: dict[str, Any], path: Path) -> Any:
        told = schema.get(KEYWORD)
        if schema.get("contentEncoding") == "base64":
            if isinstance(told, dict) and "size" in told:
                return {"type": "fixed", **self._called(told["name"]), "size": told["size"]}
            return "bytes"
        form = schema.get("format")
        if form == "date-time":
            self._lose(path, "Of a time its offset from UTC, and what is smaller than a microsecond.")
        elif form and form not in _FORMATS:
            self._lose(path, f"The format {form} is not checked.")
        return dict(_FORMATS[form]) if form in _FORMATS else "string"

    def _text(self, path: Path) -> str:
        self._lose(path, "What Avro has no type for is written as a JSON text.")
        return "string"

    def _enum(self, schema: dict[str, Any], path: Path, name: str) -> Any:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        if all(isinstance(value, str) and _NAME.fullmatch(value) for value in values) and len(
            set(values)
        ) == len(values):
            told = schema.get(KEYWORD)
            named = told["name"] if isinstance(told, dict) and "name" in told else schema.get("title") or name
            found = {"type": "enum", **self._called(named), "symbols": list(values)}
            self._names[id(schema)] = _full(found)
            return (
                found
                | self._doc(schema)
                | ({"default": schema["default"]} if schema.get("default") in values else {})
            )
        self._lose(path, "Values that are no names are not listed.")
        kinds = {type(value) for value in values}
        known = {str: "string", bool: "boolean", int: "long", float: "double"}
        return known[kinds.pop()] if len(kinds) == 1 and kinds <= known.keys() else self._text(path)

    def _union(self, branches: list[Any], path: Path, name: str) -> Any:
        found: list[Any] = []
        for at, branch in enumerate(branches):
            one = self.type(branch, path, name if len(branches) < 3 else f"{name}_{at + 1}")
            for inner in one if isinstance(one, list) else [one]:
                if _kind(inner) not in map(_kind, found):
                    found.append(inner)
                elif inner not in found:
                    self._lose(path, f"Of alternatives that are all {_kind(inner)}, only the first is told.")
        return found[0] if len(found) == 1 else found

    def _object(self, schema: dict[str, Any], path: Path, name: str) -> Any:
        others = schema.get("additionalProperties", True)
        members = schema.get("properties", {})
        if not members and not isinstance(schema.get(KEYWORD), dict):
            if others is False:
                self._lose(path, "An object without members is an empty map.")
                return {"type": "map", "values": "string"}
            return {"type": "map", "values": self.type(others, (*path, "*"), f"{name}_value")}
        if others is not False:
            self._lose(path, "Fields that the schema does not name are left out.")
        told = schema.get(KEYWORD)
        named = told["name"] if isinstance(told, dict) and "name" in told else schema.get("title") or name
        found: dict[str, Any] = {"type": "record", **self._called(named), **self._doc(schema)}
        self._names[id(schema)] = _full(found)
        required = schema.get("required", ())
        found["fields"] = []
        for member, inner in members.items():
            found["fields"].append(
                self._field(member, inner, (*path, member), is_required=member in required)
            )
        return found

    def _field(self, member: str, inner: Any, path: Path, *, is_required: bool) -> dict[str, Any]:
        name = re.sub(r"\W", "_", member, flags=re.ASCII)
        name = name if _NAME.fullmatch(name) else f"_{name}"
        if name != member:
            self._lose(path, f"The name of the field: it is written {name}.")
        kind = self.type(inner, path, name)
        outer = inner if isinstance(inner, dict) else {}
        followed = self._followed(inner)
        told = {**followed, **outer} if isinstance(followed, dict) else outer
        field: dict[str, Any] = {"name": name, "type": kind, **self._doc(outer)}
        if "x-isthmus-class" in told:
            field["x-isthmus-class"] = told["x-isthmus-class"]
        if "default" in outer:
            field["default"] = outer["default"]
            if isinstance(kind, list) and outer["default"] is None:
                field["type"] = ["null", *(one for one in kind if one != "null")]
        elif not is_required:
            branches = kind if isinstance(kind, list) else [kind]
            field["type"] = ["null", *(one for one in branches if one != "null")]
            field["default"] = None
            if "null" in branches:
                self._lose(path, "Whether the field is missing or null.")
        return field

    def _called(self, title: str) -> dict[str, str]:
        """A name that nothing else has."""
        space, _, bare = (
            title.rpartition(".") if re.fullmatch(r"[\w.]+", title, re.ASCII) else ("", "", title)
        )
        bare = re.sub(r"\W+", "_", bare.strip(), flags=re.ASCII) or "record"
        bare = bare if _NAME.fullmatch(bare) else f"_{bare}"
        unique, at = bare, 2
        while f"{space}.{unique}" in self._taken:
            unique, at = f"{bare}_{at}", at + 1
        self._taken.add(f"{space}.{unique}")
        return {"name": unique} | ({"namespace": space} if space else {})

    @staticmethod
    def _doc(schema: dict[str, Any]) -> dict[str, Any]:
        return {"doc": schema["description"]} if schema.get("description") else {}


def _is_int(schema: dict[str, Any]) -> bool:
    limits = schema.get("minimum"), schema.get("maximum")
    # Anything but a whole number would be looked for one by one.
    return all(isinstance(one, int) and one in _INT for one in limits)


def _kind(found: Any) -> str:
    if isinstance(found, dict):
        return str(found.get("name") or found["type"])
    return str(found)


def _full(found: dict[str, Any]) -> str:
    return f"{found['namespace']}.{found['name']}" if "namespace" in found else str(found["name"])


__all__ = ["avro_of"]
