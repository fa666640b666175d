"""The filter language of the hub: the core of AIP-160.

filter     = sequence of `factor`s joined by AND
factor     = sequence of `term`s joined by OR; OR binds tighter than AND, as in AIP-160
term       = [NOT | -] ( comparison | "(" filter ")" )
comparison = path operator value
path       = name or JSON string, more of them after dots
operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":"
value      = JSON string | JSON number | true | false | null | "*" (after ":" only)
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn

from isthmus.resilience.faults import FixRequest

LONGEST_FILTER = 8192
DEEPEST_FILTER = 32
MOST_COMPARISONS = 100
_LONGEST_PATH = 16
_LARGEST_EXPONENT = 400

Operator = Literal["=", "!=", "<", "<=", ">", ">=", ":"]
Value = str | bool | None


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written, so that nothing is rounded."""

    text: str


@dataclass(frozen=True, slots=True)
class Present:
    """The `*` in `path:*`: the field is there and not null."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a field with a value."""

    path: tuple[str, ...]
    operator: Operator
    value: Value | Number | Present


@dataclass(frozen=True, slots=True)
class Not:
    """True where `term` is not."""

    term: "Filter"


@dataclass(frozen=True, slots=True)
class All:
    """True where all terms are."""

    terms: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """True where at least one term is."""

    terms: tuple["Filter", ...]


Filter = Comparison | Not | All | Some

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")
  | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.-]))
  | (?P<name>[A-Za-z_$@][A-Za-z0-9_$@-]*|[0-9]+(?![A-Za-z0-9_]))
  | (?P<operator>!=|<=|>=|=|<|>|:)
  | (?P<mark>[().*-])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_filter(text: str) -> Filter | None:
    """Read a filter; None when it is empty.

    Raises:
        FixRequest: `FILTER_INVALID`, its message says at which character.
    """
    if not text.strip():
        return None
    if len(text) > LONGEST_FILTER:
        _fail(LONGEST_FILTER, f"is longer than {LONGEST_FILTER} characters")
    return _Parser(text).parse()


def _fail(at: int, trouble: str) -> NoReturn:
    message = f'The filter {trouble} at character {at + 1}; write for example `status = "fail" AND n > 3`.'
    raise FixRequest("FILTER_INVALID", message, path="filter", metadata={"position": str(at + 1)})


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            _fail(at, "cannot be read")
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match.group(), at)
        at = match.end()
    yield _Token("end", "", at)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0
        self._comparisons = 0

    def parse(self) -> Filter:
        parsed = self._all()
        if self._token.kind != "end":
            self._fail("has something unexpected")
        return parsed

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _fail(self, trouble: str) -> NoReturn:
        _fail(self._token.at, trouble if self._token.kind != "end" else "ends too early")

    def _takes(self, kind: str, *texts: str) -> str:
        token = self._token
        if token.kind != kind or (texts and token.text not in texts):
            return ""
        self._next += 1
        return token.text

    def _all(self) -> Filter:
        terms = [self._some()]
        while self._takes("name", "AND"):
            terms.append(self._some())
        return terms[0] if len(terms) == 1 else All(tuple(terms))

    def _some(self) -> Filter:
        terms = [self._term()]
        while self._takes("name", "OR"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else Some(tuple(terms))

    def _term(self) -> Filter:
        if self._takes("name", "NOT") or self._takes("mark", "-"):
            return Not(self._unit())
        return self._unit()

    def _unit(self) -> Filter:
        if not self._takes("mark", "("):
            return self._comparison()
        self._depth += 1
        if self._depth > DEEPEST_FILTER:
            self._fail(f"has more than {DEEPEST_FILTER} nested parentheses")
        inside = self._all()
        if not self._takes("mark", ")"):
            self._fail("lacks a closing parenthesis")
        self._depth -= 1
        return inside

    def _comparison(self) -> Comparison:
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            self._fail(f"has more than {MOST_COMPARISONS} comparisons")
        path = self._path()
        operator = self._takes("operator")
        if not operator:
            self._fail("lacks an operator")
        at = self._token.at
        value = self._value(operator)
        if operator not in {"=", "!=", ":"} and not isinstance(value, str | Number):
            _fail(at, f"compares with `{operator}` what has no order")
        if operator == ":" and value is None:
            _fail(at, "looks for null inside a value")
        return Comparison(path, operator, value)  # type: ignore[arg-type] # the pattern names the operators

    def _path(self) -> tuple[str, ...]:
        path = [self._name()]
        while self._takes("mark", "."):
            path.append(self._name())
        if len(path) > _LONGEST_PATH:
            self._fail(f"has a path of more than {_LONGEST_PATH} names")
        return tuple(path)

    def _name(self) -> str:
        token = self._token
        if token.kind == "string":
            return self._string()
        if token.kind not in {"name", "number"} or token.text in {"AND", "OR", "NOT"}:
            self._fail("lacks a field's name")
        if token.kind == "number" and not token.text.isdigit():
            self._fail("lacks a field's name")
        self._next += 1
        return token.text

    def _value(self, operator: str) -> Value | Number | Present:
        token = self._token
        if token.kind == "string":
            return self._string()
        if token.kind == "number":
            return self._number()
        if operator == ":" and self._takes("mark", "*"):
            return Present()
        word = self._takes("name", "true", "false", "null")
        if not word:
            self._fail("lacks a value in JSON")
        return {"true": True, "false": False, "null": None}[word]

    def _string(self) -> str:
        text: str = json.loads(self._token.text)
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            self._fail("has a character that cannot be stored")
        self._next += 1
        return text

    def _number(self) -> Number:
        text = self._token.text
        exponent = re.split("[eE]", text)[1:]
        if len(text) > _LARGEST_EXPONENT or any(abs(int(power)) > _LARGEST_EXPONENT for power in exponent):
            self._fail("has a number out of range")
        self._next += 1
        return Number(text)


__all__ = [
    "All",
    "Comparison",
    "Filter",
    "Not",
    "Number",
    "Operator",
    "Present",
    "Some",
    "parse_filter",
]
