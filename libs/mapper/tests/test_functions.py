"""Every function does what its own examples say, as a step and in expressions, and is documented."""

from datetime import UTC, datetime
from typing import Any

import pytest
from isthmus.mapper import compile_mapping
from isthmus.mapper.cel import reference
from isthmus.mapper.cel.environment import environment
from isthmus.mapper.cel.plain import plain
from isthmus.mapper.cel.program import compile_expression
from isthmus.mapper.cel.values import Duration
from isthmus.mapper.functions import FUNCTIONS, Function
from isthmus.mapper.reference import AREAS, expression_example

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ALL = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
IN_EXPRESSIONS = [function for function in FUNCTIONS.values() if function.cel]


@ALL
def test_the_examples_of_a_function_hold(function: Function) -> None:
    """What the documentation shows is what the function does."""
    for example in function.examples:
        field = {"target": "out", "source": "in", "steps": [example.step]}
        plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})

        result = plan.apply({"in": example.given}, now=NOW)

        assert result == ({} if example.result is None else {"out": example.result})


@pytest.mark.parametrize("function", IN_EXPRESSIONS, ids=lambda function: function.cel)
def test_the_example_of_a_function_holds_in_expressions(function: Function) -> None:
    """Both evaluators give for an expression what the step gives."""
    checked = environment(()).check(expression_example(function))
    compiled = compile_expression(checked, {})
    assert compiled.run is not None

    made = compiled.run({}, [0, 1_000])

    assert made == reference.evaluate(checked, {})
    assert _shown(made) == function.example.result


def _shown(made: Any) -> Any:
    return made.nanoseconds / 10**9 if isinstance(made, Duration) else plain(made)


@ALL
def test_a_function_is_documented(function: Function) -> None:
    """A function has one sentence that says what it does, and a chapter to be found in."""
    assert function.doc.endswith(".")
    assert function.area in AREAS
    assert not function.cel or function.cel.partition(".")[0] != function.cel
