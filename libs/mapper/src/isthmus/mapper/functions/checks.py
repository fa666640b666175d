"""Functions that compare, and what is made of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_boolean
from isthmus.mapper.values import kind_of, same, sentence

_AREA = "checks"


@function(
    "equals", Param("value", "any"), area=_AREA, returns="boolean", example=({"equals": "on"}, "on", True)
)
def equals(value: Any) -> Step:
    """Whether the value is that one; 1 equals 1.0 but neither "1" nor true."""
    if isinstance(value, str):
        return lambda met: met == value
    return lambda met: same(met, value)


@function(
    "not_equals", Param("value", "any"), area=_AREA, returns="boolean", example=({"not_equals": 0}, 1, True)
)
def not_equals(value: Any) -> Step:
    """Whether the value is another one."""
    return lambda met: not same(met, value)


@function(
    "one_of",
    Param("values", "values"),
    area=_AREA,
    returns="boolean",
    example=({"one_of": ["md5", "off"]}, "scram-sha-256", False),
)
def one_of(values: list[Any]) -> Step:
    """Whether the value is among those."""
    if all(isinstance(value, str) for value in values):
        texts = frozenset(values)
        return lambda met: isinstance(met, str) and met in texts
    return lambda met: any(same(met, value) for value in values)


@function(
    "none_of",
    Param("values", "values"),
    area=_AREA,
    returns="boolean",
    example=({"none_of": ["md5", "off"]}, "scram-sha-256", True),
)
def none_of(values: list[Any]) -> Step:
    """Whether the value is none of those."""
    among = one_of(values)
    return lambda met: not among(met)


def _ordered(bound: Any, compare: Callable[[Any, Any], bool]) -> Step:
    if isinstance(bound, bool) or not isinstance(bound, int | float | str):
        raise ValueError("Only numbers and texts have an order; give one of them.")  # noqa: TRY004 - told to authors
    wanted: type | tuple[type, ...] = str if isinstance(bound, str) else (int, float)

    def step(met: Any) -> bool:
        if isinstance(met, bool) or not isinstance(met, wanted):
            raise Refusal(
                "NOT_COMPARABLE",
                sentence(f"{kind_of(met)} cannot be compared with {kind_of(bound)}; cast it first."),
            )
        return compare(met, bound)

    return step


@function(
    "at_least", Param("value", "any"), area=_AREA, returns="boolean", example=({"at_least": 12}, 14, True)
)
def at_least(value: Any) -> Step:
    """Whether a number is that or more, or a text is equal or sorts behind."""
    return _ordered(value, lambda met, bound: met >= bound)


@function(
    "at_most", Param("value", "any"), area=_AREA, returns="boolean", example=({"at_most": 12}, 14, False)
)
def at_most(value: Any) -> Step:
    """Whether a number is that or less, or a text is equal or sorts before."""
    return _ordered(value, lambda met, bound: met <= bound)


@function(
    "more_than",
    Param("value", "any"),
    area=_AREA,
    returns="boolean",
    example=({"more_than": 12}, 12, False),
)
def more_than(value: Any) -> Step:
    """Whether a number is more, or a text sorts behind."""
    return _ordered(value, lambda met, bound: met > bound)


@function(
    "less_than", Param("value", "any"), area=_AREA, returns="boolean", example=({"less_than": 12}, 11, True)
)
def less_than(value: Any) -> Step:
    """Whether a number is less, or a text sorts before."""
    return _ordered(value, lambda met, bound: met < bound)


@function(
    "contains",
    Param("value", "any"),
    area=_AREA,
    returns="boolean",
    example=({"contains": "ssl"}, ["tcp", "ssl"], True),
)
def contains(value: Any) -> Step:
    """Whether a list has that element, an object that member, or a text that part."""

    def step(met: Any) -> bool:
        if isinstance(met, list):
            return any(same(item, value) for item in met)
        if isinstance(met, str | dict) and isinstance(value, str):
            return value in met
        raise Refusal("NOT_COMPARABLE", sentence(f"{kind_of(met)} cannot contain {kind_of(value)}; cast it."))

    return step


@function("is_null", area=_AREA, returns="boolean", takes_null=True, example=("is_null", None, True))
def is_null() -> Step:
    """Whether the value is missing or null; the only check that answers for null."""
    return lambda value: value is None


@function("is_empty", area=_AREA, returns="boolean", takes_null=True, example=("is_empty", "", True))
def is_empty() -> Step:
    """Whether the value is missing, null, or a text, list or object without content."""
    return lambda value: value is None or (isinstance(value, str | list | dict) and not value)


@function("not", area=_AREA, returns="boolean", example=("not", True, False))
def negate() -> Step:
    """Turns the answer of a check round."""
    return lambda value: not need_boolean(value)


@function(
    "choose",
    Param("then", "any"),
    Param("else", "any"),
    area=_AREA,
    returns="any",
    example=({"choose": ["pass", "fail"]}, True, "pass"),
)
def choose(then: Any, otherwise: Any) -> Step:
    """Gives the first argument where the check before it held, the second where it did not."""
    return lambda value: then if need_boolean(value) else otherwise


@function(
    "null_if",
    Param("values", "values"),
    area=_AREA,
    returns="any",
    example=({"null_if": ["", "n/a"]}, "n/a", None),
)
def null_if(values: list[Any]) -> Step:
    """Treats the given values as missing, so that a default can take their place."""
    among = one_of(values)
    return lambda value: None if among(value) else value


@function(
    "default",
    Param("value", "any"),
    area=_AREA,
    returns="any",
    takes_null=True,
    example=({"default": 0}, None, 0),
)
def default(value: Any) -> Step:
    """Gives that value where there is none so far, in the middle of a chain."""
    return lambda met: value if met is None else met
