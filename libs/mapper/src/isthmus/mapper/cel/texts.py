"""Functions on texts and bytes."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from isthmus.mapper.cel.limits import MAX_RESULT
from isthmus.mapper.cel.values import LOWEST, Failed, OverLimit, Unsure, no_overload
from isthmus.mapper.patterns import PatternInvalid
from isthmus.mapper.patterns import finds as compiled

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
_WHITE = _SPACES + "\u2028\u2029\u202f\u205f\u3000"
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_ESCAPES = str.maketrans(
    {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
    | {"\\": r"\\", '"': r"\""}
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*=*")


def _texts(name: str, *values: Any) -> None:
    for value in values:
        if value.__class__ is not str:
            raise no_overload(name, *values)


def _whole(name: str, *values: Any) -> None:
    for value in values:
        if value.__class__ is not int or value < LOWEST:
            raise no_overload(name, *values)


def contains(text: Any, part: Any) -> bool:
    """Whether the text holds the part."""
    _texts("contains", text, part)
    return part in text


def starts_with(text: Any, part: Any) -> bool:
    """Whether the text begins with the part."""
    _texts("startsWith", text, part)
    return bool(text.startswith(part))


def ends_with(text: Any, part: Any) -> bool:
    """Whether the text ends with the part."""
    _texts("endsWith", text, part)
    return bool(text.endswith(part))


@lru_cache(maxsize=32)
def finder(pattern: str) -> Callable[[str], bool]:
    """What looks for a pattern in a text.

    Raises:
        Failed: RE2 does not accept it.
    """
    try:
        return compiled(pattern)
    except PatternInvalid as problem:
        raise Failed(str(problem)) from None


def matches(text: Any, pattern: Any) -> bool:
    """Whether RE2 finds the pattern in the text."""
    _texts("matches", text, pattern)
    return finder(pattern)(text)


def char_at(text: Any, place: Any) -> str:
    """The character at a place; empty at the end."""
    _texts("charAt", text)
    _whole("charAt", place)
    if 0 <= place <= len(text):
        return str(text[place : place + 1])
    raise Failed("The index is out of range.")


def index_of(text: Any, part: Any, start: Any = 0) -> int:
    """Where a part begins first, from a place on; -1 where it does not occur."""
    _texts("indexOf", text, part)
    _whole("indexOf", start)
    if not 0 <= start <= len(text):
        raise Unsure("The index is out of range.")
    return int(text.find(part, start))


def last_index_of(text: Any, part: Any, start: Any = None) -> int:
    """Where a part begins last, up to a place; -1 where it does not occur."""
    _texts("lastIndexOf", text, part)
    if start is None:
        return int(text.rfind(part))
    _whole("lastIndexOf", start)
    if not 0 <= start <= len(text):
        raise Unsure("The index is out of range.")
    return int(text.rfind(part, 0, start + len(part)))


def join(parts: Any, separator: Any = "") -> str:
    """Texts one after the other."""
    _texts("join", separator)
    if parts.__class__ is not list:
        raise no_overload("join", parts)
    _texts("join", *parts)
    if sum(map(len, parts)) + len(separator) * len(parts) > MAX_RESULT:
        raise OverLimit(f"A text would exceed {MAX_RESULT} characters.")
    return str(separator.join(parts))


def lower_ascii(text: Any) -> str:
    """The text with small letters for A to Z."""
    _texts("lowerAscii", text)
    return str(text.lower() if text.isascii() else text.translate(_LOWER))


def upper_ascii(text: Any) -> str:
    """The text with capital letters for a to z."""
    _texts("upperAscii", text)
    return str(text.upper() if text.isascii() else text.translate(_UPPER))


def replace(text: Any, old: Any, new: Any, count: Any = -1) -> str:
    """The text with other words for a part, as often as said, or everywhere."""
    _texts("replace", text, old, new)
    _whole("replace", count)
    found = text.count(old)
    if 0 <= count < found:
        found = count
    if len(text) + found * (len(new) - len(old)) > MAX_RESULT:
        raise OverLimit(f"A text would exceed {MAX_RESULT} characters.")
    return str(text.replace(old, new, found))


def split(text: Any, separator: Any, most: Any = -1) -> list[str]:
    """The parts between separators, of which the last may hold the rest."""
    _texts("split", text, separator)
    _whole("split", most)
    if most == 0:
        return []
    if len(text) > MAX_RESULT:
        raise OverLimit(f"A list would exceed {MAX_RESULT} elements.")
    if separator:
        return list(text.split(separator, most - 1 if most > 0 else -1))
    if most < 0 or most >= len(text):
        return list(text)
    return [*text[: most - 1], text[most - 1 :]]


def substring(text: Any, start: Any, end: Any = None) -> str:
    """The characters from a place on, up to another."""
    _texts("substring", text)
    end = len(text) if end is None else end
    _whole("substring", start, end)
    if 0 <= start <= end <= len(text):
        return str(text[start:end])
    raise Failed("The range is outside of the text.")


def trim(text: Any) -> str:
    """The text without white space at its ends."""
    _texts("trim", text)
    return str(text.strip(_WHITE))


def reverse(text: Any) -> str:
    """The characters from the last to the first."""
    _texts("reverse", text)
    return str(text[::-1])


def quote(text: Any) -> str:
    """The text as a literal that is safe to print."""
    _texts("quote", text)
    return f'"{text.translate(_ESCAPES)}"'


def encode(value: Any) -> str:
    """Bytes as base64 text."""
    if value.__class__ is not bytes:
        raise no_overload("base64.encode", value)
    return base64.b64encode(value).decode()


def decode(text: Any) -> bytes:
    """The bytes that base64 text stands for; padding may be missing."""
    _texts("base64.decode", text)
    if not _BASE64.fullmatch(text):
        raise Unsure("The text is no base64.")
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        raise Failed("The text is no base64.") from None
