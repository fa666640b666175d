"""Semantic versions and their order, https://semver.org."""

import re
from collections.abc import Iterable

_NUMBER = r"(0|[1-9]\d{0,8})"
_WORD = r"(?:0|[1-9]\d{0,8}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_WORD}(?:\.{_WORD})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)

Precedence = tuple[int, int, int, int, tuple[tuple[int, int, str], ...]]


def is_version(text: str) -> bool:
    """Tell whether a text is a semantic version."""
    return len(text) <= 100 and _VERSION.fullmatch(text) is not None


def precedence(version: str) -> Precedence:
    """Return what orders versions; a pre-release comes before its release."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} is no semantic version.")
    major, minor, patch, before = match.groups()
    words = tuple(map(_word, before.split("."))) if before else ()
    return int(major), int(minor), int(patch), 0 if before else 1, words


def newest_first(versions: Iterable[str]) -> tuple[str, ...]:
    """Order versions, the newest first."""
    return tuple(sorted(versions, key=precedence, reverse=True))


def offers_more(newer: str, older: str) -> bool:
    """Tell whether a version is a later minor or major one, not just a mended one."""
    return precedence(newer)[:2] > precedence(older)[:2]


def _word(word: str) -> tuple[int, int, str]:
    """Numbers come before words, as semver.org rule 11 wants it."""
    return (0, int(word), "") if word.isdigit() else (1, 0, word)


__all__ = ["is_version", "newest_first", "offers_more", "precedence"]
