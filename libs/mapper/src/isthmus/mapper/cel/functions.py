"""Functions of this product for expressions, besides those of the language.

A function is declared once: the library checks calls by its signature, both evaluators call the same
Python function, and documentation and tests are made from its sentence and its example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.cel.builtins import Builtin
from isthmus.mapper.cel.values import Failed
from isthmus.mapper.errors import Refusal
from isthmus.mapper.functions import FUNCTIONS


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


def step(name: str) -> Callable[[Any], Any]:
    """A function of one operand that does what the step of that name does in a mapping."""
    call = FUNCTIONS[name].build()

    def called(value: Any) -> Any:
        try:
            return call(value)
        except Refusal as refusal:
            raise Failed(refusal.message) from None

    return called


OWN: tuple[OwnFunction, ...] = (
    OwnFunction(
        name="hash.sha256",
        parameters=("string",),
        returns="string",
        call=step("sha256"),
        summary="The SHA-256 of the text's UTF-8 bytes in hexadecimal, for stable ids.",
        example=("hash.sha256('')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ),
)
"""All of them; whatever is added here is known to every expression."""
