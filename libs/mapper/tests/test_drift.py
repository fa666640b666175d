"""What differs between two shapes of records, and whom it harms."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.mapper.drift import (
    ChangeKind,
    Reads,
    compare,
    fits,
    infer,
    merged,
    only,
    schema_of,
    shape_of_schema,
    without,
)

patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EVERYTHING = Reads(None)
NOTHING = Reads(())
NAMES = st.sampled_from(["id", "name", "tags", "owner", "a b", "x.y"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=5)
PLAIN = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array"])
SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {"type": PLAIN | st.lists(PLAIN, min_size=1, max_size=3, unique=True)},
        optional={
            "format": st.sampled_from(["date", "date-time"]),
            "maxLength": st.integers(1, 9),
            "enum": st.lists(st.text(max_size=2), min_size=1, max_size=3, unique=True),
        },
    ),
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3)},
            optional={"required": st.lists(NAMES, max_size=2, unique=True)},
        )
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
    ),
    max_leaves=6,
)


def of(properties, required=()):
    """A shape of records with these members."""
    return shape_of_schema({"type": "object", "properties": properties, "required": [*required]})


def kinds(changes):
    """Where what has changed, and whether it breaks."""
    return {one.path: (one.kind, one.is_breaking) for one in changes}


TEXT, INTEGER = {"type": "string"}, {"type": "integer"}
CASES = {
    "added": ({}, {"a": TEXT}, (ChangeKind.FIELD_ADDED, False)),
    "removed": ({"a": TEXT}, {}, (ChangeKind.FIELD_REMOVED, True)),
    "other type": ({"a": TEXT}, {"a": INTEGER}, (ChangeKind.TYPE_CHANGED, True)),
    "one more type": ({"a": TEXT}, {"a": {"type": ["string", "object"]}}, (ChangeKind.TYPE_CHANGED, True)),
    "anything": ({"a": TEXT}, {"a": {}}, (ChangeKind.TYPE_CHANGED, True)),
    "number": ({"a": INTEGER}, {"a": {"type": "number"}}, (ChangeKind.WIDENED, False)),
    "null": ({"a": TEXT}, {"a": {"type": ["string", "null"]}}, (ChangeKind.NULL_ALLOWED, False)),
    "integer": ({"a": {"type": "number"}}, {"a": INTEGER}, (ChangeKind.NARROWED, False)),
    "longer": ({"a": {**TEXT, "maxLength": 5}}, {"a": {**TEXT, "maxLength": 9}}, (ChangeKind.WIDENED, False)),
    "shorter": (
        {"a": {**TEXT, "maxLength": 9}},
        {"a": {**TEXT, "maxLength": 5}},
        (ChangeKind.NARROWED, False),
    ),
    "more values": ({"a": {"enum": [1]}}, {"a": {"enum": [1, 2]}}, (ChangeKind.WIDENED, False)),
    "other format": (
        {"a": {**TEXT, "format": "date"}},
        {"a": {**TEXT, "format": "date-time"}},
        (ChangeKind.FORMAT_CHANGED, True),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_change_is_told(case):
    """
    With its place, its name, and whether it harms whoever reads the field.
    """
    before, after, (kind, is_breaking) = CASES[case]
    if case == "more values":
        before, after = ({"a": {**one["a"], "type": "integer"}} for one in (before, after))

    found = compare(of(before), of(after), EVERYTHING)

    assert kinds(found) == {"a": (kind, is_breaking)}
    assert str(found[0]).startswith("a: ")


@pytest.mark.parametrize("case", CASES)
def test_nothing_breaks_what_does_not_read(case):
    """
    A field that the flow does not read may become whatever it wants.
    """
    before, after, _ = CASES[case]

    found = compare(of(before), of(after), Reads(["b", "c.d"]))

    assert not any(one.is_breaking or one.is_read for one in found)


@pytest.mark.parametrize("case", ["removed", "number", "null"])
def test_keys_must_stay_what_they_are(case):
    """
    What may be missing, null or a fraction identifies no record.
    """
    before, after, _ = CASES[case]

    assert [one.is_breaking for one in compare(of(before), of(after), Reads((), ["a"]))] == [True]


def test_a_key_that_may_be_missing_breaks():
    """
    Other fields may become optional.
    """
    before, after = of({"a": TEXT, "b": TEXT}, ["a", "b"]), of({"a": TEXT, "b": TEXT})

    found = kinds(compare(before, after, Reads(None, ["a"])))

    assert found == {"a": (ChangeKind.BECAME_OPTIONAL, True), "b": (ChangeKind.BECAME_OPTIONAL, False)}


def test_changes_inside_parts_have_paths_as_mappings_write_them():
    """
    What is read as a whole, or through an index, counts as read.
    """
    before = {"owner": of_dict(mail=TEXT), "tags": {"type": "array", "items": of_dict(name=TEXT)}}
    after = {"owner": of_dict(mail=INTEGER), "tags": {"type": "array", "items": of_dict(name=INTEGER)}}

    found = compare(of(before), of(after), Reads(["owner", "tags[0].name"]))

    assert kinds(found) == {
        "owner.mail": (ChangeKind.TYPE_CHANGED, True),
        "tags[*].name": (ChangeKind.TYPE_CHANGED, True),
    }


def of_dict(**properties):
    """JSON Schema of an object."""
    return {"type": "object", "properties": properties}


def test_a_page_tells_of_removals_only_with_evidence():
    """
    What some records lack may come again; what all of many records lack is gone.
    """
    before, page = infer([{"a": 1, "b": 1}]), infer([{"a": 1}])

    sure = compare(before, page, EVERYTHING, is_inferred=True)
    unsure = compare(before, page, EVERYTHING, is_inferred=True, tells_removals=False)

    assert kinds(sure) == {"b": (ChangeKind.FIELD_REMOVED, True)}
    assert unsure == []


@given(SCHEMAS)
@patient
def test_a_schema_does_not_differ_from_itself(schema):
    """
    Nor from its own translation.
    """
    shape = shape_of_schema(schema)

    assert compare(shape, shape_of_schema(schema), EVERYTHING) == []
    assert shape_of_schema(json.loads(json.dumps(schema_of(shape)))) == shape


@given(SCHEMAS, SCHEMAS)
@patient
def test_a_difference_one_way_is_one_the_other_way(one, other):
    """
    Whatever changes can change back.
    """
    there = compare(shape_of_schema(one), shape_of_schema(other), NOTHING)
    back = compare(shape_of_schema(other), shape_of_schema(one), NOTHING)

    assert {change.path for change in there} == {change.path for change in back}


@given(RECORDS, RECORDS)
@patient
def test_a_widened_shape_takes_everything_that_came_before(before, after):
    """
    And what has made it wider; nothing in there is a change any more.
    """
    old, new = infer(before), infer(after)

    both = merged(old, new)

    assert all(fits(both, record) for record in [*before, *after])
    assert not compare(both, new, EVERYTHING, is_inferred=True, tells_removals=False)


@given(RECORDS)
@patient
def test_what_a_shape_knows_passes_whole(records):
    """
    Unknown members alone are left out.
    """
    shape = infer(records)
    cut, poor = only(shape), only(without(shape, [("name",)]))

    assert [cut(record) for record in records] == records
    if shape.members:
        assert [cut({**record, "new": 1}) for record in records] == records
    assert not any("name" in poor(record) for record in records if len(shape.members) > 1)
