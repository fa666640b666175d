"""The functions that steps may call."""

from isthmus.mapper.functions import (
    checks,
    conversions,
    dates,
    hashing,
    lists,
    network,
    numbers,
    regexes,
    text,
)
from isthmus.mapper.functions.registry import FUNCTIONS, REQUIRED, Example, Function, Param

__all__ = [
    "FUNCTIONS",
    "REQUIRED",
    "Example",
    "Function",
    "Param",
    "checks",
    "conversions",
    "dates",
    "hashing",
    "lists",
    "network",
    "numbers",
    "regexes",
    "text",
]
