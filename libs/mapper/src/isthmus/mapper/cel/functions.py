"""Functions of this product for expressions, besides those of the language.

A function is declared once: the library checks calls by its signature, both evaluators call the same
Python function, and documentation and tests are made from its sentence and its example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.cel.builtins import Builtin


@dataclass(frozen=True, slots=True)
class OwnFunction:
    """One function.

    Attributes:
        name: What expressions call it; a dot makes a namespace.
        parameters: CEL types of the operands, the target first.
        returns: CEL type of the result.
        call: Takes values as `isthmus.mapper.cel.values` tells; it checks their types and never changes them.
        summary: One sentence that says what it gives.
        example: An expression and its value.
        is_member: Whether the first operand stands in front of a dot.
    """

    name: str
    parameters: tuple[str, ...]
    returns: str
    call: Callable[..., Any]
    summary: str
    example: tuple[str, Any]
    is_member: bool = False

    @property
    def builtin(self) -> Builtin:
        """How generated code calls it; what it costs is not known, so it counts as heavy."""
        return Builtin(self.call, self.returns, is_heavy=True)


OWN: tuple[OwnFunction, ...] = ()
"""All of them; whatever is added here is known to every expression."""
