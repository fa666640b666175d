"""What leads back leads to where it came from, and what does not says why."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isthmus.mapper import compile_mapping
from isthmus.mapper.inversion import Verdict, invert_mapping, round_trips

SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "open": {"type": "boolean"},
        "seen": {"type": "string"},
        "since": {"type": "integer"},
        "level": {"type": "integer"},
        "sys": {"type": "object", "properties": {"id": {"type": "string"}}},
    },
}
EXACT: list[dict[str, Any]] = [
    {"target": "id", "source": "sys.id", "nulls": "keep"},
    {"target": "number", "source": "number", "steps": [{"prepend": "INC."}, {"append": "$"}]},
    {"target": "ticket.ref", "template": "T-{{{ticket}}}"},
    {"target": "state", "source": "state", "enum": {"1": "new", "2": "done"}, "default": "none"},
    {"target": "level", "source": "level", "table": "levels"},
    {"target": "count", "source": "count", "steps": [{"add": 1}], "cast": "string"},
    {"target": "closed", "source": "open", "steps": ["not"]},
    {"target": "word", "source": "yes", "steps": [{"choose": ["y", "n"]}]},
    {"target": "tags", "source": "tags", "steps": [{"split": ";"}, {"map": [{"prepend": "#"}]}]},
    {"target": "raw", "source": "raw", "steps": ["to_json", "url_encode"]},
    {"target": "whole", "expression": "record.whole.part"},
    {
        "target": "links",
        "items": {
            "source": "links",
            "field_mappings": [{"target": "kind", "source": "k", "enum": {"a": "x", "b": "y"}}],
        },
    },
]
SPELLED: list[dict[str, Any]] = [
    {"target": "seenUtc", "source": "seen", "cast": "timestamp"},
    {"target": "since", "source": "since", "cast": "timestamp"},
    {"target": "share", "source": "share", "cast": "string"},
    {"target": "day", "source": "day", "steps": [{"parse_date": ["%d.%m.%Y %H:%M:%S", "Europe/Zurich"]}]},
]
TABLES = {"levels": {"entries": {"1": "low", "2": "high"}}}
RULES = {"tables": TABLES, "functions": {"tag": [{"prepend": "x"}]}}
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
records = st.fixed_dictionaries(
    {"whole": st.fixed_dictionaries({"part": texts})},
    optional={
        "sys": st.fixed_dictionaries({"id": texts}),
        "number": texts,
        "ticket": texts,
        "state": st.sampled_from(["1", "2", None]),
        "level": st.sampled_from([1, 2]),
        "count": st.integers(-(2**53), 2**53),
        "open": st.booleans(),
        "tags": texts.filter(bool),
        "raw": st.lists(
            texts | st.integers(-9, 9) | st.dictionaries(texts, st.booleans(), max_size=2), max_size=3
        ),
        "links": st.lists(st.fixed_dictionaries({"k": st.sampled_from("ab")}), min_size=1, max_size=3),
        "seen": st.sampled_from(["2026-01-31 12:00:00", "2026-01-31T12:00:00+02:00", "2026-01-31"]),
        "since": st.integers(0, 2**31),
        "share": st.floats(-1e6, 1e6),
        "day": st.sampled_from(["31.01.2026 12:00:00", "01.07.2026 00:00:00"]),
    },
)


def definition_of(fields: list[dict[str, Any]], **rules: Any) -> dict[str, Any]:
    """A definition with the schema and tables of this module."""
    shared = {**RULES, **rules}
    given = {
        "version": "isthmus/v1",
        "source_schema": SCHEMA,
        "field_mappings": fields,
        "transformations": shared,
    }
    compile_mapping(given)
    return given


@settings(max_examples=15, deadline=None)
@given(st.lists(records, min_size=1, max_size=4))
def test_records_come_back_as_they_were(samples: list[dict[str, Any]]):
    """Whatever the record, the fields that lead back exactly are what they were."""
    definition = definition_of([field for field in EXACT if field["target"] != "word"])
    inverse = invert_mapping(definition)

    assert inverse.is_full
    assert inverse.respelled == ()
    assert {each.verdict for each in round_trips(definition, inverse, samples)} == {Verdict.SAME}


@settings(max_examples=15, deadline=None)
@given(st.lists(records, min_size=1, max_size=4))
def test_other_spellings_map_to_the_same(samples: list[dict[str, Any]]):
    """Times may come back spelled otherwise, and mean the same."""
    definition = definition_of([*EXACT[:3], *SPELLED], nulls="keep")
    inverse = invert_mapping(definition)

    verdicts = {each.verdict for each in round_trips(definition, inverse, samples)}
    assert inverse.is_full
    assert set(inverse.respelled) == {"seen", "since", "day"}
    assert verdicts <= {Verdict.SAME, Verdict.RESPELLED}


def test_the_way_back_of_the_way_back_is_the_way():
    """Renames and tables of words, inverted twice, are what they were."""
    fields = [
        {"target": "a.b", "source": "c.d", "required": True},
        {"target": "state", "source": "status", "steps": [{"lookup": {"entries": {"x": "y"}}}]},
        {
            "target": "list",
            "items": {"source": "elements", "field_mappings": [{"target": "p", "source": "q"}]},
        },
    ]
    definition = {"version": "isthmus/v1", "field_mappings": fields}

    there = invert_mapping(definition).definition
    assert there is not None
    assert invert_mapping(there).definition == definition


def test_what_is_not_mapped_is_carried_back():
    """Members that no rule names pass both ways; what the mapping adds is not taken for the source's."""
    definition = definition_of(
        [{"target": "title", "source": "name"}, {"target": "origin", "constant": "here"}],
        unmapped="keep",
        ignore=["secret"],
    )
    inverse = invert_mapping(definition)
    assert inverse.definition is not None

    back = compile_mapping(inverse.definition).apply({"title": "t", "origin": "here", "more": 1})

    assert back == {"name": "t", "more": 1}


