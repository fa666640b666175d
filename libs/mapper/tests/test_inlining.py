"""What generated code does in place is what the function it stands for does."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from isthmus.mapper import Plan, RecordRejected, compile_mapping

STEPS: list[Any] = [
    "lower",
    "upper",
    "trim",
    "join",
    {"join": "; "},
    {"cast": "string"},
    {"cast": "integer"},
    {"cast": "number"},
    {"cast": "boolean"},
    {"cast": "timestamp"},
    {"cast": "date"},
    {"lookup": {"entries": {"a": "b", "1": 2, "true": None}, "otherwise": "keep"}},
    {"lookup": {"entries": {"A": "b", "1": 2}, "default": {}, "ignore_case": True}},
    {"lookup": {"entries": {"a": "b", "2026-01-31": 1}}},
]


def plan_of(step: Any, source: str) -> Plan:
    """Compile a mapping of one field that goes through a step."""
    field = {"target": "t", "source": source, "steps": [step], "nulls": "keep"}
    return compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})


PAIRS = [(plan_of(step, "v"), plan_of({"map": [step]}, "list")) for step in STEPS]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**66), 2**66),
    st.sampled_from([2**32, -(2**32), 2**64 - 1, 2**64, -(2**63), 1, 0]),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(
        ["1", " 42 ", "9" * 18, "9" * 25, "٣", "1.5", "True", "oFf", "\ud800", "ß" * 700, "x" * 1100]
    ),
    st.sampled_from(["2026-01-31 12:00:00", "2026-01-31T12:00:00Z", "2026-02-30 12:00:00", "2026-01-31"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=4,
)


def outcome(plan: Plan, record: dict[str, Any]) -> str:
    """Map a record to JSON, or give the reason it is refused."""
    try:
        result = plan.apply(record)
    except RecordRejected as rejected:
        return rejected.errors[0].reason
    assert result is not None
    result = result["t"]
    if "list" in record:
        result = result[0] if result else None
    return json.dumps(result)


@pytest.mark.parametrize("pair", PAIRS, ids=[json.dumps(step)[:40] for step in STEPS])
@settings(max_examples=150, deadline=None)
@given(value=values)
@example(value=["a"] * 101)
@example(value=["x" * 20_000] * 60)
def test_the_usual_case_in_place_is_the_function(pair: tuple[Plan, Plan], value: Any) -> None:
    """A step in a chain of its own gives what the same step gives inside another function."""
    if value is None:
        return
    in_place, called = pair

    assert outcome(in_place, {"v": value}) == outcome(called, {"list": [value]})


@settings(deadline=None)
@given(values)
def test_what_is_passed_on_can_be_stored(value: Any) -> None:
    """Whatever the value, it is passed on as it is, or refused because JSON could not hold it."""
    plan = compile_mapping(
        {"version": "isthmus/v1", "field_mappings": [{"target": "t", "source": "v", "nulls": "keep"}]}
    )
    try:
        result = plan.apply({"v": value})
    except RecordRejected as rejected:
        result = rejected.errors[0].reason

    assert result in _kept(value)


def _kept(value: Any) -> list[Any]:
    """What it may come to: itself, or whichever is met first of what is wrong with it."""
    text = json.dumps(value, ensure_ascii=False)
    wrong = []
    try:
        text.encode()
    except UnicodeEncodeError:
        wrong.append("TEXT_NOT_UNICODE")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        wrong.append("NOT_JSON")
    if any(not -(2**63) <= number < 2**64 for number in _integers(json.loads(text))):
        wrong.append("NUMBER_OUT_OF_RANGE")
    return wrong or [{"t": value}]


def _integers(value: Any) -> list[int]:
    if isinstance(value, int):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [number for item in value for number in _integers(item)] if isinstance(value, list) else []
