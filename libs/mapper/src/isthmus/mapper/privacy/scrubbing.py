"""Replaces what is confidential, personal or secret in records, and in texts that quote them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from isthmus.mapper.paths import parse_path
from isthmus.mapper.privacy.classes import Classes, DataClass, Node

_SHORT = 3
_HEAD = 24
"""A text may quote the beginning of a value only; from so many characters on that is recognised."""
_WORD = re.compile(r"\w")


def concealed(kind: DataClass, value: object) -> str:
    """What stands in for a value: its class, and how long it is, which is the same every time."""
    if isinstance(value, str):
        count = len(value)
        return f"‹{kind.name.lower()}: {count} character{'' if count == 1 else 's'}›"
    if isinstance(value, bool) or value is None:
        return f"‹{kind.name.lower()}›"
    if isinstance(value, dict | list):
        return f"‹{kind.name.lower()}: {len(value)} value{'' if len(value) == 1 else 's'}›"
    return f"‹{kind.name.lower()}: number›"


class Scrubber:
    """Keeps sensitive values out of what is shown.

    Args:
        classes: Which class the values have.
        least: From which class on values are replaced.
        conceal: Gives what stands for a value of a class.
    """

    def __init__(
        self,
        classes: Classes,
        least: DataClass = DataClass.CONFIDENTIAL,
        conceal: Callable[[DataClass, Any], Any] = concealed,
    ) -> None:
        self._conceal = conceal
        self.classes = classes
        self._least = least

    def __bool__(self) -> bool:
        """Whether anything would be replaced at all."""
        return self.classes.default >= self._least or bool(self.classes.paths(self._least))

    def record(self, record: Any) -> Any:
        """A copy of a record in which placeholders stand for sensitive values; names stay."""
        return self._shown(record, self.classes.root, self.classes.default) if self else record

    def value(self, path: str, value: Any) -> Any:
        """One value as it may be shown.

        Args:
            path: Names and dots, with `[*]` or a position for elements of lists.
            value: What is there.
        """
        node: Node | None = self.classes.root
        kind = (node.own if node else None) or self.classes.default
        for part in _parts(path):
            node = node.inside(part) if node is not None else None
            kind = (node.own if node is not None else None) or kind
        return self._shown(value, node, kind)

    def key(self, key: str, paths: Sequence[str], separator: str = "\x1f") -> str:
        """A key as it may be shown.

        Args:
            key: Its parts, one after another.
            paths: The fields that the parts come from.
            separator: Stands between the parts.
        """
        parts = key.split(separator)
        shown = [self.value(path, path) != path for path in paths]
        if not any(shown) or not key:
            return key
        if len(parts) != len(shown):
            return concealed(max(self.classes.of(parse_path(path)) for path in paths), key)
        return separator.join(str(self.value(path, part)) for path, part in zip(paths, parts, strict=True))

    def json(self, text: str) -> str:
        """A record as JSON text; text that is no JSON is replaced as a whole."""
        if not self or not text:
            return text
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            return json.dumps(concealed(DataClass.CONFIDENTIAL, text), ensure_ascii=False)
        return json.dumps(self.record(record), ensure_ascii=False, separators=(",", ":"))

    def text(self, text: str, *records: Any) -> str:
        """A text in which the sensitive values of records are replaced wherever it quotes them.

        Values of fewer than three characters are replaced only where they stand alone.
        """
        if not self or not text:
            return text
        found = {value: kind for record in records for kind, value in self.values(record)}
        spellings = {spelling: value for value in found for spelling in _spellings(value)}
        if not spellings:
            return text
        heads: dict[str, list[str]] = {}
        for spelling in spellings:
            heads.setdefault(spelling[:_HEAD], []).append(spelling)
        ordered = sorted(heads, key=len, reverse=True)
        # One pass, the longest first: what has been put in is never looked at again.
        pattern = re.compile("|".join(f"({_pattern(head)})" for head in ordered), re.IGNORECASE)
        parts, at = list[str](), 0
        while met := pattern.search(text, at):
            candidates = heads[ordered[(met.lastindex or 1) - 1]]
            spelling = max(candidates, key=lambda one: _common(one, text, met.start()))
            value = spellings[spelling]
            parts += text[at : met.start()], concealed(found[value], value)
            at = max(met.end(), met.start() + _common(spelling, text, met.start()))
        return "".join((*parts, text[at:]))

    def values(self, record: Any) -> Iterator[tuple[DataClass, str]]:
        """The sensitive values of a record with their class, as text."""
        yield from self._values(record, self.classes.root, self.classes.default)

    def _values(self, value: Any, node: Node | None, kind: DataClass) -> Iterator[tuple[DataClass, str]]:
        kind = (node.own if node is not None else None) or kind
        if isinstance(value, dict):
            for name, inner in value.items():
                if kind >= self._least and not (node and node.names_members):
                    yield kind, str(name)
                yield from self._values(inner, node.inside(name) if node else None, kind)
        elif isinstance(value, list):
            for inner in value:
                yield from self._values(inner, node.inside(0) if node else None, kind)
        elif kind >= self._least and value is not None and not isinstance(value, bool) and value != "":
            yield kind, str(value)

    def _shown(self, value: Any, node: Node | None, kind: DataClass) -> Any:
        kind = (node.own if node is not None else None) or kind
        if isinstance(value, dict):
            if kind >= self._least and not (node and node.names_members):
                return self._conceal(kind, value)  # names that no schema declares are as telling as values
            return {
                name: self._shown(inner, node.inside(name) if node else None, kind)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._shown(inner, node.inside(0) if node else None, kind) for inner in value]
        return self._conceal(kind, value) if kind >= self._least and value is not None else value


def _parts(path: str) -> Iterator[str | int]:
    for name in re.split(r"\.|(?=\[)", path):
        if name.startswith("[") or name.isdecimal():
            yield 0
        elif name:
            yield name


def _spellings(value: str) -> set[str]:
    """How a text may quote a value: as it is, and as JSON and Python write it."""
    return {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
    }


def _common(spelling: str, text: str, at: int) -> int:
    """How many characters of a spelling stand in a text from a place on."""
    count = 0
    for mine, theirs in zip(spelling, text[at : at + len(spelling)], strict=False):
        if mine != theirs and mine.lower() != theirs.lower():
            break
        count += 1
    return count


def _pattern(text: str) -> str:
    escaped = re.escape(text)
    if len(text) >= _SHORT:
        return escaped
    before = r"(?<!\w)" if _WORD.match(text[0]) else ""
    after = r"(?!\w)" if _WORD.match(text[-1]) else ""
    return f"{before}{escaped}{after}"
