"""Any record through any mapping gives a result or a precise error, never another exception."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.mapper import MappingInvalid, MappingStopped, RecordRejected, compile_mapping
from isthmus.mapper.functions import FUNCTIONS
from isthmus.mapper.limits import MAX_OUTPUT
from isthmus.mapper.reading.values import ORIGINS

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NAMES = ["a", "b", "c", "on", "x.y", "$", ""]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**18, max_value=10**400),
    st.floats(),
    st.text(alphabet=st.characters(exclude_categories=[]), max_size=20),
    st.sampled_from(
        ["2026-01-31T12:00:00Z", "9999-12-31T23:59:59-12:00", "0001-01-01", "on", "12", "1e400", "{}"]
    ),
    st.sampled_from([b"x", (1,), {1}, object(), datetime(1, 1, 1), 1j]),
)
records = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
        | st.dictionaries(scalars.filter(lambda v: v.__hash__ is not None), inner, max_size=2)
    ),
    max_leaves=12,
)
paths = st.sampled_from(
    ["a", "b", "a.b", "a[0]", "a[*].b", "a[*][*]", "$", '"x.y"', "a[-1].c", "..", 5, "$record.a"]
)
arguments = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2000)
    | st.floats()
    | st.sampled_from(["", ",", "a", "%Y-%m-%d", "(a*)*b"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
in_record = {"filter": {"any": [{"expression": "item == record.a"}, {"path": "$record.b", "is_null": True}]}}
examples = st.sampled_from([*(function.example.step for function in FUNCTIONS.values()), in_record])
steps = st.lists(
    examples
    | st.sampled_from([*FUNCTIONS])
    | st.builds(lambda n, a: {n: a}, st.sampled_from([*FUNCTIONS]), arguments),
    max_size=4,
)
conditions = st.builds(
    lambda path, check, value: {"path": path, check: value},
    paths,
    st.sampled_from(
        ["equals", "one_of", "at_least", "matches", "is_null", "contains", "not_equals", "is_past"]
    ),
    arguments,
)
values = st.recursive(
    paths | st.fixed_dictionaries({"source": paths}, optional={"steps": steps, "default": arguments}),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"coalesce": st.lists(inner, max_size=3)}, optional={"steps": steps}),
        st.fixed_dictionaries({"concat": st.lists(inner, max_size=3)}, optional={"steps": steps}),
        st.fixed_dictionaries(
            {
                "choose": st.fixed_dictionaries(
                    {"cases": st.lists(st.fixed_dictionaries({"when": conditions, "then": inner}))}
                )
            }
        ),
        st.builds(
            lambda source, where, value: {
                "items": {
                    "source": source,
                    "where": where,
                    "field_mappings": [_field(value, "t", {}), {"target": "o", "source": "$record.a"}],
                }
            },
            paths,
            conditions,
            inner,
        ),
        st.fixed_dictionaries({"template": st.sampled_from(["{a}", "{a.b?}-{b}", "x", "{", "{a[0]}"])}),
    ),
    max_leaves=4,
)


def _field(value: Any, target: str, extra: dict[str, Any]) -> dict[str, Any]:
    return {"target": target, **(value if isinstance(value, dict) else {"source": value}), **extra}


extras = st.fixed_dictionaries(
    {},
    optional={
        "required": st.booleans(),
        "when": conditions,
        "nulls": st.sampled_from(["keep", "omit"]),
        "cast": st.sampled_from(
            ["string", "integer", "number", "boolean", "timestamp", "date", "json", "array"]
        ),
    },
)
fields = st.builds(_field, values, st.sampled_from(["a", "b", "c.d", "c.e", "f[0]", "f[2].g"]), extras)
checks = conditions | st.sampled_from(
    ["result.a == record.a", "has(result.c.d)", "record.b > 1", "1 / 0 == 1"]
)
consequences = st.one_of(
    st.sampled_from(["warn", "quarantine", "stop"]).map(lambda word: {"consequence": word}),
    st.builds(
        lambda target, value: {"consequence": "default", "default": {target: value}},
        st.sampled_from(["a", "c.d", "c.d.e", "n"]),
        arguments,
    ),
)
rules = st.builds(
    lambda name, check, rest: {"name": name, "check": check, **rest},
    st.sampled_from(["one", "two"]),
    checks,
    consequences,
)
definitions = st.fixed_dictionaries(
    {"version": st.just("isthmus/v1"), "field_mappings": st.lists(fields, min_size=1, max_size=3)},
    optional={
        "transformations": st.fixed_dictionaries(
            {},
            optional={
                "where": conditions,
                "unmapped": st.sampled_from(["keep", "drop"]),
                "split": st.fixed_dictionaries({"each": paths}, optional={"where": conditions}),
                "rules": st.lists(rules, max_size=2, unique_by=lambda rule: rule["name"]),
            },
        )
    },
)
patient = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(definitions, st.lists(records, max_size=4))
def test_a_mapping_maps_or_says_why_not(definition: dict[str, Any], samples: list[Any]) -> None:
    """Damaged records and strange mappings end in a JSON record or in errors with reasons."""
    try:
        plan = compile_mapping(definition)
    except MappingInvalid:
        return
    try:
        mapped = plan.apply_many(samples, now=NOW)
    except MappingStopped:
        return

    assert len(set(mapped.indexes)) + len(mapped.rejected) + mapped.filtered == len(samples)
    assert len(mapped.indexes) == len(mapped.records)
    for record in mapped.records:
        assert len(json.dumps(record, allow_nan=False).encode()) <= 8 * MAX_OUTPUT
    for rejection in mapped.rejected:
        assert all(error.reason != "VALUE_UNUSABLE" and len(error.value) < 600 for error in rejection.errors)


@patient
@given(records)
def test_anything_is_a_definition_or_says_why_not(definition: Any) -> None:
    """The compiler meets arbitrary data with violations only."""
    with contextlib.suppress(MappingInvalid):
        compile_mapping(definition)


@patient
@given(st.sampled_from(ORIGINS), records, steps)
def test_any_origin_with_any_content_compiles_or_says_why_not(origin: str, content: Any, chain: Any) -> None:
    """Each origin meets arbitrary content with violations only."""
    field = {"target": "t", origin: content, "steps": chain}
    with contextlib.suppress(MappingInvalid):
        compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})


def test_bottomless_records_are_refused() -> None:
    """A record nested without end is refused by the field that would carry it."""
    record: dict[str, Any] = {}
    record["a"] = [record]
    field = {"target": "t", "source": "a"}
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})

    with pytest.raises(RecordRejected) as rejected:
        plan.apply(record)

    assert [error.reason for error in rejected.value.errors] == ["TOO_DEEP"]


def test_endless_integers_are_refused() -> None:
    """An integer with more digits than Python writes is an error with a reason, in every rendering."""
    fields = [{"target": "a", "source": "n"}, {"target": "b", "source": "n", "cast": "string"}]
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": fields})

    with pytest.raises(RecordRejected) as rejected:
        plan.apply({"n": 10**5000})

    assert {error.reason for error in rejected.value.errors} == {"NUMBER_OUT_OF_RANGE"}


def test_endless_integers_in_definitions_are_violations() -> None:
    """The compiler tells of an integer that Python itself refuses to write."""
    definition = {
        "version": "isthmus/v1",
        "field_mappings": [{"target": "a", "constant": 10**5000}],
        10**5000: 1,
    }

    with pytest.raises(MappingInvalid) as invalid:
        compile_mapping(definition)

    assert {violation.reason for violation in invalid.value.violations} == {"NAME_NOT_TEXT", "NOT_JSON"}
