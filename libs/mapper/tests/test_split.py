"""One record becomes several: what parts see, and what is told of them."""

from typing import Any

import pytest
from isthmus.mapper import MappingInvalid, Plan, RecordRejected, compile_mapping
from isthmus.mapper.inversion import invert_mapping
from isthmus.mapper.privacy.classes import Classes, DataClass


def split(*fields: dict[str, Any], each: str = "parts", **more: Any) -> Plan:
    """Compile a mapping that splits records."""
    shared = {"split": {"each": each, **more.pop("split", {})}, **more}
    return compile_mapping(
        {"version": "isthmus/v1", "field_mappings": list(fields), "transformations": shared}
    )


ID = {"target": "id", "template": "{$record.id}.{n}"}


def test_parts_keep_the_order_and_tell_their_record() -> None:
    """Every part has the place of its record among those that were given."""
    plan = split(
        ID, split={"where": {"path": "n", "less_than": 3}}, where={"path": "id", "not_equals": "skip"}
    )
    given = [
        {"id": "a", "parts": [{"n": 1}, {"n": 2}, {"n": 3}]},
        {"id": "b"},
        {"id": "skip", "parts": [{"n": 1}]},
        {"id": "c", "parts": "none"},
        {"id": "d", "parts": [{"n": 2}]},
    ]
    mapped = plan.apply_many(given)

    assert mapped.records == [{"id": "a.1"}, {"id": "a.2"}, {"id": "d.2"}]
    assert (mapped.indexes, mapped.filtered) == ([0, 0, 4], 2)
    assert [(one.index, one.errors[0].reason) for one in mapped.rejected] == [(3, "NOT_LIST")]


def test_all_errors_of_all_parts_are_told_of_the_record() -> None:
    """They name the element, or the record where that is to blame."""
    fields = ({"target": "n", "source": "n", "cast": "integer"}, {"target": "of", "source": "$record.id.x"})

    with pytest.raises(RecordRejected) as rejected:
        split(*fields).parts({"id": "a", "parts": [{"n": "x"}, {"n": 2}]})
    assert [(error.target, error.source) for error in rejected.value.errors] == [
        ("n", "parts[0].n"),
        ("of", "id.x"),
        ("of", "id.x"),
    ]


def test_rules_look_at_parts() -> None:
    """They see what was made, and the record; warnings tell which record it was."""
    rules = [{"name": "one", "check": "result.id != record.id + '.2'", "consequence": "warn"}]
    mapped = split(ID, rules=rules).apply_many(
        [{"id": "a", "parts": [{"n": 1}]}, {"id": "b", "parts": [{"n": 2}]}]
    )

    assert [note.index for note in mapped.notes] == [1]


def test_what_parts_are_made_of_is_told_from_the_record() -> None:
    """Lineage, sources and classes name places in the record."""
    plan = split(ID, {"target": "mail", "source": "owner.mail"}, {"target": "by", "source": "$record.by"})
    classes = plan.classes(Classes({"parts[*].owner.mail": DataClass.PERSONAL, "by": DataClass.CONFIDENTIAL}))

    assert plan.sources == ("by", "id", "parts", "parts[*].n", "parts[*].owner.mail")
    assert plan.lineage[1].sources == ("parts[*].owner.mail",)
    assert classes.declared == {"mail": DataClass.PERSONAL, "by": DataClass.CONFIDENTIAL}
    assert plan.typed() is None


def test_there_is_no_way_back_from_parts() -> None:
    """Parts do not come together again by themselves."""
    definition = {
        "version": "isthmus/v1",
        "field_mappings": [{"target": "n", "source": "n"}],
        "transformations": {"split": {"each": "parts"}},
    }

    assert invert_mapping(definition).definition is None


def test_one_record_is_not_asked_of_a_plan_that_splits() -> None:
    """Who expects one record is told, instead of getting the first."""
    with pytest.raises(RecordRejected):
        split(ID).apply({"id": "a", "parts": [{"n": 1}]})
    assert split(ID).parts({"id": "a"}) == []


@pytest.mark.parametrize(
    ("transformations", "reason"),
    [
        ({"split": {}}, "MEMBER_MISSING"),
        ({"split": {"each": ".."}}, "PATH_INVALID"),
        ({"split": {"each": "a", "key": "b"}}, "MEMBER_UNKNOWN"),
        ({"split": {"each": "a"}, "unmapped": "keep"}, "MEMBERS_EXCLUDE"),
    ],
    ids=["empty", "path", "unknown", "unmapped"],
)
def test_mistakes_are_told(transformations: dict[str, Any], reason: str) -> None:
    """What cannot be split is refused when the mapping is saved."""
    with pytest.raises(MappingInvalid) as invalid:
        compile_mapping({"version": "isthmus/v1", "field_mappings": [ID], "transformations": transformations})

    assert reason in {violation.reason for violation in invalid.value.violations}
