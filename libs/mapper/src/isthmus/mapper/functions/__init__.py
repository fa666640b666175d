"""The functions that steps and expressions may call."""

from isthmus.mapper.functions import (
    checks,
    conversions,
    cvss,
    dates,
    hashing,
    identifiers,
    lists,
    network,
    numbers,
    products,
    regexes,
    severity,
    text,
    urls,
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
    "cvss",
    "dates",
    "hashing",
    "identifiers",
    "lists",
    "network",
    "numbers",
    "products",
    "regexes",
    "severity",
    "text",
    "urls",
]
