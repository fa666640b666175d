"""Damaged expressions and definitions give a result or a precise error, whatever the damage.

`ISTHMUS_FUZZ` asks for more attempts than a usual run makes, `ISTHMUS_SEED` for others.
"""

import copy
import os
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from isthmus.mapper import MappingInvalid, RecordRejected, compile_mapping
from isthmus.mapper.cel.environment import ExpressionInvalid, environment
from isthmus.mapper.cel.program import compile_expression
from isthmus.mapper.cel.values import Failed, OverLimit
from isthmus.mapper.inversion import invert_mapping, round_trips
from isthmus.mapper.plan import Batches

ATTEMPTS = int(os.environ.get("ISTHMUS_FUZZ") or 250)
SEED = int(os.environ.get("ISTHMUS_SEED") or 1)
PAGES = Path(__file__).parents[3] / "docs"
EXPRESSIONS = [
    "record.a + 'x' == record.b[0] ? {'k': [1, 2u, -3.5e2]} : record.?c.orValue(null)",
    "record.l.filter(e, e.startsWith('a') && has(e.b)).map(e, e.b + 1).exists(x, x > 2)",
    "cel.bind(n, size(record.s), n * n + int('7') % 3) in [1, 2] || !record.t",
    "'%s %.2f'.format([record.s, 1.0]) + record.s.replace('a', 'b').substring(1, 3)",
    "timestamp(record.w) - duration('90s') > now && record.s.matches('^(a|b)*$')",
    "b'\\x00\\xff' == bytes(record.s) || r'\\d' + \"\"\"q\"\"\" < record['__class__'].__init__",
]
PIECES = [
    *"()[]{}.,?:!+-*/%<>=&|'\"\\\n\t;#$@`~^_",
    "record",
    "null",
    "true",
    "has(",
    ".map(",
    ".all(x,",
    "'''",
    "b'",
    "u",
    "0x",
    "1e999",
    "9" * 40,
    "\\u0000",
    "\ud800",
    "é",
    "😀",
    "__class__",
    "cel.bind(a,",
    ".?",
    "[?",
    "((((",
    "!!!!",
    "----",
    "? :",
    "in",
    "//",
    "optional.of(",
]
RECORD = {
    "a": "a",
    "b": ["ax", 1],
    "c": None,
    "l": [{"b": 2}, "abc"],
    "s": "aab",
    "t": False,
    "w": "2026-01-31T12:00:00Z",
    "__class__": {"__init__": "x"},
}


def damaged(chance: random.Random, text: str) -> str:
    """The text with pieces taken out, doubled, or put in."""
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.randrange(8))
        kept = chance.choice(("", text[at:end] * 2, chance.choice(PIECES), chance.choice(PIECES) * 30))
        text = text[:at] + kept + text[end:]
    return text


def test_damaged_expressions_are_refused_or_evaluated() -> None:
    """Nothing but a value, a mistake with its place, a failure, or a limit comes of any text."""
    known = environment((("record", "dyn"), ("now", "timestamp")))
    for number in range(ATTEMPTS):
        chance = random.Random(f"{SEED} {number}")
        text = damaged(chance, chance.choice(EXPRESSIONS))
        told = ["a value"]
        try:
            program = compile_expression(known.check(text), {"record": "dyn", "now": "timestamp"})
            program.evaluate({"record": RECORD, "now": None})
        except ExpressionInvalid as invalid:
            told = [mistake.message for mistake in invalid.mistakes]
        except (Failed, OverLimit) as problem:
            told = [str(problem)]
        assert all(told), text


def definitions() -> list[dict[str, Any]]:
    """The definitions of the documentation's examples."""
    found = []
    for name in ("mapping.md", "expressions.md"):
        page = (PAGES / name).read_text(encoding="utf-8")
        for block in re.findall(r"```yaml\n(version: isthmus/v1\n.*?)```", page, re.DOTALL):
            found.append(next(iter(yaml.safe_load_all(block))))
    return found


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    "",
    "$",
    "a.b",
    "a[*].b",
    "$record.x",
    "__class__",
    "[0]",
    [],
    {},
    [[]],
    "lower",
    "keep",
    {"cast": "integer"},
    {"lookup": {"entries": {"a": 1, "b": 1}}},
    {"expression": "record.a"},
    {"source": "a"},
    ["trim", {"map": ["lower"]}],
    "record.x.y",
    "x" * 600,
    float("inf"),
    10**30,
    "\ud800",
    {"path": "a", "equals": 1},
]


def spoilt(chance: random.Random, definition: dict[str, Any]) -> dict[str, Any]:
    """A definition with parts of it taken out, exchanged, doubled, or nested."""
    whole: dict[str, Any] = {"definition": copy.deepcopy(definition)}
    for _ in range(chance.randrange(1, 5)):
        holder: Any = whole
        key: Any = "definition"
        while chance.random() < 0.85 and isinstance(holder[key], dict | list) and holder[key]:
            holder = holder[key]
            key = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
        if holder is whole:
            continue
        change = chance.randrange(4)
        if change == 0:
            del holder[key]
        elif change == 1:
            holder[key] = copy.deepcopy(chance.choice(VALUES))
        elif change == 2 and isinstance(holder, dict):
            holder[chance.choice(("source", "steps", "items", "when", "default", "cast", "x", "where"))] = (
                holder[key]
            )
        else:
            holder[key] = [holder[key]] if chance.random() < 0.5 else {"map": holder[key]}
    return dict(whole["definition"])


def test_damaged_definitions_compile_or_say_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """What compiles maps or rejects records, alone and together, and is inverted or says why not."""
    monkeypatch.setattr(Batches, "worth", 0)
    known, compiled, mistakes = definitions(), 0, list[bool]()
    for number in range(ATTEMPTS):
        chance = random.Random(f"{SEED} {number}")
        definition = spoilt(chance, chance.choice(known))
        try:
            plan = compile_mapping(definition)
        except MappingInvalid as invalid:
            mistakes.append(all(violation.message for violation in invalid.violations))
            continue
        compiled += 1
        records = [RECORD, {}, {"a": 1, "b": {}, "tags": "x"}]
        mapped = plan.apply_many(records)
        assert len(mapped.records) + len(mapped.rejected) + mapped.filtered == len(records)
        for record in records:
            with suppress(RecordRejected):
                plan.apply(record)
        inverse = invert_mapping(definition)
        assert all(loss.message for loss in inverse.losses)
        assert len(round_trips(definition, inverse, records)) in {0, len(records)}
    assert all(mistakes)
    assert compiled or ATTEMPTS < 50
