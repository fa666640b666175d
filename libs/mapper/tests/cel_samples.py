"""Random expressions, and random and damaged records, for comparing evaluators."""

from __future__ import annotations

import random
from typing import Any

NAMES = ("id", "title", "severity", "score", "open", "tags", "owner", "counts", "note", "at")
_WORDS = (
    "",
    "a",
    "open",
    "closed",
    "Ünï",
    "x y",
    "1",
    "2.5",
    "true",
    "2026-01-31T12:00:00Z",
    "90s",
    "10.0.0.1",
    "é😀",
)
_INTEGERS = (0, 1, -1, 2, 3, 7, 10, 100, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63), 2**63, 2**64 - 1)
_DOUBLES = (0.0, -0.0, 0.5, 1.0, -1.5, 2.0, 3.25, 1e10, 1e300, 123.456)


def record(chance: random.Random) -> dict[str, Any]:
    """A record as sources give them, or one with members missing, null or of another kind.

    Its objects have one member at most: the order in which macros go through several is nobody's promise,
    and the library's is another in every process.
    """
    made: dict[str, Any] = {
        "id": chance.choice(_WORDS),
        "title": chance.choice(_WORDS),
        "severity": chance.choice(_INTEGERS),
        "score": chance.choice(_DOUBLES),
        "open": chance.random() < 0.5,
        "tags": [chance.choice(_WORDS) for _ in range(chance.randrange(4))],
        "owner": chance.choice(({"age": chance.randrange(100)}, {"name": chance.choice(_WORDS)})),
        "counts": [chance.choice(_INTEGERS) for _ in range(chance.randrange(4))],
        "note": None,
        "at": "2026-01-31T12:00:00Z",
    }
    while chance.random() < 0.4:
        name = chance.choice(NAMES)
        if chance.random() < 0.3:
            made.pop(name, None)
        else:
            made[name] = anything(chance, 2)
    return made


def anything(chance: random.Random, depth: int) -> Any:
    """Any JSON."""
    kind = chance.randrange(7 if depth else 5)
    if kind == 5:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(3))]
    if kind == 6:
        return {chance.choice(NAMES): anything(chance, depth - 1) for _ in range(chance.randrange(2))}
    return (
        None,
        chance.random() < 0.5,
        chance.choice(_INTEGERS),
        chance.choice(_DOUBLES),
        chance.choice(_WORDS),
    )[kind]


