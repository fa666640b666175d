"""Avro schemas: judged against an independent implementation, and turned into JSON Schema and back."""

import io
import json
import os

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.services.mapping.domain.registry.avro.from_json_schema import avro_of
from isthmus.services.mapping.domain.registry.avro.reading import read_avro
from isthmus.services.mapping.domain.registry.avro.resolution import unresolved
from isthmus.services.mapping.domain.registry.avro.to_json_schema import json_schema_of
from isthmus.testing.shared import shared
from jsonschema import Draft202012Validator

EXAMPLES = int(os.environ.get("ISTHMUS_SCHEMAS", "60"))
PRIMITIVES = ("null", "boolean", "int", "long", "double", "string")
VALUES = {
    "null": None,
    "boolean": True,
    "int": 1,
    "long": 2,
    "float": 1.5,
    "double": 2.5,
    "string": "a",
    "bytes": b"a",
}


@st.composite
def types(draw, depth=2, place="r"):
    """A type whose names tell where it stands, so that the same place has the same name."""
    choice = draw(st.integers(0, 9))
    if choice > 4 or not depth:
        return draw(st.sampled_from((*PRIMITIVES, "bytes", "float")))
    inner = types(depth=depth - 1, place=f"{place}_i")
    if choice == 0:
        return {"type": "array", "items": draw(inner)}
    if choice == 1:
        return {"type": "map", "values": draw(inner)}
    if choice == 2:
        symbols = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
        more = {"default": symbols[0]} if draw(st.booleans()) else {}
        return {"type": "enum", "name": f"{place}_e", "symbols": symbols, **more}
    if choice == 3:
        return draw(st.lists(st.sampled_from(PRIMITIVES), min_size=1, max_size=3, unique=True))
    return draw(records(depth=depth - 1, place=place))


@st.composite
def records(draw, depth=2, place="r"):
    """A record; a field that may be missing is nullable with null as its default."""
    fields = []
    for name in draw(st.lists(st.sampled_from("abc"), max_size=3, unique=True)):
        if draw(st.integers(0, 3)):
            fields.append(
                {"name": name, "type": draw(types(depth=depth - 1 if depth else 0, place=f"{place}_{name}"))}
            )
        else:
            kind = draw(st.sampled_from(PRIMITIVES[1:]))
            fields.append({"name": name, "type": ["null", kind], "default": None})
    return {"type": "record", "name": place, "fields": fields}


def datums(kind):
    """Every value of a type that takes another way through it."""
    if isinstance(kind, list):
        return [value for branch in kind for value in datums(branch)]
    name = kind["type"] if isinstance(kind, dict) else kind
    if name == "array":
        return [[], datums(kind["items"])]
    if name == "map":
        return [{}, *({"k": value} for value in datums(kind["values"]))]
    if name == "enum":
        return list(kind["symbols"])
    if name == "record":
        several = {field["name"]: datums(field["type"]) for field in kind["fields"]}
        most = max(map(len, several.values()), default=1)
        return [{field: values[at % len(values)] for field, values in several.items()} for at in range(most)]
    return [VALUES[name]]


def carried(writer, reader):
    """The writer's values as an independent implementation reads them by the reader's schema."""
    for datum in datums(writer):
        sent = io.BytesIO()
        fastavro.schemaless_writer(sent, fastavro.parse_schema(writer), datum)
        sent.seek(0)
        yield fastavro.schemaless_reader(sent, fastavro.parse_schema(writer), fastavro.parse_schema(reader))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(records(), records())
def test_what_is_judged_readable_is_read(writer, reader):
    """
    By another implementation of the same rules; a schema always reads itself.
    """
    assert not unresolved(read_avro(writer), read_avro(writer))
    if not unresolved(read_avro(writer), read_avro(reader)):
        assert len(list(carried(writer, reader))) == len(datums(writer))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(records())
def test_a_schema_that_went_through_json_schema_reads_what_the_first_wrote(schema):
    """
    And the other way round; records that Avro takes are valid by the JSON Schema.
    """
    avro = read_avro(schema)
    json_schema, losses = json_schema_of(avro)
    back, _ = avro_of(json_schema, "r")
    plain = [
        datum
        for datum in datums(schema)
        if b"a" not in str(datum).encode() or "bytes" not in json.dumps(schema)
    ]

    assert losses == []
    assert not unresolved(avro, read_avro(back))
    assert not unresolved(read_avro(back), avro)
    assert fastavro.parse_schema(back)
    assert all(map(Draft202012Validator(json_schema).is_valid, plain))


@pytest.mark.parametrize("name", ["security_event_v1", "alert_event_v1"])
def test_schemas_of_others_are_read_and_written(name):
    """
    Events as another platform describes them.
    """
    document = json.loads(shared("contracts", "kafka", f"{name}.avsc").read_text())

    avro = read_avro(document)
    back, _ = avro_of(json_schema_of(avro)[0], name)

    assert avro.problems == []
    assert unresolved(avro, read_avro(back)) == unresolved(read_avro(back), avro) == []


LOSSY = {
    "type": "object",
    "properties": {
        "first name": {"type": "string", "maxLength": 20},
        "when": {"type": "string", "format": "date-time"},
        "any": True,
        "level": {"enum": ["low", "very high"]},
    },
}


def test_what_avro_cannot_say_is_told():
    """
    Place by place.
    """
    back, losses = avro_of(LOSSY, "thing")

    assert {loss.path for loss in losses} == {"$", "first name", "when", "any", "level"}
    assert read_avro(back).problems == []


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "record", "name": "r", "fields": [{"name": "a", "type": "text"}]}, "/fields/0/type"),
        (
            {"type": "record", "name": "r", "fields": [{"name": "a", "type": ["int", "int"]}]},
            "/fields/0/type",
        ),
        ({"type": "record", "name": "1r", "fields": []}, ""),
        ({"type": "record", "name": "r"}, ""),
    ],
)
def test_what_is_no_avro_is_told_with_its_place(schema, path):
    """
    As a JSON pointer.
    """
    assert [where for where, _ in read_avro(schema).problems] == [path]
