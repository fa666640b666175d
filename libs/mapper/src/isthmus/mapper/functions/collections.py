"""Functions on lists as sets and as columns: least and most, cutting out, ordering by members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.lists import identity
from isthmus.mapper.functions.registry import Param, Step, checked_number, function, need_list
from isthmus.mapper.limits import MAX_LIST
from isthmus.mapper.values import text_of

_AREA = "lists"
_ORDER = Param("order", "choice", "ascending", options=("ascending", "descending"))


def _comparable(items: list[Any]) -> list[Any]:
    """Returns numbers or texts without nulls, and refuses a mixture."""
    known = [item for item in items if item is not None]
    if all(isinstance(item, str) for item in known) or all(
        isinstance(item, int | float) and not isinstance(item, bool) for item in known
    ):
        return known
    raise Refusal("NOT_COMPARABLE", "Only numbers, or only texts, have an order; map the elements first.")


def _numbers(value: Any) -> list[Any]:
    found = _comparable(need_list(value))
    if found and isinstance(found[0], str):
        raise Refusal("NOT_NUMBER", "Only numbers have a mean; map the elements with a cast first.")
    return [checked_number(number) for number in found]


@function(
    "min",
    area=_AREA,
    takes="array",
    returns="any",
    cel="lists.min",
    example=("min", [3, 1, None, 2], 1),
    also=(("min", [], None),),
)
def least() -> Step:
    """The least of a list of numbers or texts, nulls left out; null where there is none."""
    return lambda value: min(_comparable(need_list(value)), default=None)


@function(
    "max", area=_AREA, takes="array", returns="any", cel="lists.max", example=("max", [3, 1, None, 2], 3)
)
def most() -> Step:
    """The most of a list of numbers or texts, nulls left out; null where there is none."""
    return lambda value: max(_comparable(need_list(value)), default=None)


@function(
    "mean",
    area=_AREA,
    takes="array",
    returns="number",
    nullable=True,
    cel="lists.mean",
    example=("mean", [1, 2, 6], 3.0),
    also=(("mean", [], None),),
)
def mean() -> Step:
    """The arithmetic mean of the numbers of a list, nulls left out; null where there is none."""

    def step(value: Any) -> float | None:
        numbers = _numbers(value)
        return float(checked_number(sum(numbers) / len(numbers))) if numbers else None

    return step


@function(
    "median",
    area=_AREA,
    takes="array",
    returns="number",
    nullable=True,
    cel="lists.median",
    example=("median", [9, 1, 2, 4], 3.0),
    also=(("median", [9, None, 1, 2], 2.0), ("median", [], None)),
)
def median() -> Step:
    """The middle one of the numbers of a list, nulls left out; null where there is none."""

    def step(value: Any) -> float | None:
        numbers = sorted(_numbers(value))
        if not numbers:
            return None
        half = len(numbers) // 2
        return float(numbers[half] if len(numbers) % 2 else (numbers[half - 1] + numbers[half]) / 2)

    return step


@function(
    "reverse",
    area=_AREA,
    takes="array",
    returns="array",
    cel="lists.reverse",
    example=("reverse", [1, 2], [2, 1]),
)
def reverse() -> Step:
    """The elements from the last to the first."""
    return lambda value: need_list(value)[::-1]


@function(
    "slice",
    Param("start", "whole"),
    Param("end", "whole", None),
    area=_AREA,
    takes="array",
    returns="array",
    cel="lists.slice",
    example=({"slice": [1, 3]}, ["a", "b", "c", "d"], ["b", "c"]),
    also=(({"slice": -2}, ["a", "b", "c"], ["b", "c"]),),
)
def cut(start: int, end: int | None) -> Step:
    """The elements from a place up to another, which counts from 0 or, if negative, from the end."""
    return lambda value: need_list(value)[start:end]


@function(
    "chunk",
    Param("size", "whole", low=1),
    area=_AREA,
    takes="array",
    returns="array",
    cel="lists.chunk",
    example=({"chunk": 2}, [1, 2, 3], [[1, 2], [3]]),
)
def chunk(size: int) -> Step:
    """Cuts a list into lists of at most that many elements."""

    def step(value: Any) -> list[Any]:
        items = need_list(value)
        return [items[at : at + size] for at in range(0, len(items), size)]

    return step


def _identities(values: list[Any]) -> frozenset[str]:
    return frozenset(map(identity, values))


@function(
    "contains_any",
    Param("values", "values"),
    area=_AREA,
    takes="array",
    returns="boolean",
    cel="lists.containsAny",
    example=({"contains_any": ["prod", "stage"]}, ["web", "prod"], True),
)
def contains_any(values: list[Any]) -> Step:
    """Whether a list has at least one of these elements."""
    wanted = _identities(values)
    return lambda value: any(identity(item) in wanted for item in need_list(value))


@function(
    "contains_all",
    Param("values", "values"),
    area=_AREA,
    takes="array",
    returns="boolean",
    cel="lists.containsAll",
    example=({"contains_all": ["web", "prod"]}, ["web", "eu", "prod"], True),
)
def contains_all(values: list[Any]) -> Step:
    """Whether a list has each of these elements."""
    wanted = _identities(values)
    return lambda value: wanted <= _identities(need_list(value))


@function(
    "union",
    Param("values", "values"),
    area=_AREA,
    takes="array",
    returns="array",
    cel="lists.union",
    example=({"union": ["b", "c"]}, ["a", "b"], ["a", "b", "c"]),
)
def union(values: list[Any]) -> Step:
    """The elements of the list and those given, each once, in their order."""

    def step(value: Any) -> list[Any]:
        seen: dict[str, Any] = {}
        for item in (*need_list(value), *values):
            seen.setdefault(identity(item), item)
        if len(seen) > MAX_LIST:
            raise Refusal("TOO_MANY", f"The list would exceed {MAX_LIST} elements.")
        return list(seen.values())

    return step


@function(
    "except",
    Param("values", "values"),
    area=_AREA,
    takes="array",
    returns="array",
    cel="lists.except",
    example=({"except": ["b"]}, ["a", "b", "c"], ["a", "c"]),
)
def without(values: list[Any]) -> Step:
    """The elements of the list that are none of those given."""
    unwanted = _identities(values)
    return lambda value: [item for item in need_list(value) if identity(item) not in unwanted]


@function(
    "intersect",
    Param("values", "values"),
    area=_AREA,
    takes="array",
    returns="array",
    cel="lists.intersect",
    example=({"intersect": ["c", "a"]}, ["a", "b", "c"], ["a", "c"]),
)
def intersect(values: list[Any]) -> Step:
    """The elements of the list that are among those given."""
    wanted = _identities(values)
    return lambda value: [item for item in need_list(value) if identity(item) in wanted]


@function(
    "sort_by",
    Param("path", "path"),
    _ORDER,
    area=_AREA,
    takes="array",
    returns="array",
    example=(
        {"sort_by": ["score", "descending"]},
        [{"id": "a", "score": 3}, {"id": "b"}, {"id": "c", "score": 9}],
        [{"id": "c", "score": 9}, {"id": "a", "score": 3}, {"id": "b"}],
    ),
)
def sort_by(read: Callable[[Any], Any], order: str) -> Step:
    """Sorts elements by a number or text in them; those without one stay behind all others."""

    def step(value: Any) -> list[Any]:
        items = need_list(value)
        marks = [read(item) for item in items]
        _comparable(marks)
        known = [place for place, mark in enumerate(marks) if mark is not None]
        known.sort(key=marks.__getitem__, reverse=order == "descending")
        unknown = (place for place, mark in enumerate(marks) if mark is None)
        return [items[place] for place in (*known, *unknown)]

    return step


@function(
    "unique_by",
    Param("path", "path"),
    area=_AREA,
    takes="array",
    returns="array",
    example=({"unique_by": "id"}, [{"id": 1, "n": "a"}, {"id": 1, "n": "b"}], [{"id": 1, "n": "a"}]),
)
def unique_by(read: Callable[[Any], Any]) -> Step:
    """Keeps the first of the elements that hold the same at a path."""

    def step(value: Any) -> list[Any]:
        seen: dict[str, Any] = {}
        for item in need_list(value):
            seen.setdefault(identity(read(item)), item)
        return list(seen.values())

    return step


@function(
    "index_by",
    Param("path", "path"),
    area=_AREA,
    takes="array",
    returns="object",
    example=({"index_by": "id"}, [{"id": "a", "n": 1}, {"n": 2}], {"a": {"id": "a", "n": 1}}),
)
def index_by(read: Callable[[Any], Any]) -> Step:
    """Makes an object of elements by a text in them; those without are left out, the last one counts."""

    def step(value: Any) -> dict[str, Any]:
        marked = ((read(item), item) for item in need_list(value))
        return {text_of(mark): item for mark, item in marked if mark is not None}

    return step
