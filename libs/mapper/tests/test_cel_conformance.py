"""The public conformance cases of the expression language, on expressions compiled to Python.

What does not pass stands with its reason in `cel_exceptions.json`; a case that is listed and passes is a
failure as well, so that the list never claims more than is true.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isthmus.mapper.cel import reference
from isthmus.mapper.cel.environment import Environment, ExpressionInvalid
from isthmus.mapper.cel.operators import equal
from isthmus.mapper.cel.program import Program, compile_expression
from isthmus.mapper.cel.values import CelType, Failed, Timestamp, UInt, to_key, type_name
from isthmus.testing.shared import shared

Case = dict[str, Any]
EXCEPTIONS = Path(__file__).with_name("cel_exceptions.json")
_NUMBERS = {"int": int, "uint": lambda text: UInt(int(text)), "double": float}


def cases(file: Path) -> list[Case]:
    """The cases that need no protocol buffer messages."""
    return [case for case in json.loads(file.read_text()) if not case["proto"]]


def name_of(case: Case) -> str:
    """How a case is called in the list of exceptions."""
    return f"{case['file']}/{case['name']}"


class Conformance:
    """Environments are shared by the cases that declare the same variables."""

    def __init__(self) -> None:
        self._environments: dict[str, Environment] = {}

    def problem(self, case: Case) -> str:
        """What the compiled expression does other than the case wants; empty where it does the same."""
        variables = {
            name: (kind if isinstance(kind, str) else kind[0]).lower() for name, kind in case["env"].items()
        }
        wants_error = case["want"][0] == "error"
        try:
            environment = self._environments.setdefault(str(variables), Environment(variables))
            checked = environment.check(case["expr"], only_parse=case["nocheck"])
        except ExpressionInvalid as invalid:
            return "" if wants_error else f"refused: {invalid}"
        program = compile_expression(checked, variables)
        values = {name: read(bound) for name, bound in case["bind"].items()}
        if wants_error:
            return _fails(program, values)
        if program.run is None:
            return "not compiled"
        try:
            made = program.run(values, [0, 1_000])
            known = reference.evaluate(checked, values)
        except Failed as problem:
            return f"failed: {problem}"
        if not (is_same(case["want"], made) and (is_same(case["want"], known) or _is_finer(made))):
            return f"gave {made!r}, the library {known!r}"
        return ""


def _is_finer(made: Any) -> bool:
    """Whether the library's Python types cannot say the value: they know no nanoseconds."""
    return isinstance(made, Timestamp)


def _fails(program: Program, values: dict[str, Any]) -> str:
    try:
        return f"gave {program.evaluate(values)!r}"
    except Failed:
        return ""


def read(told: list[Any]) -> Any:
    """A value as the cases write it."""
    kind, *rest = told
    value = rest[0] if rest else None
    if kind in _NUMBERS:
        return _NUMBERS[kind](value)
    if kind == "bytes":
        return bytes.fromhex(value)
    if kind == "list":
        return [read(element) for element in value]
    if kind == "map":
        return {to_key(read(key)): read(element) for key, element in value}
    return value


def is_same(want: list[Any], made: Any) -> bool:
    """Whether a value is the one that is wanted, and of the very type."""
    if want[0] == "type":
        return isinstance(made, CelType) and made.name == want[1]
    wanted = read(want)
    if want[0] == "double" and wanted != wanted:
        return isinstance(made, float) and made != made
    return type_name(made) == type_name(wanted) and equal(made, wanted)


def test_every_case_passes_but_those_that_are_listed():
    """
    Compiled expressions and the library give what each case wants, except for the listed cases.
    """
    published = shared("data", "cel", "conformance.json")
    conformance = Conformance()
    failing = {name_of(case) for case in cases(published) if conformance.problem(case)}

    listed = {name for group in json.loads(EXCEPTIONS.read_text()) for name in group["cases"]}

    assert failing == listed