LOST: list[tuple[dict[str, Any], str, bool]] = [
    ({"constant": 1}, "CONSTANT", False),
    ({"now": True}, "NOW", False),
    ({"source": "a", "steps": ["lower"]}, "STEP_FORGETS", True),
    ({"source": "a", "steps": ["tag", "sha256"]}, "STEP_FORGETS", True),
    ({"source": "a", "enum": {"x": "y", "z": "y"}}, "TABLE_NOT_INJECTIVE", True),
    ({"source": "a", "enum": {"x": None}}, "TABLE_NOT_INJECTIVE", True),
    ({"source": "a", "enum": {"x": "y"}, "default": "y"}, "DEFAULT_AMBIGUOUS", True),
    ({"source": "a", "default": "y"}, "DEFAULT_AMBIGUOUS", True),
    ({"source": "a", "table": {"entries": {"x": "y"}, "otherwise": "keep"}}, "TABLE_OPEN", True),
    ({"source": "a", "table": {"entries": {"x": "y"}, "ignore_case": True}}, "TABLE_IGNORES_CASE", True),
    ({"source": "a", "cast": "integer"}, "TYPE_UNKNOWN", True),
    ({"source": "seen", "cast": "date"}, "CAST_FORGETS", True),
    ({"source": "a", "cast": {"type": "integer", "strictness": "lenient"}}, "CAST_FORGETS", True),
    ({"source": "count", "steps": [{"prepend": "#"}]}, "TYPE_CHANGES", True),
    ({"source": "share", "steps": [{"add": 0.1}]}, "NUMBERS_ROUND", True),
    ({"source": "seen", "steps": [{"format_date": "%d %b %Y"}]}, "FORMAT_FORGETS", True),
    ({"source": "since", "steps": [{"from_epoch": "ms"}]}, "FORMAT_FORGETS", True),
    ({"source": "a", "steps": [{"choose": [1, 2]}]}, "TYPE_UNKNOWN", True),
    ({"source": "a[0]"}, "LIST_ELEMENT", True),
    ({"source": "a[*].b"}, "LIST_ELEMENT", True),
    ({"source": "$"}, "WHOLE_RECORD", True),
    ({"source": "a", "when": {"path": "b", "is_null": False}}, "RULE_NOT_INVERTIBLE", True),
    ({"expression": "record.a + '!'"}, "EXPRESSION", True),
    ({"template": "{a}/{b}"}, "SEVERAL_SOURCES", True),
    ({"coalesce": ["a", "b"]}, "SEVERAL_SOURCES", True),
    ({"concat": ["known", "known"]}, "SEVERAL_SOURCES", False),
    ({"source": "known.inner"}, "SOURCE_TWICE", False),
    (
        {"items": {"source": "a", "field_mappings": [{"target": "b", "source": "$record.c"}]}},
        "STEP_FORGETS",
        True,
    ),
]


@pytest.mark.parametrize(("field", "reason", "matters"), LOST, ids=[str(place) for place in range(len(LOST))])
def test_what_does_not_lead_back_says_why(field: dict[str, Any], reason: str, matters: bool):
    """Each field is told by its target, with a reason, and whether anything is lost by it."""
    known = {"target": "known", "source": "known"}

    inverse = invert_mapping(definition_of([known, {"target": "t", **field}]))

    assert [(loss.reason, loss.matters) for loss in inverse.losses if loss.target == "t"] == [
        (reason, matters)
    ]
    assert inverse.is_full is not matters
    assert inverse.definition is not None
    assert [each["target"] for each in inverse.definition["field_mappings"]] == ["known"]


def test_samples_show_what_differs():
    """A sample that is rejected, and one whose numbers a table keeps as texts, are told."""
    definition = {
        "version": "isthmus/v1",
        "field_mappings": [{"target": "s", "source": "s", "enum": {"1": "a"}}],
    }

    found = round_trips(definition, invert_mapping(definition), [{"s": "1"}, {"s": 1}, {"s": "2"}])

    assert [each.verdict for each in found] == [Verdict.SAME, Verdict.RESPELLED, Verdict.NOT_MAPPED]
    assert found[1].paths == ("s",)