class Writer:
    """Writes expressions that mostly fit their types; what the checker refuses is no loss."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.locals: list[str] = []

    def write(self) -> str:
        """An expression of any type."""
        kind = self.chance.choice(("boolean", "number", "text", "listing", "anything"))
        return str(getattr(self, kind)(self.chance.randrange(1, 4)))

    def path(self) -> str:
        """Something of the record."""
        chance = self.chance
        if self.locals and chance.random() < 0.4:
            return chance.choice(self.locals)
        name = chance.choice(NAMES)
        return chance.choice(
            (f"record.{name}",) * 6
            + (
                f"record['{name}']",
                "record.owner.name",
                "record.owner.age",
                "record.counts[0]",
                "record.tags[1]",
            )
            + (f"record.?{name}.orValue({chance.choice(('1', repr('a'), 'null'))})",)
        )

    def boolean(self, depth: int) -> str:
        """Mostly a boolean."""
        chance = self.chance
        if depth <= 0:
            return chance.choice(("true", "false", "record.open", f"has(record.{chance.choice(NAMES)})"))
        number, text, boolean = (lambda: self.number(depth - 1)), (lambda: self.text(depth - 1)), self.boolean
        sign = chance.choice(("<", "<=", ">", ">=", "==", "!="))
        write = chance.choice(
            (
                lambda: f"{number()} {sign} {number()}",
                lambda: f"{text()} {sign} {text()}",
                lambda: f"{self.path()} {sign} {self.path()}",
                lambda: (
                    f"{self.path()} {sign} {chance.choice(('null', 'true', '1', '1.0', '1u', repr('a')))}"
                ),
                lambda: f"({boolean(depth - 1)} && {boolean(depth - 1)})",
                lambda: f"({boolean(depth - 1)} || {boolean(depth - 1)})",
                lambda: f"({boolean(depth - 1)} || {boolean(depth - 1)} && {boolean(depth - 1)})",
                lambda: f"!{boolean(depth - 1)}",
                lambda: f"({boolean(depth - 1)} ? {boolean(depth - 1)} : {boolean(depth - 1)})",
                lambda: f"{self.path()} in ['a', 'open', '']",
                lambda: f"{self.path()} in {self.listing(depth - 1)}",
                lambda: (
                    f"{text()}.{chance.choice(('startsWith', 'endsWith', 'contains', 'matches'))}({text()})"
                ),
                lambda: f"{text()}.matches('^[a-z]+$')",
                lambda: self.macro(("all", "exists", "exists_one"), self.boolean, depth),
                lambda: f"type({self.path()}) == {chance.choice(('int', 'string', 'list', 'null_type'))}",
                lambda: f"has(record.owner.{chance.choice(NAMES)})",
                lambda: f"net.{chance.choice(('isIp', 'isPrivate', 'isHostname'))}({text()})",
                lambda: f"lists.containsAny({self.path()}, {self.listing(depth - 1)})",
            )
        )
        return write()

    def number(self, depth: int) -> str:
        """Mostly a number."""
        chance = self.chance
        if depth <= 0:
            return chance.choice(
                ("1", "2", "-3", "0", "1.5", "2u", "record.severity", "record.score", self.path())
            )
        one, two = (lambda: self.number(depth - 1)), (lambda: self.number(depth - 1))
        write = chance.choice(
            (
                lambda: f"({one()} {chance.choice('+-*/%')} {two()})",
                lambda: (
                    f"({self.path()} {chance.choice('+-*/%')} {chance.choice(('1', '2', '3', '0', '2.0'))})"
                ),
                lambda: f"(-{self.path()})",
                lambda: f"size({self.listing(depth - 1)})",
                lambda: f"size({self.text(depth - 1)})",
                lambda: f"{chance.choice(('int', 'double', 'uint'))}({self.anything(depth - 1)})",
                lambda: f"math.{chance.choice(('greatest', 'least'))}({one()}, {two()})",
                lambda: f"math.{chance.choice(('abs', 'sign'))}({one()})",
                lambda: f"math.{chance.choice(('ceil', 'floor', 'round', 'trunc'))}(double({one()}))",
                lambda: f"({self.boolean(depth - 1)} ? {one()} : {two()})",
                lambda: f"{self.text(depth - 1)}.indexOf({self.text(0)})",
                lambda: f"timestamp({self.text(0)}).getFullYear()",
                lambda: f"cel.bind(b, {one()}, b + b)",
                lambda: f"regex.count({self.text(depth - 1)}, '[a-z]')",
                lambda: f"number.round({one()}, {chance.choice(('0', '1'))})",
            )
        )
        return write()

    def text(self, depth: int) -> str:
        """Mostly a text."""
        chance = self.chance
        if depth <= 0:
            return chance.choice(
                ("'a'", "''", "'é'", "'open'", "record.id", "record.title", "record.at", self.path())
            )
        one, two = (lambda: self.text(depth - 1)), (lambda: self.text(depth - 1))
        write = chance.choice(
            (
                lambda: f"({one()} + {two()})",
                lambda: f"({self.path()} + '/' + {self.path()})",
                lambda: f"string({self.anything(depth - 1)})",
                lambda: f"{one()}.{chance.choice(('lowerAscii', 'upperAscii', 'trim', 'reverse'))}()",
                lambda: f"{one()}.replace({self.text(0)}, 'z')",
                lambda: f"{one()}.substring({chance.choice(('0', '1', '2'))})",
                lambda: f"{one()}.charAt({chance.choice(('0', '1'))})",
                lambda: f"{self.listing(depth - 1)}.join(',')",
                lambda: f"'%s %d'.format([{self.path()}, {self.path()}])",
                lambda: f"({self.boolean(depth - 1)} ? {one()} : {two()})",
                lambda: f"strings.quote({one()})",
                lambda: f"string(timestamp({self.text(0)}) + duration({self.text(0)}))",
                lambda: f"text.{chance.choice(('upper', 'slug', 'snakeCase'))}({one()})",
                lambda: f"time.format({self.text(0)}, '%d.%m.%Y')",
            )
        )
        return write()

    def listing(self, depth: int) -> str:
        """Mostly a list."""
        chance = self.chance
        if depth <= 0:
            return chance.choice(("[1, 2]", "['a', 'open']", "[]", "record.tags", "record.counts"))
        write = chance.choice(
            (
                lambda: f"[{self.anything(depth - 1)}, {self.anything(depth - 1)}]",
                lambda: f"({self.listing(depth - 1)} + {self.listing(depth - 1)})",
                lambda: f"{self.text(depth - 1)}.split(',')",
                lambda: self.macro(("map",), self.anything, depth),
                lambda: self.macro(("filter",), self.boolean, depth),
                lambda: f"[?record.?{chance.choice(NAMES)}, 1]",
                lambda: f"lists.{chance.choice(('unique', 'sort', 'compact'))}({self.listing(depth - 1)})",
            )
        )
        return write()

    def macro(self, names: tuple[str, ...], body: Any, depth: int) -> str:
        """A macro over something."""
        over = self.chance.choice((self.listing(depth - 1), self.path(), "record.owner"))
        name = f"e{len(self.locals)}"
        self.locals.append(name)
        made = f"{over}.{self.chance.choice(names)}({name}, {body(depth - 1)})"
        self.locals.pop()
        return made

    def anything(self, depth: int) -> str:
        """Something of any type."""
        kind = self.chance.choice(("boolean", "number", "text", "listing", "path", "path", "mapping"))
        if kind == "mapping":
            return f"{{'a': {self.path()}, 'b': {self.path()}}}"
        return self.path() if kind == "path" else str(getattr(self, kind)(depth))
