"""Where values begin and end in JSON, by brackets and quotes alone."""

import re

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


__all__ = ["FramingBroken", "space_end", "string_end", "value_end"]
