"""Conditions outside of mappings, in the expressions of mappings: which events are meant, for example."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from isthmus.mapper.errors import Refusal

if TYPE_CHECKING:
    from isthmus.mapper.cel.expression import CelExpression

__all__ = ["ConditionInvalid", "check_condition", "holds"]

_KEPT = 512


class ConditionInvalid(ValueError):
    """A text is no condition; the message says where and why."""


def check_condition(text: str, variable: str) -> None:
    """Compile a condition.

    Args:
        text: CEL, with true or false as its result.
        variable: What it calls the value that it is about; it also knows `now`.

    Raises:
        ConditionInvalid: It is none.
    """
    _compiled(text, variable)


def holds(text: str, variable: str, value: Any, now: datetime) -> bool:
    """Whether a condition holds for a JSON value; one that has no result for it does not hold.

    Raises:
        ConditionInvalid: It is none.
    """
    try:
        return _compiled(text, variable).holds(value, now)
    except Refusal:
        return False


@lru_cache(maxsize=_KEPT)
def _compiled(text: str, variable: str) -> CelExpression:
    # The library that checks expressions takes 20 MB; whoever has no condition does without.
    from isthmus.mapper.cel.environment import ExpressionInvalid, environment
    from isthmus.mapper.cel.expression import NOW, CelExpression

    try:
        checked = environment(((variable, "dyn"), (NOW, "timestamp"))).check(text)
    except ExpressionInvalid as invalid:
        first = invalid.mistakes[0]
        where = f"At line {first.line}, character {first.column}: " if first.line else ""
        hint = f" A condition knows {variable!r} and 'now'." if "undeclared" in first.message else ""
        raise ConditionInvalid(f"{where}{first.message.rstrip('.')}.{hint}") from invalid
    if checked.result not in {"bool", "dyn"}:
        raise ConditionInvalid(
            f"A condition is true or false; this is of type {checked.result}: compare it with something."
        )
    return CelExpression(checked, variable)
