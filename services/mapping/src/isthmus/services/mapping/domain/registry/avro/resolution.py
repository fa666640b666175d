"""Whether one Avro schema reads what another writes, by the rules of schema resolution of Avro 1.11."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.services.mapping.domain.registry.avro.reading import Avro, Type
from isthmus.services.mapping.domain.registry.mismatch import READER, WRITER, Mismatch

_PROMOTED = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_MEANING = ("logicalType", "precision", "scale")


def unresolved(writer: Avro, reader: Avro) -> list[Mismatch]:
    """Why a reader's schema does not resolve what a writer's writes; empty where it does."""
    return list(_Resolution(writer, reader).types(writer.root, reader.root, ()))


class _Resolution:
    def __init__(self, writer: Avro, reader: Avro) -> None:
        self.writer = writer
        self.reader = reader
        self._open: set[tuple[str, str]] = set()

    def types(self, writer: Type, reader: Type, path: Path) -> Iterator[Mismatch]:
        """Compare two types."""
        writer, reader = self.writer.real(writer), self.reader.real(reader)
        if writer["type"] == "union":
            for branch in writer["branches"]:
                yield from self.types(branch, reader, path)
        elif reader["type"] == "union":
            # A branch that is meant comes before one that only could be read as it.
            tried = [list(self.types(writer, branch, path)) for branch in reader["branches"]]
            if all(tried):
                alike = [
                    told
                    for told, branch in zip(tried, reader["branches"], strict=True)
                    if self.reader.real(branch)["type"] == writer["type"]
                ]
                yield from alike[0] if len(alike) == 1 else [_type(path, writer, reader)]
        elif writer["type"] != reader["type"]:
            if reader["type"] not in _PROMOTED.get(writer["type"], ()):
                yield _type(path, writer, reader)
        else:
            yield from self._inside(writer, reader, path)

    def _inside(self, writer: Type, reader: Type, path: Path) -> Iterator[Mismatch]:
        said, taken = (tuple(side.get(word) for word in _MEANING) for side in (writer, reader))
        if said != taken and ("decimal" in {said[0], taken[0]} or (said[0] and taken[0])):
            yield _mismatch(
                path,
                "LOGICAL_TYPE_CHANGED",
                f"{WRITER} means {_meant(writer)}, {READER} takes it for {_meant(reader)}.",
                "Keep the logical type, or add another field.",
            )
        match writer["type"]:
            case "array":
                yield from self.types(writer["items"], reader["items"], (*path, EACH))
            case "map":
                yield from self.types(writer["values"], reader["values"], (*path, "*"))
            case "record" | "enum" | "fixed":
                yield from self._named(writer, reader, path)

    def _named(self, writer: Type, reader: Type, path: Path) -> Iterator[Mismatch]:
        key = (writer["name"], reader["name"])
        if key in self._open:
            return
        if _bare(writer["name"]) not in {_bare(reader["name"]), *map(_bare, reader["aliases"])}:
            yield _mismatch(
                path,
                "NAME_CHANGED",
                f"{WRITER} names it {writer['name']}, {READER} {reader['name']}.",
                f"Name it {_bare(writer['name'])}, or give that as an alias.",
            )
            return
        if writer["type"] == "fixed":
            if writer["size"] != reader["size"]:
                yield _mismatch(
                    path,
                    "SIZE_CHANGED",
                    f"{WRITER} has {writer['size']} bytes, {READER} {reader['size']}.",
                    f"Keep {writer['size']} bytes.",
                )
        elif writer["type"] == "enum":
            lost = [one for one in writer["symbols"] if one not in reader["symbols"]]
            if lost and "default" not in reader:
                few = ", ".join(lost[:8])
                yield _mismatch(
                    path,
                    "VALUES_NOT_ALLOWED",
                    f"{WRITER} may hold {few}, which {READER} does not know.",
                    f"Keep {few}, or give the enum a default.",
                )
        else:
            self._open.add(key)
            yield from self._records(writer, reader, path)
            self._open.discard(key)

    def _records(self, writer: Type, reader: Type, path: Path) -> Iterator[Mismatch]:
        written = {one["name"]: one for one in writer["fields"]}
        for one in reader["fields"]:
            source: Any = next(
                (written[name] for name in (one["name"], *one["aliases"]) if name in written), None
            )
            here = (*path, one["name"])
            if source is not None:
                yield from self.types(source["type"], one["type"], here)
            elif "default" not in one:
                yield Mismatch(
                    format_path(here),
                    "FIELD_REQUIRED",
                    f"{READER} has the field without a default; {WRITER} does not write it.",
                    "Give the field a default.",
                    "Keep the field.",
                )


def _bare(name: str) -> str:
    return name.rpartition(".")[2]


def _meant(found: Type) -> str:
    told = found.get("logicalType") or found["type"]
    return f"{told}({found.get('precision')}, {found.get('scale', 0)})" if told == "decimal" else str(told)


def _words(found: Type) -> str:
    return (
        " or ".join(map(_words, found["branches"]))
        if found["type"] == "union"
        else str(found.get("name") or found["type"])
    )


def _type(path: Path, writer: Type, reader: Type) -> Mismatch:
    return _mismatch(
        path,
        "TYPE_NOT_ALLOWED",
        f"{WRITER} may hold {_words(writer)}, which {READER} does not read: it takes {_words(reader)}.",
        f"Read {_words(writer)} as well, or add another field.",
    )


def _mismatch(path: Path, rule: str, message: str, remedy: str) -> Mismatch:
    return Mismatch(format_path(path), rule, message, remedy, remedy)


__all__ = ["unresolved"]
