"""Compiled expressions and the library's evaluator give the same, whatever the expression and the record.

`ISTHMUS_EVALUATIONS` asks for more than the few thousand of a usual run, `ISTHMUS_SEED` for others.
"""

import importlib.util
import os
import random
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from isthmus.mapper import RecordRejected, compile_mapping
from isthmus.mapper.cel import reference
from isthmus.mapper.cel.environment import Environment, ExpressionInvalid
from isthmus.mapper.cel.plain import plain
from isthmus.mapper.cel.program import compile_expression
from isthmus.mapper.cel.values import Failed, Optional, UInt

EVALUATIONS = int(os.environ.get("ISTHMUS_EVALUATIONS") or 2_000)
SEED = int(os.environ.get("ISTHMUS_SEED") or 1)
RECORDS = 8 if EVALUATIONS < 100_000 else 100
_SPEC = importlib.util.spec_from_file_location("cel_samples", Path(__file__).with_name("cel_samples.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
samples = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(samples)


def outcome(evaluate: Any) -> Any:
    """The value, or that there is none."""
    try:
        return "value", evaluate()
    except Failed:
        return "failed", None


def same(left: Any, right: Any) -> bool:
    """Whether two values are one and of the same type; JSON's large integers have no sign to the library."""
    if isinstance(left, int) and isinstance(right, UInt) and not isinstance(left, UInt):
        return left == right and left >= 2**63
    if left.__class__ is not right.__class__:
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, Optional):
        return left.has_value == right.has_value
    return bool(left == right or (left != left and right != right))


def by_plan(text: str) -> Any:
    """What a mapping makes of records with the expression, as dictionaries and as structs."""
    field = {"target": "v", "expression": text, "nulls": "keep"}
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})
    typed = plan.typed(())
    decode = None if typed is None else msgspec.json.Decoder(typed.record_type).decode

    def outcomes(record: dict[str, Any]) -> Any:
        made = [mapped(plan, record)]
        if typed is not None and decode is not None:
            # A record of another shape than the paths need is read as a dictionary.
            with suppress(msgspec.ValidationError):
                made.append(mapped(typed, decode(msgspec.json.encode(record))))
        return made

    return outcomes


def mapped(plan: Any, record: Any) -> Any:
    """The value, that there is none, or that it cannot be stored."""
    try:
        return "value", plan.apply(record)["v"]
    except RecordRejected as rejected:
        reason = rejected.errors[0].reason
        return ("failed" if reason == "EXPRESSION_FAILED" else "not stored"), None


def test_random_expressions_mean_the_same_to_all():
    """
    A program and a plan give what the library gives, for records that are whole and for damaged ones.
    """
    environment = Environment({"record": "dyn"})
    counted: Counter[str] = Counter()
    different = []
    number = 0
    while counted["value"] + counted["failed"] < EVALUATIONS:
        number += 1
        chance = random.Random(f"{SEED} {number}")
        text = samples.Writer(chance).write()
        try:
            checked = environment.check(text)
        except ExpressionInvalid:
            continue
        program = compile_expression(checked, {"record": "dyn"})
        in_plan = by_plan(text)
        counted["compiled" if program.run is not None else "not compiled"] += 1
        for _ in range(RECORDS):
            values = {"record": samples.record(chance)}
            ours = outcome(lambda: program.evaluate(values))  # noqa: B023
            theirs = outcome(lambda: reference.evaluate(checked, values))  # noqa: B023
            counted[theirs[0]] += 1
            if ours[0] != theirs[0] or not same(ours[1], theirs[1]):
                different.append((text, values, ours, theirs))
            wanted = outcome(lambda: plain(theirs[1])) if theirs[0] == "value" else theirs  # noqa: B023
            for made in in_plan(values["record"]):
                if made[0] != "not stored" and (made[0] != wanted[0] or not same(made[1], wanted[1])):
                    different.append((text, values, made, wanted))
    sys.stdout.write(f"{number} expressions, {dict(counted)}, {len(different)} differences\n")

    assert different[:3] == []
    assert not counted["not compiled"]
