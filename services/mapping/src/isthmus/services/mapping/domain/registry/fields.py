"""The fields of records as a JSON Schema tells of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from isthmus.mapper.paths import EACH, Path, PathInvalid, format_path
from isthmus.mapper.privacy import KEYWORD, PATTERNS, Classes, DataClass, class_named
from isthmus.services.mapping.domain.registry.knowledge import Document

MOST_FIELDS = 5_000
_DEEPEST = 12
_MOST_TOGETHER = 200
_LONGEST_PATH = 500
_LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the records that a schema describes.

    Attributes:
        path: As mappings write paths; `[*]` stands for every element of a list.
        types: Names of JSON types, joined by `|`; empty where anything may stand.
        format: JSON Schema's `format`.
        description: What the schema says of it, or its title.
        data_class: How sensitive it is.
        is_required: Whether it is always there where what it lies in is.
    """

    path: str
    types: str
    format: str
    description: str
    data_class: DataClass
    is_required: bool


@dataclass(frozen=True, slots=True)
class KnownField:
    """A field of a subject, and which of its versions have it.

    Attributes:
        first: The first version that had it.
        last: The last version that has it.
    """

    subject: str
    field: Field
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What fields are looked for; all that is said has to hold.

    Attributes:
        query: Words, each of which stands in the subject, its title, the path or the description.
        prefix: What the subject begins with.
        field: What the field's own name has in it.
        type: A JSON type that it may have.
        data_class: Its class; 0 stands for any.
    """

    query: str = ""
    prefix: str = ""
    field: str = ""
    type: str = ""
    data_class: int = 0

    def fits(self, title: str, known: KnownField) -> bool:
        """Tell whether a field is one that is looked for."""
        field = known.field
        text = " ".join((known.subject, title, field.path, field.description)).lower()
        return (
            known.subject.startswith(self.prefix)
            and self.data_class in {0, field.data_class}
            and (not self.type or not field.types or self.type in field.types.split("|"))
            and self.field.lower() in field.path.rpartition(".")[2].lower()
            and all(word in text for word in self.query.lower().split())
        )


def fields_of(json_schema: Any) -> list[Field]:
    """The fields of a JSON Schema in the order of their names, those inside behind what they lie in."""
    classes = _patterns(json_schema)
    kinds: dict[Path, DataClass] = {}
    found: dict[str, Field] = {}
    for path, schemas, is_required in _walk(Document(json_schema), json_schema, (), True, 0):
        text = format_path(path)
        kinds[path] = _class(schemas, path, kinds, classes)
        if text in found or len(text) > _LONGEST_PATH:
            continue
        found[text] = Field(
            text,
            "|".join(dict.fromkeys(kind for schema in schemas for kind in _types(schema))),
            _first(schemas, "format")[:100],
            (_first(schemas, "description") or _first(schemas, "title"))[:_LONGEST_TEXT],
            kinds[path],
            is_required,
        )
        if len(found) >= MOST_FIELDS:
            break
    return list(found.values())


def _patterns(json_schema: Any) -> Classes:
    """What a schema as a whole says of fields by patterns of their names."""
    told = json_schema.get(PATTERNS) if isinstance(json_schema, dict) else None
    named = told.items() if isinstance(told, dict) else ()
    try:
        return Classes({path: class_named(name) or DataClass.CONFIDENTIAL for path, name in named})
    except PathInvalid:
        return Classes()


def _class(
    schemas: list[dict[str, Any]], path: Path, kinds: dict[Path, DataClass], classes: Classes
) -> DataClass:
    """The class that a place declares itself, else that of what it lies in."""
    own = [class_named(one[KEYWORD]) or DataClass.CONFIDENTIAL for one in schemas if KEYWORD in one]
    if own:
        return max(own)
    above = next((kinds[path[:at]] for at in range(len(path) - 1, 0, -1) if path[:at] in kinds), None)
    by_name = classes.of(path)
    return by_name if above is None else max(above, by_name)


_Place = tuple[Path, list[dict[str, Any]], bool]


def _walk(document: Document, schema: Any, path: Path, is_required: bool, depth: int) -> Iterator[_Place]:
    schemas = list(islice(_together(document, schema, 0), _MOST_TOGETHER))
    if path:
        yield path, schemas, is_required
    if depth >= _DEEPEST:
        return
    required = {name for one in schemas for name in one.get("required", ())}
    members: dict[str, Any] = {}
    for one in schemas:
        for name, inner in one.get("properties", {}).items():
            members.setdefault(name, inner)
    for name, inner in members.items():
        yield from _walk(document, inner, (*path, name), name in required, depth + 1)
    items = [one["items"] for one in schemas if isinstance(one.get("items"), dict)]
    for inner in items[:1]:
        for place in _walk(document, inner, (*path, EACH), True, depth + 1):
            # The elements themselves are no field; what lies in them is.
            if len(place[0]) > len(path) + 1:
                yield place


def _together(document: Document, schema: Any, depth: int) -> Iterator[dict[str, Any]]:
    """A schema and all that it refers to or has as alternatives, which together tell what may stand there."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return
    yield schema
    yield from _together(document, document.target(schema.get("$ref")), depth + 1)
    for word in ("allOf", "anyOf", "oneOf"):
        for inner in schema.get(word, ()):
            yield from _together(document, inner, depth + 1)


def _types(schema: dict[str, Any]) -> list[str]:
    told = schema.get("type", ())
    return [told] if isinstance(told, str) else list(told)


def _first(schemas: list[dict[str, Any]], word: str) -> str:
    return next((found for one in schemas if isinstance(found := one.get(word), str) and found), "")


__all__ = ["MOST_FIELDS", "Field", "KnownField", "Wanted", "fields_of"]
