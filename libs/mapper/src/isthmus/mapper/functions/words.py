"""Functions on words: cases, spaces, accents, markup, likeness."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from isthmus.mapper.casts import bounded
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions.registry import Param, Step, function, need_text
from isthmus.mapper.limits import MAX_LIST, MAX_TEXT
from isthmus.mapper.patterns import compile_pattern, searchable
from isthmus.mapper.values import text_of

_AREA = "text"
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", re.ASCII)
_FORMS = ("NFC", "NFD", "NFKC", "NFKD")
_MARKS = r"\pM{40}"
"""More marks on one letter than any script has; sorting very many takes long."""
_MOST_WORDS = MAX_LIST


def _words(value: Any) -> list[str]:
    """The words of a text, also those that are told apart by capital letters alone."""
    text = searchable(need_text(value))
    found = [part for word in _WORD.findall(text) for part in _HUMP.split(word)]
    if len(found) > _MOST_WORDS:
        raise Refusal("TOO_MANY", f"The text has more than {_MOST_WORDS} words.")
    return found


def _cased(join: str, change: Callable[[Iterable[str]], Iterable[str]]) -> Step:
    return lambda value: bounded(join.join(change(_words(value))))


def _lower(words: Iterable[str]) -> Iterable[str]:
    return (word.lower() for word in words)


def _capitalized(words: Iterable[str]) -> Iterable[str]:
    return (word[:1].upper() + word[1:].lower() for word in words)


def _camel(words: Iterable[str]) -> Iterable[str]:
    first, *rest = list(words) or [""]
    return (first.lower(), *_capitalized(rest))


@function(
    "snake_case",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.snakeCase",
    example=("snake_case", "firstSeen At", "first_seen_at"),
    also=(("snake_case", "HTTPServer-name", "http_server_name"),),
)
def snake_case() -> Step:
    """Writes the words in small letters with _ between them."""
    return _cased("_", _lower)


@function(
    "kebab_case",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.kebabCase",
    example=("kebab_case", "First Seen_at", "first-seen-at"),
)
def kebab_case() -> Step:
    """Writes the words in small letters with - between them."""
    return _cased("-", _lower)


@function(
    "camel_case",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.camelCase",
    example=("camel_case", "first_seen at", "firstSeenAt"),
)
def camel_case() -> Step:
    """Writes the words together, each but the first with a capital letter."""
    return _cased("", _camel)


@function(
    "pascal_case",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.pascalCase",
    example=("pascal_case", "first_seen at", "FirstSeenAt"),
)
def pascal_case() -> Step:
    """Writes the words together, each with a capital letter."""
    return _cased("", _capitalized)


@function(
    "title_case",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.titleCase",
    example=("title_case", "o'neil, ANN-lee", "O'neil, Ann-Lee"),
)
def title_case() -> Step:
    """Writes every word with a capital letter and leaves what is between them."""
    change = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
    return lambda value: bounded(change.sub(_titled, searchable(need_text(value))))


def _titled(match: re.Match[str]) -> str:
    return match[0][:1].upper() + match[0][1:].lower()


def _normal(text: str, form: Any) -> str:
    if text.isascii():
        return bounded(text)
    if compile_pattern(_MARKS).search(searchable(text)):
        raise Refusal(
            "TEXT_NOT_UNICODE", "The text puts more marks on a letter than any script; mend the source."
        )
    return bounded(unicodedata.normalize(form, text))


def _unaccented(text: str) -> str:
    apart = _normal(text, "NFKD")
    return apart if apart.isascii() else "".join(each for each in apart if not unicodedata.combining(each))


@function(
    "slug",
    Param("length", "whole", 100, low=1, high=1000),
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.slug",
    example=("slug", "Überprüfung: Zürich & Genève!", "uberprufung-zurich-geneve"),
    also=(({"slug": 6}, "Leak of keys", "leak-o"),),
)
def slug(length: int) -> Step:
    """Makes a name for addresses and files: ASCII letters and digits in small, - between words."""

    def step(value: Any) -> str:
        text = _unaccented(need_text(value)).lower().encode("ascii", "ignore").decode()
        return re.sub("[^a-z0-9]+", "-", text).strip("-")[:length].rstrip("-")

    return step


@function(
    "unaccent",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.unaccent",
    example=("unaccent", "Crème Brûlée", "Creme Brulee"),
)
def unaccent() -> Step:
    """Takes accents and other marks off letters."""
    return lambda value: _unaccented(need_text(value))


@function(
    "normalize_unicode",
    Param("form", "choice", "NFC", options=_FORMS),
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.normalize",
    example=({"normalize_unicode": "NFKC"}, "ﬁle Ａ１", "file A1"),
)
def normalize_unicode(form: str) -> Step:
    """Writes equal texts alike, in a normal form of Unicode: NFC, NFD, NFKC or NFKD."""
    return lambda value: _normal(need_text(value), form)


@function(
    "collapse_spaces",
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.collapseSpaces",
    example=("collapse_spaces", "  a \t b\n\nc ", "a b c"),
)
def collapse_spaces() -> Step:
    """Makes one space of all white space together, and takes it off both ends."""
    return lambda value: " ".join(need_text(value).split())


@function(
    "lines",
    area=_AREA,
    takes="string",
    returns="array",
    cel="text.lines",
    example=("lines", "a\r\n\nb\n", ["a", "", "b"]),
)
def lines() -> Step:
    """Cuts the text into its lines."""

    def step(value: Any) -> list[str]:
        found = need_text(value).splitlines()
        if len(found) > MAX_LIST:
            raise Refusal("TOO_MANY", f"The text has more than {MAX_LIST} lines.")
        return found

    return step


@function(
    "before",
    Param("separator", "text"),
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.before",
    example=({"before": "@"}, "ann@example.org", "ann"),
    also=(({"before": "@"}, "ann", "ann"),),
)
def before(separator: str) -> Step:
    """What stands before the first separator; all where there is none."""
    _not_empty(separator)
    return lambda value: need_text(value).partition(separator)[0]


@function(
    "after",
    Param("separator", "text"),
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.after",
    example=({"after": "\\"}, "CORP\\ann", "ann"),
    also=(({"after": "\\"}, "ann", "ann"),),
)
def after(separator: str) -> Step:
    """What stands behind the first separator; all where there is none."""
    _not_empty(separator)

    def step(value: Any) -> str:
        first, mark, rest = need_text(value).partition(separator)
        return rest if mark else first

    return step


def _not_empty(separator: str) -> None:
    if not separator:
        raise ValueError("The separator must not be empty.")


@function(
    "remove_prefix",
    Param("prefix", "text"),
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.removePrefix",
    example=({"remove_prefix": "arn:"}, "arn:aws:s3", "aws:s3"),
)
def remove_prefix(prefix: str) -> Step:
    """Takes a beginning off, where the text has it."""
    return lambda value: need_text(value).removeprefix(prefix)


@function(
    "remove_suffix",
    Param("suffix", "text"),
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.removeSuffix",
    example=({"remove_suffix": ".local"}, "web-01.local", "web-01"),
)
def remove_suffix(suffix: str) -> Step:
    """Takes an ending off, where the text has it."""
    return lambda value: need_text(value).removesuffix(suffix)


@function(
    "pad_right",
    Param("length", "whole", low=1, high=1000),
    Param("with", "text", " "),
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.padRight",
    example=({"pad_right": [5, "."]}, "ab", "ab..."),
)
def pad_right(length: int, fill: str) -> Step:
    """Fills up to `length` characters from the right."""
    if len(fill) != 1:
        raise ValueError("Fill with exactly one character.")
    return lambda value: text_of(value).ljust(length, fill)


@function(
    "mask",
    Param("keep", "whole", 4, low=0, high=100),
    Param("with", "text", "*"),
    area=_AREA,
    takes="string",
    returns="string",
    cel="text.mask",
    example=("mask", "4111111111111111", "************1111"),
    also=(("mask", "123", "***"),),
)
def mask(keep: int, fill: str) -> Step:
    """Hides all but the last characters; a text that is no longer than what is kept is hidden whole."""
    if len(fill) != 1:
        raise ValueError("Mask with exactly one character.")

    def step(value: Any) -> str:
        text = bounded(text_of(value))
        shown = text[len(text) - keep :] if len(text) > keep else ""
        return fill * (len(text) - len(shown)) + shown

    return step


@function(
    "similarity",
    Param("other", "text"),
    area=_AREA,
    takes="string",
    returns="number",
    cel="text.similarity",
    example=({"similarity": "Acme Corporation"}, "ACME Corp.", 0.6667),
    also=(({"similarity": "abc"}, "abc", 1.0), ({"similarity": "abc"}, "xyz", 0.0)),
)
def similarity(other: str) -> Step:
    """How alike two texts are, from 0 to 1: the share of pairs of letters in common, in any case."""
    wanted = _pairs(other)

    def step(value: Any) -> float:
        met = _pairs(need_text(value))
        total = sum(wanted.values()) + sum(met.values())
        return round(2 * sum((wanted & met).values()) / total, 4) if total else 1.0

    return step


def _pairs(text: str) -> Counter[str]:
    """Pairs of letters in the words of a text, spaces at their ends counting as letters."""
    if len(text) > MAX_TEXT // 16:
        raise Refusal("TOO_LONG", f"At most {MAX_TEXT // 16} characters are compared.")
    words = _WORD.findall(text.casefold())
    return Counter(f" {word} "[place : place + 2] for word in words for place in range(len(word) + 1))
