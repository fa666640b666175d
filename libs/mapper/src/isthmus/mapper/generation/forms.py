"""What generated code knows of the record it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.generation.lines import Lines
from isthmus.mapper.paths import Path, reader
from isthmus.mapper.shapes import Shape


@dataclass(frozen=True, slots=True)
class Form:
    """What `r` is known to be.

    Attributes:
        is_object: Whether it is an object for sure, as a dictionary or as a struct.
        shape: The places of the struct it is; `None` for a dictionary.
    """

    is_object: bool
    shape: Shape | None = None

    def direct(self, path: Path, lines: Lines) -> str | None:
        """An expression for a member of the record; `None` where reading takes more than that."""
        if self.shape is not None:
            attributes, rest = self.shape.walk(path)
            if rest or len(attributes) > 2:
                return None
            outer, *inner = (f"r.{attribute}" for attribute in attributes)
            if self.shape.tells_missing_at(path):
                return None if inner else f"(None if {outer} is unset else {outer})"
            return f"(None if {outer} is None else {outer}{inner[0][1:]})" if inner else outer
        if not self.is_object or len(path) != 1 or not isinstance(path[0], str):
            return None
        return f"r.get({lines.bind(path[0])})"

    @property
    def is_decoded(self) -> bool:
        """Whether the record comes from a decoder, which leaves no half characters in its texts."""
        return self.shape is not None

    @property
    def reader(self) -> Callable[[Path], Callable[[Any], Any]]:
        """Gives the function that reads a path of such a record."""
        return reader if self.shape is None else self.shape.reader


ANYTHING = Form(is_object=False)
OBJECT = Form(is_object=True)
