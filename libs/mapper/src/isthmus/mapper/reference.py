"""The function library as documentation."""

from __future__ import annotations

import json

from isthmus.mapper.functions import FUNCTIONS, REQUIRED, Function

_GROUPS = {
    "text": "Text",
    "numbers": "Numbers",
    "dates": "Points in time and days",
    "checks": "Checks and what is made of them",
    "lists": "Lists, objects, JSON",
    "conversions": "Conversions",
}


def function_reference() -> str:
    """Markdown tables of all functions, with the examples that run as tests."""
    parts = []
    for group, title in _GROUPS.items():
        rows = [_row(function) for function in FUNCTIONS.values() if function.group == group]
        head = f"### {title}\n\n| function | does | example | from | to |\n| --- | --- | --- | --- | --- |"
        parts.append("\n".join((head, *rows)))
    return "\n\n".join(parts)


def _row(function: Function) -> str:
    example = function.example
    names = ", ".join(p.name if p.default is REQUIRED else f"{p.name}?" for p in function.params)
    signature = f"{function.name}: {names}" if names else function.name
    cells = (f"`{signature}`", function.doc, *map(_code, (example.step, example.given, example.result)))
    return f"| {' | '.join(cells)} |"


def _code(value: object) -> str:
    text = value if isinstance(value, str) and value.isidentifier() else json.dumps(value, ensure_ascii=False)
    short = text if len(text) <= 70 else text[:66] + "…"
    return "`" + short.replace("|", "\\|") + "`"
