"""Records mapped straight to lines of text stand for exactly the records that are mapped otherwise."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.mapper import LineWriter, TextColumn, TypedPlan, compile_mapping, json_of_lines

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ODD_TEXTS = [
    "None",
    "\\None",
    "None\\",
    "\\",
    "\\n",
    "a\nb",
    "\n",
    "\r",
    "\x1f",
    "\\\x1f",
    "a\x1fNone\x1fb",
    "\0",
    "",
    "é",
    "印刷 \U0001f600",
    "x" * 2000,
    "\\.",
    "2026-01-31 12:00:00",
    "12",
    "on",
]
FIELDS = [
    {"target": "id", "source": "id"},
    {"target": "plain", "source": "a"},
    {"target": "inner", "source": "o.x"},
    {"target": "kept", "source": "b", "nulls": "keep"},
    {"target": "needed", "source": "a", "required": True},
    {"target": "text", "source": "b", "cast": "string"},
    {"target": "number", "source": "n", "cast": "integer"},
    {"target": "raw number", "source": "n"},
    {"target": "flag", "source": "f", "cast": "boolean"},
    {"target": "raw flag", "source": "f"},
    {"target": "moment", "source": "t", "cast": "timestamp"},
    {"target": "lenient", "source": "t", "cast": {"type": "timestamp", "strictness": "lenient"}},
    {"target": "label", "template": "{a?}{b?}"},
    {"target": "joined", "concat": {"values": ["a", "b"], "separator": "\n"}},
    {"target": "list", "source": "l", "steps": [{"join": "\x1f"}]},
    {
        "target": "word",
        "source": "a",
        "table": {"entries": {"12": "None", "on": "a\\b"}, "otherwise": "null"},
    },
    {"target": "kept word", "source": "a", "table": {"entries": {"12": "x"}, "otherwise": "keep"}},
    {"target": "filled", "source": "b", "default": "None"},
    {"target": "count", "source": "n", "default": 0},
    {"target": "some", "source": "a", "when": {"path": "f", "equals": True}},
    {"target": "fixed", "constant": "a\rb"},
    {"target": "seven", "constant": 7},
    {"target": "either", "coalesce": ["a", "b"]},
    {"target": "upper", "source": "b", "steps": ["upper"]},
    {"target": "tidy", "source": "b", "steps": ["trim", "lower", {"truncate": 4}], "default": "none"},
    {"target": "tagged", "template": "{id}\\{a}", "steps": ["trim"]},
    {"target": "now", "now": True},
    {"target": "list item", "source": "l[0]"},
    {"target": "trimmed", "source": "l", "steps": [{"map": ["trim"]}, "join"]},
    {"target": "empty", "source": "b", "steps": ["is_empty"]},
    {"target": "noted", "source": "a", "when": {"path": "b", "not_equals": "x"}, "required": True},
]
MANY = 50
"""As many records as are mapped field by field, where that can be."""
texts = st.none() | st.sampled_from(ODD_TEXTS) | st.text(alphabet="aé\\\n\r\x1fNone", max_size=6)
anything = texts | st.integers(-(2**66), 2**66) | st.booleans() | st.floats(allow_nan=False)
records = st.fixed_dictionaries(
    {"id": st.sampled_from([*ODD_TEXTS, "a", "b"]), "a": texts, "b": texts},
    optional={
        "n": st.none() | st.integers(-(2**66), 2**66) | st.sampled_from(["12", "x"]),
        "f": st.none() | st.booleans(),
        "t": st.none() | st.sampled_from(["2026-01-31 12:00:00", "2026-01-31T12:00:00Z", "2026-13-01", "x"]),
        "l": st.none() | st.lists(texts, max_size=3),
        "o": st.none() | st.fixed_dictionaries({"x": texts}),
    },
)
odd_records = st.fixed_dictionaries(
    {"id": anything, "a": anything, "b": anything, "n": anything, "f": anything}
)
chosen_fields = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=6, unique_by=lambda one: one["target"])
filters = st.sampled_from([{}, {"where": {"path": "a", "not_equals": "on"}}])
COLUMNS: list[dict[str, Any]] = [
    {"source": "t", "cast": "timestamp"},
    {"source": "n", "cast": "integer"},
    {"source": "n"},
    {"source": "f", "cast": "boolean"},
    {"source": "a", "cast": "string"},
    {"source": "a", "table": {"entries": {"a": "x", "1": None, "None": "y"}, "otherwise": "keep"}},
    {"source": "a", "steps": ["upper", "trim"]},
    {"source": "l", "steps": [{"join": ", "}]},
    {"template": "{a?}: {b}", "steps": ["lower"]},
]
USUAL = {"t": "2026-01-31 12:00:00", "n": 7, "f": True, "l": ["a", "b"]}
MOMENTS = [
    *("2026-01-31 12:00:00", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z"),
    *(
        "0000-01-01 00:00:00",
        "2026-02-29 00:00:00",
        "2026-01-31 24:00:00",
        "2026-01-31 12:00:00.5",
        "2026-01-31",
    ),
    *("2026-01-31 12:00:00Z\x1f2026-01-31 12:00:00", "", "٢026-01-31 12:00:00", "2026-01-31T12:00:00+02:00"),
]
values = (
    anything
    | st.sampled_from(MOMENTS)
    | st.lists(texts, max_size=2)
    | st.sampled_from(
        [[1, "a"], ["x"] * 101, {"a": 1}, "9" * 18, "9" * 19, "٣", "ß" * 700, 2**32, -(2**32), 2**64]
    )
)
patient = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def typed_of(fields: list[dict[str, Any]], **transformations: Any) -> TypedPlan:
    """Compile field mappings to a plan for structs."""
    plan = compile_mapping(
        {"version": "isthmus/v1", "field_mappings": fields, "transformations": transformations}
    )
    typed = plan.typed(["id"])
    assert typed is not None
    return typed


def structs_of(typed: TypedPlan, given_records: list[Any]) -> list[msgspec.Struct]:
    """Decode records as a page of them would be."""
    kind: Any = list[typed.record_type]  # type: ignore[name-defined]
    decoded: list[msgspec.Struct] = msgspec.json.decode(msgspec.json.encode(given_records), type=kind)
    return decoded


def writer_of(typed: TypedPlan, *key: str) -> LineWriter:
    """Give the writer of a plan that has one."""
    writer = typed.line_writer(key)
    assert writer is not None
    return writer


def check_same(typed: TypedPlan, writer: LineWriter, structs: list[msgspec.Struct]) -> bool:
    """Compare rows, and lines where there are any, with dictionaries; tell whether there are lines."""
    mapped = typed.apply_many(structs, now=NOW)
    expected = [msgspec.json.encode(record) for record in mapped.records]
    counted = (mapped.indexes, mapped.rejected, mapped.filtered)
    rows = typed.rows(structs, now=NOW)
    assert [msgspec.json.encode(row) for row in rows.records] == expected
    assert (rows.indexes, rows.rejected, rows.filtered) == counted
    found = writer.lines(structs, now=NOW)
    if found is None:
        return False
    assert json_of_lines(found.text, found.columns) == expected
    assert (list(found.indexes), list(found.rejected), found.filtered) == counted
    assert found.count == len(rows.records) == found.text.count(b"\n")
    return True


@patient
@given(chosen_fields, filters, st.lists(st.lists(records, max_size=5), min_size=1, max_size=4), st.booleans())
def test_lines_stand_for_the_records_that_are_mapped(
    fields: list[dict[str, Any]], transformations: dict[str, Any], slices: list[list[Any]], many: bool
) -> None:
    """Whatever texts come, in whatever order: what lines say is what rows say, errors included."""
    typed = typed_of(fields, **transformations)
    writer = typed.line_writer()
    if writer is None:
        return

    for some in slices:
        check_same(typed, writer, structs_of(typed, (some * MANY)[:MANY] if many else some))


@patient
@given(chosen_fields, st.lists(st.lists(odd_records, max_size=4), min_size=1, max_size=4), st.booleans())
def test_values_of_other_types_are_said_exactly_or_not_at_all(
    fields: list[dict[str, Any]], slices: list[list[Any]], many: bool
) -> None:
    """Numbers and booleans where text was expected, and texts where numbers were."""
    typed = typed_of(fields)
    writer = typed.line_writer()
    if writer is None:
        return

    for some in slices:
        check_same(typed, writer, structs_of(typed, (some * MANY)[:MANY] if many else some))


@patient
@given(
    st.sampled_from([*COLUMNS, *FIELDS]),
    st.lists(st.lists(values, min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_a_column_is_what_its_values_are_one_by_one(field: dict[str, Any], several: list[list[Any]]) -> None:
    """Whatever a step does with many values at once, it does with each; an odd one among many is found."""
    typed = typed_of([{**field, "target": "t"}])
    writer = writer_of(typed)
    usual = [USUAL.get(str(field.get("source")), "a")] * MANY

    for some in several:
        column = [*usual, *some, *usual]
        met = [{"id": "1", **dict.fromkeys("abntfl", value)} for value in column]
        check_same(typed, writer, structs_of(typed, met))


def test_many_usual_records_are_mapped_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nulls, characters of any alphabet, and what has to be escaped are usual; so is a filter."""
    fields = [one for one in FIELDS if one["target"] not in {"raw flag", "raw number", "count"}]
    typed = typed_of(fields, where={"path": "id", "not_equals": "b"})
    monkeypatch.setattr(LineWriter, "_by_record", lambda *_: None)
    usual = {
        "a": "12",
        "b": "x\\ü",
        "n": 1,
        "f": True,
        "t": "2026-01-31 12:00:00",
        "l": ["a"],
        "o": {"x": "y"},
    }
    met = [{"id": "a", **usual}, {"id": "b", **usual}, {"id": "c", **usual, "t": None, "o": None}] * MANY

    assert check_same(typed, writer_of(typed, "id"), structs_of(typed, met))


