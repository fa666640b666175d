"""What the fields of a record are put into: a dictionary, at once or at the end, or a struct."""

from __future__ import annotations

from typing import Protocol

import msgspec
from isthmus.mapper.generation.forms import Form
from isthmus.mapper.generation.lines import METER, Lines
from isthmus.mapper.generation.values import Finish
from isthmus.mapper.limits import SHORT_TEXT, SMALL_TEXT
from isthmus.mapper.model import NOTHING, Block, Constant, Field, Items, Now, Source, Value
from isthmus.mapper.paths import Path

_IS_SHORT = f"size(v) <= {SHORT_TEXT}"
_IS_SMALL = f"{_IS_SHORT} and (v.isascii() or is_unicode(v))"
_IS_SCALAR = (
    "v.__class__ is integer and -4294967296 < v < 4294967296 or v.__class__ is boolean"
    " or v.__class__ is number and -4294967296 < v < 4294967296"
)
"""Numbers of usual size and booleans, which like short texts are not charged."""


class Made(Protocol):
    """What the fields of a record are put into."""

    def slot(self, target: Path) -> str:
        """The place to assign to."""

    def absent(self, target: Path) -> str | None:
        """What leaves a field out; `None` where nothing is to be done for that."""

    def store(self, field: Field, slot: str, info: str, *, form: Form) -> Finish:
        """What puts the value of a field into its place."""


class Store:
    """Puts a value into its place, or notes that a required one is missing.

    `absent` is what to do where there is no value and none is needed; `None` for nothing.
    """

    def __init__(
        self, lines: Lines, field: Field, slot: str, info: str, absent: str | None, *, form: Form
    ) -> None:
        self.lines = lines
        self.field = field
        self.slot = slot
        self.info = info
        self.absent = absent
        self.form = form

    def found(self, *, is_text: bool) -> None:
        """Adds lines that store the value, checked where it may not be storable."""
        if is_clean(self.field.value):
            code = "v"
        elif self.form.is_object:
            small = _IS_SHORT if self.form.is_decoded and _is_as_read(self.field.value) else _IS_SMALL
            usual = small if is_text else f"v.__class__ is text and {small} or {_IS_SCALAR}"
            code = f"v if {usual} else clean(v, {METER})"
        else:
            code = f"clean(v, {METER})"
        self.lines.add(f"{self.slot} = {code}")

    def usual(self, test: str) -> None:
        """Adds the line that stores a value which is never null."""
        self.lines.add(f"{self.slot} = {f'v if {test} else clean(v, {METER})' if test else 'v'}")

    def missing(self) -> None:
        """Adds what null means for the field."""
        if self.field.required:
            self.lines.add(f"else: e = missing(e, {self.info})")
        elif self.field.keep_null:
            self.lines.add(f"else: {self.slot} = None")
        elif self.absent is not None:
            self.lines.add(f"else: {self.absent}")


def is_clean(value: Value) -> bool:
    """Whether the value needs no check before it is stored."""
    if not (value.default is NOTHING or _is_small(value.default)):
        return False
    if value.steps:
        return value.steps[-1].clean
    return isinstance(value.origin, Now | Items) or (
        isinstance(value.origin, Constant) and _is_small(value.origin.value)
    )


def _is_as_read(value: Value) -> bool:
    """Whether a text stands in the record as it is."""
    return isinstance(value.origin, Source) and not value.steps and value.default is NOTHING


def _is_small(value: object) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= SMALL_TEXT)
    )


class Dictionary:
    """A dictionary to be made, and the objects and lists in it, known before the first record comes."""

    def __init__(self, lines: Lines, block: Block) -> None:
        self.lines = lines
        self.names: dict[Path, str] = {(): "o"}
        self.sizes: dict[Path, int] = {}
        for field in block.fields:
            for depth in range(1, len(field.target)):
                part = field.target[depth]
                if isinstance(part, int):
                    prefix = field.target[:depth]
                    self.sizes[prefix] = max(self.sizes.get(prefix, 0), part + 1)

    def begin(self) -> None:
        """Adds the empty dictionary."""
        self.lines.add("o = {}")

    def absent(self, _target: Path) -> str | None:
        """What leaves a field out; `None` where nothing is to be done for that."""
        return None

    def store(self, field: Field, slot: str, info: str, *, form: Form) -> Finish:
        """What puts the value of a field into its place."""
        return Store(self.lines, field, slot, info, self.absent(field.target), form=form)

    def result(self) -> str:
        """The expression for what was made."""
        return "o"

    def slot(self, target: Path) -> str:
        """The place to assign to; containers on the way are made first."""
        for depth in range(1, len(target)):
            prefix = target[:depth]
            if prefix not in self.names:
                name = self.lines.name("d")
                empty = f"[None] * {self.sizes[prefix]}" if prefix in self.sizes else "{}"
                self.lines.add(f"{self._place(prefix)} = {name} = {empty}")
                self.names[prefix] = name
        return self._place(target)

    def finish(self) -> None:
        """Takes away containers that stayed empty, innermost first."""
        for prefix, name in reversed(list(self.names.items())):
            if not prefix:
                continue
            empty = f"not trim({name})" if prefix in self.sizes else f"not {name}"
            self.lines.add(f"if {empty}: {self._removal(prefix)}")

    def _removal(self, path: Path) -> str:
        return f"{self._place(path)} = None" if isinstance(path[-1], int) else f"del {self._place(path)}"

    def _place(self, path: Path) -> str:
        last = path[-1]
        index = str(last) if isinstance(last, int) else self.lines.bind(last)
        return f"{self.names[path[:-1]]}[{index}]"


class Row(Dictionary):
    """A struct to be made: its values wait in local names until all are known to be good."""

    def __init__(self, lines: Lines, block: Block, row_type: type[msgspec.Struct]) -> None:
        super().__init__(lines, block)
        self.row = lines.bind(row_type, "row")
        self.places: dict[Path, str] = {}

    def begin(self) -> None:
        """Adds nothing: a row is made at the end."""

    def absent(self, target: Path) -> str | None:
        """What leaves a field out."""
        return f"{self._place(target)} = unset" if len(target) == 1 else None

    def result(self) -> str:
        """The expression that makes the row."""
        return f"{self.row}({', '.join(self.places.values())})"

    def _place(self, path: Path) -> str:
        if len(path) > 1:
            return super()._place(path)
        if path not in self.places:
            self.places[path] = self.lines.name("o")
        return self.places[path]

    def _removal(self, path: Path) -> str:
        return self.absent(path) or super()._removal(path)
