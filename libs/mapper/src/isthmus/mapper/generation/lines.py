"""The source under construction and the objects its identifiers stand for."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
from isthmus.mapper import ruling, runtime, splitting
from isthmus.mapper.casts import bounded
from isthmus.mapper.cel.limits import MAX_COST
from isthmus.mapper.errors import RecordRejected, Refusal
from isthmus.mapper.paths import member
from isthmus.mapper.values import clean, is_unicode, text_of

_FIXED: dict[str, Any] = {
    "__builtins__": {},
    "as_record": runtime.as_record,
    "bounded": bounded,
    "boolean": bool,
    "broken": ruling.broken,
    "carry": runtime.carry,
    "clean": clean,
    "concat": runtime.concat,
    "dictionary": dict,
    "failed": runtime.failed,
    "integer": int,
    "is_unicode": is_unicode,
    "items": runtime.items,
    "member": member,
    "missing": runtime.missing,
    "moment_text": runtime.moment_text,
    "number": float,
    "Problem": Exception,
    "Refusal": Refusal,
    "Rejected": RecordRejected,
    "read_iso": datetime.fromisoformat,
    "parts": splitting.parts,
    "rejected_by_filter": runtime.rejected_by_filter,
    "size": len,
    "text": str,
    "text_of": text_of,
    "trim": runtime.trim,
    "unsplit": splitting.unsplit,
    "unset": msgspec.UNSET,
    "Wrong": ValueError,
}


METER = f"m or (m := [0, {MAX_COST}])"
"""The meter of the record: its size so far, and what loops may still cost; most are mapped without one."""


class Lines:
    """Lines of code with their indentation, and the namespace they run in."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = dict(_FIXED)
        self._lines: list[str] = []
        self._depth = 0
        self._count = 0
        self._names: dict[tuple[str, int], str] = {}
        self._kept: list[Any] = []
        self.known: dict[object, str] = {}
        """Local names of the function under construction that hold what several expressions read."""
        self.pending: set[Hashable] = set()
        """What will be known once the expression under construction has been evaluated."""
        self.is_guarded = True
        """Whether an expression that fails is evaluated again where it stands; else all of the record is."""

    def name(self, prefix: str) -> str:
        """A fresh identifier."""
        self._count += 1
        return f"{prefix}{self._count}"

    def bind(self, thing: Any, prefix: str = "k") -> str:
        """The identifier under which generated code finds an object."""
        mark = ("text", thing) if isinstance(thing, str) else (prefix, id(thing))
        known = self._names.get(mark)  # type: ignore[arg-type]
        if known is None:
            if thing.__class__ is str:
                # Names of members are found by identity where they were interned as well.
                thing = sys.intern(thing)
            known = self.name(prefix)
            self._names[mark] = known  # type: ignore[index]
            self._kept.append(thing)
            self.namespace[known] = thing
        return known

    def add(self, *lines: str) -> None:
        """Adds lines at the present depth."""
        self._lines += ["    " * self._depth + line for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Adds a line and indents what follows inside the context."""
        self.add(head)
        self._depth += 1
        yield
        self._depth -= 1

    @contextmanager
    def apart(self) -> Iterator[list[str]]:
        """Gathers the lines added inside the context, for `same` or `deeper` to add."""
        outer, gathered = self._lines, list[str]()
        self._lines = gathered
        try:
            yield gathered
        finally:
            self._lines = outer

    def same(self, gathered: list[str]) -> None:
        """Adds gathered lines as deep as they were written."""
        self._lines += gathered

    def deeper(self, gathered: list[str]) -> None:
        """Adds gathered lines inside the block that has been begun since."""
        self._lines += ["    " + line for line in gathered]

    @contextmanager
    def function(self, head: str) -> Iterator[None]:
        """Writes a function of its own; it goes in front of the one under construction."""
        outer, depth, known, is_guarded = self._lines, self._depth, self.known, self.is_guarded
        self._lines, self._depth, self.known, self.is_guarded = [], 0, {}, True
        with self.block(head):
            yield
        self._lines, self._depth, self.known = self._lines + outer, depth, known
        self.is_guarded = is_guarded

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Forgets after the context what is known in it, because it is not run for every record."""
        known = dict(self.known)
        yield
        self.known = known

    def function_named(self, name: str) -> Any:
        """Runs the lines and gives one of the functions that they define."""
        # The source is made of this package's templates around generated identifiers; it sees no builtins.
        exec(compile(self.source(), "<isthmus mapping>", "exec"), self.namespace)  # noqa: S102
        return self.namespace[name]

    def source(self) -> str:
        """All lines as Python source."""
        return "\n".join(self._lines) + "\n"
