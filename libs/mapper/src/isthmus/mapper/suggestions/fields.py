"""The fields of a JSON Schema in a flat list, as far as suggestions need to know them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.mapper.schemas import SchemaInvalid, resolve
from isthmus.mapper.suggestions.names import Name, read_name
from isthmus.mapper.suggestions.values import kind_of_format, kind_of_samples

_DEEPEST = 6
_MOST_FIELDS = 400
_MOST_SAMPLES = 50
_MOST_ALTERNATIVES = 8
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field that holds a value, or a list of values.

    Attributes:
        path: Where it is; `EACH` stands for the elements of a list.
        name: Its words.
        types: JSON types that it may have, null left out; empty where nobody says.
        kind: What kind of value it holds, such as `ip` or `time`; empty where that is not known.
        choices: The values it may have, where there is a list of them.
        is_list: Whether it is a list of values itself.
        is_required: Whether each object around it has to have it.
        samples: Some values that it had.
    """

    path: Path
    name: Name
    types: frozenset[str]
    kind: str
    choices: tuple[Any, ...]
    is_list: bool
    is_required: bool
    samples: tuple[Any, ...] = ()

    @property
    def text(self) -> str:
        """Its path as mappings write it."""
        return format_path(self.path)

    @property
    def list_path(self) -> Path:
        """The path of the list around it, up to and with the last `EACH`; empty outside of lists."""
        ends = [at for at, part in enumerate(self.path) if part is EACH]
        return self.path[: ends[-1] + 1] if ends else ()


def leaves_of(schema: Mapping[str, Any], samples: Sequence[Mapping[str, Any]] = ()) -> list[Leaf]:
    """The fields of a schema; those that only samples have are among them.

    Args:
        schema: JSON Schema of a record.
        samples: Records.
    """
    found: dict[Path, Leaf] = {}
    for leaf in _walk(schema, schema, (), True, samples[:_MOST_SAMPLES]):
        if len(found) >= _MOST_FIELDS:
            break
        found.setdefault(leaf.path, leaf)
    return list(found.values())


def _walk(
    root: Mapping[str, Any], schema: object, path: Path, is_required: bool, samples: Sequence[Any]
) -> Iterator[Leaf]:
    schema = _plain(root, schema)
    depth = sum(part is not EACH for part in path)
    if depth > _DEEPEST:
        return
    named = schema.get("properties")
    properties: dict[str, Any] = dict(named) if isinstance(named, dict) else {}
    for sample in samples:
        if isinstance(sample, dict):
            for name in sample:
                properties.setdefault(name, {})
    required = schema.get("required")
    if properties:
        for name, inner in properties.items():
            values = [one[name] for one in samples if isinstance(one, dict) and name in one]
            needed = is_required and isinstance(required, list) and name in required
            yield from _walk(root, inner, (*path, name), needed, values)
        return
    if path:
        yield from _value(root, schema, path, is_required, samples)


def _value(
    root: Mapping[str, Any], schema: Mapping[str, Any], path: Path, is_required: bool, samples: Sequence[Any]
) -> Iterator[Leaf]:
    types = _types(schema) or frozenset(filter(None, map(_type_of, samples)))
    if "object" in types and not types & _SCALARS:
        return
    if "array" in types:
        elements = [one for sample in samples if isinstance(sample, list) for one in sample][:_MOST_SAMPLES]
        inner = _plain(root, schema.get("items", {}))
        if inner.get("properties") or any(isinstance(one, dict) for one in elements):
            # What an element has to have, a list that may be empty need not have.
            yield from _walk(root, inner, (*path, EACH), False, elements)
            return
        yield _leaf(path, inner, frozenset(_types(inner)), is_required, elements, is_list=True)
        return
    yield _leaf(path, schema, types, is_required, samples, is_list=False)


def _leaf(
    path: Path,
    schema: Mapping[str, Any],
    types: frozenset[str],
    is_required: bool,
    samples: Sequence[Any],
    *,
    is_list: bool,
) -> Leaf:
    choices = schema.get("enum")
    known = tuple(choices) if isinstance(choices, list) else (schema["const"],) if "const" in schema else ()
    plain = tuple(one for one in samples if isinstance(one, str | int | float))
    kind = kind_of_format(schema.get("format")) or kind_of_samples(plain)
    return Leaf(
        path=path,
        name=read_name(tuple(part for part in path if isinstance(part, str))),
        types=types,
        kind=kind,
        choices=tuple(one for one in known if one is not None),
        is_list=is_list,
        is_required=is_required,
        samples=plain,
    )


def _plain(root: Mapping[str, Any], schema: object) -> Mapping[str, Any]:
    """A schema without references; of several alternatives the first that says something of members."""
    try:
        schema = resolve(root, schema)
    except (SchemaInvalid, RecursionError):
        return {}
    if not isinstance(schema, dict):
        return {}
    merged = dict(schema)
    for word in ("allOf", "anyOf", "oneOf"):
        several = schema.get(word)
        for one in several[:_MOST_ALTERNATIVES] if isinstance(several, list) else ():
            inner = _resolved(root, one)
            if inner.get("type") == "null":
                continue
            for name, value in inner.items():
                if name == "properties" and isinstance(merged.get(name), dict) and isinstance(value, dict):
                    merged[name] = {**value, **merged[name]}
                else:
                    merged.setdefault(name, value)
    return merged


def _resolved(root: Mapping[str, Any], schema: object) -> Mapping[str, Any]:
    try:
        found = resolve(root, schema)
    except (SchemaInvalid, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    named = schema.get("type")
    if isinstance(named, str):
        return frozenset({named} - {"null"})
    if isinstance(named, list):
        return frozenset(one for one in named if isinstance(one, str) and one != "null")
    if "const" in schema or isinstance(schema.get("enum"), list):
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        return frozenset(filter(None, map(_type_of, values)))
    return frozenset()


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "")
