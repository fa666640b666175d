"""Mistakes in definitions: all of them at once, each at its place with a remedy."""

from typing import Any

import pytest
from isthmus.mapper import MappingInvalid, compile_mapping


def mistakes(fields: Any, **more: Any) -> list[tuple[str, str]]:
    """Compile what must not compile; place and reason of each violation."""
    with pytest.raises(MappingInvalid) as invalid:
        compile_mapping({"version": "isthmus/v1", "field_mappings": fields, **more})
    assert all(violation.message[-1] in ".?" for violation in invalid.value.violations)
    return [(violation.path, violation.reason) for violation in invalid.value.violations]


@pytest.mark.parametrize(
    ("field", "place", "reason"),
    [
        ({"source": "a"}, "/target", "MEMBER_MISSING"),
        ({"target": "a"}, "", "ORIGIN_MISSING"),
        ({"target": "a", "source": "b", "constant": 1}, "", "MEMBERS_EXCLUDE"),
        ({"target": "a", "source": "b", "stepz": []}, "/stepz", "MEMBER_UNKNOWN"),
        ({"target": "a", "source": "b["}, "/source", "PATH_INVALID"),
        ({"target": "a", "source": 'b."c'}, "/source", "PATH_INVALID"),
        ({"target": "$", "source": "b"}, "/target", "TARGET_INVALID"),
        ({"target": "a[*]", "source": "b"}, "/target", "TARGET_INVALID"),
        ({"target": "a[-1]", "source": "b"}, "/target", "TARGET_INVALID"),
        ({"target": "a[100]", "source": "b"}, "/target", "TARGET_INVALID"),
        ({"target": "a", "source": "b", "required": "yes"}, "/required", "WRONG_TYPE"),
        ({"target": "a", "source": "b", "nulls": "drop"}, "/nulls", "VALUE_NOT_ALLOWED"),
        ({"target": "a", "source": "b", "cast": "int"}, "/cast", "VALUE_NOT_ALLOWED"),
        ({"target": "a", "source": "b", "table": "nope"}, "/table", "TABLE_UNKNOWN"),
        ({"target": "a", "source": "b", "enum": ["x"]}, "/enum/entries", "WRONG_TYPE"),
        ({"target": "a", "source": "b", "steps": ["uper"]}, "/steps/0", "FUNCTION_UNKNOWN"),
        ({"target": "a", "source": "b", "steps": [{"trim": 1}]}, "/steps/0/trim", "WRONG_TYPE"),
        ({"target": "a", "source": "b", "steps": [{"upper": 1}]}, "/steps/0/upper", "ARGUMENT_INVALID"),
        (
            {"target": "a", "source": "b", "steps": [{"replace": ["", "x"]}]},
            "/steps/0/replace",
            "ARGUMENT_INVALID",
        ),
        ({"target": "a", "source": "b", "steps": [{"replace": "x"}]}, "/steps/0/replace", "ARGUMENT_MISSING"),
        (
            {"target": "a", "source": "b", "steps": [{"matches": "(?=x)"}]},
            "/steps/0/matches",
            "ARGUMENT_INVALID",
        ),
        ({"target": "a", "source": "b", "steps": [{"divide": 0}]}, "/steps/0/divide", "ARGUMENT_INVALID"),
        (
            {"target": "a", "source": "b", "steps": [{"to_utc": "Mars/Base"}]},
            "/steps/0/to_utc",
            "ZONE_UNKNOWN",
        ),
        (
            {"target": "a", "source": "b", "steps": [{"to_utc": "../../etc/passwd"}]},
            "/steps/0/to_utc",
            "ZONE_UNKNOWN",
        ),
        (
            {"target": "a", "source": "b", "steps": [{"parse_date": "%Q"}]},
            "/steps/0/parse_date",
            "FORMAT_INVALID",
        ),
        ({"target": "a", "template": "{a"}, "/template", "TEMPLATE_INVALID"),
        ({"target": "a", "template": "{a[*]}"}, "/template", "TEMPLATE_INVALID"),
        ({"target": "a", "coalesce": []}, "/coalesce", "EMPTY"),
        ({"target": "a", "source": "b", "when": {"path": "c"}}, "/when", "CHECK_MISSING"),
        (
            {"target": "a", "source": "b", "when": {"path": "c", "at_least": []}},
            "/when/at_least",
            "ARGUMENT_INVALID",
        ),
        ({"target": "a", "source": "b", "when": {"all": []}}, "/when/all", "EMPTY"),
        ({"target": "a", "constant": float("nan")}, "/constant", "NOT_JSON"),
        ({"target": "a", "constant": {1: 2}}, "/constant", "NAME_NOT_TEXT"),
        ({"target": "a", "constant": "\ud800"}, None, "NOT_JSON"),
    ],
)
def test_a_mistake_is_told_at_its_place(field: dict[str, Any], place: str | None, reason: str) -> None:
    """One mistake gives one violation: where, what, and what to do."""
    where = "" if place is None else f"/field_mappings/0{place}"

    assert mistakes([field]) == [(where, reason)]


