"""Finds one person's data in records, and takes it out."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.privacy import Classes, DataClass, Scrubber
from isthmus.services.records.domain.keys import SEPARATOR

ERASED = "‹erased›"
"""Stands for an erased text; another value becomes null."""


def normal(value: str) -> str:
    """A value in the form in which it is compared: case and space around it do not matter."""
    return value.strip().casefold()


def marker_of(pepper: bytes, value: str) -> bytes:
    """What is kept of a value that may not come back; without the pepper it tells nothing."""
    return hmac.digest(pepper, normal(value).encode("utf-8", "surrogatepass"), hashlib.sha256)


def keyed(marker: bytes, key: bytes) -> bytes:
    """A mark as it is stored: who has the whole database cannot try values against it without the key."""
    return hmac.digest(key, marker, hashlib.sha256)


def mark_of(pepper: bytes, key: bytes, value: str) -> bytes:
    """The mark of a value, with the second key or, where a tenant has none yet, without."""
    marker = marker_of(pepper, value)
    return keyed(marker, key) if key else marker


def personal(classes: Classes) -> Scrubber:
    """What names and replaces the personal and secret values of records."""
    return Scrubber(classes, DataClass.PERSONAL, lambda _, value: ERASED if _is_text(value) else None)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@dataclass(frozen=True, slots=True)
class Erased:
    """What becomes of a record that is about a person.

    Attributes:
        line: Its new content; None where the record is removed.
    """

    line: str | None


def judged(
    line: str | bytes,
    key: str,
    scrubber: Scrubber,
    is_person: Callable[[str], bool],
    *,
    removes: bool,
) -> Erased | None:
    """Tell what becomes of a record; None where it is not about the person.

    Args:
        line: Its content as JSON.
        key: Its key; a record whose key holds the value has to go.
        scrubber: Names its personal values.
        is_person: Recognises the person by a value.
        removes: Remove the record, instead of replacing personal values.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    values = [value for _, value in scrubber.values(record)]
    if not any(map(is_person, values)):
        return None
    parts = {normal(part) for part in key.split(SEPARATOR)}
    if removes or any(normal(value) in parts for value in values):
        return Erased(None)
    return Erased(json.dumps(scrubber.record(record), ensure_ascii=False, separators=(",", ":")))


def leaves(value: Any) -> Iterator[str]:
    """All texts and numbers in a value, as text."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def mentions(text: str | None, subject: str) -> bool:
    """Tell whether a text is a JSON value that holds the subject, or holds it in any other way."""
    if not text:
        return False
    wanted = normal(subject)
    if wanted in text.casefold():
        return True
    try:
        return any(normal(leaf) == wanted for leaf in leaves(json.loads(text)))
    except (ValueError, RecursionError):
        return False


def without(text: str | None, subject: str, classes: Classes) -> str | None:
    """A kept form without the person: its personal values, and whatever equals or quotes the subject."""
    if text is None or not mentions(text, subject):
        return text
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return json.dumps(ERASED, ensure_ascii=False)
    return json.dumps(_cleared(personal(classes).record(record), normal(subject)), ensure_ascii=False)


def withheld(text: str, classes: Classes, is_person: Callable[[str], bool]) -> str:
    """A record for quarantine: one that tells of an erased person has no personal values."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return text
    met = {normal(leaf) for leaf in leaves(record) if is_person(leaf)}
    if not met:
        return text
    cleared = personal(classes).record(record)
    for wanted in met:
        cleared = _cleared(cleared, wanted)
    return json.dumps(cleared, ensure_ascii=False, separators=(",", ":"))


def _cleared(value: Any, wanted: str) -> Any:
    if isinstance(value, dict):
        return {name: _cleared(inner, wanted) for name, inner in value.items()}
    if isinstance(value, list):
        return [_cleared(inner, wanted) for inner in value]
    if isinstance(value, str) and wanted in value.casefold():
        return ERASED
    return None if normal(str(value)) == wanted else value


__all__ = [
    "ERASED",
    "Erased",
    "judged",
    "keyed",
    "leaves",
    "mark_of",
    "marker_of",
    "mentions",
    "normal",
    "personal",
    "withheld",
    "without",
]
