"""Where values begin and end in JSON, by brackets and quotes alone."""

import re

from isthmus.sdk.decode import decode_json
from isthmus.sdk.failures import DataFailure

_DEEPEST = 100_000
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^ \t\r\n{}\[\],:"]++')
_PLAIN = rb'[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+"'
_NEXT_BRACKET = re.compile(rb"(?:" + _PLAIN + rb")*+[{}\[\]]", re.DOTALL)
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}


def _nested(depth: int) -> bytes:
    inside = _PLAIN + (b"|" + _nested(depth - 1) if depth else b"")
    return rb"\{(?:" + inside + rb")*+\}|\[(?:" + inside + rb")*+\]"


# Most records are no deeper than this, and found in one step.
_SHALLOW = re.compile(_nested(3), re.DOTALL)


class FramingBroken(ValueError):
    """Nobody can tell where records begin and end."""


def string_end(raw: bytes | memoryview, start: int) -> int | None:
    """Behind the text that begins here; None where none does."""
    quoted = _STRING.match(raw, start)
    return quoted.end() if quoted else None


def space_end(raw: bytes | memoryview, start: int) -> int:
    """Behind the white space that begins here."""
    found = _SPACE.match(raw, start)
    return found.end() if found else start


def value_end(raw: bytes | memoryview, start: int) -> int:
    """Behind the value that begins here.

    Raises:
        FramingBroken: Its brackets do not match, or there is none.
    """
    if raw[start : start + 1] not in (b"{", b"["):
        plain = _STRING.match(raw, start) or _SCALAR.match(raw, start)
        if plain is None:
            raise FramingBroken
        return plain.end()
    shallow = _SHALLOW.match(raw, start)
    if shallow is not None:
        return shallow.end()
    closings = bytearray()
    at = start
    while True:
        found = _NEXT_BRACKET.match(raw, at)
        if found is None:
            raise FramingBroken
        at = found.end()
        bracket = raw[at - 1]
        if bracket in _CLOSING:
            closings.append(_CLOSING[bracket])
            if len(closings) > _DEEPEST:
                raise FramingBroken
        elif closings.pop() != bracket:
            raise FramingBroken
        elif not closings:
            return at


def member_of(raw: bytes, start: int, name: str) -> int | None:
    """Where the value of a member begins; what is behind it is not looked at."""
    if raw[start : start + 1] != b"{":
        return None
    at = space_end(raw, start + 1)
    while raw[at : at + 1] == b'"':
        value = behind_name(raw, at)
        if _name(raw, at) == name:
            return value
        behind = space_end(raw, value_end(raw, value))
        if raw[behind : behind + 1] != b",":
            return None
        at = space_end(raw, behind + 1)
    return None


def _name(raw: bytes, start: int) -> str | None:
    try:
        name = decode_json(raw[start : string_end(raw, start) or start], "")
    except DataFailure:
        return None
    return name if isinstance(name, str) else None


def behind_name(raw: bytes, start: int) -> int:
    """Where the value behind the name that begins here does.

    Raises:
        FramingBroken: There is no name here.
    """
    end = string_end(raw, start)
    colon = start if end is None else space_end(raw, end)
    if raw[colon : colon + 1] != b":":
        raise FramingBroken
    return space_end(raw, colon + 1)


__all__ = ["FramingBroken", "behind_name", "member_of", "space_end", "string_end", "value_end"]
