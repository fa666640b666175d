"""The fields of a model in a flat list, for pages, tables and explorers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

_CLASS = "x-isthmus-class"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a model or of one of its parts.

    Attributes:
        path: Dotted, with `[*]` for every element of a list, as mappings write it.
        kind: `string`, `list of integer`, or the name of a part in pointed brackets: `<user>`.
        is_required: Whether the object it stands in has to have it.
        choices: The values it may have; empty where there is no list of them.
        data_class: How sensitive it is; empty where the field alone does not tell.
        description: What it means.
    """

    path: str
    kind: str
    is_required: bool
    choices: tuple[Any, ...]
    data_class: str
    description: str


def outline(schema: Schema) -> dict[str, list[Field]]:
    """The fields of a schema under the empty name, and those of each of its parts under theirs."""
    parts = schema.get("$defs", {})
    return {name: list(_fields(part, "")) for name, part in {"": schema, **parts}.items()}


def _fields(node: Schema, prefix: str) -> Iterator[Field]:
    required = node.get("required", [])
    for name, inner in node.get("properties", {}).items():
        shown = f'"{name}"' if "." in name or "[" in name else name
        path = f"{prefix}.{shown}" if prefix else shown
        yield Field(
            path=path,
            kind=_kind(inner),
            is_required=name in required,
            choices=tuple(inner.get("enum", [inner["const"]] if "const" in inner else [])),
            data_class=inner.get(_CLASS, ""),
            description=inner.get("description", ""),
        )
        yield from _fields(inner, path)
        if isinstance(inner.get("items"), dict):
            yield from _fields(inner["items"], f"{path}[*]")


def _kind(node: Schema) -> str:
    reference = node.get("$ref")
    if isinstance(reference, str):
        return f"<{reference.rpartition('/')[2]}>" if "/" in reference else "the same"
    if node.get("type") == "array":
        return f"list of {_kind(node.get('items', {}))}"
    names = node.get("type", "any")
    kind = names if isinstance(names, str) else " or ".join(names)
    return f"{kind}, {node['format']}" if "format" in node else kind


__all__ = ["Field", "outline"]
