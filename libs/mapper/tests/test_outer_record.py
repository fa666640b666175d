"""Inside the elements of a list the record around them is within reach."""

from typing import Any

import msgspec
import pytest
from isthmus.mapper import RecordRejected, compile_mapping
from isthmus.mapper.privacy.classes import Classes, DataClass

RECORD = {
    "id": "r1",
    "owner": {"name": "Ann"},
    "limit": 2,
    "parts": [{"id": 1, "subs": [{"id": 11}]}, {"id": 2}, {"id": 3, "subs": [{"id": 31}, {"id": 2}]}],
}
FIRST_OF_ONE = {"filter": {"path": "$record.id", "equals": "r1"}}


def mapped(*fields: dict[str, Any], record: Any = None) -> Any:
    """Map a record as a dictionary, and as a struct where there is one for it: both come to the same."""
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": list(fields)})
    given = RECORD if record is None else record
    result, typed = plan.apply(given), plan.typed()
    if typed is not None:
        struct = msgspec.json.decode(msgspec.json.encode(given), type=typed.record_type)
        assert typed.apply(struct) == result
    return result


def items(*fields: dict[str, Any], **rules: Any) -> dict[str, Any]:
    """A field of one object for each part."""
    return {"target": "out", "items": {"source": "parts", "field_mappings": list(fields), **rules}}


@pytest.mark.parametrize(
    "field",
    [
        {"source": "$record.owner.name"},
        {"expression": "record.owner.name"},
        {"expression": "item.id == 0 ? '' : record.owner.name"},
        {"template": "{$record.owner.name}"},
        {"coalesce": ["nowhere", "$record.owner.name"]},
        {"source": "$record.parts[*].id", "steps": [FIRST_OF_ONE, "first"], "enum": {"1": "Ann"}},
    ],
    ids=["path", "expression", "both", "template", "coalesce", "filter"],
)
def test_elements_read_the_record(field: dict[str, Any]) -> None:
    """However an element asks for a member of the record, it gets it."""
    made = mapped(items({"target": "of", **field}))

    assert made == {"out": [{"of": "Ann"}] * 3}


@pytest.mark.parametrize(
    "where",
    [
        {"path": "$record.limit", "equals": 2},
        {"all": [{"path": "$record.owner.name", "equals": "Ann"}, {"path": "id", "at_least": 1}]},
        {"expression": "item.id <= record.limit + 1"},
        {"not": {"path": "$record.id", "is_null": True}},
    ],
    ids=["test", "all", "expression", "not"],
)
def test_elements_are_chosen_by_the_record(where: dict[str, Any]) -> None:
    """Conditions on elements may ask about the record."""
    assert len(mapped(items({"target": "id", "source": "id"}, where=where))["out"]) == 3


def test_the_record_is_the_outermost_one() -> None:
    """In lists inside lists it is still the record itself that is read."""
    inner = {"source": "subs", "field_mappings": [{"target": "of", "source": "$record.id"}]}
    keep = {"filter": {"expression": "item.id == record.limit"}}
    made = mapped(items({"target": "s", "items": inner}, {"target": "k", "source": "subs", "steps": [keep]}))

    assert made["out"][2] == {"s": [{"of": "r1"}, {"of": "r1"}], "k": [{"id": 2}]}


def test_filters_of_a_record_know_it() -> None:
    """A step that filters a list of the record compares its elements with the record."""
    chain = [
        {"filter": {"any": [{"expression": "item.id == record.limit"}, {"path": "$record.x", "equals": 1}]}}
    ]
    field = {"target": "out", "source": "parts", "steps": [*chain, {"map": {"pick": "id"}}]}

    assert mapped(field) == {"out": [2]}


def test_errors_say_what_was_met_in_the_record() -> None:
    """An error of an element that the record is to blame for names the place in the record."""
    with pytest.raises(RecordRejected) as rejected:
        mapped(
            items(
                {"target": "n", "source": "$record.id", "cast": "integer"},
                {"target": "m", "expression": "record.no"},
            )
        )

    found = {(one.target, one.source, one.reason) for one in rejected.value.errors}
    assert ("out[0].n", "$record.id", "NOT_INTEGER") in found
    assert ("out[2].m", "$record.no", "EXPRESSION_FAILED") in found


def test_lineage_and_classes_reach_through_elements() -> None:
    """What an element takes from the record is as sensitive as it is there, and is told as its source."""
    field = items({"target": "of", "source": "$record.owner.name"}, {"target": "id", "source": "id"})
    plan = compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})

    classes = plan.classes(Classes({"owner.name": DataClass.PERSONAL}))
    assert plan.lineage[0].sources == ("parts", "owner.name", "parts[*].id")
    assert classes.declared["out[*].of"] is DataClass.PERSONAL
