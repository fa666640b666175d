"""What every target field is made of."""

import pytest
from isthmus.mapper import MappingInvalid
from isthmus.mapper.provenance import provenance_of

TABLES = {"severity": {"entries": {"1": "high"}, "default": "low"}}
CHAINS = {"verdict": [{"choose": ["pass", "fail"]}]}


def told(field):
    """The provenance of one field mapping, and of those inside its list."""
    shared = {"tables": TABLES, "functions": CHAINS}
    return provenance_of({"version": "isthmus/v1", "field_mappings": [field], "transformations": shared})


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ({"source": "a.b"}, {"origin": "source", "sources": ("a.b",)}),
        ({"constant": 1}, {"origin": "constant", "constants": (1,)}),
        ({"now": True}, {"origin": "now", "tells_time": True}),
        ({"template": "{a} {b?}"}, {"sources": ("a", "b"), "constants": ("{a} {b?}",)}),
        ({"coalesce": ["a", {"constant": 0}]}, {"sources": ("a",), "constants": (0,)}),
        ({"expression": "record.a + 1"}, {"sources": ("a",), "expressions": ("record.a + 1",)}),
        ({"source": "a", "table": "severity"}, {"tables": ("severity",)}),
        ({"source": "a", "enum": {"x": 1}}, {"tables": ("(written in place)",)}),
        (
            {"source": "a", "steps": [{"lookup": "severity"}]},
            {"functions": ("lookup",), "tables": ("severity",)},
        ),
        ({"source": "a", "steps": ["trim"], "cast": "date"}, {"functions": ("trim", "cast")}),
        (
            {"source": "a", "steps": [{"equals": 1}, "verdict"]},
            {"functions": ("equals", "verdict", "choose")},
        ),
        ({"source": "a", "default": 0}, {"has_default": True, "constants": (0,)}),
        ({"source": "a", "when": {"path": "b", "is_null": True}}, {"sources": ("a",), "conditions": ("b",)}),
    ],
    ids="-".join,
)
def test_a_field_tells_what_it_is_made_of(field, found):
    """
    Each origin, tables, functions and what they consist of, defaults, conditions.
    """
    [one] = told({"target": "t", **field})

    assert {name: getattr(one, name) for name in found} == found


def test_what_chooses_is_told_apart_from_what_is_chosen():
    """
    A path in a condition is no part of the value.
    """
    cases = [{"when": {"path": "done", "equals": True}, "then": {"source": "closer"}}]
    [one] = told({"target": "t", "choose": {"cases": cases, "otherwise": "nobody"}})

    assert (one.sources, one.conditions, one.constants) == (("closer",), ("done",), ("nobody",))


def test_fields_inside_lists_are_told_one_by_one():
    """
    Their paths lead from the record, also where they reach out of the list.
    """
    inner = [{"target": "id", "source": "id"}, {"target": "of", "source": "$record.name"}]
    parts, of_part, around = told({"target": "parts", "items": {"source": "a.list", "field_mappings": inner}})

    assert (parts.target, parts.sources) == ("parts", ("a.list",))
    assert (of_part.target, of_part.sources) == ("parts[*].id", ("a.list[*].id",))
    assert (around.target, around.sources) == ("parts[*].of", ("name",))


def test_a_definition_with_mistakes_has_no_provenance():
    """
    The answer names the mistake.
    """
    with pytest.raises(MappingInvalid, match="no function"):
        told({"target": "t", "source": "a", "steps": ["shout"]})
