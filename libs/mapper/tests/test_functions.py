"""Every function does what its own example says."""

from datetime import UTC, datetime

import pytest
from isthmus.mapper import compile_mapping
from isthmus.mapper.functions import FUNCTIONS, Function

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
def test_the_example_of_a_function_holds(function: Function) -> None:
    """What the documentation shows is what the function does."""
    example = function.example
    field = {"target": "out", "source": "in", "steps": [example.step]}
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})

    result = plan.apply({"in": example.given}, now=NOW)

    assert result == ({} if example.result is None else {"out": example.result})


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
def test_a_function_is_documented(function: Function) -> None:
    """A function has one sentence that says what it does."""
    assert function.doc.endswith(".")
