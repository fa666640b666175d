"""Rules on results: what they see, and what follows where one does not hold."""

from typing import Any

import msgspec
import pytest
from isthmus.mapper import MappingInvalid, MappingStopped, Plan, RecordRejected, compile_mapping


def ruled(*rules: dict[str, Any], **transformations: Any) -> Plan:
    """Compile a mapping with rules."""
    fields = [{"target": "a", "source": "x"}, {"target": "b.c", "source": "y"}]
    shared = {"rules": list(rules), **transformations}
    return compile_mapping({"version": "isthmus/v1", "field_mappings": fields, "transformations": shared})


def rule(check: Any, consequence: str, **more: Any) -> dict[str, Any]:
    """A rule that is named after its consequence."""
    return {"name": f"{consequence}-rule", "check": check, "consequence": consequence, **more}


def test_a_warning_lets_the_record_pass() -> None:
    """Records for which a rule does not hold are told of, by their places, and mapped all the same."""
    plan = ruled(rule("result.a > 0", "warn", message="It has to be positive."))
    mapped = plan.apply_many([{"x": 1}, {"x": 0}, {"y": 2}])

    assert mapped.records == [{"a": 1}, {"a": 0}, {"b": {"c": 2}}]
    assert [(note.index, note.consequence, note.error.rule) for note in mapped.notes] == [
        (1, "warn", "warn-rule"),
        (2, "warn", "warn-rule"),
    ]
    assert mapped.notes[0].error.message.startswith("It has to be positive (rule warn-rule).")


def test_defaults_are_put_where_they_belong() -> None:
    """What a rule sets is in the result, in objects that are made on the way, and each record has its own."""
    plan = ruled(rule({"path": "a", "is_null": False}, "default", default={"a": 0, "b.d": [1]}))
    mapped = plan.apply_many([{"y": 1}, {"x": 5}, {}])

    assert mapped.records == [{"a": 0, "b": {"c": 1, "d": [1]}}, {"a": 5}, {"a": 0, "b": {"d": [1]}}]
    assert mapped.records[0]["b"]["d"] is not mapped.records[2]["b"]["d"]
    assert {line.target for line in plan.lineage} == {"a", "b.c", "b.d"}


def test_a_broken_rule_rejects_the_record() -> None:
    """The error names the rule, and what it asks of the result and of the record."""
    plan = ruled(
        rule({"all": [{"path": "a", "at_least": 1}, {"path": "$record.z", "is_null": True}]}, "quarantine")
    )
    mapped = plan.apply_many([{"x": 1}, {"x": 0}, {"x": 2, "z": 1}])

    assert mapped.indexes == [0]
    (error,) = mapped.rejected[0].errors
    assert (error.reason, error.rule, error.target, error.source) == (
        "RULE_BROKEN",
        "quarantine-rule",
        "a",
        "z",
    )


def test_a_rule_may_end_everything() -> None:
    """The first record for which such a rule does not hold is the last one that is looked at."""
    plan = ruled(rule("record.x != 3", "stop"))

    with pytest.raises(MappingStopped) as stopped:
        plan.apply_many([{"x": 1}, {"x": 3}, {"x": 4}])
    assert stopped.value.errors[0].reason == "RULE_STOPPED"


def test_defaults_may_make_what_later_rules_and_the_schema_need() -> None:
    """Rules are asked in their order, and the schema is asked after them."""
    schema = {"type": "object", "required": ["a", "n"]}
    mend = rule({"path": "n", "is_null": False}, "default", default={"n": 1})
    fields = [{"target": "a", "source": "x"}]
    transformations = {"rules": [mend, rule("result.n == 1", "quarantine")], "validate": True}
    plan = compile_mapping(
        {
            "version": "isthmus/v1",
            "field_mappings": fields,
            "transformations": transformations,
            "target_schema": schema,
        }
    )

    assert plan.apply({"x": 1}) == {"a": 1, "n": 1}
    with pytest.raises(RecordRejected):
        plan.apply({})


def test_rules_hold_for_decoded_records_as_well() -> None:
    """What is rejected as a dictionary is rejected as a struct; what is told of takes dictionaries."""
    plan = ruled(rule({"path": "$record.z.v", "not_equals": 1}, "quarantine"), rule("result.a != 3", "stop"))
    typed = plan.typed()
    assert typed is not None
    given = [
        msgspec.json.decode(text, type=typed.record_type) for text in (b'{"x":1}', b'{"x":2,"z":{"v":1}}')
    ]

    assert typed.rows(given).indexes == [0]
    assert typed.apply(given[0]) == {"a": 1}
    assert ruled(rule("result.a != 3", "warn")).typed() is None


def test_members_that_rules_read_are_carried_over() -> None:
    """With `unmapped: keep` a rule that reads a member does not take it away."""
    plan = ruled(rule({"path": "$record.z", "equals": 1}, "quarantine"), unmapped="keep")

    assert plan.apply({"x": 1, "z": 1}) == {"a": 1, "z": 1}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (rule("result.a", "explode"), "VALUE_NOT_ALLOWED"),
        (rule("item.a == 1", "warn"), "EXPRESSION_INVALID"),
        (rule("true", "default"), "MEMBERS_EXCLUDE"),
        (rule("true", "warn", default={"a": 1}), "MEMBERS_EXCLUDE"),
        (rule("true", "default", default={"a[0]": 1}), "TARGET_INVALID"),
        ({"name": "1", "check": "true", "consequence": "warn"}, "NAME_INVALID"),
        ({"check": "true", "consequence": "warn"}, "MEMBER_MISSING"),
    ],
    ids=["consequence", "variable", "no default", "default", "target", "name", "missing"],
)
def test_mistakes_in_rules_are_told(wrong: dict[str, Any], reason: str) -> None:
    """A rule that cannot be carried out is refused when the mapping is saved."""
    with pytest.raises(MappingInvalid) as invalid:
        ruled(wrong)

    assert reason in {violation.reason for violation in invalid.value.violations}
