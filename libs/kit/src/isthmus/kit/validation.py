"""Checks of request fields that report everything wrong at once.

with validating() as check:
check.text("name", request.name, longest=200)
check.enum("mode", request.mode)
rules = check.json("definition", request.definition)
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from isthmus.resilience.faults import FixRequest, Violation

_DEEPEST = 64


class Check:
    """Collects violations; the request is refused once, with all of them."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, path: str, reason: str, message: str) -> None:
        """Note one violation found by the caller's own rule."""
        self.violations.append(Violation(path, reason, message))

    def text(
        self, path: str, value: str, *, required: bool = True, longest: int = 1000, lines: bool = False
    ) -> None:
        """Check that a text is there, not too long, and free of control characters.

        Args:
            path: The field.
            value: What was sent.
            required: Whether empty or blank is wrong.
            longest: Most characters allowed.
            lines: Whether line breaks and tabs are allowed.
        """
        if required and not value.strip():
            self.add(path, "REQUIRED", f"Set `{path}`; it is empty.")
        if len(value) > longest:
            self.add(path, "TOO_LONG", f"Shorten `{path}` to {longest} characters; it has {len(value)}.")
        allowed = "\n\r\t" if lines else ""
        if any(letter not in allowed and (letter < " " or letter == "\x7f") for letter in value):
            self.add(path, "CONTROL_CHARACTER", f"Remove the control characters from `{path}`.")

    def enum(self, path: str, value: int, *, known: Iterable[int] = ()) -> None:
        """Check that an enum is set (not 0) and, when `known` is given, a value this build knows."""
        allowed = frozenset(known)
        if value == 0:
            self.add(path, "REQUIRED", f"Choose a value for `{path}`; it is unspecified.")
        elif allowed and value not in allowed:
            self.add(
                path, "UNKNOWN_VALUE", f"`{path}` has the value {value}, which this version does not know."
            )

    def within(self, path: str, value: float, *, least: float, most: float) -> None:
        """Check that a number lies in a range, both ends included."""
        if not least <= value <= most:
            self.add(path, "OUT_OF_RANGE", f"Use {least} to {most} for `{path}`.")

    def count(self, path: str, values: Iterable[object], *, most: int, least: int = 0) -> None:
        """Check how many elements a repeated field has."""
        number = len(list(values))
        if not least <= number <= most:
            self.add(path, "WRONG_COUNT", f"Send {least} to {most} elements in `{path}`, not {number}.")

    def json(self, path: str, value: str | bytes, *, empty: Any = None) -> Any:
        """Parse a field that carries a JSON object; what PostgreSQL's jsonb refuses is a violation.

        Args:
            path: The field.
            value: The document.
            empty: Returned when the field is empty; an empty object by default.

        Returns:
            The object, or an empty one when it is wrong.
        """
        if not value:
            return {} if empty is None else empty
        try:
            document = json.loads(value, parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError) as error:
            where = (
                f" (line {error.lineno}, column {error.colno})"
                if isinstance(error, json.JSONDecodeError)
                else ""
            )
            self.add(path, "JSON_INVALID", f"Send valid JSON in `{path}`{where}.")
            return {}
        if not isinstance(document, dict):
            self.add(path, "JSON_NOT_AN_OBJECT", f"Send a JSON object in `{path}`.")
            return {}
        trouble = unstorable(document)
        if trouble:
            self.add(path, "JSON_UNSTORABLE", f"`{path}` {trouble}.")
            return {}
        return document

    def finish(self) -> None:
        """Refuse the request when anything was wrong with it.

        Raises:
            FixRequest: `FIELD_INVALID` with all violations.
        """
        if self.violations:
            first = self.violations[0]
            more = len(self.violations) - 1
            message = first.message if not more else f"{first.message} And {more} more; see the violations."
            raise FixRequest("FIELD_INVALID", message, path=first.path, violations=self.violations)


@contextmanager
def validating() -> Iterator[Check]:
    """Collect violations inside the block and refuse the request at its end when there are any."""
    check = Check()
    yield check
    check.finish()


def unstorable(document: object, depth: int = 0) -> str:
    """Say why jsonb would refuse this value, or return an empty string.

    PostgreSQL refuses NUL characters and lone surrogates in text, and very deep nesting.
    """
    if depth > _DEEPEST:
        return f"is nested deeper than {_DEEPEST} levels"
    if isinstance(document, str):
        if "\0" in document:
            return "contains a NUL character"
        return "contains half a character (a lone surrogate)" if _has_surrogate(document) else ""
    if isinstance(document, dict):
        return _first_trouble([*document.keys(), *document.values()], depth)
    return _first_trouble(document, depth) if isinstance(document, list) else ""


def _first_trouble(values: Iterable[object], depth: int) -> str:
    return next(filter(None, (unstorable(value, depth + 1) for value in values)), "")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(text)
    return number


__all__ = ["Check", "unstorable", "validating"]
