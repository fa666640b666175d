"""Configurations against a connector's JSON Schema, and secrets in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.services.registry.domain.configuration import connection_url, violations
from isthmus.services.registry.domain.model import Spec
from isthmus.services.registry.domain.schema import ConfigurationSchema, schema_trouble
from isthmus.services.registry.domain.secrets import obvious_secrets

PAGING = {
    "oneOf": [
        {
            "title": "Pages",
            "type": "object",
            "properties": {"kind": {"const": "pages"}, "size": {"type": "integer"}},
            "required": ["kind", "size"],
        },
        {
            "title": "Cursor",
            "type": "object",
            "properties": {"kind": {"const": "cursor"}, "path": {"type": "string"}},
            "required": ["kind", "path"],
        },
    ]
}
SCHEMA = {
    "type": "object",
    "properties": {
        "base_url": {"type": "string", "format": "uri", "maxLength": 40},
        "size": {"type": "integer", "minimum": 1, "maximum": 500},
        "mode": {"enum": ["full", "delta"]},
        "limit": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
        "token": {"type": "string", "x-isthmus-secret": True},
        "maybe": {"anyOf": [{"type": "string", "x-isthmus-secret": True}, {"type": "null"}]},
        "streams": {"type": "array", "items": {"$ref": "#/$defs/Stream"}, "minItems": 1},
        "paging": PAGING,
    },
    "required": ["base_url", "token"],
    "additionalProperties": False,
    "$defs": {
        "Stream": {
            "type": "object",
            "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
}
SPEC = Spec("acme", "1.0.0", SCHEMA, "d", is_built_in=True, document="{}")
URL = "https://a.example"

WRONG = {
    "absent": ({}, "/base_url", "REQUIRED"),
    "type": ({"base_url": 5}, "/base_url", "WRONG_TYPE"),
    "format": ({"base_url": "not a url"}, "/base_url", "WRONG_FORM"),
    "length": ({"base_url": URL + "/" + "x" * 50}, "/base_url", "TOO_LONG"),
    "range": ({"base_url": URL, "size": 501}, "/size", "OUT_OF_RANGE"),
    "boolean": ({"base_url": URL, "size": True}, "/size", "WRONG_TYPE"),
    "choice": ({"base_url": URL, "mode": "fast"}, "/mode", "NOT_ALLOWED"),
    "unknown": ({"base_url": URL, "bas_url": URL}, "/bas_url", "UNKNOWN_FIELD"),
    "optional": ({"base_url": URL, "limit": -1}, "/limit", "OUT_OF_RANGE"),
    "no form": ({"base_url": URL, "limit": "many"}, "/limit", "NO_FORM_FITS"),
    "empty list": ({"base_url": URL, "streams": []}, "/streams", "TOO_SHORT"),
    "nested": ({"base_url": URL, "streams": [{"name": "a"}, {"name": "B"}]}, "/streams/1/name", "WRONG_FORM"),
    "nested absent": ({"base_url": URL, "streams": [{}]}, "/streams/0/name", "REQUIRED"),
    "tagged form": ({"base_url": URL, "paging": {"kind": "pages"}}, "/paging/size", "REQUIRED"),
    "unknown tag": ({"base_url": URL, "paging": {"kind": "magic"}}, "/paging", "NO_FORM_FITS"),
    "secret": ({"base_url": URL, "token": "t"}, "/token", "SECRET_IN_CONFIGURATION"),
    "optional secret": ({"base_url": URL, "maybe": "t"}, "/maybe", "SECRET_IN_CONFIGURATION"),
    "password in address": ({"base_url": "https://me:pw@a.example"}, "/base_url", "SECRET_IN_CONFIGURATION"),
}


@pytest.mark.parametrize(("configuration", "path", "reason"), WRONG.values(), ids=WRONG)
def test_each_violation_names_field_and_reason(configuration, path, reason):
    """
    Whatever is wrong is told at the field that has to be mended.
    """
    found = violations(SPEC, configuration)

    assert (path, reason) in [(violation.path, violation.reason) for violation in found]


@pytest.mark.parametrize(("configuration", "path", "reason"), WRONG.values(), ids=WRONG)
def test_each_violation_is_one_sentence_with_a_remedy(configuration, path, reason):
    """
    A message is for a person: it begins with what to do or what it is about, and is a sentence.
    """
    message = next(v.message for v in violations(SPEC, configuration) if v.path == path)

    assert message.endswith((".", "?"))
    assert not message.startswith("'")


def test_what_fits_has_no_violation():
    """
    A required secret is not missed, because it comes from the vault.
    """
    paging = {"kind": "cursor", "path": "next"}

    assert violations(SPEC, {"base_url": URL, "limit": None, "maybe": None, "paging": paging}) == []


def test_misspelt_fields_are_guessed():
    """
    An unknown field comes with the known one that looks like it.
    """
    message = violations(SPEC, {"base_url": URL, "pagin": {}})[0].message

    assert message == "Remove `/pagin`, which is not known here; did you mean `paging`?"


def test_values_are_never_repeated():
    """
    A value in the wrong place may be a secret, so no message contains it.
    """
    canary = "s3cr3t-canary"
    wrong = {
        "base_url": canary,
        "size": canary,
        "mode": canary,
        "limit": canary,
        "token": canary,
        "x": canary,
    }

    assert canary not in str(violations(SPEC, {**wrong, "paging": canary, "streams": [{"name": canary}]}))


@pytest.mark.parametrize(
    "name", ["password", "PASSWORD", "api-key", "X-API-Key", "clientSecret", "Authorization"]
)
def test_obvious_secrets_are_found_at_any_depth(name):
    """
    A text under a name that means a secret is refused, whatever the schema says of it.
    """
    found = obvious_secrets({"headers": [{name: "value"}]}, {})

    assert [violation.path for violation in found] == [f"/headers/0/{name}"]


@pytest.mark.parametrize(
    "harmless", [{"token_url": "x"}, {"password": ""}, {"token": {"path": "next"}}, {"secret": 5}]
)
def test_names_that_only_sound_like_secrets_pass(harmless):
    """
    Addresses of token endpoints, empty texts and structures are no secrets.
    """
    assert obvious_secrets(harmless, {}) == []


def test_a_schema_may_declare_a_field_harmless():
    """
    A connector whose field `token` is no secret says so in its schema.
    """
    schema = {"properties": {"paging": {"properties": {"token": {"x-isthmus-secret": False}}}}}

    assert obvious_secrets({"paging": {"token": "next_page"}}, schema) == []


@pytest.mark.parametrize(
    "schema",
    [
        [],
        {"type": "thing"},
        {"$ref": "https://example.com/schema"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"$ref": "#/$defs/Absent"},
        {"$ref": "#"},
        {"properties": {"a": {"pattern": "("}}},
    ],
)
def test_schemas_that_cannot_be_used_are_told(schema):
    """
    A schema that is invalid, leads outwards or nowhere is refused when a connector is registered.
    """
    assert schema_trouble(schema)


BOMB = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {
    "a40": {"type": "null"}
}


def test_a_schema_that_explodes_is_refused_soon():
    """
    Forms inside forms that double at each level are not evaluated to the end.
    """
    assert "too long" in schema_trouble({"$ref": "#/$defs/a0", "$defs": BOMB})


def test_patterns_take_linear_time():
    """
    A pattern that would keep other engines busy for years is answered at once; look-around is refused.
    """
    found = ConfigurationSchema({"properties": {"a": {"pattern": "^(a+)+$"}}}).violations(
        {"a": "a" * 5000 + "!"}
    )

    assert [violation.reason for violation in found] == ["WRONG_FORM"]
    assert schema_trouble({"properties": {"a": {"pattern": "(?=a)b"}}})


def test_a_long_list_is_checked_for_equal_elements():
    """
    Ten thousand different objects are compared in linear time, and one repeated object is found.
    """
    schema = ConfigurationSchema({"properties": {"a": {"uniqueItems": True}}})
    items = [{"n": number} for number in range(10_000)]

    assert schema.violations({"a": items}) == []
    assert [found.reason for found in schema.violations({"a": [*items, {"n": 5.0}]})] == ["NOT_UNIQUE"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "other"]), JSON))
def test_any_configuration_is_answered(configuration):
    """
    Whatever JSON arrives, each violation has a path into it, a reason and a message.
    """
    for violation in violations(SPEC, configuration):
        assert violation.path.startswith("/")
        assert violation.reason.isupper()
        assert violation.message


@given(JSON)
def test_any_schema_is_answered(schema):
    """
    Whatever JSON is called a schema, it is either usable or told apart.
    """
    if not schema_trouble(schema):
        assert isinstance(ConfigurationSchema(schema).violations({}), list)


@pytest.mark.parametrize(
    ("configuration", "shown"),
    [
        ({"base_url": "https://u:p@a.example/x?key=1#f"}, "https://a.example/x"),
        ({"host": "db.example", "port": 5432, "database": "crm"}, "db.example:5432/crm"),
        ({"root": "/srv/files"}, "/srv/files"),
        ({"base_url": "http://["}, ""),
        ({"base_url": 5}, ""),
        ({}, ""),
    ],
)
def test_the_address_is_shown_without_user_and_query(configuration, shown):
    """
    What is displayed of a configuration says where, and never with which credential.
    """
    assert connection_url(json.dumps(configuration)) == shown


def test_inner_dialects_do_not_switch_the_rules_off():
    """
    An inner `$schema` changes nothing: patterns still run in linear time, secrets are still found.
    """
    inner = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {"name": {"pattern": "^(a+)+$"}, "token": {"x-isthmus-secret": True}},
    }
    checker = ConfigurationSchema({"properties": {"inner": inner}})
    found = checker.violations({"inner": {"name": "a" * 40 + "!", "token": "t"}})

    assert [(one.path, one.reason) for one in found] == [
        ("/inner/name", "WRONG_FORM"),
        ("/inner/token", "SECRET_IN_CONFIGURATION"),
    ]
