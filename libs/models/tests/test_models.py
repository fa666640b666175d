"""Every model as a whole: found, published once and for all, and neither too narrow nor too wide."""

import copy
import hashlib
import json
from pathlib import Path

import jsonschema
import pytest
from isthmus.mapper.schemas import validator
from isthmus.models import ModelUnknown, model, models, outline, references, schema_of

HERE = Path(__file__).parent
PUBLISHED = json.loads((HERE / "published.json").read_text())
FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER


@pytest.fixture(params=references())
def found(request):
    return model(request.param)


def test_a_published_version_never_changes():
    """
    The hash of each version is kept; another meaning is another version, and none is taken away.
    """
    hashes = {
        one.reference: hashlib.sha256(json.dumps(one.schema, sort_keys=True).encode()).hexdigest()
        for one in models()
    }

    assert hashes == PUBLISHED


def test_a_model_describes_itself_and_every_field(found):
    """
    A valid 2020-12 schema without references to outside, whose fields have words for people.
    """
    jsonschema.Draft202012Validator.check_schema(found.schema)

    assert found.title
    assert found.standard.url.startswith("https://")
    assert found.schema["$id"] == f"https://isthmus.dev/models/{found.name}/{found.version}.json"
    assert [place for place, node in _nodes(found.schema) if not _is_told(node)] == []
    assert all(node.get("$ref", "#").startswith("#") for _, node in _nodes(found.schema))


def _is_told(node):
    return "description" in node or "$ref" in node


def _nodes(schema):
    for place, owner in [("", schema), *schema.get("$defs", {}).items()]:
        yield from _below(place, owner)


def _below(place, node):
    for name, inner in node.get("properties", {}).items():
        yield f"{place}.{name}", inner
        yield from _below(f"{place}.{name}", inner)
    if isinstance(node.get("items"), dict):
        yield from _below(f"{place}[]", node["items"])


def test_a_valid_record_passes(found, samples):
    """
    Our own checker and an independent one agree, formats included.
    """
    sample = samples[found.name]

    assert validator(found.schema)(sample) is None
    jsonschema.Draft202012Validator(found.schema, format_checker=FORMATS).validate(sample)


def test_a_damaged_record_is_refused(found, samples):
    """
    Without a required field, with a value outside an enumeration, or with the wrong type.
    """
    sample, check = samples[found.name], validator(found.schema)

    kept = [label for label, damaged in _damages(sample, found.schema) if check(damaged) is None]

    assert kept == []


def _damages(sample, schema):
    for name in schema["required"]:
        yield f"without {name}", {key: value for key, value in sample.items() if key != name}
    for name, rule in schema["properties"].items():
        if name not in sample:
            continue
        damaged = copy.deepcopy(sample)
        if "enum" in rule or "const" in rule:
            damaged[name] = "no such value"
            yield f"another {name}", damaged
        else:
            damaged[name] = [{}] if rule.get("type") != "array" else "no list"
            yield f"wrong type of {name}", damaged


def test_the_newest_version_is_meant_where_none_is_named():
    """
    For people who look; a mapping has to name it.
    """
    assert model("isthmus/case").reference == "isthmus/case@1"
    assert model("isthmus/case", 1) == model("isthmus/case@1")
    with pytest.raises(ModelUnknown, match="isthmus/case@1"):
        schema_of("isthmus/case")


@pytest.mark.parametrize("name", ["ocsf/vulnerability", "isthmus/case@2", "ocsf/parts@1", "../x", "", "a b"])
def test_what_is_no_model_is_refused_with_what_there_is(name):
    """
    The sentence tells how to go on.
    """
    with pytest.raises(ModelUnknown, match=r"did you mean|models list"):
        model(name)


def test_a_schema_that_is_written_out_stays_as_it_is():
    """
    Mappings may have either.
    """
    assert schema_of({"type": "object"}) == {"type": "object"}


def test_the_outline_names_every_field_once():
    """
    Fields of inner objects and lists by their paths, those of shared parts under the part's name.
    """
    outlines = outline(model("ocsf/authentication@1").schema)
    link = outline(model("isthmus/incident_link@1").schema)[""]

    assert [field.path for field in link] == ["system", "externalId", "url", "type", "status", "priority"]
    assert all(field.is_required for field in link)
    assert link[4].choices == ("open", "in_progress", "resolved", "closed")
    assert {"session.uid", "actor.user"} <= {field.path for field in outlines[""]}
    assert {field.path: field.data_class for field in outlines["user"]}["email_addr"] == "personal"