def test_a_thousand_records_with_every_odd_text() -> None:
    """Lines that have to be escaped stand between those that need not be."""
    typed = typed_of([{"target": "id", "source": "id"}, {"target": "a", "source": "a"}])
    odd = [{"id": f"n{number}", "a": ODD_TEXTS[number % len(ODD_TEXTS)]} for number in range(500)]
    plain = [{"id": f"m{number}", "a": "usual"} for number in range(500)]
    mixed = [record for pair in zip(odd, plain, strict=True) for record in pair]

    assert check_same(typed, writer_of(typed, "id"), structs_of(typed, mixed))


def test_a_line_is_what_copy_takes() -> None:
    """Values stand in the order of the columns; absent ones are a bare word, which a text never is."""
    typed = typed_of(
        [
            {"target": "id", "source": "id"},
            {"target": "text", "source": "a"},
            {"target": "count", "source": "n"},
            {"target": "flag", "source": "f"},
        ]
    )
    structs = structs_of(
        typed,
        [
            {"id": "1", "a": "None", "n": 7, "f": True},
            {"id": "2", "a": "a\\b\nc\x1fd\r", "n": None, "f": False},
            {"id": "None", "a": "é", "n": -1, "f": None},
        ],
    )

    found = writer_of(typed, "id").lines(structs, now=NOW)

    assert found is not None
    assert found.columns == (
        TextColumn("id", "string"),
        TextColumn("text", "string"),
        TextColumn("count", "integer"),
        TextColumn("flag", "boolean"),
    )
    assert found.text.decode().split("\n") == [
        "1\x1f\\None\x1f7\x1fTrue",
        "2\x1fa\\\\b\\nc\\\x1fd\\r\x1fNone\x1fFalse",
        "\\None\x1fé\x1f-1\x1fNone",
        "",
    ]


