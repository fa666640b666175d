"""Records: what comes out, what is left out, what is refused and how that is told."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.mapper import Plan, RecordRejected, compile_mapping, identity_plan
from isthmus.mapper.limits import MAX_OUTPUT
from isthmus.mapper.paths import format_path, parse_path


def plan_of(*fields: dict[str, Any], **transformations: Any) -> Plan:
    """Compile field mappings."""
    return compile_mapping(
        {"version": "isthmus/v1", "field_mappings": list(fields), "transformations": transformations}
    )


def reasons(plan: Plan, record: Any) -> list[str]:
    """Apply a plan to a record it refuses."""
    with pytest.raises(RecordRejected) as rejected:
        plan.apply(record)
    return [error.reason for error in rejected.value.errors]


def test_one_bad_field_never_hides_the_others() -> None:
    """Every field that fails is told, with its source and value."""
    plan = plan_of(
        {"target": "a", "source": "x", "cast": "integer"},
        {"target": "b", "source": "ok"},
        {"target": "c", "source": "y", "cast": "date"},
    )

    with pytest.raises(RecordRejected) as rejected:
        plan.apply({"x": "one", "ok": 1, "y": 2.5e300})

    assert [(e.target, e.source, e.reason) for e in rejected.value.errors] == [
        ("a", "x", "NOT_INTEGER"),
        ("c", "y", "TIME_OUT_OF_RANGE"),
    ]


def test_a_batch_goes_on_behind_bad_records() -> None:
    """Every record is mapped, rejected or filtered, and the indexes say which."""
    plan = plan_of(
        {"target": "n", "source": "n", "cast": "integer"}, where={"path": "skip", "not_equals": True}
    )

    mapped = plan.apply_many([{"n": 1}, {"n": "x"}, {"skip": True}, "no record", {"n": 2}])

    assert (mapped.records, mapped.indexes, mapped.filtered) == ([{"n": 1}, {"n": 2}], [0, 4], 1)
    assert [rejection.index for rejection in mapped.rejected] == [1, 3]


def test_records_are_never_changed() -> None:
    """The source record is the same afterwards, and results do not share the definition's constants."""
    plan = plan_of(
        {"target": "a.b", "source": "x"}, {"target": "k", "constant": {"list": []}}, unmapped="keep"
    )
    record = {"x": [1], "a": {"old": 1}, "y": 2}

    first = plan.apply(record)
    assert first is not None
    first["k"]["list"].append("mine")

    assert record == {"x": [1], "a": {"old": 1}, "y": 2}
    assert plan.apply(record) == {"y": 2, "a": {"b": [1]}, "k": {"list": []}}


@pytest.mark.parametrize(
    ("value", "equal", "result"),
    [
        (1, True, False),
        (True, 1, False),
        (1, 1.0, True),
        ("1", 1, False),
        ([1, {"a": 2}], [1, {"a": 2}], True),
        ([], {}, False),
    ],
)
def test_equality_knows_kinds(value: Any, equal: Any, result: bool) -> None:
    """True is not 1, and text is not a number."""
    plan = plan_of({"target": "same", "source": "v", "steps": [{"equals": equal}]})

    assert plan.apply({"v": value}) == {"same": result}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.120000Z", "2026-01-31T12:00:00.120000Z"),
        ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123456Z"),
        ("2026-01-31 12:00:00+00", "2026-01-31T12:00:00Z"),
        ("2026-01-31 14:00:00.5+0200", "2026-01-31T12:00:00.500000Z"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("20260131T120000Z", "2026-01-31T12:00:00Z"),
        ("2026-W05-6T12:00:00Z", "2026-01-31T12:00:00Z"),
        (1769860800, "2026-01-31T12:00:00Z"),
        (1769860800.25, "2026-01-31T12:00:00.250000Z"),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00Z"),
    ],
)
def test_timestamps_have_one_form(text: Any, result: str) -> None:
    """Whatever ISO 8601 or an epoch says is written as RFC 3339 in UTC."""
    plan = plan_of({"target": "at", "source": "at", "cast": "timestamp"})

    assert plan.apply({"at": text}) == {"at": result}


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_beyond_the_calendar_are_refused(text: str) -> None:
    """A time that UTC cannot express is an error, not a crash."""
    plan = plan_of({"target": "at", "source": "at", "cast": "timestamp"})

    assert reasons(plan, {"at": text}) == ["TIME_OUT_OF_RANGE"]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**64, -(2**63) - 1, "\ud800", {1: 2}, b"x", {"a": {3}}]
)
def test_what_no_destination_can_store_is_refused(value: Any) -> None:
    """A result is JSON in Unicode with numbers of 64 bits, also deep inside."""
    plan = plan_of({"target": "a", "source": "a"})

    assert len(reasons(plan, {"a": value})) == 1
    assert len(reasons(plan_of({"target": "b", "source": "b"}, unmapped="keep"), {"a": [value]})) == 1


