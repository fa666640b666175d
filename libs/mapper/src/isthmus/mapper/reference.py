"""The function library as documentation: signatures of both forms, examples, tables."""

from __future__ import annotations

import json
from collections.abc import Iterable

from isthmus.mapper.functions import FUNCTIONS, REQUIRED, Function, Param
from isthmus.mapper.functions.scales import LEVELS, SCALES, Scale

AREAS = {
    "text": "Text",
    "regex": "Regular expressions",
    "numbers": "Numbers",
    "time": "Points in time, days and durations",
    "checks": "Checks and what is made of them",
    "lists": "Lists",
    "json": "Objects and JSON",
    "conversions": "Conversions and lookup",
    "units": "Units",
    "hashing": "Hashes",
    "network": "Addresses and networks",
    "url": "URLs",
    "identifiers": "Identifiers",
    "severity": "Severities",
    "cvss": "CVSS",
}
"""The chapters of the library, with their titles."""

_TAKES = {"time": "timestamp|string", "span": "duration|number", "array": "list", "object": "map"}
_GIVES = {"timestamp": "timestamp", "span": "duration", "array": "list", "object": "map", "date": "string"}
_ARGUMENTS = {
    "text": "string",
    "texts": "string|list",
    "pattern": "string",
    "whole": "integer",
    "number": "number",
    "any": "any",
    "values": "list",
    "members": "map",
    "choice": "string",
    "zone": "string",
    "time": "timestamp|string",
    "format": "string",
    "formats": "string|list",
}


def step_signature(function: Function) -> str:
    """How a step is written: its name, and its arguments, of which those with `?` may be left out."""
    names = ", ".join(_optional(param, param.name) for param in function.params)
    return f"{function.name}: {names}" if names else function.name


def expression_signature(function: Function) -> str:
    """How an expression calls it, with types; empty where it has no form for expressions."""
    if not function.cel:
        return ""
    first = _TAKES.get(function.takes, function.takes)
    rest = (f"{_optional(param, param.name)}: {_ARGUMENTS[param.kind]}" for param in function.params)
    gives = _GIVES.get(function.returns, function.returns) + ("|null" if function.nullable else "")
    return f"{function.cel}({', '.join((first, *rest))}) → {gives}"


def _optional(param: Param, name: str) -> str:
    return name if param.default is REQUIRED else f"{name}?"


def expression_example(function: Function) -> str:
    """The first example of a function as an expression; empty where it has no form for expressions."""
    example = function.example
    if not function.cel or example.given is None:
        return ""
    step = example.step
    arguments = [] if isinstance(step, str) else _positional(function, step[function.name])
    return f"{function.cel}({', '.join(map(_literal, (example.given, *arguments)))})"


def _positional(function: Function, raw: object) -> list[object]:
    if len(function.params) == 1 or not isinstance(raw, list | dict):
        return [raw]
    if isinstance(raw, list):
        return raw
    return [raw.get(param.name, param.default) for param in function.params[: _last(function, raw)]]


def _last(function: Function, raw: dict[str, object]) -> int:
    return 1 + max(place for place, param in enumerate(function.params) if param.name in raw)


def _literal(value: object) -> str:
    """JSON as an expression writes it, texts in single quotes."""
    if isinstance(value, str):
        inner = json.dumps(value, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
        return f"'{inner}'"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(held)}" for key, held in value.items()) + "}"
    return json.dumps(value)


def function_reference(functions: Iterable[Function] | None = None) -> str:
    """Markdown tables of functions by area, with the examples that run as tests.

    Args:
        functions: Which ones; all of the product by default.
    """
    shown = list(FUNCTIONS.values() if functions is None else functions)
    parts = []
    for area, title in AREAS.items():
        rows = [_row(function) for function in shown if function.area == area]
        if rows:
            head = "| step | in expressions | does | example | from | to |"
            parts.append("\n".join((f"### {title}\n", head, f"|{' --- |' * 6}", *rows)))
    return "\n\n".join(parts)


def scale_reference() -> str:
    """A Markdown table of the scales of severity: what each writes for the levels of OCSF."""
    head = "| scale | of | " + " | ".join(LEVELS) + " |"
    lines = [head, f"|{' --- |' * (len(LEVELS) + 2)}"]
    for name, scale in SCALES.items():
        cells = (_level_cell(scale, level) for level in range(len(LEVELS)))
        lines.append(f"| `{name}` | {scale.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _level_cell(scale: Scale, level: int) -> str:
    """What a scale reads and writes for a level; ranges by where they begin."""
    if level not in scale.values:
        return ""
    starts = [start for start, one in scale.ranges if one == level]
    return f"`{scale.values[level]}`" + (f" (from {starts[0]:g})" if starts else "")


def _row(function: Function) -> str:
    example = function.example
    expression = expression_signature(function)
    cells = (
        f"`{step_signature(function)}`",
        f"`{_cell(expression)}`" if expression else "",
        _cell(function.doc),
        *map(_code, (example.step, example.given, example.result)),
    )
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(value: object) -> str:
    text = value if isinstance(value, str) and value.isidentifier() else json.dumps(value, ensure_ascii=False)
    short = text if len(text) <= 70 else text[:66] + "…"
    return "`" + _cell(short) + "`"
