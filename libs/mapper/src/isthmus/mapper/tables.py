"""Lookup tables: from the words of one system to the words of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.mapper.errors import Refusal
from isthmus.mapper.values import kind_of, sentence, text_of

OTHERWISE = ("reject", "keep", "null")


@dataclass(frozen=True, slots=True)
class Table:
    """Entries by text, and what becomes of a value that has none.

    Attributes:
        entries: Results by key; keys are texts because JSON knows no others.
        otherwise: `reject`, `keep` (the value itself), `null`, or `default`.
        default: The result for unknown values where `otherwise` is `default`.
        ignore_case: Whether `High` finds the entry `high`.
    """

    entries: dict[str, Any]
    otherwise: str = "reject"
    default: Any = None
    ignore_case: bool = False

    @property
    def outcomes(self) -> tuple[Any, ...] | None:
        """Every result the table can give, or `None` where unknown values pass through."""
        if self.otherwise == "keep":
            return None
        fallback = (self.default,) if self.otherwise == "default" else ()
        return (*self.entries.values(), *fallback)

    def lookup(self) -> Callable[[Any], Any]:
        """The function that looks a value up."""
        entries = (
            {k.casefold(): v for k, v in self.entries.items()} if self.ignore_case else dict(self.entries)
        )
        otherwise, default, fold = self.otherwise, self.default, self.ignore_case

        def unknown(value: Any) -> Any:
            if otherwise == "default":
                return default
            if otherwise == "keep":
                return value
            if otherwise == "null":
                return None
            raise Refusal(
                "VALUE_NOT_IN_TABLE",
                "The table has no entry for the value; add one or give the table a default.",
            )

        def look(value: Any) -> Any:
            if value.__class__ is int and not fold:
                key = text_of(value)
                return entries[key] if key in entries else unknown(value)
            if isinstance(value, list | dict):
                raise Refusal("NOT_TEXT", sentence(f"{kind_of(value)} cannot be looked up in a table."))
            key = text_of(value).casefold() if fold else text_of(value)
            return entries[key] if key in entries else unknown(value)

        return look
