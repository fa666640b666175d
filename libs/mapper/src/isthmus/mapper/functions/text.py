"""Functions on text: cutting, joining, filling."""

from __future__ import annotations

from typing import Any

from isthmus.mapper.casts import bounded
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_text
from isthmus.mapper.limits import MAX_LIST, MAX_TEXT
from isthmus.mapper.values import text_of

_AREA = "text"


@function(
    "upper", area=_AREA, takes="string", cel="text.upper", returns="string", example=("upper", "high", "HIGH")
)
def upper() -> Step:
    """Writes the text in upper case."""
    return lambda value: bounded(need_text(value).upper())


@function(
    "lower", area=_AREA, takes="string", cel="text.lower", returns="string", example=("lower", "HIGH", "high")
)
def lower() -> Step:
    """Writes the text in lower case."""
    return lambda value: bounded(need_text(value).lower())


@function(
    "capitalize",
    area=_AREA,
    takes="string",
    cel="text.capitalize",
    returns="string",
    example=("capitalize", "hIGH", "High"),
)
def capitalize() -> Step:
    """Writes the first letter in upper case and the rest in lower case."""
    return lambda value: bounded(need_text(value).capitalize())


@function(
    "trim",
    Param("characters", "text", None),
    area=_AREA,
    takes="string",
    cel="text.trim",
    returns="string",
    example=("trim", "  a b ", "a b"),
)
def trim(characters: str | None) -> Step:
    """Takes white space, or the given characters, off both ends."""
    return lambda value: need_text(value).strip(characters)


@function(
    "replace",
    Param("old", "text"),
    Param("new", "text"),
    area=_AREA,
    returns="string",
    example=({"replace": [" ", "-"]}, "a b c", "a-b-c"),
)
def replace(old: str, new: str) -> Step:
    """Replaces every occurrence of `old` by `new`."""
    if not old:
        raise ValueError("The text to replace must not be empty.")
    growth = len(new) - len(old)

    def step(value: Any) -> str:
        text = need_text(value)
        if growth > 0 and len(text) + text.count(old) * growth > MAX_TEXT:
            raise Refusal("TOO_LONG", f"The replaced text would exceed {MAX_TEXT} characters.")
        return text.replace(old, new)

    return step


@function(
    "substring",
    Param("start", "whole"),
    Param("length", "whole", None, low=0),
    area=_AREA,
    returns="string",
    example=({"substring": [4, 4]}, "CVE-2024-3094", "2024"),
)
def substring(start: int, length: int | None) -> Step:
    """Cuts out `length` characters from `start`, which counts from 0 or, if negative, from the end."""

    def step(value: Any) -> str:
        text = need_text(value)
        begin = max(len(text) + start, 0) if start < 0 else start
        return text[begin:] if length is None else text[begin : begin + length]

    return step


@function(
    "truncate",
    Param("length", "whole", low=1),
    Param("ending", "text", "…"),
    area=_AREA,
    takes="string",
    cel="text.truncate",
    returns="string",
    example=({"truncate": 8}, "a long title", "a long …"),
)
def truncate(length: int, ending: str) -> Step:
    """Shortens text to at most `length` characters, the last of which are `ending`."""
    keep = max(length - len(ending), 0)

    def step(value: Any) -> str:
        text = need_text(value)
        return text if len(text) <= length else text[:keep] + ending[:length]

    return step


@function(
    "split",
    Param("separator", "text"),
    area=_AREA,
    returns="array",
    example=({"split": ","}, "a,b", ["a", "b"]),
)
def split(separator: str) -> Step:
    """Cuts the text at every separator; the parts of an empty text are none."""
    if not separator:
        raise ValueError("The separator must not be empty.")

    def step(value: Any) -> list[str]:
        text = need_text(value)
        if text.count(separator) >= MAX_LIST:
            raise Refusal("TOO_MANY", f"The text has more than {MAX_LIST} parts.")
        return text.split(separator) if text else []

    return step


@function(
    "prepend", Param("text", "text"), area=_AREA, returns="string", example=({"prepend": "#"}, "7", "#7")
)
def prepend(text: str) -> Step:
    """Puts text in front."""
    return lambda value: bounded(text + text_of(value))


@function("append", Param("text", "text"), area=_AREA, returns="string", example=({"append": " %"}, 7, "7 %"))
def append(text: str) -> Step:
    """Puts text behind."""
    return lambda value: bounded(text_of(value) + text)


@function(
    "pad_left",
    Param("length", "whole", low=1, high=1000),
    Param("with", "text", "0"),
    area=_AREA,
    takes="string",
    cel="text.padLeft",
    returns="string",
    example=({"pad_left": 4}, "42", "0042"),
)
def pad_left(length: int, fill: str) -> Step:
    """Fills up to `length` characters from the left."""
    if len(fill) != 1:
        raise ValueError("Fill with exactly one character.")
    return lambda value: text_of(value).rjust(length, fill)


@function("length", area=_AREA, returns="integer", example=("length", "abc", 3))
def length() -> Step:
    """Counts the characters of a text, the elements of a list or the members of an object."""

    def step(value: Any) -> int:
        return len(value) if isinstance(value, list | dict) else len(need_text(value))

    return step


@function(
    "starts_with",
    Param("text", "text"),
    area="checks",
    returns="boolean",
    example=({"starts_with": "CVE-"}, "CVE-1", True),
)
def starts_with(text: str) -> Step:
    """Whether the text begins so."""
    return lambda value: need_text(value).startswith(text)


@function(
    "ends_with",
    Param("text", "text"),
    area="checks",
    returns="boolean",
    example=({"ends_with": ".exe"}, "a.sh", False),
)
def ends_with(text: str) -> Step:
    """Whether the text ends so."""
    return lambda value: need_text(value).endswith(text)
