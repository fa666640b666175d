"""JSON Schema as a `.proto` file, with everything that Protobuf cannot say told."""

from __future__ import annotations

import re
from typing import Any

from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.services.mapping.domain.registry.knowledge import Document
from isthmus.services.mapping.domain.registry.model import Loss
from isthmus.services.mapping.domain.registry.protobuf.reading import SCALARS
from isthmus.services.mapping.domain.registry.protobuf.to_json_schema import KEYWORD

_VALUE, _STRUCT, _TIME = (f"google.protobuf.{name}" for name in ("Value", "Struct", "Timestamp"))
_FILES = {_VALUE: "struct", _STRUCT: "struct", _TIME: "timestamp"}
_UNCHECKED = (
    "minLength", "maxLength", "pattern", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems",
    "maxItems", "uniqueItems", "minProperties", "maxProperties", "patternProperties", "propertyNames",
    "dependentRequired", "dependentSchemas", "contains", "not", "if", "enum", "const",
)  # fmt: skip
_DEEPEST = 40
_MOST_LOOKS = 20_000
_RESERVED = range(19_000, 20_000)


def proto_of(schema: dict[str, Any], name: str) -> tuple[str, list[Loss]]:
    """The `.proto` file of records that a JSON Schema describes, and what it cannot say.

    Args:
        schema: The JSON Schema.
        name: What the message is called where the schema has no title.
    """
    writing = _Writing(Document(schema))
    writing.message(schema, (), name)
    return writing.text(), writing.losses


class _Writing:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._names: dict[int, str] = {}
        self._messages: dict[str, list[str]] = {}
        self._imports: set[str] = set()
        self._left = _MOST_LOOKS
        self.losses: list[Loss] = []

    def text(self) -> str:
        """The whole file."""
        blocks = ['syntax = "proto3";']
        blocks += ["\n".join(f'import "google/protobuf/{name}.proto";' for name in sorted(self._imports))]
        blocks += [f"message {name} {{\n{''.join(lines)}}}" for name, lines in self._messages.items()]
        return "\n\n".join(filter(None, blocks))

    def message(self, schema: dict[str, Any], path: Path, name: str) -> str:
        """Write a message and return what it is called."""
        unique = self._unique(str(schema.get("title") or name))
        self._names[id(schema)] = unique
        lines = self._messages.setdefault(unique, [])
        if schema.get("additionalProperties", True) is not False:
            self._lose(path, "Fields that the schema does not name are left out.")
        required = schema.get("required", ())
        members = schema.get("properties", {})
        taken = {_told(inner).get("number") for inner in members.values()}
        used: set[str] = set()
        for member, inner in members.items():
            here = (*path, member)
            number = _told(inner).get("number")
            if number is None:
                self._lose((), "Numbers of fields follow their order; keep those that others use already.")
                number = _free(taken)
            taken.add(number)
            if member in required:
                self._lose(here, "The field is required: Protobuf has nothing like it.")
            label, kind = self._field(inner, here, member)
            field = _own_name(str(_told(inner).get("name") or member), {*members} - {member}, used)
            used |= {field, _camel(field)}
            called = "" if field == member else f" [json_name = {_quoted(member)}]"
            lines.append(f"  {label}{kind} {field} = {number}{called};\n")
        return unique

    def _field(self, schema: Any, path: Path, name: str) -> tuple[str, str]:
        schema = self._followed(schema)
        told = _told(schema).get("type")
        if isinstance(schema, dict) and schema.get("type") == "array" and "items" in schema:
            inner = self._kind(schema["items"], (*path, EACH), name, told)
            if not inner.startswith("map<") and not self._is_list(schema["items"]):
                return "repeated ", inner
        kind = self._kind(schema, path, name, told)
        return ("" if kind.startswith("map<") else "optional "), kind

    def _is_list(self, schema: Any) -> bool:
        followed = self._followed(schema)
        return isinstance(followed, dict) and followed.get("type") == "array"

    def _kind(self, schema: Any, path: Path, name: str, told: object = None) -> str:
        schema = self._followed(schema)
        self._left -= 1
        if not isinstance(schema, dict) or len(path) > _DEEPEST or self._left < 0:
            return self._known(_VALUE)
        if id(schema) in self._names:
            return self._names[id(schema)]
        kinds = schema.get("type")
        names = [kinds] if isinstance(kinds, str) else [one for one in kinds or () if one != "null"]
        if isinstance(kinds, list) and "null" in kinds:
            self._lose(path, "Whether the field is missing or null.")
        if len(names) != 1 or any(word in schema for word in ("anyOf", "oneOf", "allOf")):
            self._lose(path, "Which of several types it has: it is any JSON value.")
            return self._known(_VALUE)
        for word in _UNCHECKED:
            if word in schema:
                self._lose(path, f"{word} is not checked.")
        return self._plain(schema, names[0], path, name, told)

    def _plain(self, schema: dict[str, Any], kind: str, path: Path, name: str, told: object) -> str:
        match kind:
            case "object" if "properties" in schema:
                found = self.message(schema, path, _title(name))
            case "object":
                found = self._map(schema.get("additionalProperties"), path, name, told)
            case "array":
                self._lose(path, "A list of lists, or of anything, is any JSON value.")
                found = self._known(_VALUE)
            case "string" if schema.get("format") == "date-time":
                self._lose(path, "Of a time its offset from UTC.")
                found = self._known(_TIME)
            case _:
                found = self._scalar(schema, kind, path, told)
        return found

    def _map(self, values: Any, path: Path, name: str, told: object) -> str:
        if isinstance(values, dict) and not self._is_list(values):
            inner = self._kind(values, (*path, "*"), name, told)
            if not inner.startswith("map<"):
                return f"map<string, {inner}>"
        return self._known(_STRUCT)

    def _scalar(self, schema: dict[str, Any], kind: str, path: Path, told: object) -> str:
        if told in SCALARS:
            return str(told)
        low, high = schema.get("minimum"), schema.get("maximum")
        if kind == "integer" and (low, high) == (-(2**31), 2**31 - 1):
            return "int32"
        for word in ("minimum", "maximum"):
            if word in schema:
                self._lose(path, f"{word} is not checked.")
        if schema.get("format"):
            self._lose(path, f"The format {schema['format']} is not checked.")
        if kind == "string":
            return "bytes" if schema.get("contentEncoding") == "base64" else "string"
        return {"integer": "int64", "number": "double", "boolean": "bool"}.get(kind) or self._known(_VALUE)

    def _known(self, name: str) -> str:
        self._imports.add(_FILES[name])
        return name

    def _followed(self, schema: Any) -> Any:
        for _ in range(_DEEPEST):
            if not (isinstance(schema, dict) and "$ref" in schema):
                return schema
            outer, schema = schema, self._document.target(schema["$ref"])
            if outer is schema:
                break
        return True

    def _unique(self, title: str) -> str:
        bare = _identifier(title.strip()) or "Record"
        bare = f"{bare}_" if bare in SCALARS else bare
        unique, at = bare, 2
        while unique in self._messages:
            unique, at = f"{bare}{at}", at + 1
        return unique

    def _lose(self, path: Path, message: str) -> None:
        loss = Loss(format_path(path) if path else "$", message)
        if loss not in self.losses:
            self.losses.append(loss)


