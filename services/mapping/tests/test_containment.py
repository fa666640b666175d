"""Whether one JSON Schema takes what another allows: judged, and tried with an independent validator."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.services.mapping.domain.registry.containment import mismatches
from jsonschema import Draft202012Validator

EXAMPLES = int(os.environ.get("ISTHMUS_SCHEMAS", "60"))
NAMES = ("id", "level", "note")
KINDS = ("string", "integer", "number", "boolean", "null", "array", "object")
VALUES = st.sampled_from([None, True, False, 0, 1, 2, 1.0, 2.5, -3, "", "a", "ab", "high", [], [1], {}])


@st.composite
def schemas(draw, depth=2):
    """A schema of a few keywords that go well together."""
    choice = draw(st.integers(0, 11))
    if choice == 0:
        return draw(
            st.sampled_from([True, {}, {"enum": ["a", "high", 1]}, {"const": "a"}, {"enum": [None, 2]}])
        )
    if choice <= 2 and depth:
        word = draw(st.sampled_from(["anyOf", "oneOf", "allOf"]))
        several = draw(st.lists(schemas(depth=depth - 1), min_size=1, max_size=2))
        return {word: several, **draw(plain(0))}
    if choice == 3 and depth:
        inner = st.one_of(schemas(depth=depth - 1), plain(0))
        return draw(st.fixed_dictionaries({"if": inner, "then": inner, "else": inner}))
    if choice == 4 and depth:
        return {"not": draw(plain(0)), **draw(plain(0))}
    return draw(plain(depth))


@st.composite
def plain(draw, depth):
    """A schema that says its types and what goes with them."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True))
    found = {"type": kinds[0] if len(kinds) == 1 else kinds}
    for kind in kinds:
        found |= draw(_DETAILS.get(kind, lambda _: st.just({}))(depth))
    return found


def _some(words):
    return st.fixed_dictionaries({}, optional=words)


def _inner(depth):
    return (
        schemas(depth=depth - 1)
        if depth
        else st.sampled_from([True, {"type": "string"}, {"type": "integer"}])
    )


def _object(depth):
    inner = _inner(depth)
    return _some(
        {
            "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
            "required": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
            "additionalProperties": st.one_of(st.just(False), inner),
            "patternProperties": st.dictionaries(st.sampled_from(["^l", "e$"]), inner, max_size=1),
            "minProperties": st.integers(0, 2),
            "maxProperties": st.integers(0, 3),
            "dependentRequired": st.just({"id": ["level"]}),
        }
    )


def _array(depth):
    inner = _inner(depth)
    return _some(
        {
            "items": st.one_of(st.just(False), inner),
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 3),
            "uniqueItems": st.booleans(),
        }
    )


def _number(_depth):
    limits = st.integers(-1, 2)
    words = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    return _some({**dict.fromkeys(words, limits), "multipleOf": st.sampled_from([1, 2, 0.5])})


def _string(_depth):
    return _some(
        {
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(0, 3),
            "pattern": st.sampled_from(["^a", "h"]),
        }
    )


_DETAILS = {"object": _object, "array": _array, "integer": _number, "number": _number, "string": _string}


@st.composite
def changed(draw, schema):
    """A schema that differs from this one in a place or two, or not at all."""
    schema = json.loads(json.dumps(schema))
    for _ in range(draw(st.integers(0, 2))):
        here = schema
        while isinstance(here, dict) and here:
            word = draw(st.sampled_from(sorted(here)))
            inner = here[word]
            if isinstance(inner, list) and inner and isinstance(inner[-1], dict) and draw(st.booleans()):
                here = inner[-1]
            elif isinstance(inner, dict) and inner and draw(st.booleans()):
                here = inner[draw(st.sampled_from(sorted(inner)))] if word == "properties" else inner
            else:
                _change(draw, here, word)
                break
    return schema


def _change(draw, schema, word):
    rule = schema[word]
    if isinstance(rule, int) and not isinstance(rule, bool):
        schema[word] = max(rule + draw(st.integers(-1, 1)), 1 if word == "multipleOf" else 0)
    elif word == "type" and draw(st.booleans()):
        schema[word] = draw(st.sampled_from(KINDS))
    elif word in {"properties", "patternProperties"} and draw(st.booleans()):
        schema[word] = {**rule, "note": draw(plain(0))}
    else:
        del schema[word]


