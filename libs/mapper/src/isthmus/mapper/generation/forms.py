"""What generated code knows of the record it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from isthmus.mapper.generation.lines import METER, Lines
from isthmus.mapper.paths import Path, into_record, reader
from isthmus.mapper.shapes import Shape


@dataclass(frozen=True, slots=True)
class Form:
    """What the object is known to be that is read.

    Attributes:
        is_object: Whether it is an object for sure, as a dictionary or as a struct.
        shape: The places of the struct it is; `None` for a dictionary.
        name: What generated code calls it.
        record: The record around it, where it is an element and that is read as well.
    """

    is_object: bool
    shape: Shape | None = None
    name: str = "r"
    record: Form | None = None

    def located(self, path: Path) -> tuple[Form, Path]:
        """What a path is read from, and the path there."""
        inside = into_record(path)
        return (self, path) if inside is None or self.record is None else (self.record, inside)

    @property
    def whole(self) -> Form:
        """The record, be it this or around this."""
        return self if self.record is None else self.record

    @property
    def parameters(self) -> str:
        """What functions take that are written for parts of a value."""
        return "r, t, m" if self.record is None else f"r, t, m, {self.record.name}"

    @property
    def arguments(self) -> str:
        """What they are given."""
        return f"r, t, {METER}" if self.record is None else f"r, t, {METER}, {self.record.name}"

    def direct(self, path: Path, lines: Lines) -> str | None:
        """An expression for a member of the record; `None` where reading takes more than that."""
        form, inside = self.located(path)
        if form is not self:
            return form.direct(inside, lines)
        if self.shape is not None:
            attributes, rest = self.shape.walk(path)
            if rest or not attributes or len(attributes) > 2:
                return None
            outer, *inner = (f"{self.name}.{attribute}" for attribute in attributes)
            if self.shape.tells_missing_at(path):
                return None if inner else f"(None if {outer} is unset else {outer})"
            return (
                f"(None if {outer} is None else {outer}{inner[0].removeprefix(self.name)})"
                if inner
                else outer
            )
        if not self.is_object or len(path) != 1 or not isinstance(path[0], str):
            return None
        return f"{self.name}.get({lines.bind(path[0])})"

    @property
    def is_decoded(self) -> bool:
        """Whether the record comes from a decoder, which leaves no half characters in its texts."""
        return self.shape is not None

    @property
    def reader(self) -> Callable[[Path], Callable[[Any], Any]]:
        """Gives the function that reads a path of such a record."""
        return reader if self.shape is None else self.shape.reader

    def reader_from_element(self, path: Path) -> Callable[[Any], Any]:
        """The function that reads of the record what a path from an element inside it leads to."""
        return self.reader(into_record(path) or ())


def element_of(form: Form) -> Form:
    """What is known of the elements inside an object whose functions get the record around them."""
    return Form(is_object=False, record=replace(form.whole, name="q"))


ANYTHING = Form(is_object=False)
OBJECT = Form(is_object=True)
