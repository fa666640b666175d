"""Reads Protobuf schemas (`.proto`, proto2 and proto3) as far as they describe messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

SCALARS = frozenset(
    {
        "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64",
        "sfixed32", "sfixed64", "bool", "string", "bytes",
    }
)  # fmt: skip
WELL_KNOWN = "google.protobuf."
_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<word>[A-Za-z_.][\w.]*|-?\d[\w.+]*)|(?P<sign>[{}\[\]()<>=;,:-])""",
    re.DOTALL,
)
_DEEPEST = 40
_MOST_NUMBER = 2**29 - 1


class ProtoInvalid(ValueError):
    """A schema that cannot be read; the message says where and why."""


@dataclass
class Field:
    """One field of a message.

    Attributes:
        kind: A scalar, or the full name of a message or enum once it is resolved.
        label: `repeated`, `optional`, `required`, or empty.
        key: The scalar that keys of a map have; empty where it is no map.
        json_name: What it is called in JSON where that is said.
        oneof: The group of which one field may be set.
    """

    name: str
    number: int
    kind: str
    label: str = ""
    key: str = ""
    json_name: str = ""
    oneof: str = ""


@dataclass
class Message:
    """One message by its full name."""

    name: str
    fields: list[Field] = field(default_factory=list)


@dataclass
class Proto:
    """What a file describes; the first message is the record.

    Attributes:
        package: Stands before all names.
        messages: By full name.
        enums: Numbers by name, by full name.
        root: Full name of the first message.
        left_out: What is said besides, and is no matter of records: where, and what.
    """

    package: str = ""
    messages: dict[str, Message] = field(default_factory=dict)
    enums: dict[str, dict[str, int]] = field(default_factory=dict)
    root: str = ""
    left_out: list[tuple[str, str]] = field(default_factory=list)


def read_proto(text: str) -> Proto:
    """Read a file.

    Raises:
        ProtoInvalid: It is none, or imports other files than those of Google's well-known types.
    """
    reader = _Reader(text)
    reader.file()
    proto = reader.proto
    if not proto.root:
        raise ProtoInvalid("The file has no message; records are described by its first one.")
    for message in proto.messages.values():
        for one in message.fields:
            one.kind = _resolved(proto, one.kind, message.name)
    return proto


