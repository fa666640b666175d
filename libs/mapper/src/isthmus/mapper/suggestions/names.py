"""How alike the names of two fields are, by their words rather than their letters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_AROUND, _AROUND_WEAK = 0.3, 0.6
"""How much a word of the objects around a field weighs beside one of its own name, and beside one that
says little, such as `name`."""
_NOISE = 0.5
"""What a word weighs that says nothing, where there are no others."""
_LEAST_ALIKE = 0.6
_SYNONYM, _ALMOST, _SPELT_ALIKE = 0.94, 0.9, 0.7
_LONGEST_PHRASE = 3
_LONG_ENOUGH = 4


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a name.

    Attributes:
        concept: What it stands for, where the word is known; else its stem.
        spelling: How it is written, without endings.
        weight: How much it says.
    """

    concept: str
    spelling: str
    weight: float


@dataclass(frozen=True, slots=True)
class Name:
    """The words of a path, own words first."""

    words: tuple[Word, ...]

    @property
    def weight(self) -> float:
        """What all words weigh together."""
        return sum(word.weight for word in self.words)


@dataclass(frozen=True, slots=True)
class _Lexicon:
    concepts: Mapping[str, str]
    phrases: Mapping[tuple[str, ...], str]
    weak: Mapping[str, float]
    noise: frozenset[str]
    short: Mapping[str, str]


@lru_cache(maxsize=1)
def _lexicon() -> _Lexicon:
    """Read the tables of words, when they are first needed."""
    text = resources.files(__package__).joinpath("words.json").read_text(encoding="utf-8")
    raw = json.loads(text)
    concepts = {_stem(word): _stem(group[0]) for group in raw["synonyms"] for word in group}
    return _Lexicon(
        concepts=concepts,
        phrases={tuple(phrase.split()): _stem(word) for phrase, word in raw["phrases"].items()},
        weak={_stem(word): weight for word, weight in raw["weak"].items()},
        noise=frozenset(raw["noise"]),
        short=raw["short"],
    )


@lru_cache(maxsize=8192)
def read_name(parts: Sequence[str]) -> Name:
    """The words of a path.

    Args:
        parts: The names along it, the field's own name last.
    """
    own, around = parts[-1], parts[:-1]
    if around and not any(True for _ in _weighed(words_of(own), 1.0)):
        own, around = around[-1], around[:-1]  # `emails[*].value` is an e-mail address
    found: dict[str, Word] = {}
    for word in _weighed(words_of(own), 1.0):
        found.setdefault(word.concept, word)
    # `assignee.name` is rather an assignee than a name.
    share = _AROUND if any(word.weight >= 1 for word in found.values()) else _AROUND_WEAK
    for name in around:
        for word in _weighed(words_of(name), share):
            found.setdefault(word.concept, word)
    words = found.values() or (Word(text, text, _NOISE) for text in words_of(parts[-1]))
    return Name(tuple(words))


def words_of(text: str) -> list[str]:
    """The words of a name: `lastSeenUtc`, `last_seen_utc` and `Last seen (UTC)` have the same."""
    return [word.lower() for word in _WORD.findall(text)]


def _weighed(words: Sequence[str], weight: float) -> Iterable[Word]:
    lexicon, at = _lexicon(), 0
    while at < len(words):
        length, concept = _phrase(words, at)
        spelling = _stem("".join(words[at : at + length]))
        at += length
        if concept not in lexicon.noise:
            yield Word(concept, spelling, weight * lexicon.weak.get(concept, 1.0))


def _phrase(words: Sequence[str], at: int) -> tuple[int, str]:
    """The longest phrase that begins at a word, or the word, as a concept."""
    lexicon = _lexicon()
    for length in range(min(_LONGEST_PHRASE, len(words) - at), 1, -1):
        several = tuple(words[at : at + length])
        if several in lexicon.phrases:
            return length, lexicon.phrases[several]
        joined = _stem("".join(several))
        if joined in lexicon.concepts:
            return length, lexicon.concepts[joined]
    word = words[at]
    if word in lexicon.noise:
        return 1, word
    stem = _stem(lexicon.short.get(word, word))
    return 1, lexicon.concepts.get(stem, stem)


def _stem(word: str) -> str:
    """A word without the ending of its plural."""
    if len(word) > _LONG_ENOUGH and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) >= _LONG_ENOUGH and word.endswith("s") and not word.endswith(("ss", "us", "is", "os")):
        return word[:-1]
    return word


def likeness(one: Name, other: Name) -> tuple[float, tuple[str, ...]]:
    """How alike two names are, from 0 to 1, and the concepts that they share."""
    pairs = sorted(
        (-_alike(a, b) * min(a.weight, b.weight), a.concept, b.concept)
        for a in one.words
        for b in other.words
        if _alike(a, b) >= _LEAST_ALIKE
    )
    used_here, used_there, common, shared = set[str](), set[str](), 0.0, list[str]()
    for share, a, b in pairs:
        if a not in used_here and b not in used_there:
            used_here.add(a)
            used_there.add(b)
            common -= share
            shared.append(a)
    total = one.weight + other.weight
    return (2 * common / total if total else 0.0), tuple(shared)


def _alike(one: Word, other: Word) -> float:
    """How alike two words are: the same one, another word for the same thing, or one that is spelt alike."""
    if one.spelling == other.spelling:
        return 1.0
    return _SYNONYM if one.concept == other.concept else _spelt_alike(one.concept, other.concept)


@lru_cache(maxsize=65536)
def _spelt_alike(one: str, other: str) -> float:
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < _LONG_ENOUGH:
        return 0.0
    if longer.startswith(shorter):
        return _ALMOST * (0.5 + 0.5 * len(shorter) / len(longer))
    grams, others = _grams(one), _grams(other)
    dice = 2 * len(grams & others) / (len(grams) + len(others))
    return dice if dice >= _SPELT_ALIKE else 0.0


def _grams(word: str) -> set[str]:
    return {word[at : at + 2] for at in range(len(word) - 1)}
