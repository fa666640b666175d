"""Functions on text by regular expressions, which are RE2's: no text and no pattern makes them slow."""

from __future__ import annotations

from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_text
from isthmus.mapper.limits import MAX_LIST
from isthmus.mapper.patterns import compile_pattern, extractor, finds, replacer, searchable

_AREA = "regex"


@function(
    "regex_replace",
    Param("pattern", "pattern"),
    Param("replacement", "text"),
    area=_AREA,
    takes="string",
    grows=True,
    cel="regex.replace",
    returns="string",
    example=({"regex_replace": [r"^(\w+)-(\d+)$", r"\2/\1"]}, "INC-12", "12/INC"),
)
def regex_replace(pattern: str, replacement: str) -> Step:
    r"""Replaces every match of a pattern (RE2); `\1` stands for the first group."""
    replace_in = replacer(pattern, replacement)
    return lambda value: replace_in(need_text(value))


@function(
    "regex_extract",
    Param("pattern", "pattern"),
    Param("group", "whole", 0, low=0, high=99),
    area=_AREA,
    takes="string",
    nullable=True,
    cel="regex.extract",
    returns="string",
    example=({"regex_extract": [r"CWE-(\d+)", 1]}, "see CWE-79", "79"),
)
def regex_extract(pattern: str, group: int) -> Step:
    """Takes the first match of a pattern (RE2), or one of its groups; null where there is none."""
    extract = extractor(pattern, group)
    return lambda value: extract(need_text(value))


@function(
    "matches",
    Param("pattern", "pattern"),
    area="checks",
    returns="boolean",
    example=({"matches": r"^CVE-\d{4}-\d+$"}, "CVE-2024-3094", True),
)
def matches(pattern: str) -> Step:
    """Whether the pattern (RE2) occurs in the text; anchor it with ^ and $ to match the whole."""
    found = finds(pattern)
    return lambda value: found(need_text(value))


@function(
    "regex_extract_all",
    Param("pattern", "pattern"),
    Param("group", "whole", 0, low=0, high=99),
    area=_AREA,
    takes="string",
    returns="array",
    cel="regex.extractAll",
    example=({"regex_extract_all": [r"CWE-(\d+)", 1]}, "CWE-79, CWE-89", ["79", "89"]),
)
def regex_extract_all(pattern: str, group: int) -> Step:
    """Takes all matches of a pattern (RE2), or one of their groups, in the order of the text."""
    extractor(pattern, group)
    search = compile_pattern(pattern).finditer

    def step(value: Any) -> list[str]:
        found: list[str] = []
        for match in search(searchable(need_text(value))):
            if match.group(group) is not None:
                found.append(match.group(group))
            _few(found)
        return found

    return step


@function(
    "regex_groups",
    Param("pattern", "pattern"),
    area=_AREA,
    takes="string",
    returns="object",
    nullable=True,
    cel="regex.groups",
    example=(
        {"regex_groups": r"^(?P<project>[A-Z]+)-(?P<number>\d+)"},
        "SEC-12 Leak",
        {"project": "SEC", "number": "12"},
    ),
    also=(({"regex_groups": "(?P<year>[0-9]{4})"}, "no year", None),),
)
def regex_groups(pattern: str) -> Step:
    """Takes the named groups of the first match of a pattern (RE2) as an object; null without a match."""
    compiled = compile_pattern(pattern)
    if not compiled.groupindex:
        raise ValueError("The pattern names no group; write one as (?P<name>…).")

    def step(value: Any) -> dict[str, str] | None:
        match = compiled.search(searchable(need_text(value)))
        if match is None:
            return None
        return {
            name: match.group(number) for name, number in compiled.groupindex.items() if match.group(number)
        }

    return step


@function(
    "regex_split",
    Param("pattern", "pattern"),
    area=_AREA,
    takes="string",
    returns="array",
    cel="regex.split",
    example=({"regex_split": r"\s*[,;]\s*"}, "a, b ;c", ["a", "b", "c"]),
)
def regex_split(pattern: str) -> Step:
    """Cuts a text at every match of a pattern (RE2); the parts of an empty text are none."""
    search = compile_pattern(pattern).finditer

    def step(value: Any) -> list[str]:
        text = searchable(need_text(value))
        parts: list[str] = []
        at = 0
        for match in search(text):
            if match.end() > match.start():
                parts.append(text[at : match.start()])
                at = match.end()
            _few(parts)
        return [*parts, text[at:]] if text else []

    return step


@function(
    "regex_count",
    Param("pattern", "pattern"),
    area=_AREA,
    takes="string",
    returns="integer",
    cel="regex.count",
    example=({"regex_count": "[0-9]+"}, "1, 22 and 333", 3),
)
def regex_count(pattern: str) -> Step:
    """Counts the matches of a pattern (RE2) that do not overlap."""
    search = compile_pattern(pattern).finditer

    def step(value: Any) -> int:
        count = 0
        for _ in search(searchable(need_text(value))):
            count += 1
            if count > MAX_LIST:
                raise Refusal("TOO_MANY", f"The text has more than {MAX_LIST} matches.")
        return count

    return step


def _few(found: list[str]) -> None:
    if len(found) > MAX_LIST:
        raise Refusal("TOO_MANY", f"The text has more than {MAX_LIST} parts.")
