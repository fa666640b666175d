"""The least that can be said about records whose writer brought no schema."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from isthmus.mapper.privacy import DataClass, annotated

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_decode = msgspec.json.Decoder().decode


def infer_schema(records: Iterable[bytes]) -> str:
    """Describe the members that some records have, by the JSON types seen; members stay optional."""
    seen: dict[str, set[str]] = {}
    for record in records:
        for name, value in _members(record).items():
            seen.setdefault(name, set()).add(_type(value))
    members = {name: {"type": _one_or_many(types)} for name, types in sorted(seen.items())}
    schema = {"$schema": _DIALECT, "type": "object", "properties": members}
    return msgspec.json.encode(schema).decode()


def with_classes(schema: str, told: Mapping[str, DataClass]) -> str:
    """Return a schema that also declares classes of fields."""
    if not told:
        return schema
    return msgspec.json.encode(annotated(_decode(schema), told)).decode()


def fingerprint(schema: str) -> str:
    """Return the SHA-256 by which equal schemas are recognised."""
    return hashlib.sha256(schema.encode()).hexdigest()


def is_schema(text: str) -> bool:
    """Tell whether a text is a JSON object, which every useful JSON Schema is."""
    try:
        return isinstance(_decode(text), dict) and "\0" not in text
    except (msgspec.DecodeError, RecursionError):
        return False


def _members(record: bytes) -> dict[str, Any]:
    """Return a record's members; one with numbers beyond this process's reach tells nothing."""
    try:
        members: dict[str, Any] = _decode(record)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return members


def _type(value: Any) -> str:
    for kind, name in ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number")):
        if isinstance(value, kind):
            return name
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"


def _one_or_many(types: set[str]) -> str | list[str]:
    found = types - {"integer"} if "number" in types else types
    return next(iter(found)) if len(found) == 1 else sorted(found)


__all__ = ["fingerprint", "infer_schema", "is_schema", "with_classes"]
