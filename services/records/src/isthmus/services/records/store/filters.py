"""Turns a filter into SQL over `doc`, a record's content as jsonb; every value is a parameter."""

import json
from typing import Any

from isthmus.services.records.domain.filters import All, Comparison, Filter, Not, Number, Present, Some


class FilterSql:
    """A condition and its parameters.

    Every condition is true or false, never NULL, so that NOT means what it says: a field that is
    missing, or of another type than the value, does not match.
    """

    def __init__(self, parsed: Filter | None) -> None:
        self.values: dict[str, Any] = {}
        self.condition = self._of(parsed) if parsed else ""

    def _of(self, term: Filter) -> str:
        match term:
            case All(terms):
                return "(" + " AND ".join(map(self._of, terms)) + ")"
            case Some(terms):
                return "(" + " OR ".join(map(self._of, terms)) + ")"
            case Not(inner):
                return f"(NOT {self._of(inner)})"
            case Comparison():
                return self._comparison(term)

    def _bind(self, value: object) -> str:
        name = f"f{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def _comparison(self, term: Comparison) -> str:
        path = f"CAST({self._bind(list(term.path))} AS text[])"
        field = f"(doc #> {path})"
        match term.operator:
            case "=":
                return self._equal(field, term)
            case "!=":
                return f"(NOT {self._equal(field, term)})"
            case ":":
                return self._has(field, path, term)
            case _:
                return self._ordered(field, path, term)

    def _equal(self, field: str, term: Comparison) -> str:
        if term.value is None:
            return f"(COALESCE(jsonb_typeof({field}), 'null') = 'null')"
        return f"COALESCE({field} = {self._json(term)}, false)"

    def _ordered(self, field: str, path: str, term: Comparison) -> str:
        if isinstance(term.value, Number):
            kind, comparison = "number", f"{field} {term.operator} {self._json(term)}"
        else:
            text = f"CAST({self._bind(term.value)} AS text)"
            kind, comparison = "string", f'(doc #>> {path}) COLLATE "C" {term.operator} {text}'
        return f"(CASE WHEN jsonb_typeof({field}) = '{kind}' THEN {comparison} ELSE false END)"

    def _has(self, field: str, path: str, term: Comparison) -> str:
        if isinstance(term.value, Present):
            return f"(COALESCE(jsonb_typeof({field}), 'null') <> 'null')"
        value = self._json(term)
        inside = f"WHEN 'array' THEN {field} @> jsonb_build_array({value})"
        if not isinstance(term.value, str):
            return f"COALESCE(CASE jsonb_typeof({field}) {inside} ELSE {field} = {value} END, false)"
        text = f"CAST({self._bind(term.value)} AS text)"
        return (
            f"(CASE jsonb_typeof({field}) {inside} WHEN 'string' THEN strpos(doc #>> {path}, {text}) > 0"
            f" WHEN 'object' THEN jsonb_exists({field}, {text}) ELSE false END)"
        )

    def _json(self, term: Comparison) -> str:
        text = term.value.text if isinstance(term.value, Number) else json.dumps(term.value)
        return f"CAST({self._bind(text)} AS jsonb)"


__all__ = ["FilterSql"]
