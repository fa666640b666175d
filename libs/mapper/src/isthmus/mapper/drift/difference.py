"""What differs between two shapes, told path by path, and which of it harms whoever reads the records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from isthmus.mapper.drift.shape import Shape
from isthmus.mapper.paths import EACH, Path, PathInvalid, format_path, parse_path

ABSENT = "absent"
_MOST_SHOWN = 8


class ChangeKind(StrEnum):
    """What kind of change."""

    FIELD_ADDED = "field_added"
    FIELD_REMOVED = "field_removed"
    BECAME_REQUIRED = "became_required"
    BECAME_OPTIONAL = "became_optional"
    NULL_ALLOWED = "null_allowed"
    WIDENED = "widened"
    NARROWED = "narrowed"
    TYPE_CHANGED = "type_changed"
    FORMAT_CHANGED = "format_changed"
    KEY_CHANGED = "key_changed"
    CURSOR_CHANGED = "cursor_changed"


_HARMS_READERS = frozenset({ChangeKind.FIELD_REMOVED, ChangeKind.TYPE_CHANGED, ChangeKind.FORMAT_CHANGED})
_HARMS_KEYS = _HARMS_READERS | {ChangeKind.BECAME_OPTIONAL, ChangeKind.NULL_ALLOWED, ChangeKind.WIDENED}
_HARMS_ALWAYS = frozenset({ChangeKind.KEY_CHANGED, ChangeKind.CURSOR_CHANGED})


@dataclass(frozen=True, slots=True)
class Change:
    """One change at one place.

    Attributes:
        kind: What kind.
        path: Where, as mappings write paths; `$` is the record or the stream as a whole.
        before: What stood there, in words.
        after: What stands there now.
        is_read: Whether the flow reads the place.
        is_breaking: Whether going on as before would harm data.
    """

    kind: ChangeKind
    path: str
    before: str
    after: str
    is_read: bool = True
    is_breaking: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.kind.value.replace('_', ' ')}, {self.before} → {self.after}"


class Reads:
    """What a flow reads of a record.

    Args:
        paths: As mappings write them; None stands for everything.
        keys: Paths of key and cursor, which are always read.
    """

    def __init__(self, paths: Iterable[str] | None, keys: Iterable[str] = ()) -> None:
        self._keys = [_parsed(path) for path in keys]
        self._paths = None if paths is None else [*map(_parsed, paths), *self._keys]

    def reads(self, path: Path) -> bool:
        """Tell whether the place, something in it, or something around it is read."""
        return self._paths is None or any(_touch(path, read) for read in self._paths)

    def identifies(self, path: Path) -> bool:
        """Tell whether key or cursor lie there."""
        return any(_touch(path, key) for key in self._keys)


def _parsed(text: str) -> Path:
    try:
        return tuple(EACH if isinstance(part, int) else part for part in parse_path(text))
    except PathInvalid:
        return (text,)


def _touch(one: Path, other: Path) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))


def compare(
    old: Shape, new: Shape, reads: Reads, *, is_inferred: bool = False, tells_removals: bool = True
) -> list[Change]:
    """What changes from one shape to another, in the order of the places.

    Args:
        old: What was known.
        new: What is now.
        reads: What the flow reads.
        is_inferred: The new shape was seen in some records only, so that what it lacks may still come:
            only what is new in it counts, and members that were always there and are in none.
        tells_removals: There were records enough to tell from a missing member that it is gone.
    """
    comparison = _Comparison(reads, is_inferred=is_inferred, tells_removals=tells_removals)
    comparison.place((), old, new)
    return comparison.found


class _Comparison:
    def __init__(self, reads: Reads, *, is_inferred: bool, tells_removals: bool) -> None:
        self._reads = reads
        self._is_inferred = is_inferred
        self._tells_removals = tells_removals
        self.found: list[Change] = []

    def place(self, path: Path, old: Shape, new: Shape) -> None:
        """Compare one place and what lies in it."""
        if old == new:
            return
        self._types(path, old, new)
        self._details(path, old, new)
        if "object" in old.types and "object" in new.types and not (old.is_open or new.is_open):
            self._members(path, old, new)
        if old.items is not None and new.items is not None:
            self.place((*path, EACH), old.items, new.items)

    def _note(self, kind: ChangeKind, path: Path, before: str, after: str) -> None:
        harms = (
            _HARMS_KEYS
            if self._reads.identifies(path)
            else _HARMS_READERS
            if self._reads.reads(path)
            else frozenset()
        )
        self.found.append(
            Change(kind, format_path(path), before, after, self._reads.reads(path), kind in harms)
        )

    def _types(self, path: Path, old: Shape, new: Shape) -> None:
        before, after = old.types, new.types
        if before == after or not before:
            if before != after and not self._is_inferred:
                self._note(ChangeKind.NARROWED, path, describe(old), describe(new))
            return
        if not after:
            if not self._is_inferred:
                self._note(ChangeKind.TYPE_CHANGED, path, describe(old), describe(new))
            return
        added = after - before
        if "number" in before:
            added -= {"integer"}
        grows = "integer" in before and "number" in added
        if grows:
            added -= {"number"}
        if added - {"null"} and before != {"null"}:
            kind = ChangeKind.TYPE_CHANGED
        elif "null" in added:
            kind = ChangeKind.NULL_ALLOWED
        elif grows or added:
            kind = ChangeKind.WIDENED
        elif not self._is_inferred:
            kind = ChangeKind.NARROWED
        else:
            return
        self._note(kind, path, describe(old), describe(new))

    def _details(self, path: Path, old: Shape, new: Shape) -> None:
        """Format, values and length, which only a declared schema tells."""
        if self._is_inferred or not old.types & new.types:
            return
        if old.form != new.form:
            kind = ChangeKind.FORMAT_CHANGED if old.form else ChangeKind.NARROWED
            self._note(kind, path, describe(old), describe(new))
        if old.allowed != new.allowed:
            is_wider = new.allowed is None or (old.allowed is not None and bool(new.allowed - old.allowed))
            kind = ChangeKind.WIDENED if is_wider else ChangeKind.NARROWED
            self._note(kind, path, _values(old.allowed), _values(new.allowed))
        if old.longest != new.longest:
            is_wider = new.longest is None or (old.longest is not None and new.longest > old.longest)
            kind = ChangeKind.WIDENED if is_wider else ChangeKind.NARROWED
            self._note(kind, path, _length(old.longest), _length(new.longest))

    def _members(self, path: Path, old: Shape, new: Shape) -> None:
        for name, member in new.members.items():
            known = old.members.get(name)
            here = (*path, name)
            if known is None:
                self._note(ChangeKind.FIELD_ADDED, here, ABSENT, describe(member))
                continue
            if name in old.required and name not in new.required:
                self._note(ChangeKind.BECAME_OPTIONAL, here, "always there", "not always there")
            elif name in new.required and name not in old.required and not self._is_inferred:
                self._note(ChangeKind.BECAME_REQUIRED, here, "not always there", "always there")
            self.place(here, known, member)
        for name, member in old.members.items():
            counts = (name in old.required and self._tells_removals) or not self._is_inferred
            if name not in new.members and counts:
                self._note(ChangeKind.FIELD_REMOVED, (*path, name), describe(member), ABSENT)


def describe(shape: Shape) -> str:
    """A shape in a few words: `string (date-time) or null`."""
    names = sorted(shape.types - {"null"}) + (["null"] if "null" in shape.types else [])
    form = f" ({shape.form})" if shape.form else ""
    return " or ".join(f"{name}{form}" if name == "string" else name for name in names) or "anything"


def _values(allowed: frozenset[str] | None) -> str:
    if allowed is None:
        return "any value"
    shown: Sequence[str] = sorted(allowed)
    more = f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
    return f"one of {', '.join(shown[:_MOST_SHOWN])}{more}"


def _length(longest: int | None) -> str:
    return "any length" if longest is None else f"at most {longest} characters"


def moved(kind: ChangeKind, before: Sequence[str], after: Sequence[str]) -> Change:
    """The change of a stream's key or cursor, which always harms."""
    old, new = ", ".join(before) or "none", ", ".join(after) or "none"
    return Change(kind, "$", old, new, is_read=True, is_breaking=kind in _HARMS_ALWAYS)


__all__ = ["ABSENT", "Change", "ChangeKind", "Reads", "compare", "describe", "moved"]
