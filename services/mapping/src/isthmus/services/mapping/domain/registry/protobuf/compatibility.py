"""Whether what one Protobuf schema writes is read by another, by the numbers of fields on the wire."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.mapper.paths import EACH, Path, format_path
from isthmus.services.mapping.domain.registry.mismatch import READER, WRITER, Mismatch
from isthmus.services.mapping.domain.registry.protobuf.reading import Field, Proto

_ALIKE = (
    {"int32", "uint32", "int64", "uint64", "bool", "enum"},
    {"sint32", "sint64"},
    {"fixed32", "sfixed32"},
    {"fixed64", "sfixed64"},
    {"string", "bytes"},
)
"""Kinds that are read from one another; numbers that do not fit are cut off, as by Protobuf itself."""


def unread(writer: Proto, reader: Proto) -> list[Mismatch]:
    """Why a reader's schema does not read what a writer's writes; empty where it does."""
    return list(_Comparison(writer, reader).messages(writer.root, reader.root, ()))


class _Comparison:
    def __init__(self, writer: Proto, reader: Proto) -> None:
        self.writer = writer
        self.reader = reader
        self._seen: set[tuple[str, str]] = set()

    def messages(self, writer: str, reader: str, path: Path) -> Iterator[Mismatch]:
        """Compare two messages, each pair once."""
        if (
            (writer, reader) in self._seen
            or writer not in self.writer.messages
            or reader not in self.reader.messages
        ):
            return
        self._seen.add((writer, reader))
        written = {one.number: one for one in self.writer.messages[writer].fields}
        groups: dict[str, list[str]] = {}
        for one in self.reader.messages[reader].fields:
            here, source = (*path, one.name), written.get(one.number)
            if source is None:
                if one.label == "required":
                    yield _mismatch(
                        here,
                        "FIELD_REQUIRED",
                        f"{READER} requires field {one.number}; {WRITER} has none.",
                        "Make it optional.",
                    )
                continue
            yield from self._fields(source, one, here)
            if one.oneof and not source.oneof:
                groups.setdefault(one.oneof, []).append(one.name)
        for group, names in groups.items():
            if len(names) > 1:
                told = (
                    f"{WRITER} may set {' and '.join(names)} together; {READER} keeps one of them ({group})."
                )
                yield _mismatch(path, "ALTERNATIVES_OVERLAP", told, "Leave them outside of the oneof.")

    def _fields(self, writer: Field, reader: Field, path: Path) -> Iterator[Mismatch]:
        if _called(writer) != _called(reader):
            told = (
                f"Field {writer.number} is {_called(writer)} for {WRITER} and {_called(reader)} for {READER}."
            )
            yield _mismatch(path, "NAME_CHANGED", told, "Keep the name, or take a new number.")
        if (writer.label == "repeated", writer.key) != (reader.label == "repeated", reader.key):
            told = (
                f"Field {writer.number} is {_words(writer)} for {WRITER} and {_words(reader)} for {READER}."
            )
            yield _mismatch(path, "TYPE_NOT_ALLOWED", told, "Take a new number for what is new.")
            return
        if reader.label == "required" and writer.label != "required":
            yield _mismatch(
                path,
                "FIELD_REQUIRED",
                f"{READER} requires the field; {WRITER} may be without it.",
                "Make it optional.",
            )
        both = writer.kind in self.writer.messages, reader.kind in self.reader.messages
        if all(both):
            inner = (*path, EACH) if writer.label == "repeated" else path
            yield from self.messages(writer.kind, reader.kind, inner)
        elif not self._are_alike(writer.kind, reader.kind):
            told = (
                f"Field {writer.number} is {_words(writer)} for {WRITER} and {_words(reader)} for {READER}."
            )
            yield _mismatch(path, "TYPE_NOT_ALLOWED", told, "Take a new number for what is new.")

    def _are_alike(self, writer: str, reader: str) -> bool:
        kinds = {
            "enum" if kind in proto.enums else kind
            for kind, proto in ((writer, self.writer), (reader, self.reader))
        }
        return len(kinds) == 1 or any(kinds <= alike for alike in _ALIKE)


def _called(one: Field) -> str:
    return one.json_name or one.name


def _words(one: Field) -> str:
    if one.key:
        return f"map<{one.key}, {one.kind}>"
    return f"repeated {one.kind}" if one.label == "repeated" else one.kind


def _mismatch(path: Path, rule: str, message: str, remedy: str) -> Mismatch:
    return Mismatch(format_path(path) if path else "$", rule, message, remedy, remedy)


__all__ = ["unread"]
