"""Classes of fields, where they come from, and what is shown of records in spite of them."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.mapper import MappingInvalid, compile_mapping, identity_plan
from isthmus.mapper.privacy import (
    Classes,
    DataClass,
    Scrubber,
    annotated,
    classes_of_schema,
    proposed,
    without_secrets,
)
from isthmus.mapper.privacy.naming import guessed

PERSONAL, SECRET, INTERNAL = DataClass.PERSONAL, DataClass.SECRET, DataClass.INTERNAL
SCHEMA = {
    "properties": {
        "name": {"type": "string", "x-isthmus-class": "personal"},
        "site": {"type": "string", "x-isthmus-class": "public"},
        "contacts": {"items": {"$ref": "#/$defs/contact"}},
        "labels": {"additionalProperties": {"x-isthmus-class": "confidential"}},
    },
    "$defs": {"contact": {"properties": {"token": {"x-isthmus-class": "secret"}, "n": {}}}},
}
NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
LEAVES = st.text(st.characters(max_codepoint=0x250), min_size=6, max_size=40) | st.integers(10**8, 10**12)
INNER = st.dictionaries(NAMES, LEAVES | st.lists(LEAVES, max_size=2), max_size=2)
RECORDS = st.dictionaries(NAMES, LEAVES | INNER | st.lists(INNER, max_size=2), max_size=3)


def test_classes_of_a_schema():
    """
    A schema says of each place what it is; of members without known names the object as a whole is.
    """
    found = classes_of_schema(SCHEMA)

    assert found == {
        "name": PERSONAL,
        "site": DataClass.PUBLIC,
        "contacts[*].token": SECRET,
        "labels": DataClass.CONFIDENTIAL,
    }


def test_unknown_class_is_confidential():
    """
    A class that this version does not know hides the value.
    """
    assert classes_of_schema({"properties": {"a": {"x-isthmus-class": "odd"}}}) == {
        "a": DataClass.CONFIDENTIAL
    }


def test_annotated_schema_says_the_same():
    """
    Classes that were written into a schema are read out of it again.
    """
    declared = {"a.b": PERSONAL, "list[*].c": SECRET}

    schema = annotated({"type": "object", "properties": {"a": {"type": "object"}}}, declared)

    assert classes_of_schema(schema) == declared
    assert schema["properties"]["a"]["type"] == "object"


def test_target_has_the_highest_class_of_its_sources():
    """
    What a field is made from decides how sensitive it is, conditions included, unless the mapping says it.
    """
    plan = compile_mapping(
        {
            "version": "isthmus/v1",
            "field_mappings": [
                {"target": "who", "template": "{name} at {site}"},
                {"target": "place", "source": "site"},
                {
                    "target": "keys",
                    "items": {
                        "source": "contacts",
                        "field_mappings": [
                            {"target": "key", "source": "token"},
                            {"target": "n", "source": "n"},
                        ],
                    },
                },
                {"target": "flag", "constant": True, "when": {"path": "name", "is_null": False}},
                {"target": "mark", "source": "name", "steps": ["lower"], "class": "internal"},
            ],
        }
    )

    made = plan.classes(Classes(classes_of_schema(SCHEMA)))

    assert made.declared == {
        "who": PERSONAL,
        "place": DataClass.PUBLIC,
        "keys[*].key": SECRET,
        "flag": PERSONAL,
    }


def test_unclassified_sources_may_be_personal():
    """
    A mapping may say what fields are of which nobody said anything.
    """
    definition = {
        "version": "isthmus/v1",
        "field_mappings": [{"target": "a", "source": "b"}],
        "transformations": {"unclassified": "personal"},
    }

    plan = compile_mapping(definition)

    assert plan.classes(plan.read_classes({})).declared == {"a": PERSONAL}


def test_unknown_class_in_a_mapping_is_refused():
    """
    A mistyped class is a mistake in the mapping.
    """
    field = {"target": "a", "source": "b", "class": "privat"}

    with pytest.raises(MappingInvalid) as refused:
        compile_mapping({"version": "isthmus/v1", "field_mappings": [field]})

    assert refused.value.violations[0].path == "/field_mappings/0/class"


def test_records_without_a_mapping_keep_their_classes():
    """
    What passes as it is, is as sensitive as it was.
    """
    source = Classes({"name": PERSONAL})

    assert identity_plan().classes(source) == source


def test_placeholder_is_stable():
    """
    A placeholder tells the class and the length, the same every time.
    """
    scrubber = Scrubber(Classes({"name": PERSONAL, "n": SECRET}))

    assert scrubber.record({"name": "Ada Lovelace", "n": 7, "x": 1}) == {
        "name": "‹personal: 12 characters›",
        "n": "‹secret: number›",
        "x": 1,
    }


def test_text_that_quotes_a_value():
    """
    An error that quotes a value, its beginning, or another spelling of it tells none of it.
    """
    scrubber = Scrubber(Classes({"mail": PERSONAL, "note": PERSONAL}))
    record = {"mail": "Ada@Example.org", "note": "x" * 30 + "y" * 90}

    shown = scrubber.text(f"Key (mail)=(ada@example.org), {'x' * 30}{'y' * 20}… is there", record)

    assert shown == "Key (mail)=(‹personal: 15 characters›), ‹personal: 120 characters›… is there"


def test_secrets_are_taken_out_unless_they_are_named():
    """
    Only a mapping that names a secret field itself gets it.
    """
    classes = Classes({"login.token": SECRET, "keys[*].private": SECRET, "other": SECRET})
    record = {"login": {"token": "t", "id": 1}, "keys": [{"private": "p", "n": 1}], "other": 1}

    paths, cut = without_secrets(classes, ["login", "other"])

    assert paths == ("login.token", "keys[*].private")
    assert cut(record) == {"login": {"id": 1}, "keys": [{"n": 1}], "other": 1}
    assert record["login"]["token"] == "t"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS, st.dictionaries(NAMES, st.sampled_from(list(DataClass)), max_size=4), st.data())
def test_nothing_sensitive_is_shown(record, declared, data):
    """
    No sensitive value of any record is in its scrubbed form, nor in a text that quotes it.
    """
    default = data.draw(st.sampled_from([INTERNAL, PERSONAL]))
    scrubber = Scrubber(Classes(declared, default))
    leaves = [(declared.get(name, default), leaf) for name in record for leaf in _leaves(record[name])]
    hidden = {leaf for kind, leaf in leaves if kind >= DataClass.CONFIDENTIAL}
    visible = [leaf for kind, leaf in leaves if kind < DataClass.CONFIDENTIAL]
    quoted = f"Refused {record!r} as {json.dumps(record)}."

    shown = json.dumps(scrubber.record(record), ensure_ascii=False)
    told = scrubber.text(quoted, record)

    for value in hidden:
        if not any(value in one for one in visible):
            assert value not in shown
            assert value not in told
            assert json.dumps(value)[1:-1] not in told


def _leaves(value):
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [str(value)]


def test_patterns_name_fields_that_nobody_knows_yet():
    """
    A star stands for letters of a name, two for any depth; a field that is named itself goes before.
    """
    declared = {"*mail*": PERSONAL, "mail_domain": INTERNAL, "**.ssn": SECRET, "owner.*": PERSONAL}
    record = {"workMail": "a@b", "mail_domain": "b", "x": [{"ssn": "1-2", "n": 1}], "owner": {"age": 40}}

    classes = Classes(classes_of_schema(annotated({"type": "object"}, declared)))
    _, cut = without_secrets(classes, None)

    assert classes.declared == declared
    assert Scrubber(classes).record(record) == {
        "workMail": "‹personal: 3 characters›",
        "mail_domain": "b",
        "x": [{"ssn": "‹secret: 3 characters›", "n": 1}],
        "owner": {"age": "‹personal: number›"},
    }
    assert cut(record)["x"] == [{"n": 1}]


def test_a_mapping_that_lowers_a_class_says_so():
    """
    A field that is less sensitive than its source, by a rule or the target's schema, is told.
    """
    plan = compile_mapping(
        {
            "version": "isthmus/v1",
            "field_mappings": [
                {"target": "domain", "source": "mail", "class": "internal"},
                {"target": "who", "source": "name", "class": "secret"},
            ],
        }
    )

    source = plan.read_classes({"mail": PERSONAL, "name": PERSONAL})

    assert plan.lowered(source) == [("domain", PERSONAL, INTERNAL)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("workEmail", PERSONAL),
        ("IPAddress", PERSONAL),
        ("client_ip", PERSONAL),
        ("iban", PERSONAL),
        ("first_name", PERSONAL),
        ("apiKey", SECRET),
        ("description", None),
        ("shipped_at", None),
    ],
)
def test_names_suggest_classes(name, kind):
    """
    Words of a name suggest a class however they are joined, and letters inside of other words do not.
    """
    assert guessed(name) is kind


def test_a_name_is_personal_beside_a_person():
    """
    The name of a product suggests nothing; that of somebody with an address does.
    """
    fields = {"name": {}, "price": {}}
    people = {"items": {"properties": {"name": {}, "phone": {}}}}

    found = proposed({"properties": {**fields, "buyers": people}})

    assert found == {"buyers[*].name": PERSONAL, "buyers[*].phone": PERSONAL}


def test_a_schema_that_refers_to_itself_again_and_again_comes_to_an_end():
    """
    Places that are too many to be looked at count as the most sensitive that there is.
    """
    node = {"properties": {name: {"$ref": "#/$defs/node"} for name in ("left", "right")}}
    node["properties"]["word"] = {"x-isthmus-class": "secret"}
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}

    classes = Classes(classes_of_schema(schema))

    assert classes.of(("word",)) is DataClass.SECRET
    assert classes.of(("left", "right") * 10 + ("word",)) is DataClass.SECRET
