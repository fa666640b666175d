"""The filters and paths of RFC 7644: a parser, and what it makes of them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from isthmus.services.identity.domain.scim.refusals import refusal

Scalar = str | int | float | bool | None
Logic = Literal["and", "or"]

COMPARISONS = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})
_TOKEN = re.compile(r'\s+|(?P<mark>[()\[\]])|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>[^\s()\[\]"]+)', re.DOTALL)
_NAME = r"[A-Za-z$][A-Za-z0-9_$-]*"
_PATH = re.compile(
    rf"(?:(?P<urn>urn:[A-Za-z0-9:._-]+):)?(?P<name>{_NAME})(?:\.(?P<sub>{_NAME}))?", re.IGNORECASE
)
_SUB = re.compile(rf"\.({_NAME})")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?(?:[eE][+-]?\d{1,2})?")
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_LONGEST = 4_000
_MOST_TERMS = 100
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class AttributePath:
    """Names an attribute, maybe one of an extension, maybe a part of it."""

    name: str
    sub: str = ""
    urn: str = ""

    def __str__(self) -> str:
        place = f"{self.urn}:" if self.urn else ""
        return f"{place}{self.name}{'.' if self.sub else ''}{self.sub}"


@dataclass(frozen=True, slots=True)
class Compare:
    """`userName eq "ann"`; the operator `pr` has no value."""

    path: AttributePath
    operator: str
    value: Scalar = None

    def __str__(self) -> str:
        if self.operator == "pr":
            return f"{self.path} pr"
        return f"{self.path} {self.operator} {json.dumps(self.value)}"


@dataclass(frozen=True, slots=True)
class Joined:
    """Filters joined by `and` or by `or`."""

    logic: Logic
    items: tuple["Filter", ...]

    def __str__(self) -> str:
        return "(" + f" {self.logic} ".join(map(str, self.items)) + ")"


@dataclass(frozen=True, slots=True)
class Negated:
    """`not (…)`."""

    item: "Filter"

    def __str__(self) -> str:
        return f"not ({self.item})"


@dataclass(frozen=True, slots=True)
class Entry:
    """`emails[type eq "work"]`: an entry of a list that matches by itself."""

    path: AttributePath
    item: "Filter"

    def __str__(self) -> str:
        return f"{self.path}[{self.item}]"


Filter = Compare | Joined | Negated | Entry


@dataclass(frozen=True, slots=True)
class Target:
    """Where an operation works: an attribute, entries of it that match, or a part of either."""

    path: AttributePath
    item: Filter | None = None
    sub: str = ""


def parse_filter(text: str, *, bare_words: bool = False) -> Filter:
    """Read a filter.

    Args:
        text: The filter as it was sent.
        bare_words: Whether values may come without quotes.

    Raises:
        FixRequest: `SCIM_INVALID_FILTER`.
    """
    reader = _Reader(text, bare_words=bare_words)
    found = reader.either(0)
    if reader.peek():
        raise reader.trouble(f"`{reader.peek()}` is not expected there")
    return found


def parse_target(text: str, *, bare_words: bool = False) -> Target:
    """Read the path of an operation.

    Raises:
        FixRequest: `SCIM_INVALID_PATH`, or `SCIM_INVALID_FILTER` for what stands in brackets.
    """
    bracket = text.find("[")
    if bracket < 0:
        return Target(_path_of(text) or _bad_path(text))
    path = _path_of(text[:bracket])
    end = text.rfind("]")
    rest = _SUB.fullmatch(text[end + 1 :]) if end > 0 else None
    if path is None or path.sub or end < bracket or (text[end + 1 :] and rest is None):
        _bad_path(text)
    assert path is not None
    return Target(path, parse_filter(text[bracket + 1 : end], bare_words=bare_words), rest[1] if rest else "")


def terms(item: Filter) -> Iterator[Compare]:
    """Give all comparisons of a filter."""
    if isinstance(item, Compare):
        yield item
    elif isinstance(item, Joined):
        for one in item.items:
            yield from terms(one)
    else:
        yield from terms(item.item)


def required_values(item: Filter) -> dict[str, Scalar]:
    """Give what an entry must have, by name, for a filter that only joins `eq` by `and`; else nothing."""
    if isinstance(item, Compare) and item.operator == "eq" and not item.path.sub:
        return {item.path.name: item.value}
    if isinstance(item, Joined) and item.logic == "and":
        parts = [required_values(one) for one in item.items]
        return {name: value for part in parts for name, value in part.items()} if all(parts) else {}
    return {}


def matches(item: Filter, entry: dict[str, Any]) -> bool:
    """Tell whether an entry of a list matches a filter over its parts; texts compare whatever the case."""
    if isinstance(item, Joined):
        found = (matches(one, entry) for one in item.items)
        return all(found) if item.logic == "and" else any(found)
    if isinstance(item, Negated):
        return not matches(item.item, entry)
    if isinstance(item, Entry):
        raise refusal("invalidFilter", f"An entry has no entries of its own: mend `{item}`.")
    held = next((value for name, value in entry.items() if name.lower() == item.path.name.lower()), None)
    return _holds(item.operator, held, item.value)


def _holds(operator: str, held: Any, value: Scalar) -> bool:
    if operator == "pr":
        return held not in (None, "")
    if isinstance(held, str) and isinstance(value, str):
        held, value = held.lower(), value.lower()
    if operator in {"eq", "ne"}:
        return (held == value and isinstance(held, bool) is isinstance(value, bool)) is (operator == "eq")
    if not isinstance(held, str) or not isinstance(value, str):
        return False
    found = {
        "co": value in held,
        "sw": held.startswith(value),
        "ew": held.endswith(value),
        "gt": held > value,
        "ge": held >= value,
        "lt": held < value,
        "le": held <= value,
    }
    return found[operator]


class _Reader:
    """Goes through the tokens of one filter; `or` binds loosest, then `and`, then `not`."""

    def __init__(self, text: str, *, bare_words: bool) -> None:
        self._text = text
        self._bare_words = bare_words
        self._terms = 0
        self._at = 0
        if len(text) > _LONGEST:
            raise refusal("invalidFilter", f"Shorten the filter to {_LONGEST} characters.")
        self._tokens = list(self._split())

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def trouble(self, why: str) -> Exception:
        shown = self._text if len(self._text) <= 200 else f"{self._text[:200]}…"
        return refusal("invalidFilter", f"The filter `{shown}` cannot be read: {why}.")

    def either(self, depth: int) -> Filter:
        return self._joined("or", depth)

    def _joined(self, logic: Logic, depth: int) -> Filter:
        if depth > _DEEPEST:
            raise self.trouble(f"it nests deeper than {_DEEPEST} levels")
        items = [self._part(logic, depth)]
        while self.peek().lower() == logic:
            self._next()
            items.append(self._part(logic, depth))
        return items[0] if len(items) == 1 else Joined(logic, tuple(items))

    def _part(self, logic: Logic, depth: int) -> Filter:
        return self._joined("and", depth) if logic == "or" else self._single(depth)

    def _single(self, depth: int) -> Filter:
        if self.peek().lower() == "not" and self._after() == "(":
            self._next()
            return Negated(self._within("(", ")", depth))
        if self.peek() == "(":
            return self._within("(", ")", depth)
        return self._comparison(depth)

    def _within(self, begin: str, end: str, depth: int) -> Filter:
        self._expect(begin)
        found = self.either(depth + 1)
        self._expect(end)
        return found

    def _comparison(self, depth: int) -> Filter:
        word = self._next()
        path = _path_of(word)
        if path is None:
            raise self.trouble(f"`{word or 'its end'}` is no attribute")
        if self.peek() != "[":
            return self._compared(path)
        item = self._within("[", "]", depth)
        part = _SUB.fullmatch(self.peek())
        if part is None:
            return Entry(path, item)
        self._next()
        return Entry(path, Joined("and", (item, self._compared(AttributePath(part[1])))))

    def _compared(self, path: AttributePath) -> Compare:
        self._terms += 1
        if self._terms > _MOST_TERMS:
            raise self.trouble(f"it has more than {_MOST_TERMS} comparisons")
        operator = self._next().lower()
        if operator == "pr":
            return Compare(path, "pr")
        if operator not in COMPARISONS:
            raise self.trouble(f"`{operator or 'its end'}` is no operator")
        return Compare(path, operator, self._value())

    def _value(self) -> Scalar:
        token = self._next()
        if token.startswith('"'):
            try:
                return str(json.loads(token, strict=False))
            except ValueError:
                raise self.trouble(f"{token} is no text") from None
        if token.lower() in _WORDS:
            return _WORDS[token.lower()]
        if _NUMBER.fullmatch(token) and not self._bare_words:
            return float(token) if set(token) & {".", "e", "E"} else int(token)
        if self._bare_words and token.strip("()[]"):
            return token
        raise self.trouble(f"`{token or 'its end'}` is no value; texts stand in double quotes")

    def _expect(self, mark: str) -> None:
        found = self._next()
        if found != mark:
            raise self.trouble(f"there is `{found or 'its end'}` where `{mark}` belongs")

    def _next(self) -> str:
        token = self.peek()
        self._at += 1
        return token

    def _after(self) -> str:
        return self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""

    def _split(self) -> Iterator[str]:
        at = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None:
                raise self.trouble("a text in it does not end")
            at = found.end()
            if found.lastgroup:
                yield found[found.lastgroup]


def _path_of(text: str) -> AttributePath | None:
    found = _PATH.fullmatch(text)
    return AttributePath(found["name"], found["sub"] or "", found["urn"] or "") if found else None


def _bad_path(text: str) -> AttributePath:
    raise refusal("invalidPath", f"`{text[:200]}` is no path of an attribute.")


__all__ = [
    "COMPARISONS",
    "AttributePath",
    "Compare",
    "Entry",
    "Filter",
    "Joined",
    "Negated",
    "Scalar",
    "Target",
    "matches",
    "parse_filter",
    "parse_target",
    "required_values",
    "terms",
]