def test_a_member_that_no_record_has_is_no_column() -> None:
    """A destination would otherwise take it for one whose values are null; with kept nulls it is."""
    typed = typed_of(
        [
            {"target": "id", "source": "id"},
            {"target": "a", "source": "a"},
            {"target": "b", "source": "b", "nulls": "keep"},
        ]
    )
    writer = writer_of(typed, "id")
    without, with_one = [{"id": "1", "a": None, "b": None}], [{"id": "2", "a": "x", "b": None}]

    columns = [
        [column.name for column in found.columns]
        for some in (without, with_one, without)
        if (found := writer.lines(structs_of(typed, some))) is not None
    ]

    assert columns == [["id", "b"], ["id", "a", "b"], ["id", "b"]]


@pytest.mark.parametrize("missing", [None, ""], ids=["null", "empty"])
def test_a_record_without_its_key_is_not_written(missing: str | None) -> None:
    """The careful way tells what is wrong with it, and is taken for what follows as well."""
    typed = typed_of([{"target": "id", "source": "id"}])
    writer = writer_of(typed, "id")

    assert writer.lines(structs_of(typed, [{"id": "1"}, {"id": missing}])) is None
    assert writer.lines(structs_of(typed, [{"id": "2"}])) is None


@pytest.mark.parametrize(
    "field",
    [
        {"target": "t", "source": "a", "cast": "number"},
        {"target": "t", "source": "a", "cast": "array"},
        {"target": "t.u", "source": "a"},
        {"target": "t", "constant": 1.5},
        {"target": "t", "source": "a", "nulls": "keep", "when": {"path": "b", "equals": "x"}},
        {"target": "t", "source": "a", "cast": "string", "default": 0},
        {"target": "t", "items": {"source": "l", "field_mappings": [{"target": "x", "source": "x"}]}},
    ],
    ids=["number", "list", "nested", "fraction", "sometimes null", "two types", "items"],
)
def test_what_text_cannot_say_exactly_has_no_lines(field: dict[str, Any]) -> None:
    """It is known before the first record comes."""
    assert typed_of([field]).line_writer() is None


def test_half_a_character_is_left_to_the_careful_way() -> None:
    """It has no UTF-8 form; rows tell which record holds it."""
    typed = typed_of([{"target": "t", "source": "a", "cast": "json"}])

    assert writer_of(typed).lines(structs_of(typed, [{"id": "1", "a": '"\\ud800"'}])) is None


def test_a_key_that_is_no_target_has_no_lines() -> None:
    """The destination finds keys in the columns."""
    assert typed_of([{"target": "t", "source": "a"}]).line_writer(["id"]) is None
