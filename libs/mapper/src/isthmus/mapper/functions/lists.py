"""Functions on lists and objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from isthmus.mapper.casts import bounded, from_json, to_json
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_list, need_object
from isthmus.mapper.limits import MAX_LIST, MAX_OUTPUT, MAX_TEXT
from isthmus.mapper.values import clean, text_of

_AREA = "lists"
_SHORT = 100
"""Lists up to this length are joined first and measured afterwards."""


@function(
    "map",
    Param("steps", "steps"),
    area=_AREA,
    returns="array",
    needs_now=True,
    example=({"map": ["trim", "upper"]}, [" a", "b "], ["A", "B"]),
)
def mapped(steps: Callable[[Any, datetime], Any]) -> Step:
    """Applies steps to every element; elements that become null are left out."""

    def step(value: Any, now: datetime) -> list[Any]:
        meter = [0]
        made = []
        for item in need_list(value):
            result = steps(item, now)
            if result is not None:
                clean(result, meter)
                made.append(result)
        return made

    return step


@function(
    "filter",
    Param("where", "condition"),
    area=_AREA,
    returns="array",
    needs_now=True,
    example=(
        {"filter": {"path": "open", "equals": True}},
        [{"open": True}, {"open": False}],
        [{"open": True}],
    ),
)
def filtered(where: Callable[[Any, datetime], bool]) -> Step:
    """Keeps the elements for which a condition holds; `$` is the element itself."""
    return lambda value, now: [item for item in need_list(value) if where(item, now)]


@function(
    "pick", Param("path", "path"), area=_AREA, returns="any", example=({"pick": "a.b"}, {"a": {"b": 1}}, 1)
)
def pick(read: Callable[[Any], Any]) -> Step:
    """Follows a path inside the value."""
    return read


@function(
    "first", area=_AREA, takes="array", cel="lists.first", returns="any", example=("first", [3, 1, 2], 3)
)
def first() -> Step:
    """The first element; null where the list is empty."""
    return lambda value: next(iter(need_list(value)), None)


@function("last", area=_AREA, takes="array", cel="lists.last", returns="any", example=("last", [3, 1, 2], 2))
def last() -> Step:
    """The last element; null where the list is empty."""
    return lambda value: next(reversed(need_list(value)), None)


@function(
    "join",
    Param("separator", "text", ", "),
    area=_AREA,
    takes="array",
    grows=True,
    cel="lists.join",
    returns="string",
    example=({"join": "; "}, ["a", 1, None], "a; 1"),
)
def join(separator: str) -> Step:
    """Writes the elements as one text; nulls are left out."""

    def step(value: Any) -> str:
        items = value if value.__class__ is list else need_list(value)
        if len(items) <= _SHORT:
            try:
                text = separator.join(items)
            except TypeError:
                pass  # some element is no text yet
            else:
                return text if len(text) <= MAX_TEXT else bounded(text)
        texts = [item if item.__class__ is str else text_of(item) for item in items if item is not None]
        if sum(map(len, texts)) + len(separator) * len(texts) > MAX_OUTPUT:
            raise Refusal("TOO_LONG", f"The joined text would exceed {MAX_OUTPUT} characters.")
        return separator.join(texts)

    return step


@function("as_list", area=_AREA, returns="array", example=("as_list", "a", ["a"]))
def as_list() -> Step:
    """Makes a list of one element, unless the value is a list already."""
    return lambda value: value if isinstance(value, list) else [value]


@function(
    "compact",
    area=_AREA,
    takes="array",
    cel="lists.compact",
    returns="array",
    example=("compact", ["a", None, ""], ["a"]),
)
def compact() -> Step:
    """Leaves out nulls and empty texts, lists and objects."""
    return lambda value: [item for item in need_list(value) if item is not None and item not in ("", [], {})]


@function(
    "flatten",
    area=_AREA,
    takes="array",
    cel="lists.flatten",
    returns="array",
    example=("flatten", [[1], 2, [3, 4]], [1, 2, 3, 4]),
)
def flatten() -> Step:
    """Puts the elements of inner lists in their place, one level deep."""

    def step(value: Any) -> list[Any]:
        made: list[Any] = []
        for item in need_list(value):
            if isinstance(item, list):
                made.extend(item)
            else:
                made.append(item)
            if len(made) > MAX_LIST:
                raise Refusal("TOO_MANY", f"The list would exceed {MAX_LIST} elements.")
        return made

    return step


@function(
    "group",
    Param("by", "path"),
    Param("into", "choice", "list", options=("list", "object")),
    area=_AREA,
    returns="any",
    example=(
        {"group": "kind"},
        [{"kind": "a", "n": 1}, {"kind": "b", "n": 2}, {"kind": "a", "n": 3}],
        [
            {"key": "a", "items": [{"kind": "a", "n": 1}, {"kind": "a", "n": 3}]},
            {"key": "b", "items": [{"kind": "b", "n": 2}]},
        ],
    ),
)
def grouped(by: Callable[[Any], Any], into: str) -> Step:
    """Gathers elements by a value in them, as objects with `key` and `items`, or `into` one object by key."""

    def step(value: Any) -> Any:
        groups: dict[str, dict[str, Any]] = {}
        for item in need_list(value):
            key = by(item)
            if key is None:
                continue
            name = text_of(key)
            mark = name if into == "object" else f"{isinstance(key, str)}{name}"
            groups.setdefault(mark, {"key": key, "items": []})["items"].append(item)
        if into == "object":
            return {name: found["items"] for name, found in groups.items()}
        return list(groups.values())

    return step


@function(
    "unique",
    area=_AREA,
    takes="array",
    cel="lists.unique",
    returns="array",
    example=("unique", ["b", "a", "b"], ["b", "a"]),
)
def unique() -> Step:
    """Keeps the first of equal elements."""

    def step(value: Any) -> list[Any]:
        seen: dict[str, Any] = {}
        for item in need_list(value):
            seen.setdefault(identity(item), item)
        return list(seen.values())

    return step


@function(
    "sort",
    area=_AREA,
    takes="array",
    cel="lists.sort",
    returns="array",
    example=("sort", ["b", "a"], ["a", "b"]),
)
def ordered() -> Step:
    """Sorts numbers by size or texts by code point; a mixture is refused."""

    def step(value: Any) -> list[Any]:
        items = need_list(value)
        if all(isinstance(item, str) for item in items) or all(
            isinstance(item, int | float) and not isinstance(item, bool) for item in items
        ):
            return sorted(items)
        raise Refusal(
            "NOT_COMPARABLE", "Only lists of numbers or of texts can be sorted; map the elements first."
        )

    return step


@function(
    "take",
    Param("count", "whole", low=0),
    area=_AREA,
    takes="array",
    cel="lists.take",
    returns="array",
    example=({"take": 2}, [1, 2, 3], [1, 2]),
)
def take(count: int) -> Step:
    """The first elements of a list."""
    return lambda value: need_list(value)[:count]


@function("sum", area=_AREA, takes="array", cel="lists.sum", returns="number", example=("sum", [1, 2.5], 3.5))
def total() -> Step:
    """Adds up the numbers of a list; nulls are left out."""

    def step(value: Any) -> int | float:
        numbers = [item for item in need_list(value) if item is not None]
        if any(isinstance(item, bool) or not isinstance(item, int | float) for item in numbers):
            raise Refusal("NOT_NUMBER", "Only numbers can be added up; map the elements with a cast first.")
        result: int | float = clean(sum(numbers), [0])
        return result

    return step


@function(
    "keys",
    area="json",
    takes="object",
    cel="json.keys",
    returns="array",
    example=("keys", {"a": 1}, ["a"]),
)
def keys() -> Step:
    """The names of an object's members."""
    return lambda value: list(need_object(value))


