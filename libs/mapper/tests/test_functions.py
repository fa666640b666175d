"""Every function does what its own examples say, as a step and in expressions, and is documented."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from isthmus.mapper.functions import FUNCTIONS, Example, Function
from isthmus.mapper.reference import AREAS
from isthmus.mapper.trying import problems

ROOT = Path(__file__).parents[3]
ALL = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)


@ALL
def test_the_examples_of_a_function_hold(function: Function) -> None:
    """What the documentation shows is what the function does, in both forms; it has a chapter."""
    assert problems([function]) == []
    assert function.area in AREAS
    assert not function.cel or "." in function.cel


def test_examples_that_do_not_hold_are_told() -> None:
    """A false example, a step that is refused and a missing sentence are each a problem of their own."""
    upper = FUNCTIONS["upper"]
    false = replace(upper, examples=(Example("upper", "a", "B"),), doc="")
    refused = replace(upper, examples=(Example({"upper": 1}, "a", "A"),), cel="")

    assert [told.partition(":")[2].split()[0] for told in problems([false, refused])] == [
        "its",
        "'upper'",
        "text.upper('a')",
        "the",
    ]


def test_reasons_of_refusals_are_documented() -> None:
    """Every reason for which a function refuses a value stands in the page on mappings."""
    page = (ROOT / "docs" / "mapping.md").read_text()
    folder = ROOT / "libs/mapper/src/isthmus/mapper"
    texts = (path.read_text() for path in (*folder.glob("functions/*.py"), folder / "casts.py"))
    reasons = {reason for text in texts for reason in re.findall(r'Refusal\(\s*"([A-Z_]+)"', text)}

    assert {reason for reason in reasons if f"`{reason}`" not in page} == set()