def test_all_mistakes_are_told_at_once() -> None:
    """Nobody has to compile again to learn of the next mistake."""
    found = mistakes(
        [{"target": "a", "source": ""}, {"target": "b", "source": "x", "steps": ["nope", {"split": ""}]}],
        transformations={"tables": {"t": {"entries": 1}}, "where": {"path": "a", "equal": 1}},
    )

    assert [place for place, _ in found] == [
        "/transformations/tables/t/entries",
        "/transformations/where/equal",
        "/transformations/where",
        "/field_mappings/0/source",
        "/field_mappings/1/steps/0",
        "/field_mappings/1/steps/1/split",
    ]


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        (["a", "a"], "TARGET_TWICE"),
        (["a", "a.b"], "TARGET_CONFLICT"),
        (["a.b", "a"], "TARGET_CONFLICT"),
        (["a.b", "a[0]"], "TARGET_CONFLICT"),
    ],
)
def test_targets_do_not_collide(targets: list[str], reason: str) -> None:
    """Two field mappings cannot write the same place."""
    fields = [{"target": target, "constant": 1} for target in targets]

    assert mistakes(fields) == [("/field_mappings/1/target", reason)]


def test_functions_cannot_call_themselves() -> None:
    """A circle among the definition's own functions is found before it runs."""
    functions = {"a": ["b"], "b": ["a"]}

    found = mistakes(
        [{"target": "x", "source": "y", "steps": ["a"]}], transformations={"functions": functions}
    )

    assert {reason for _, reason in found} == {"FUNCTION_CYCLE"}


def test_functions_cannot_multiply_without_end() -> None:
    """Ten functions that each call the next ten times are refused in no time."""
    functions = {f"f{n}": [f"f{n + 1}"] * 10 for n in range(10)} | {"f10": ["trim"]}

    found = mistakes(
        [{"target": "x", "source": "y", "steps": ["f0"]}], transformations={"functions": functions}
    )

    assert {reason for _, reason in found} == {"TOO_MANY"}


@pytest.mark.parametrize("version", ["isthmus/v2", 1, None])
def test_another_language_version_is_refused(version: Any) -> None:
    """A definition of a later language is not half understood."""
    with pytest.raises(MappingInvalid, match="isthmus/v1"):
        compile_mapping({"version": version, "field_mappings": [{"target": "a", "constant": 1}]})


@pytest.mark.parametrize(
    ("field", "place", "reason"),
    [
        ({"target": "id", "constant": 7}, "", "TARGET_VALUE"),
        ({"target": "id", "source": "n"}, "", "TARGET_TYPE"),
        ({"target": "id", "source": "s", "cast": "integer"}, "", "TARGET_TYPE"),
        ({"target": "id", "source": "s", "enum": {"a": "toolong"}}, "", "TARGET_VALUE"),
        ({"target": "id", "source": "nowhere"}, "/source", "SOURCE_UNKNOWN"),
        ({"target": "other", "source": "s"}, "/target", "TARGET_UNKNOWN"),
    ],
)
def test_schemas_are_compared_before_any_record_comes(field: dict[str, Any], place: str, reason: str) -> None:
    """What can never fit is a mistake of the definition."""
    source = {
        "properties": {"s": {"type": "string"}, "n": {"type": "integer"}},
        "additionalProperties": False,
    }
    target = {"properties": {"id": {"type": "string", "maxLength": 3}}, "additionalProperties": False}

    found = mistakes([field], source_schema=source, target_schema=target)

    assert found == [(f"/field_mappings/0{place}", reason)]


def test_required_fields_of_the_target_need_a_mapping() -> None:
    """A required field that nothing fills is found, nested ones too."""
    target = {"required": ["id"], "properties": {"owner": {"required": ["name", "mail"]}}}

    found = mistakes([{"target": "owner.name", "source": "n"}], target_schema=target)

    assert [reason for _, reason in found] == ["TARGET_REQUIRED", "TARGET_REQUIRED"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strange"},
        {"$ref": "https://example.com/x.json"},
        {"properties": {"a": {"$ref": "#/$defs/none"}}},
        {"properties": {"a": {"patternProperties": {}}}},
        {"pattern": "(?=x)"},
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused(schema: dict[str, Any]) -> None:
    """With validation on, no keyword is silently passed over."""
    found = mistakes(
        [{"target": "a", "constant": 1}], target_schema=schema, transformations={"validate": True}
    )

    assert found == [("/target_schema", "SCHEMA_INVALID")]


def test_a_schema_may_be_the_name_of_a_model() -> None:
    """What the model requires and allows is asked for; its version has to be named."""
    fields = [{"target": "policyId", "source": "id"}, {"target": "status", "constant": "good"}]

    found = mistakes(fields, target_schema="isthmus/policy_posture@1")

    assert found.count(("/field_mappings", "TARGET_REQUIRED")) == 3
    assert ("/field_mappings/1", "TARGET_VALUE") in found
    assert mistakes(fields, target_schema="isthmus/policy@1") == [("/target_schema", "MODEL_UNKNOWN")]
    assert mistakes(fields, source_schema="isthmus/task") == [("/source_schema", "MODEL_UNKNOWN")]