@function(
    "values",
    area="json",
    takes="object",
    cel="json.values",
    returns="array",
    example=("values", {"a": 1}, [1]),
)
def values() -> Step:
    """The values of an object's members."""
    return lambda value: list(need_object(value).values())


@function(
    "entries",
    area="json",
    takes="object",
    cel="json.entries",
    returns="array",
    example=("entries", {"a": 1}, [{"key": "a", "value": 1}]),
)
def entries() -> Step:
    """The members of an object as a list of objects with `key` and `value`."""
    return lambda value: [{"key": key, "value": item} for key, item in need_object(value).items()]


@function(
    "to_json", area="json", cel="json.text", returns="string", example=("to_json", {"a": [1]}, '{"a":[1]}')
)
def json_text() -> Step:
    """Writes the value as compact JSON text."""
    return to_json


@function(
    "parse_json",
    area="json",
    takes="string",
    cel="json.parse",
    returns="any",
    example=("parse_json", '{"a":[1]}', {"a": [1]}),
)
def parsed() -> Step:
    """Reads JSON text; a value that is no text passes as it is."""
    return from_json


def identity(item: Any) -> str:
    """A text that is the same for equal values of JSON, and for no others."""
    if isinstance(item, str):
        return "s" + bounded(item)
    clean(item, [0])
    if isinstance(item, float) and item.is_integer():
        item = int(item)
    return json.dumps(item, sort_keys=True)
