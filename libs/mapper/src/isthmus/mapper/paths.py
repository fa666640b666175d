"""Paths into records: `owner.email`, `tags[0]`, `items[*].name`, `labels."app.kubernetes.io/name"`.

Inside the elements of a list, `$record.owner.email` leads into the record around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from isthmus.mapper.errors import Refusal
from isthmus.mapper.limits import MAX_LIST, MAX_PATH_SEGMENTS, MAX_PATH_TEXT
from isthmus.mapper.values import kind_of


class _Each:
    """The segment `[*]`: every element of a list."""

    def __repr__(self) -> str:
        return "[*]"


class _Outer:
    """The segment `$record`: the record around the element of a list."""

    def __repr__(self) -> str:
        return RECORD_NAME


EACH: Final = _Each()
RECORD: Final = _Outer()
RECORD_NAME: Final = "$record"
Segment = str | int | _Each | _Outer
Path = tuple[Segment, ...]

_BARE = re.compile(r"[^.\[\]\"\\\x00-\x1f]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_INDEX = re.compile(r"\[(-?\d{1,6}|\*)\]")
_PLAIN_KEY = re.compile(r"[^.\[\]\"\\\x00-\x1f\s{}][^.\[\]\"\\\x00-\x1f{}]*(?<!\s)")


class PathInvalid(ValueError):
    """A path that cannot be read; the message says where and how to write it."""


def parse_path(text: object) -> Path:
    """Reads a path; `$` alone is the whole record, the empty tuple.

    Raises:
        PathInvalid: with the position of the mistake.
    """
    if not isinstance(text, str) or not text:
        raise PathInvalid("A path is a text such as owner.email; write $ for the whole record.")
    if len(text) > MAX_PATH_TEXT:
        raise PathInvalid(f"A path has at most {MAX_PATH_TEXT} characters.")
    if text == "$":
        return ()
    segments: list[Segment] = []
    at, end = 0, len(text)
    while at < end:
        at = _read_segment(text, at, segments)
    if len(segments) > MAX_PATH_SEGMENTS:
        raise PathInvalid(f"A path has at most {MAX_PATH_SEGMENTS} parts.")
    return tuple(segments)


def parse_source(text: object, *, in_element: bool = True) -> Path:
    """Reads a path that may begin with `$record`, which leads elsewhere in the element of a list only.

    Raises:
        PathInvalid: with the position of the mistake.
    """
    if isinstance(text, str) and text.startswith(RECORD_NAME):
        outer: Path = (RECORD,) if in_element else ()
        rest = text.removeprefix(RECORD_NAME)
        if not rest:
            return outer
        if rest[0] in ".[":
            return (*outer, *parse_path(rest.removeprefix(".") or rest))
    return parse_path(text)


def into_record(path: Path) -> Path | None:
    """The path inside the record around an element; `None` for one that begins at the element."""
    return path[1:] if path and path[0] is RECORD else None


def _read_segment(text: str, at: int, segments: list[Segment]) -> int:
    if index := _INDEX.match(text, at):
        segments.append(EACH if index[1] == "*" else int(index[1]))
        return index.end()
    if segments:
        if text[at] != ".":
            raise _unreadable(text, at)
        at += 1
    if quoted := _QUOTED.match(text, at):
        segments.append(re.sub(r"\\(.)", r"\1", quoted[1]))
        return quoted.end()
    bare = _BARE.match(text, at)
    if bare is None or bare[0] != bare[0].strip():
        raise _unreadable(text, at)
    segments.append(bare[0])
    return bare.end()


def _unreadable(text: str, at: int) -> PathInvalid:
    shown = text if len(text) <= 60 else text[:60] + "…"
    return PathInvalid(
        f"The path {shown!r} cannot be read at character {at + 1}; separate parts with a dot, write list "
        'positions as [0] and put names with dots, brackets or spaces at their ends in "double quotes".'
    )


def format_path(path: Path) -> str:
    """Writes a path so that `parse_path` reads it back."""
    if not path:
        return "$"
    text = ""
    for segment in path:
        if not isinstance(segment, str):
            text += RECORD_NAME if segment is RECORD else "[*]" if segment is EACH else f"[{segment}]"
            continue
        plain = _PLAIN_KEY.fullmatch(segment) and segment not in {"$", RECORD_NAME}
        escaped = segment.replace("\\", "\\\\").replace('"', '\\"')
        text += ("." if text else "") + (segment if plain else f'"{escaped}"')
    return text


def member(value: Any, key: str) -> Any:
    """The member of an object, `None` where the object or the member is missing."""
    if isinstance(value, dict):
        return value.get(key)
    if value is None:
        return None
    raise Refusal(
        "PATH_NOT_OBJECT",
        f"{key!r} was looked up in {kind_of(value)}, not in an object; mend the source path.",
    )


def element(value: Any, index: int) -> Any:
    """The element of a list, `None` where the list or the element is missing."""
    if isinstance(value, list):
        return value[index] if -len(value) <= index < len(value) else None
    if value is None:
        return None
    raise Refusal(
        "PATH_NOT_LIST", f"[{index}] was looked up in {kind_of(value)}, not in a list; mend the source path."
    )


def every(value: Any, rest: Callable[[Any], Any], *, flatten: bool) -> list[Any] | None:
    """Reads `rest` in every element of a list and leaves out what is missing."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise Refusal(
            "PATH_NOT_LIST", f"[*] was applied to {kind_of(value)}, not to a list; mend the source path."
        )
    found: list[Any] = []
    for item in value:
        inner = rest(item)
        if inner is None:
            continue
        if flatten:
            found.extend(inner)
        else:
            found.append(inner)
        if len(found) > MAX_LIST:
            raise Refusal("TOO_MANY", f"[*] found more than {MAX_LIST} values; narrow the path.")
    return found


def reader(path: Path) -> Callable[[Any], Any]:
    """A function that reads the path and refuses a value of the wrong shape on the way."""
    if not path:
        return lambda record: record
    first, rest = path[0], path[1:]
    inner = reader(rest)
    if first is EACH:
        flatten = EACH in rest
        return lambda record: every(record, inner, flatten=flatten)
    if isinstance(first, int):
        index = first
        return (
            (lambda record: inner(element(record, index)))
            if rest
            else (lambda record: element(record, index))
        )
    key = str(first)
    return (lambda record: inner(member(record, key))) if rest else (lambda record: member(record, key))


def lenient(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same reading, but a wrong shape on the way counts as missing."""

    def read_or_none(record: Any) -> Any:
        try:
            return read(record)
        except Refusal:
            return None

    return read_or_none