def values(schema, depth=3):
    """Values that often satisfy a schema."""
    if not isinstance(schema, dict) or not depth:
        return VALUES
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return st.one_of(
                [values({**schema, word: None, **_dict(one)}, depth - 1) for one in schema[word]]
            )
    kinds = schema.get("type", KINDS)
    known = [_values_of(kind, schema, depth) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return st.one_of([*known, *known, VALUES])


def _dict(schema):
    return schema if isinstance(schema, dict) else {}


def _values_of(kind, schema, depth):
    if kind == "object":
        named = schema.get("properties", {})
        required = {name: values(named.get(name, True), depth - 1) for name in schema.get("required", ())}
        more = {
            name: values(named.get(name, True), depth - 1)
            for name in (*NAMES, "else")
            if name not in required
        }
        return st.fixed_dictionaries(required, optional=more)
    if kind == "array":
        return st.lists(values(schema.get("items", True), depth - 1), max_size=3)
    if kind in {"integer", "number"}:
        return st.sampled_from([-2, -1, 0, 1, 2, 3, 4] + ([0.5, 1.5] if kind == "number" else [2.0]))
    if kind == "string":
        return st.sampled_from(["", "a", "h", "ab", "high", "abh", "xyzzy"])
    return st.booleans() if kind == "boolean" else st.none()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_is_judged_contained_is_contained(data):
    """
    Values that are valid by the writer's schema are valid by a reader's that is said to take all of them.
    """
    writer = data.draw(schemas())
    reader = data.draw(st.one_of(changed(writer), schemas()))
    found = mismatches(writer, reader)
    accepted, judged = Draft202012Validator(writer), Draft202012Validator(reader)
    tried = data.draw(st.lists(values(writer), min_size=5, max_size=20))
    valid = [value for value in tried if accepted.is_valid(value)]

    assert found or all(map(judged.is_valid, valid)), [value for value in valid if not judged.is_valid(value)]


OPEN = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
CLOSED = {**OPEN, "additionalProperties": False}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"inner": {"$ref": "#/$defs/node"}, "name": {"type": "string"}},
        }
    },
}


def with_field(schema, name, **field):
    """The schema with one more field."""
    return {**schema, "properties": {**schema["properties"], name: field}}


@pytest.mark.parametrize(
    ("writer", "reader", "rules"),
    [
        (CLOSED, with_field(CLOSED, "note", type="string"), []),
        (OPEN, with_field(OPEN, "note", type="string"), ["FIELD_NOT_PROMISED"]),
        (CLOSED, OPEN, []),
        (OPEN, CLOSED, ["FIELDS_NOT_ALLOWED"]),
        (with_field(CLOSED, "note"), CLOSED, ["FIELD_NOT_ALLOWED"]),
        (CLOSED, {**with_field(CLOSED, "note"), "required": ["id", "note"]}, ["FIELD_REQUIRED"]),
        ({"type": "integer"}, {"type": "number"}, []),
        ({"type": "number"}, {"type": "integer"}, ["TYPE_NOT_ALLOWED"]),
        ({"type": "string"}, {"type": ["string", "null"]}, []),
        ({"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, []),
        ({"type": ["string", "null"]}, {"oneOf": [{"type": "string"}, {"type": "null"}]}, []),
        ({"enum": ["a", "b"]}, {"enum": ["a", "b", "c"]}, []),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, ["VALUES_NOT_ALLOWED"]),
        ({"type": "string"}, {"type": "string", "maxLength": 4}, ["LIMIT_NARROWER"]),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}, ["FORMAT_CHANGED"]),
        (TREE, {"$defs": TREE["$defs"], "allOf": [{"$ref": "#/$defs/node"}]}, []),
        ({"$ref": "#"}, {"type": "string"}, ["TYPE_NOT_ALLOWED"]),
    ],
)
def test_a_difference_is_named_by_its_rule(writer, reader, rules):
    """
    Each way to take too little has a name of its own.
    """
    assert [one.rule for one in mismatches(writer, reader)] == rules


def test_the_lenient_policy_trusts_that_nobody_writes_fields_of_no_schema():
    """
    An optional field may be added to a schema that allows others, too.
    """
    assert not mismatches(OPEN, with_field(OPEN, "note", type="string"), is_lenient=True)
    assert mismatches(
        with_field(OPEN, "note", type="integer"), with_field(OPEN, "note", type="string"), is_lenient=True
    )