def test_output_is_bounded() -> None:
    """Mapping one large value many times does not multiply it without end."""
    plan = plan_of(*({"target": f"t{n}", "source": "a"} for n in range(100)))

    assert "OUTPUT_TOO_LARGE" in reasons(plan, {"a": "x" * (MAX_OUTPUT // 10)})


@pytest.mark.parametrize(
    "steps",
    [
        [{"replace": ["a", "x" * 9000]}],
        [{"regex_replace": ["", "x" * 9000]}],
        [{"append": "x" * 9000}] * 50,
        [{"split": "a"}, {"map": [{"append": "x" * 9000}]}],
        [{"split": "a"}, {"join": "x" * 9000}],
    ],
)
def test_texts_cannot_explode(steps: list[Any]) -> None:
    """Growth is measured before memory is taken."""
    plan = plan_of({"target": "t", "source": "a", "steps": steps})

    assert reasons(plan, {"a": "a" * 900_000}) != []


def test_errors_of_lists_name_the_element() -> None:
    """Inside `items` target and source say which element failed."""
    inner = [{"target": "n.v", "source": "m.v", "required": True}]
    plan = plan_of({"target": "out", "items": {"source": "in.list", "field_mappings": inner}})

    with pytest.raises(RecordRejected) as rejected:
        plan.apply({"in": {"list": [{"m": {"v": 1}}, {"m": 7}, None]}})

    assert [(e.target, e.source, e.reason) for e in rejected.value.errors] == [
        ("out[1].n.v", "in.list[1].m.v", "PATH_NOT_OBJECT"),
        ("out[2].n.v", "in.list[2].m.v", "REQUIRED_MISSING"),
    ]


def test_secrets_are_not_shown() -> None:
    """A value whose name or look says secret appears as stars."""
    plan = plan_of(
        {"target": "n", "source": "user.password", "cast": "integer"},
        {"target": "m", "source": "note", "cast": "integer"},
        {"target": "long", "source": "text", "cast": "integer"},
    )

    with pytest.raises(RecordRejected) as rejected:
        plan.apply({"user": {"password": "hunter2"}, "note": "Bearer abcdef", "text": "x" * 1000})

    shown = [error.value for error in rejected.value.errors]
    assert shown[:2] == ["***", "***"]
    assert len(shown[2]) < 100


@given(st.lists(st.text(min_size=1, max_size=8) | st.integers(-99, 99), min_size=1))
def test_paths_read_back_what_they_write(parts: list[str | int]) -> None:
    """Any name can be written in a path."""
    printable = tuple(part for part in parts if isinstance(part, int) or part.isprintable())[:10]
    if printable:
        assert parse_path(format_path(printable)) == printable


def test_fingerprints_follow_content() -> None:
    """Order of members does not matter, content does."""
    one = compile_mapping({"version": "isthmus/v1", "field_mappings": [{"target": "a", "source": "b"}]})
    same = compile_mapping({"field_mappings": [{"source": "b", "target": "a"}], "version": "isthmus/v1"})
    other = compile_mapping({"version": "isthmus/v1", "field_mappings": [{"target": "a", "source": "c"}]})

    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_lineage_tells_what_a_field_is_made_from() -> None:
    """Conditions and list elements count too."""
    plan = plan_of(
        {"target": "a", "template": "{x} {y?}", "when": {"path": "z", "equals": 1}},
        {"target": "b", "items": {"source": "l", "field_mappings": [{"target": "c", "source": "d.e"}]}},
    )

    assert {line.target: line.sources for line in plan.lineage} == {
        "a": ("x", "y", "z"),
        "b": ("l", "l[*].d.e"),
    }
    assert plan.sources == ("l", "l[*].d.e", "x", "y", "z")


@pytest.mark.parametrize(
    ("value", "tells"),
    [
        ({"now": True}, True),
        ({"now": True, "steps": [{"format_date": "%Y"}]}, True),
        ({"source": "at", "steps": ["days_since"]}, True),
        ({"concat": [{"source": "a"}, {"now": True}]}, True),
        ({"items": {"source": "l", "field_mappings": [{"target": "c", "now": True}]}}, True),
        ({"source": "at", "steps": ["days_since", {"at_most": 90}]}, False),
        ({"source": "at", "steps": ["is_past", {"cast": "string"}]}, False),
        ({"source": "l", "steps": [{"map": ["trim"]}]}, False),
        ({"source": "at", "cast": "timestamp"}, False),
    ],
    ids=["now", "year", "age", "part", "inner", "limit", "verdict", "list", "own"],
)
def test_fields_that_tell_the_time_of_mapping_are_known(value: dict[str, object], tells: bool) -> None:
    """What is another value every time, though nothing else has changed."""
    [line] = plan_of({"target": "f", **value}).lineage

    assert line.tells_time is tells


def test_the_identity_plan_passes_records() -> None:
    """A flow without mapping moves records as they are, and still refuses what is none."""
    mapped = identity_plan().apply_many([{"a": 1}, [1]])

    assert (mapped.records, [rejection.index for rejection in mapped.rejected]) == ([{"a": 1}], [1])