def _resolved(proto: Proto, kind: str, scope: str) -> str:
    if kind in SCALARS:
        return kind
    if kind.startswith("."):
        names = [kind[1:]]
    else:
        parts = scope.split(".")
        names = [".".join([*parts[:at], kind]) for at in range(len(parts), -1, -1)]
    for name in names:
        if name in proto.messages or name in proto.enums or name.startswith(WELL_KNOWN):
            return name
    raise ProtoInvalid(f"There is no type {kind!r} for a field of {scope}; define it in the same file.")


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, int]] = []
        self._at = 0
        at = 0
        while at < len(text):
            met = _TOKEN.match(text, at)
            if met is None:
                raise ProtoInvalid(
                    f"Line {text.count(chr(10), 0, at) + 1}: {text[at]!r} is not expected here."
                )
            if met.lastgroup != "skip":
                self._tokens.append(
                    (met[0], text.count("\n", 0, at) + 1) if len(text) < 1 << 16 else (met[0], 0)
                )
            at = met.end()
        self.proto = Proto()

    def file(self) -> None:
        """Read all that stands at the top."""
        while self._at < len(self._tokens):
            word = self._next()
            match word:
                case "syntax" | "edition":
                    self._until(";")
                case "package":
                    self.proto.package = self._next()
                    self._expect(";")
                case "import":
                    self._import()
                case "message":
                    self._message(self.proto.package, 0)
                case "enum":
                    self._enum(self.proto.package)
                case "option":
                    self._leave_out(self.proto.package, f"the option {self._said()}")
                    self._until(";")
                case "service" | "extend":
                    self._leave_out(self.proto.package, f"{word} {self._said()}")
                    self._block()
                case ";":
                    continue
                case _:
                    raise self._wrong(word)

    def _said(self) -> str:
        """The next word; options of one's own stand in brackets."""
        word = self._next()
        return self._peek() if word == "(" else word

    def _leave_out(self, place: str, what: str) -> None:
        self.proto.left_out.append((place, what))

    def _import(self) -> None:
        name = self._next()
        name = self._next() if name in {"public", "weak"} else name
        if not name.strip("\"'").startswith("google/protobuf/"):
            raise ProtoInvalid(f"The file imports {name}; put what it needs into one file.")
        self._expect(";")

    def _message(self, scope: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise ProtoInvalid("Messages are nested too deep.")
        name = ".".join(filter(None, (scope, self._name())))
        if name in self.proto.messages:
            raise ProtoInvalid(f"The message {name} is defined twice.")
        message = self.proto.messages[name] = Message(name)
        self.proto.root = self.proto.root or name
        self._expect("{")
        while (word := self._next()) != "}":
            match word:
                case "message":
                    self._message(name, depth + 1)
                case "enum":
                    self._enum(name)
                case "oneof":
                    group = self._name()
                    self._expect("{")
                    while (inner := self._next()) != "}":
                        self._until(";") if inner == "option" else self._field(message, inner, oneof=group)
                case "option" | "reserved" | "extensions":
                    self._leave_out(name, f"{word} {self._said()}")
                    self._until(";")
                case "extend":
                    self._leave_out(name, f"{word} {self._said()}")
                    self._block()
                case ";":
                    continue
                case _:
                    self._field(message, word)
        self._check(message)

    def _field(self, message: Message, word: str, oneof: str = "") -> None:
        label = word if word in {"repeated", "optional", "required"} else ""
        kind, key = self._next() if label else word, ""
        if kind == "group":
            raise ProtoInvalid(f"{message.name} has a group; use a message.")
        if kind == "map" and self._peek() == "<":
            self._expect("<")
            key = self._next()
            self._expect(",")
            kind = self._next()
            self._expect(">")
        name = self._name()
        self._expect("=")
        number = self._number()
        found = Field(name, number, kind, label, key, oneof=oneof)
        if self._peek() == "[":
            found.json_name = self._options(f"{message.name}.{name}")
        self._expect(";")
        message.fields.append(found)

    def _options(self, place: str) -> str:
        told, depth, before = "", 0, ""
        while True:
            word = self._next()
            depth += (word in "[{") - (word in "]}") if len(word) == 1 else 0
            if word == "json_name" and self._peek() == "=":
                self._next()
                told = self._next()[1:-1]
            elif before in {"[", ","} and depth == 1:
                self._leave_out(place, f"the option {self._peek() if word == '(' else word}")
            if depth == 0:
                return told
            before = word

    def _enum(self, scope: str) -> None:
        name = ".".join(filter(None, (scope, self._name())))
        values = self.proto.enums[name] = {}
        self._expect("{")
        while (word := self._next()) != "}":
            if word in {"option", "reserved"}:
                self._leave_out(name, f"{word} {self._said()}")
                self._until(";")
            elif word != ";":
                self._expect("=")
                values[word] = self._number(least=-(2**31))
                if self._peek() == "[":
                    self._options(f"{name}.{word}")
                self._expect(";")

    @staticmethod
    def _check(message: Message) -> None:
        values: list[tuple[str, Callable[[Field], object]]] = [
            ("number", lambda one: one.number),
            ("name", lambda one: one.name),
        ]
        for what, value in values:
            seen = [value(one) for one in message.fields]
            if len(set(seen)) < len(seen):
                twice = next(one for one in seen if seen.count(one) > 1)
                raise ProtoInvalid(f"The {what} {twice} stands twice in {message.name}.")

    def _name(self) -> str:
        word = self._next()
        if not re.fullmatch(r"[A-Za-z_]\w*", word, re.ASCII):
            raise self._wrong(word)
        return word

    def _number(self, least: int = 1) -> int:
        word = self._next()
        try:
            number = int(word, 0)
        except ValueError:
            raise self._wrong(word) from None
        if not least <= number <= (2**31 if least < 0 else _MOST_NUMBER):
            raise self._wrong(word)
        return number

    def _block(self) -> None:
        self._expect("{")
        depth = 1
        while depth:
            word = self._next()
            depth += (word == "{") - (word == "}")

    def _until(self, end: str) -> None:
        depth = 0
        while (word := self._next()) != end or depth:
            depth += (word == "{") - (word == "}")

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise ProtoInvalid("The file ends too early; something is not closed.")
        self._at += 1
        return self._tokens[self._at - 1][0]

    def _expect(self, sign: str) -> None:
        if (word := self._next()) != sign:
            raise self._wrong(word, sign)

    def _wrong(self, word: str, instead: str = "") -> ProtoInvalid:
        line = self._tokens[self._at - 1][1]
        place = f"Line {line}: " if line else ""
        return ProtoInvalid(
            f"{place}{word[:40]!r} is not expected here{f'; write {instead!r}' if instead else ''}."
        )


__all__ = ["SCALARS", "WELL_KNOWN", "Field", "Message", "Proto", "ProtoInvalid", "read_proto"]
