"""Reads Avro schemas with all that is wrong with them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NAMED = frozenset({"record", "enum", "fixed", "error"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEEPEST = 60

Type = dict[str, Any]
"""A type in one form: always an object with `type`; a union has `branches`, a named type its full `name`."""


@dataclass
class Avro:
    """An Avro schema in one form.

    Attributes:
        root: The type of the whole.
        named: Named types by full name.
        problems: What is wrong: JSON pointer and message.
    """

    root: Type = field(default_factory=dict)
    named: dict[str, Type] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def real(self, found: Type) -> Type:
        """The type itself, where another one only names it."""
        return self.named.get(found["name"], found) if found["type"] == "named" else found


def read_avro(document: Any) -> Avro:
    """Bring a schema into one form; `problems` tells what is wrong with it."""
    avro = Avro()
    avro.root = _Reader(avro).type(document, "", "", 0)
    return avro


class _Reader:
    def __init__(self, avro: Avro) -> None:
        self._avro = avro

    def type(self, told: Any, space: str, path: str, depth: int) -> Type:
        """Read a type inside a namespace."""
        if depth > _DEEPEST:
            return self._wrong(path, "The schema is nested too deep.")
        if isinstance(told, str):
            return self._by_name(told, space, path)
        if isinstance(told, list):
            return self._union(told, space, path, depth)
        if isinstance(told, dict) and "type" in told:
            return self._written_out(told, space, path, depth)
        return self._wrong(path, "A type is a name, a list of types, or an object with `type`.")

    def _written_out(self, told: dict[str, Any], space: str, path: str, depth: int) -> Type:
        kind = told["type"]
        if isinstance(kind, dict | list):
            return self.type(kind, space, f"{path}/type", depth + 1)
        if kind in {"array", "map"}:
            word = "items" if kind == "array" else "values"
            if word not in told:
                return self._wrong(path, f"Give {word!r}, the type of what is inside.")
            return {"type": kind, word: self.type(told[word], space, f"{path}/{word}", depth + 1)}
        if kind in NAMED:
            return self._named({**told, "type": str(kind).replace("error", "record")}, space, path, depth)
        found = self._by_name(kind, space, f"{path}/type")
        return {**found, **_meaning(told)} if found["type"] in PRIMITIVES else found

    def _by_name(self, name: Any, space: str, path: str) -> Type:
        if name in PRIMITIVES:
            return {"type": name}
        full = name if not isinstance(name, str) or "." in name or not space else f"{space}.{name}"
        if full in self._avro.named:
            return {"type": "named", "name": full}
        return self._wrong(path, f"There is no type {str(name)[:80]!r} here; define it before it is named.")

    def _union(self, told: list[Any], space: str, path: str, depth: int) -> Type:
        branches = [self.type(one, space, f"{path}/{at}", depth + 1) for at, one in enumerate(told)]
        kinds = [one.get("name", one["type"]) for one in branches]
        if any(one["type"] == "union" for one in branches):
            self._wrong(path, "A union cannot hold another union; join them.")
        elif len(set(kinds)) < len(kinds):
            self._wrong(path, "A union holds each type once; leave out what stands twice.")
        return {"type": "union", "branches": branches}

    def _named(self, told: dict[str, Any], space: str, path: str, depth: int) -> Type:
        name, kind = told.get("name"), told["type"]
        if not isinstance(name, str) or not all(map(_NAME.fullmatch, name.split("."))):
            return self._wrong(
                path, "Give a `name` of letters, digits and underscores, not beginning with a digit."
            )
        space = name.rpartition(".")[0] or str(told.get("namespace", space) or "")
        bare = name.rpartition(".")[2]
        full = f"{space}.{bare}" if space else bare
        if full in self._avro.named:
            self._wrong(path, f"The type {full} is defined twice; name it the second time.")
        aliases = told.get("aliases", [])
        found: Type = {"type": kind, "name": full, "doc": str(told.get("doc", ""))}
        found["aliases"] = [str(one) for one in aliases] if isinstance(aliases, list) else []
        self._avro.named[full] = found
        if kind == "record":
            found["fields"] = self._fields(told.get("fields"), space, path, depth)
        elif kind == "enum":
            found |= self._symbols(told, path)
        elif isinstance(size := told.get("size"), int) and not isinstance(size, bool) and size >= 0:
            found |= {"size": size, **_meaning(told)}
        else:
            self._wrong(path, "Give `size`, the number of bytes.")
        return found

    def _fields(self, told: Any, space: str, path: str, depth: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if not isinstance(told, list):
            self._wrong(path, "Give `fields`, a list.")
            return found
        for at, one in enumerate(told):
            here = f"{path}/fields/{at}"
            name = one.get("name") if isinstance(one, dict) else None
            if not isinstance(name, str) or not _NAME.fullmatch(name) or "type" not in one:
                self._wrong(here, "A field has a `name` of letters, digits and underscores, and a `type`.")
                continue
            if any(name == other["name"] for other in found):
                self._wrong(here, f"The field {name} stands twice; leave one out.")
            kept = {word: one[word] for word in one if word in {"default", "x-isthmus-class"}}
            kept |= {"name": name, "doc": str(one.get("doc", "")), "aliases": list(one.get("aliases", ()))}
            found.append({**kept, "type": self.type(one["type"], space, f"{here}/type", depth + 1)})
        return found

    def _symbols(self, told: dict[str, Any], path: str) -> Type:
        symbols = told.get("symbols")
        if not isinstance(symbols, list) or not all(
            isinstance(one, str) and _NAME.fullmatch(one) for one in symbols
        ):
            self._wrong(path, "Give `symbols`, a list of names of letters, digits and underscores.")
            return {"symbols": []}
        if len(set(symbols)) < len(symbols):
            self._wrong(path, "A symbol stands twice; leave one out.")
        if "default" in told and told["default"] not in symbols:
            self._wrong(path, "The default of an enum is one of its symbols.")
        return {"symbols": symbols} | ({"default": told["default"]} if "default" in told else {})

    def _wrong(self, path: str, message: str) -> Type:
        self._avro.problems.append((path, message))
        return {"type": "null"}


def _meaning(told: dict[str, Any]) -> dict[str, Any]:
    """What the bytes of a type stand for."""
    return {word: told[word] for word in ("logicalType", "precision", "scale") if word in told}


__all__ = ["NAMED", "PRIMITIVES", "Avro", "Type", "read_avro"]
