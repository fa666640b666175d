"""Records that say the same have one digest, however their systems write them."""

import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.host.attempt.digests import DigestPlan, told_times
from isthmus.mapper import compile_mapping, identity_plan

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text(max_size=5), VALUES, max_size=6)


def announced(record, key=(), salt="exe_1"):
    """Gives what a host announces of one record."""
    return DigestPlan(identity_plan(), key, salt, is_source=True).apply_many([record]).records[0]


def digest(record, **more):
    """Gives the digest of one record."""
    return announced(record, **more)["digest"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01 01:00:00+01:00"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
        (1, 1.0),
        (1, "1"),
        (1.5, "1.5"),
        (True, "true"),
        (None, ""),
        ([], None),
        ([1, {"a": None}], ["1", {}]),
        ([1, {"a": "b"}], '[1,{"a":"b"}]'),
        ({"a": {"b": 1}}, '{"a":{"b":1}}'),
        ("[not JSON", "[not JSON"),
    ],
    ids=[
        "zones",
        "fractions",
        "moment",
        "float",
        "text",
        "point",
        "truth",
        "empty",
        "list",
        "inner",
        "json",
        "object",
        "none",
    ],
)
def test_spellings_of_a_value_are_the_same(one, other):
    """
    What systems write differently and mean alike.
    """
    assert digest({"id": "1", "value": one}) == digest({"id": "1", "value": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 2), ("a", "A"), (1, True), ("2026-01-01", "2026-01-02"), (["a", "b"], ["b", "a"]), ("007", 7)],
    ids=["number", "case", "truth", "day", "order", "zeros"],
)
def test_values_that_differ_are_not_the_same(one, other):
    """
    What means something else has another digest.
    """
    assert digest({"value": one}) != digest({"value": other})


# On a machine that is busy with others, making records takes long.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(RECORDS)
def test_neither_order_nor_emptiness_of_members_counts(record):
    """
    The same members in another order, and members that say nothing.
    """
    turned = dict(reversed(record.items()))

    assert digest(record) == digest(turned)
    assert digest(record) == digest({**record, "\x00nothing": None})


@given(RECORDS, RECORDS)
def test_digests_of_different_fields_differ(one, other):
    """
    Digests are equal exactly where all marks of all fields are.
    """
    first, second = announced(one), announced(other)
    same = (first["shape"], first["marks"]) == (second["shape"], second["marks"])

    assert (first["digest"] == second["digest"]) == same


def test_names_of_fields_are_told_once_in_a_batch_and_marks_stand_in_their_order():
    """
    The list of fields travels with the first record that has it; nested fields have dotted names.
    """
    plan = DigestPlan(identity_plan(), ["id"], "exe_1", is_source=True)
    first, second = plan.apply_many([{"id": "1", "a": {"b": "x"}}, {"a": {"b": "y"}, "id": "2"}]).records

    assert first["names"] == ("a.b", "id")
    assert "names" not in second
    assert (first["key"], second["key"]) == ("1", "2")
    assert first["marks"][:4] == zlib.crc32(b"x", zlib.crc32(b"exe_1")).to_bytes(4, "big")


def test_times_of_mapping_are_not_compared():
    """
    Neither do they count in the digest, nor are they named.
    """
    fields = [{"target": "id", "source": "id"}, {"target": "seen.at", "now": True}]
    ignored = told_times(compile_mapping({"version": "isthmus/v1", "field_mappings": fields}))
    plan = DigestPlan(identity_plan(), ["id"], "exe_1", is_source=True, ignored=ignored)

    told = plan.apply_many([{"id": "1", "seen": {"at": at, "by": "me"}} for at in "12"]).records

    assert ignored == ("seen.at",)
    assert told[0]["names"] == ("id", "seen.by")
    assert told[0]["digest"] == told[1]["digest"]


def test_a_comparison_has_digests_of_its_own():
    """
    Whoever knows the digests of one comparison learns nothing from those of another.
    """
    assert digest({"id": "1"}) != digest({"id": "1"}, salt="exe_2")


def test_a_source_without_the_key_is_rejected_and_a_destination_goes_by_its_own():
    """
    The source's record could not be written either; the destination's may be known by a link.
    """
    source = DigestPlan(identity_plan(), ["id"], "exe_1", is_source=True).apply_many([{"a": 1}])
    destination = DigestPlan(identity_plan(), ["id"], "exe_1", is_source=False).apply_many([{"a": 1}])

    assert [error.reason for error in source.rejected[0].errors] == ["KEY_MISSING"]
    assert destination.records[0]["key"] == ""
