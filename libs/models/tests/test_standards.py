"""What fits a model is valid in its standard, as others say who know the standard."""

import json

import jsonschema
import pytest
from isthmus.mapper.schemas import validator
from isthmus.models import model
from isthmus.testing.shared import shared
from isthmus.testing.standards import JUDGED, complaints

BY_CONTRACT = [
    "account_change",
    "authentication",
    "compliance_finding",
    "detection_finding",
    "incident_finding",
    "vulnerability_finding",
]
DAMAGE = {
    "ocsf": {"time": "yesterday"},
    "oscal": {"props": "none"},
    "scim": {"meta": "none"},
    "stix": {"pattern": "[file:name = "},
}
RFC_7643 = {
    "scim/user": "urn:ietf:params:scim:schemas:core:2.0:User",
    "scim/group": "urn:ietf:params:scim:schemas:core:2.0:Group",
}


@pytest.mark.parametrize("name", JUDGED)
def test_what_fits_a_model_fits_its_standard(name, samples):
    """
    OCSF by ocsf-emitter, OSCAL by compliance-trestle, SCIM by scim2-models, STIX by OASIS.
    """
    assert complaints(name, samples[name]) == []


@pytest.mark.parametrize("name", JUDGED)
def test_the_judges_see_damage(name, samples):
    """
    Each of them complains about a record that is nearly right, so that their silence means something.
    """
    damaged = {**samples[name], **DAMAGE[name.partition("/")[0]]}

    assert complaints(name, damaged)


@pytest.mark.parametrize("name", BY_CONTRACT)
def test_findings_fit_the_schema_of_ocsf_itself(name, samples):
    """
    Compiled from the sources of OCSF 1.8.0, of which the model names the version.
    """
    contract = json.loads(shared("contracts", "ocsf", "ocsf-classes.schema.json").read_text())
    schema = {"$defs": contract["$defs"], "$ref": f"#/$defs/{name}"}

    jsonschema.Draft202012Validator(schema).validate(samples[f"ocsf/{name}"])
    assert model(f"ocsf/{name}").standard.version == "1.8.0"


@pytest.mark.parametrize("name", BY_CONTRACT)
def test_a_model_says_of_each_attribute_what_ocsf_says(name):
    """
    No attribute that OCSF does not know, no other type or number, and nothing required that is missing here.
    """
    theirs = json.loads(shared("contracts", "ocsf", "ocsf-classes.schema.json").read_text())["$defs"]

    assert list(_differences(model(f"ocsf/{name}").schema, theirs[name], theirs)) == []


def _differences(ours, theirs, theirs_all, place=""):
    missing = set(theirs.get("required", [])) - set(ours.get("required", []))
    yield from (f"{place}.{name} is not required" for name in missing)
    for name, rule in ours["properties"].items():
        other = theirs["properties"].get(name)
        if other is None:
            yield f"{place}.{name} is not in OCSF"
            continue
        other = theirs_all[other["$ref"].rpartition("/")[2]] if "$ref" in other else other
        if {rule.get("type", "object"), other.get("type", rule.get("type", "object"))} - {
            rule.get("type", "object")
        }:
            yield f"{place}.{name} is {rule.get('type')}, in OCSF {other['type']}"
        # 0 and 99 are unknown and other in every enumeration of OCSF; its schema leaves them out of some.
        if "enum" in rule and name != "type_uid" and "enum" in other:
            yield from (
                f"{place}.{name} has no {number}"
                for number in set(rule["enum"]) - {0, 99} - set(other["enum"])
            )


@pytest.mark.parametrize("name", sorted(RFC_7643))
def test_a_resource_has_only_attributes_of_its_rfc(name):
    """
    RFC 7643, section 7, with the sub-attributes of each.
    """
    schemas = json.loads(shared("contracts", "scim", "rfc7643-schemas.json").read_text())
    schemas = schemas if isinstance(schemas, list) else schemas["Resources"]
    theirs = next(one for one in schemas if one["id"] == RFC_7643[name])
    known = {
        one["name"]: {sub["name"] for sub in one.get("subAttributes", [])} for one in theirs["attributes"]
    }
    known |= {name: set() for name in ("schemas", "id", "externalId", "meta")}

    properties = {key: rule for key, rule in model(name).schema["properties"].items() if ":" not in key}
    inner = {key: rule.get("items", rule).get("properties", {}) for key, rule in properties.items()}

    assert properties.keys() <= known.keys()
    assert [key for key, subs in inner.items() if known[key] and not subs.keys() <= known[key]] == []


def test_real_assessment_results_fit():
    """
    The published example of NIST: its result, its observations and findings.
    """
    path = shared("data", "oscal", "ifa_assessment-results-example.json")
    result = json.loads(path.read_text())["assessment-results"]["results"][0]
    records = [("oscal/assessment_result", result)]
    records += [("oscal/observation", one) for one in result["observations"]]
    records += [("oscal/finding", one) for one in result["findings"]]

    assert [name for name, one in records if validator(model(name).schema)(one) is not None] == []


def test_real_controls_fit():
    """
    Every control of NIST's low baseline, with its enhancements.
    """
    path = shared("data", "oscal", "nist-800-53-rev5-low-catalog.json")
    groups = json.loads(path.read_text())["catalog"]["groups"]
    check = validator(model("oscal/control").schema)
    controls = [control for group in groups for control in group["controls"]]

    assert len(controls) > 100
    assert [control["id"] for control in controls if check(control) is not None] == []