def _own_name(name: str, others: set[str], used: set[str]) -> str:
    """A name that is no other field's, neither as it is nor as Protobuf writes it in JSON."""
    field = bare = _identifier(name)
    at = 2
    while {field, _camel(field)} & used or {field, _camel(field)} & others:
        field, at = f"{bare}{at}", at + 1
    return field


def _camel(name: str) -> str:
    """What Protobuf calls a field in JSON where nothing is said, which has to be unique in a message."""
    return re.sub(r"_+(\w?)", lambda met: met[1].upper(), name)


def _told(schema: Any) -> dict[str, Any]:
    told = schema.get(KEYWORD) if isinstance(schema, dict) else None
    return told if isinstance(told, dict) else {}


def _free(taken: set[Any]) -> int:
    number = 1
    while number in taken or number in _RESERVED:
        number += 1
    return number


def _identifier(name: str) -> str:
    found = re.sub(r"\W", "_", name, flags=re.ASCII)
    return found if re.match(r"[A-Za-z]", found) else f"f{found}" if found else ""


def _title(name: str) -> str:
    return (
        "".join(part[:1].upper() + part[1:] for part in re.split(r"\W|_", name, flags=re.ASCII)) or "Record"
    )


def _quoted(text: str) -> str:
    escaped = "".join(
        f"\\x{byte:02x}" if byte in b'"\\' or byte < 32 else chr(byte)
        for byte in text.encode("ascii", "replace")
    )
    return f'"{escaped}"'


__all__ = ["proto_of"]
