"""Regular expressions on RE2: time grows with the text and never with the cleverness of the pattern."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import re2  # type: ignore[import-untyped]
from isthmus.mapper.errors import Refusal
from isthmus.mapper.limits import MAX_LIST, MAX_PATTERN_MEMORY, MAX_PATTERN_TEXT, MAX_TEXT
from isthmus.mapper.values import is_unicode

_REFERENCE = re.compile(r"\\(\d{1,2}|\\)")


class PatternInvalid(ValueError):
    """A pattern or replacement that cannot be used; the message says why."""


def compile_pattern(pattern: str) -> Any:
    """Compiles a pattern under a memory bound.

    Raises:
        PatternInvalid: RE2 does not accept it.
    """
    if len(pattern) > MAX_PATTERN_TEXT:
        raise PatternInvalid(f"A pattern has at most {MAX_PATTERN_TEXT} characters.")
    options = re2.Options()
    options.max_mem = MAX_PATTERN_MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as problem:
        told = problem.args[0] if problem.args else problem
        why = told.decode("utf-8", "replace") if isinstance(told, bytes) else "it is no Unicode text"
        raise PatternInvalid(
            f"The pattern is not accepted: {why}. RE2 syntax knows no look-around and no back-references."
        ) from None


def finds(pattern: str) -> Callable[[str], bool]:
    """A test whether the pattern occurs anywhere in a text."""
    search = compile_pattern(pattern).search

    def found(text: str) -> bool:
        return search(searchable(text)) is not None

    return found


def extractor(pattern: str, group: int) -> Callable[[str], str | None]:
    """A function giving one group of the first occurrence, `None` where there is none.

    Raises:
        PatternInvalid: the pattern has no such group.
    """
    compiled = compile_pattern(pattern)
    if group > compiled.groups:
        raise PatternInvalid(f"The pattern has {compiled.groups} groups, not {group}.")

    def extract(text: str) -> str | None:
        match = compiled.search(searchable(text))
        return None if match is None else match.group(group)

    return extract


def replacer(pattern: str, replacement: str) -> Callable[[str], str]:
    r"""A function replacing every occurrence; `\1` in the replacement stands for group 1.

    Raises:
        PatternInvalid: the replacement names a group that the pattern does not have.
    """
    compiled = compile_pattern(pattern)
    parts = _split_replacement(replacement, compiled.groups)

    def replace(text: str) -> str:
        pieces: list[str] = []
        size = at = 0
        for count, match in enumerate(compiled.finditer(searchable(text))):
            made = "".join(part if isinstance(part, str) else match.group(part) or "" for part in parts)
            pieces += (text[at : match.start()], made)
            at = match.end()
            size += len(made)
            if size > MAX_TEXT or count > MAX_LIST:
                raise Refusal("TOO_LONG", f"The replaced text would exceed {MAX_TEXT} characters.")
        return "".join((*pieces, text[at:]))

    return replace


def _split_replacement(replacement: str, groups: int) -> list[str | int]:
    parts: list[str | int] = []
    at = 0
    for reference in _REFERENCE.finditer(replacement):
        parts.append(replacement[at : reference.start()])
        if reference[1] == "\\":
            parts.append("\\")
        elif int(reference[1]) <= groups:
            parts.append(int(reference[1]))
        else:
            raise PatternInvalid(f"The pattern has {groups} groups, not {reference[1]}.")
        at = reference.end()
    return [*(part for part in parts if part != ""), replacement[at:]]


def searchable(text: str) -> str:
    """Returns a text that patterns can be applied to, and refuses one that is too long or no Unicode.

    Raises:
        Refusal: `TOO_LONG` or `TEXT_NOT_UNICODE`.
    """
    if len(text) > MAX_TEXT:
        raise Refusal("TOO_LONG", f"Patterns are applied to texts of at most {MAX_TEXT} characters.")
    is_unicode(text)
    return text
