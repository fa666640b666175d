"""Records decoded into structs come out as they do as dictionaries."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.mapper import Mapped, MappingInvalid, Plan, TypedPlan, compile_mapping, identity_plan
from isthmus.mapper.functions import FUNCTIONS
from isthmus.sdk.records import at_path

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NAMES = ["a", "b", "c", "a.b", "0", "x y"]
EXTRAS = ["a", "b", "a.b", "c.0.a", "c.a.0", "b.c.a", "a.b.c", "", "x y", "nowhere"]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3),
    st.sampled_from(
        ["2026-01-31T12:00:00Z", "2026-01-31 12:00:00", "9999-12-31T23:59:59-12:00", "12", "on", "é" * 300]
    ),
)
contents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=3,
)
parts = st.fixed_dictionaries({"a": contents, "b": contents}, optional={"c": contents, "0": contents})
objects = st.one_of(
    st.fixed_dictionaries(
        {"a": scalars, "b": st.fixed_dictionaries({"a": contents, "c": parts}), "c": st.lists(parts)},
        optional={"a.b": scalars, "x y": contents},
    ),
    st.fixed_dictionaries(
        {"a": parts, "b": scalars, "c": parts}, optional={"x y": scalars, "": scalars, "a.b.c": scalars}
    ),
    st.dictionaries(st.sampled_from(NAMES), contents),
)
strict = st.sampled_from(
    [
        "a",
        "b",
        "a.b",
        "a.c",
        "b.c.a",
        '"x y"',
        '"a.b"',
        "c[0]",
        "c[*].a",
        "b[-1].a.b",
        "$record.a",
        "$record.b.c.a",
    ]
)
in_record = {"filter": {"path": "$record.a", "not_equals": "on"}}
steps = st.lists(
    st.sampled_from([*(function.example.step for function in FUNCTIONS.values()), in_record]), max_size=2
)
conditions = st.builds(
    lambda path, check: {"path": path, **check},
    strict,
    st.sampled_from(
        [{"equals": "on"}, {"not_equals": "12"}, {"is_null": True}, {"at_least": 1}, {"one_of": [None, True]}]
    ),
)
values = st.recursive(
    strict | st.fixed_dictionaries({"source": strict}, optional={"steps": steps, "default": scalars}),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"coalesce": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"concat": st.lists(inner, min_size=1, max_size=3)}, optional={"steps": steps}),
        st.builds(
            lambda when, then, other: {
                "choose": {"cases": [{"when": when, "then": _value(then)}], "otherwise": _value(other)}
            },
            conditions,
            inner,
            inner,
        ),
        st.fixed_dictionaries(
            {
                "template": st.sampled_from(
                    ["{a}", "{a.b?}-{b}", "{b.c.a}é{c?}", "{c[0]}{a.c}", "{$record.a}{a?}"]
                )
            },
            optional={"steps": steps},
        ),
        st.builds(
            lambda source, target, value: {
                "items": {"source": source, "field_mappings": [{"target": target, **_value(value)}]}
            },
            strict,
            st.sampled_from(["t", "u.v"]),
            inner,
        ),
    ),
    max_leaves=3,
)


def _value(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"source": value}


extras = st.fixed_dictionaries(
    {},
    optional={
        "required": st.booleans(),
        "when": conditions,
        "nulls": st.sampled_from(["keep", "omit"]),
        "cast": st.sampled_from(["string", "integer", "number", "boolean", "timestamp", "date", "array"]),
    },
)
fields = st.builds(
    lambda value, target, extra: {"target": target, **_value(value), **extra},
    values,
    st.sampled_from(["a", "b", '"a.b"', "d", "c.d", "c.e", "f[0]", "f[2].g"]),
    extras,
)
definitions = st.fixed_dictionaries(
    {
        "version": st.just("isthmus/v1"),
        "field_mappings": st.lists(fields, min_size=1, max_size=3, unique_by=lambda field: field["target"]),
    },
    optional={"transformations": st.fixed_dictionaries({}, optional={"where": conditions})},
)
patient = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plan_of(*fields: dict[str, Any], **transformations: Any) -> Plan:
    """Compile field mappings."""
    return compile_mapping(
        {"version": "isthmus/v1", "field_mappings": list(fields), "transformations": transformations}
    )


def typed_of(plan: Plan, *extra_paths: str) -> TypedPlan:
    """Give the typed plan of a mapping that has one."""
    typed = plan.typed(extra_paths)
    assert typed is not None
    return typed


def decodable(typed: TypedPlan, records: list[Any]) -> list[tuple[Any, msgspec.Struct]]:
    """Pair each record with its struct; those that do not decode are left out."""
    pairs = []
    for record in records:
        raw = msgspec.json.encode(record)
        try:
            pairs.append((msgspec.json.decode(raw), msgspec.json.decode(raw, type=typed.record_type)))
        except msgspec.ValidationError:
            continue
    return pairs


def told(mapped: Mapped) -> tuple[str, list[int], Any, int]:
    """Write a result so that 1, 1.0 and true differ and the order of members counts."""
    return json.dumps(mapped.records), mapped.indexes, mapped.rejected, mapped.filtered


@patient
@given(definitions, st.lists(objects, min_size=1, max_size=3), st.lists(st.sampled_from(EXTRAS), max_size=3))
def test_structs_are_mapped_as_dictionaries_are(
    definition: dict[str, Any], records: list[Any], extra_paths: list[str]
) -> None:
    """Whatever decodes gives the same records, the same errors, the same keys and cursors."""
    try:
        plan = compile_mapping(definition)
    except MappingInvalid:
        return
    typed = plan.typed(extra_paths)
    if typed is None:
        return
    pairs = decodable(typed, records)

    by_dictionary = plan.apply_many([record for record, _ in pairs], now=NOW)
    by_struct = typed.apply_many([struct for _, struct in pairs], now=NOW)

    assert told(by_struct) == told(by_dictionary)
    rows = typed.rows([struct for _, struct in pairs], now=NOW)
    encoded = [msgspec.json.encode(row) for row in rows.records]
    assert encoded == [msgspec.json.encode(record) for record in by_dictionary.records]
    assert (rows.indexes, rows.rejected, rows.filtered) == told(by_dictionary)[1:]
    for path in (*EXTRAS, "c.d", "f.0"):
        read = [typed.target(path)(row) for row in rows.records]
        assert repr(read) == repr([at_path(record, path) for record in by_dictionary.records])
    for path in extra_paths:
        read = [typed.getters[path](struct) for _, struct in pairs]
        assert repr(read) == repr([at_path(record, path) for record, _ in pairs])


def test_only_what_is_read_is_decoded() -> None:
    """The struct holds the places of the mapping and the extra paths and nothing else."""
    plan = plan_of(
        {"target": "a", "source": "owner.name"},
        {"target": "b", "source": "owner.mail", "when": {"path": "open", "equals": True}},
        {"target": "c", "template": "{number}"},
    )
    typed = typed_of(plan, "id", "meta.updated")
    raw = {
        "owner": {"name": 1, "mail": 2, "phone": 3},
        "open": 4,
        "number": 5,
        "id": 6,
        "meta": {"updated": 7, "by": 8},
        "other": 9,
    }

    struct = msgspec.convert(raw, typed.record_type)

    assert sorted(_leaves(struct)) == [1, 2, 4, 5, 6, 7]


def _leaves(struct: Any) -> list[Any]:
    found = []
    for value in msgspec.structs.astuple(struct):
        if isinstance(value, msgspec.Struct):
            found += _leaves(value)
        elif value is not msgspec.UNSET:
            found.append(value)
    return found


@pytest.mark.parametrize(
    ("fields", "record"),
    [
        ([{"target": "t", "source": "a.b"}, {"target": "u", "source": "a"}], {"a": "text"}),
        ([{"target": "t", "coalesce": ["a.b", "c"]}], {"a": "text", "c": 1}),
        ([{"target": "t", "source": "a[0].b"}], {"a": {"b": 1}}),
        ([{"target": "t", "source": "c", "when": {"path": "a.b", "is_null": True}}], {"a": "", "c": 1}),
    ],
    ids=["also read whole", "coalesce", "list", "condition"],
)
def test_uncertain_places_take_anything(fields: list[dict[str, Any]], record: dict[str, Any]) -> None:
    """Where a mapping copes with any kind of value, so does the struct."""
    plan = plan_of(*fields)
    typed = typed_of(plan)

    struct = msgspec.json.decode(msgspec.json.encode(record), type=typed.record_type)

    assert told(typed.apply_many([struct])) == told(plan.apply_many([record]))


def test_another_kind_on_a_path_does_not_decode() -> None:
    """A text where the mapping needs an object is left to the plan for dictionaries."""
    typed = typed_of(plan_of({"target": "t", "source": "a.b"}))

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"a":"text"}', type=typed.record_type)


@pytest.mark.parametrize(
    "plan",
    [
        identity_plan(),
        plan_of({"target": "t", "source": "a"}, unmapped="keep"),
        plan_of({"target": "t", "source": "$"}),
        plan_of(
            {"target": "t", "items": {"source": "$", "field_mappings": [{"target": "a", "source": "a"}]}}
        ),
        plan_of({"target": "t", "source": "a"}, where={"path": "$", "contains": "b"}),
        plan_of({"target": "t", "source": "[0]"}),
        plan_of({"target": "t", "source": '"say \\"hi\\""'}),
    ],
    ids=["identity", "unmapped", "whole", "items", "where", "list", "quotes"],
)
def test_what_reads_whole_records_has_no_typed_plan(plan: Plan) -> None:
    """A struct cannot stand for a record of which any member may be asked for."""
    assert plan.typed(["id"]) is None


def test_a_name_with_dots_is_found_before_the_path() -> None:
    """A key of its own name wins, even where it is null; that is how keys and cursors are read."""
    typed = typed_of(plan_of({"target": "t", "source": "a.c"}), "a.b")
    read = typed.getters["a.b"]
    decode = msgspec.json.Decoder(typed.record_type).decode

    assert [read(decode(raw)) for raw in (b'{"a.b":1,"a":{"b":2}}', b'{"a.b":null,"a":{"b":2}}')] == [1, None]
    assert [read(decode(raw)) for raw in (b'{"a":{"b":2}}', b"{}", b'{"a":null}')] == [2, None, None]


def test_a_mapped_name_with_dots_is_left_to_dictionaries() -> None:
    """To the mapping missing is null there, to the key it is not."""
    plan = plan_of({"target": "t", "source": '"a.b"'})

    assert plan.typed(["a.b"]) is None
    assert plan.typed(["a"]) is not None


def test_typed_plans_are_made_once() -> None:
    """The same extra paths give the same record type."""
    plan = plan_of({"target": "t", "source": "a"})

    typed = typed_of(plan, "id", "id")

    assert typed_of(plan, "id") is typed
    assert typed_of(plan, "number").record_type is not typed.record_type


def test_a_typed_plan_maps_one_record() -> None:
    """Applying to a single struct gives the record, as the plan does for a dictionary."""
    plan = plan_of({"target": "t", "source": "a.b"}, where={"path": "c", "not_equals": "x"})
    typed = typed_of(plan)
    decode = msgspec.json.Decoder(typed.record_type).decode

    assert typed.apply(decode(b'{"a":{"b":1}}')) == plan.apply({"a": {"b": 1}}) == {"t": 1}
    assert typed.apply(decode(b'{"c":"x"}')) is None
