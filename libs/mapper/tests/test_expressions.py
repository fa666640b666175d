"""Expressions in mappings: the same for dictionaries and structs, precise where they fail, lazy to import."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from isthmus.mapper import MappingInvalid, Plan, RecordRejected, compile_mapping

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RECORD = {
    "id": "i1",
    "severity": 3,
    "owner": {"name": "Ann"},
    "tags": ["rack-1", "disk"],
    "parts": [{"n": 1}, {"n": 2}],
    "gone": None,
}


def plan(*expressions: str, where: str = "", **more: Any) -> Plan:
    """A mapping of one field for each expression."""
    fields = [{"target": f"f{n}", "expression": text, **more} for n, text in enumerate(expressions)]
    rules = {"transformations": {"where": {"expression": where}}} if where else {}
    return compile_mapping({"version": "isthmus/v1", "field_mappings": fields, **rules})


def by_structs(made: Plan, record: Any) -> Any:
    """The result by structs that hold what is read."""
    typed = made.typed(("id",))
    assert typed is not None
    decoded = msgspec.json.decode(msgspec.json.encode(record), type=typed.record_type)
    rows = typed.rows([decoded], now=NOW).records
    one = typed.apply(decoded, now=NOW)
    assert [msgspec.json.decode(msgspec.json.encode(row)) for row in rows] == ([one] if one else [])
    return one


def refused(made: Plan, record: Any) -> Any:
    """The errors of a record, which are the same both ways."""
    with pytest.raises(RecordRejected) as by_hand:
        made.apply(record, now=NOW)
    typed = made.typed(("id",))
    assert typed is not None
    with pytest.raises(RecordRejected) as by_struct:
        typed.apply(msgspec.json.decode(msgspec.json.encode(record), type=typed.record_type), now=NOW)
    assert by_hand.value.errors == by_struct.value.errors
    return by_hand.value.errors


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("record.severity * 10", 30),
        ("record.owner.name + '!'", "Ann!"),
        ("has(record.owner.mail)", False),
        ("has(record.gone)", True),
        ("has(record.never)", False),
        ("record.gone == null", True),
        ("record.?never.orValue(7)", 7),
        ("record.?owner.?name.orValue('x')", "Ann"),
        ("record.?owner.?mail.orValue('x')", "x"),
        ("record['id'] + record.id", "i1i1"),
        ("record.tags.exists(t, t == 'disk')", True),
        ("record.parts.map(p, p.n * 2)", [2, 4]),
        ("now - duration('1h')", "2026-01-31T11:00:00Z"),
        ("b'ab'", "YWI="),
        ("duration('90s')", "90s"),
        ("{'a': [1u, 2.5], 'b': timestamp(0)}", {"a": [1, 2.5], "b": "1970-01-01T00:00:00Z"}),
        ("{true: 1, 2: 2}", {"true": 1, "2": 2}),
        ("record.never > 1 || record.severity == 3", True),
        ("cel.bind(s, record.severity, s + s)", 6),
    ],
)
def test_an_expression_gives_a_value(expression, value):
    """
    Results are JSON, and equal for dictionaries and structs.
    """
    made = plan(expression)

    assert made.apply(RECORD, now=NOW) == {"f0": value}
    assert by_structs(made, RECORD) == {"f0": value}


def test_a_condition_filters():
    """
    A record for which the condition of the mapping does not hold is left out.
    """
    made = plan("record.id", where="record.severity > 3 && record.id != 'x'")

    assert made.apply(RECORD) is None
    assert by_structs(made, RECORD) is None
    assert made.apply({**RECORD, "severity": 4}) == {"f0": "i1"}


def test_missing_and_null_differ_to_expressions_and_not_to_paths():
    """
    A member that both a path and an expression read is null to the one and missing to the other.
    """
    fields = [
        {"target": "path", "source": "note", "default": "none"},
        {"target": "asked", "expression": "has(record.note)"},
        {"target": "text", "template": "{id}{note?}"},
        {"target": "first", "coalesce": ["note", "id"]},
        {"target": "when", "constant": 1, "when": {"path": "note", "is_null": True}},
    ]
    made = compile_mapping({"version": "isthmus/v1", "field_mappings": fields})
    wanted = {"path": "none", "text": "i1", "first": "i1", "when": 1}

    for record, asked in ((RECORD, False), ({**RECORD, "note": None}, True)):
        assert made.apply(record, now=NOW) == by_structs(made, record) == {**wanted, "asked": asked}


def test_plans_with_expressions_decode_what_they_read():
    """
    The struct of a mapping holds the members that its expressions read and no others.
    """
    typed = plan("record.owner.name + record.?note.orValue('')").typed(())

    assert typed is not None
    assert sorted(typed.record_type.__struct_encode_fields__) == ["note", "owner"]
    assert plan("record.map(key, key)").typed(()) is None


@pytest.mark.parametrize(
    ("expression", "record", "source", "value", "place"),
    [
        ("1 + record.severity", {"severity": "high"}, "severity", '"high"', "character 3"),
        ("record.owner.name", {"owner": {}}, "owner.name", "null", "character 13"),
        ("record.owner.name", {"owner": None}, "owner", "null", "character 13"),
        ("record.id +\n record.password", {"id": "a", "password": 7}, "id", '"a"', "character 11"),
        ("record.password * 2", {"password": "hunter2"}, "password", "***", "character 17"),
        ("record.severity / 0", {"severity": 1}, "severity", "1", "character 17"),
    ],
)
def test_a_failure_tells_where_and_over_what(expression, record, source, value, place):
    """
    An error names the field, the source path, the character, the scrubbed value and a remedy.
    """
    (error,) = refused(plan(expression), record)

    assert (error.target, error.source, error.value) == ("f0", source, value)
    assert error.reason == "EXPRESSION_FAILED"
    assert place in error.message
    assert "orValue" in error.message


def test_one_bad_expression_does_not_hide_another():
    """
    Every field that fails is told, and a filter that cannot be answered rejects the record.
    """
    made = plan("record.never", "record.id", "record.severity + 'a'")

    assert [error.target for error in refused(made, RECORD)] == ["f0", "f2"]
    assert refused(plan("record.id", where="record.severity"), RECORD)[0].source == "where"


SCHEMA = {
    "type": "object",
    "properties": {"severity": {"type": "integer"}, "name": {"type": "string"}, "score": {"type": "number"}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("expression", "reason", "words"),
    [
        ("record.severity +", "EXPRESSION_INVALID", "character"),
        ("severity", "EXPRESSION_INVALID", "knows 'record' and 'now'"),
        ("record.severity + 'x'", "EXPRESSION_INVALID", "no matching overload"),
        ("record.nam", "SOURCE_UNKNOWN", "nam"),
        ("x" * 5_000, "EXPRESSION_INVALID", "4000 characters"),
        (7, "WRONG_TYPE", "a text"),
    ],
)
def test_mistakes_are_found_when_the_mapping_is_compiled(expression, reason, words):
    """
    A mistake is told by place, reason and remedy; the source schema tells the types of members.
    """
    fields = [{"target": "a", "expression": expression}]
    with pytest.raises(MappingInvalid) as invalid:
        compile_mapping({"version": "isthmus/v1", "source_schema": SCHEMA, "field_mappings": fields})

    (violation,) = invalid.value.violations
    assert (violation.path, violation.reason) == ("/field_mappings/0/expression", reason)
    assert words in violation.message


def test_types_of_a_schema_do_not_stand_in_the_way_of_asking():
    """
    Members may be asked for, compared with and counted on as the schema has them.
    """
    fields = [{"target": "a", "expression": "has(record.name) && record.name.size() < record.severity"}]
    made = compile_mapping({"version": "isthmus/v1", "source_schema": SCHEMA, "field_mappings": fields})

    assert made.apply({"name": "ab", "severity": 3}) == {"a": True}


def test_a_condition_has_to_be_one():
    """
    What is known not to be true or false is refused as a condition.
    """
    with pytest.raises(MappingInvalid) as invalid:
        plan("record.id", where="size(record.tags)")

    assert invalid.value.violations[0].reason == "EXPRESSION_NOT_BOOLEAN"


def test_results_are_held_against_the_target_schema():
    """
    The type of an expression's result has to be one that the target takes.
    """
    fields = [{"target": "a", "expression": "record.tags.exists(t, t == 'x')"}]
    target = {"type": "object", "properties": {"a": {"type": "string"}}}
    with pytest.raises(MappingInvalid) as invalid:
        compile_mapping({"version": "isthmus/v1", "target_schema": target, "field_mappings": fields})

    assert invalid.value.violations[0].reason == "TARGET_TYPE"


def test_lineage_tells_what_an_expression_reads():
    """
    A target made by an expression has the members that it reads as its sources.
    """
    made = plan("record.owner.name + record.id", "now", "now > timestamp(record.id)")

    assert [(line.sources, line.tells_time) for line in made.lineage] == [
        (("owner.name", "id"), False),
        ((), True),
        (("id",), False),
    ]


def test_mappings_without_expressions_do_without_the_library():
    """
    Neither the library nor the compiler of expressions is imported before there is one.
    """
    code = (
        "import sys; from isthmus.mapper import compile_mapping;"
        "p = compile_mapping({'version': 'isthmus/v1', 'field_mappings': [{'target': 'a', 'source': 'b'}]});"
        "p.typed(()); p.apply({'b': 1});"
        "print(sorted(m for m in sys.modules if 'cel_expr' in m or 'mapper.cel.' in m))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['isthmus.mapper.cel.limits']"
