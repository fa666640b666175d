"""The published JSON Schema refuses and accepts what the compiler does, as far as it is about form."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.mapper import MappingInvalid, compile_mapping, mapping_schema

ROOT = Path(__file__).parents[3]
GOOD = [
    next(yaml.safe_load_all(block))
    for page in ("docs/mapping.md", "docs/expressions.md")
    for block in re.findall(r"```yaml\n(version.*?)```", (ROOT / page).read_text(), re.DOTALL)
]
VALIDATOR = jsonschema.Draft202012Validator(mapping_schema())
OF_FORM = {"MEMBER_UNKNOWN", "MEMBER_MISSING", "WRONG_TYPE", "VALUE_NOT_ALLOWED", "ORIGIN_MISSING"}
"""Reasons that a schema can know; what a path or an expression means it cannot."""


def places(value: Any, inside: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a definition; JSON Schemas inside it have a form of their own."""
    if inside and inside[-1] in {"source_schema", "target_schema"}:
        return
    if inside:
        yield inside
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(inner, (*inside, key))


SPOTS = [(number, place) for number, definition in enumerate(GOOD) for place in places(definition)]


def changed(spot: tuple[int, tuple[Any, ...]], change: str, value: Any) -> Any:
    """A good definition with one change: a place gone, renamed or of another value, or a member more."""
    number, place = spot
    definition = copy.deepcopy(GOOD[number])
    *way, last = place
    here = definition
    for key in way:
        here = here[key]
    if change == "add" and isinstance(here, dict):
        here["surplus"] = value
    elif change == "set":
        here[last] = value
    elif change == "drop":
        del here[last]
    return definition


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(SPOTS),
    st.sampled_from(["add", "set", "drop"]),
    st.sampled_from([None, 5, "word", [], {}, ["a"], {"path": "a"}, True]),
)
def test_the_schema_refuses_what_the_compiler_refuses(spot: Any, change: str, value: Any) -> None:
    """A definition with one thing wrong is wrong in an editor as well; one that is right is right there."""
    definition = changed(spot, change, value)
    try:
        compile_mapping(definition)
    except MappingInvalid as invalid:
        if {violation.reason for violation in invalid.violations} & OF_FORM:
            assert not VALIDATOR.is_valid(definition)
        return

    VALIDATOR.validate(definition)
