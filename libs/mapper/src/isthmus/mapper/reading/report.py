"""Collects the mistakes of a definition and says the same things in the same words."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

from isthmus.mapper.errors import MappingInvalid, Violation
from isthmus.mapper.limits import (
    MAX_DEFINITION_DEPTH,
    MAX_DEFINITION_NODES,
    MAX_INTEGER,
    MAX_VIOLATIONS,
    MIN_INTEGER,
)
from isthmus.mapper.paths import Path, PathInvalid, parse_path, parse_source
from isthmus.mapper.values import kind_of, sentence, show


class Report:
    """The violations found so far."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.plugins: dict[str, str] = {}
        """The plug-ins that the definition needs, with their versions."""

    def add(self, place: str, reason: str, message: str) -> None:
        """Notes one mistake once; beyond the bound further ones are dropped, for nobody reads them."""
        violation = Violation(place, reason, message)
        if len(self.violations) < MAX_VIOLATIONS and violation not in self.violations:
            self.violations.append(violation)

    def finish(self) -> None:
        """Raises `MappingInvalid` if anything was noted."""
        if self.violations:
            raise MappingInvalid(self.violations)

    def members(
        self, raw: object, place: str, allowed: Iterable[str], required: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Returns an object's members, noting unknown and missing ones; `{}` where it is no object."""
        if not isinstance(raw, dict):
            self.wrong_type(place, "an object", raw)
            return {}
        known = list(allowed)
        for name in raw:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(known)}."
                self.add(join(place, name), "MEMBER_UNKNOWN", f"{name[:60]!r} is not known here; {hint}")
        for name in required:
            if name not in raw:
                self.add(join(place, name), "MEMBER_MISSING", f"{name!r} is missing; add it.")
        return {name: item for name, item in raw.items() if name in known}

    def wrong_type(self, place: str, wanted: str, raw: object) -> None:
        """Notes that something else was expected here."""
        self.add(place, "WRONG_TYPE", sentence(f"{wanted} is expected here, {kind_of(raw)} was found."))

    def items(self, raw: object, place: str, most: int, wanted: str = "a list") -> list[Any]:
        """Returns a list's elements, noting where it is no list or too long."""
        if not isinstance(raw, list):
            self.wrong_type(place, wanted, raw)
            return []
        if len(raw) > most:
            self.add(place, "TOO_MANY", f"At most {most} elements are allowed here, {len(raw)} were found.")
            return []
        return raw

    def flag(self, raw: object, place: str) -> bool:
        """Returns a boolean, noting anything else."""
        if not isinstance(raw, bool):
            self.wrong_type(place, "true or false", raw)
            return False
        return raw

    def choice(self, raw: object, place: str, options: Iterable[str]) -> str:
        """Returns one of several words, noting anything else."""
        words = list(options)
        if raw in words and isinstance(raw, str):
            return raw
        self.add(place, "VALUE_NOT_ALLOWED", f"Use one of {', '.join(words)}.")
        return words[0]

    def path(self, raw: object, place: str) -> Path:
        """Returns a parsed path, noting where it cannot be read."""
        try:
            return parse_path(raw)
        except PathInvalid as problem:
            self.add(place, "PATH_INVALID", str(problem))
            return ()

    def source(self, raw: object, place: str, *, in_element: bool) -> Path:
        """Returns a parsed path into a record or an element; only in the latter `$record` leads elsewhere."""
        try:
            return parse_source(raw, in_element=in_element)
        except PathInvalid as problem:
            self.add(place, "PATH_INVALID", str(problem))
            return ()


def join(place: str, name: str | int) -> str:
    """The JSON pointer (RFC 6901) of a member or element inside a place."""
    if isinstance(name, int):
        return f"{place}/{name}"
    return f"{place}/{name[:100].replace('~', '~0').replace('/', '~1')}"


def check_json(definition: object, report: Report) -> None:
    """Notes whatever is not JSON, before anything else looks at it."""
    waiting: list[tuple[object, str, int]] = [(definition, "", 0)]
    seen = 0
    while waiting:
        item, place, depth = waiting.pop()
        seen += 1
        if seen > MAX_DEFINITION_NODES or depth > MAX_DEFINITION_DEPTH:
            report.add(
                place[:200],
                "DEFINITION_TOO_LARGE",
                "The definition is too large or nested too deep; split it.",
            )
            return
        if isinstance(item, dict):
            for name, member in item.items():
                if isinstance(name, str):
                    _check_text(name, report)
                    waiting.append((member, join(place, name), depth + 1))
                else:
                    report.add(
                        place,
                        "NAME_NOT_TEXT",
                        f"The name {show(name)} is no text; YAML reads on, off, yes, no and digits as "
                        "other types, so put it in quotes.",
                    )
        elif isinstance(item, list):
            waiting.extend((element, join(place, index), depth + 1) for index, element in enumerate(item))
        else:
            _check_scalar(item, place, report)


def _check_scalar(item: object, place: str, report: Report) -> None:
    if isinstance(item, str):
        _check_text(item, report)
    elif isinstance(item, float):
        if not math.isfinite(item):
            report.add(place, "NOT_JSON", "The number is not finite; JSON cannot hold it.")
    elif isinstance(item, int):
        if not MIN_INTEGER <= item <= MAX_INTEGER:
            report.add(place, "NOT_JSON", "The integer does not fit 64 bits; write it as text.")
    elif item is not None:
        report.add(place, "NOT_JSON", sentence(f"{kind_of(item)} is not JSON; put the value in quotes."))


def _check_text(text: str, report: Report) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        report.add("", "NOT_JSON", "A text holds a lone surrogate; mend its encoding.")
