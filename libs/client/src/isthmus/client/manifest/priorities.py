"""Priorities in words and numbers."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

_LEVELS = {"low": -100, "normal": 0, "high": 100}
_WORDS = {number: word for word, number in _LEVELS.items()}


def priority_number(priority: str | int) -> int:
    """Gives the number that a priority stands for."""
    return _LEVELS[priority] if isinstance(priority, str) else priority


def priority_word(number: int) -> Any:
    """Gives the word for a number that has one, else the number."""
    return _WORDS.get(number, number)


def _spelled_one_way(priority: Any) -> Any:
    return priority_word(priority_number(priority))


PriorityWord = Annotated[
    Literal["low", "normal", "high"] | Annotated[int, Field(ge=-1000, le=1000)],
    AfterValidator(_spelled_one_way),
]

__all__ = ["PriorityWord", "priority_number", "priority_word"]
