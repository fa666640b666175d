"""Mappings that come with connectors do what they say, and what they make is valid in its standard."""

import json
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path

import jsonschema
import pytest
import yaml
from isthmus.client.manifest.document import MappingSpec
from isthmus.connectors.nist_oscal.catalogue import Catalogue
from isthmus.mapper import RecordRejected, compile_mapping
from isthmus.models import schema_of
from isthmus.sdk.runtime import spec_of
from isthmus.testing.shared import shared
from isthmus.testing.standards import JUDGED, complaints

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
READY = {
    f"{point.name}/{name}": yaml.safe_load(document)
    for point in entry_points(group="isthmus.connectors")
    for name, document in spec_of(point.load()).ready_mappings.items()
}
FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER


def plan_of(reference):
    left_out = {"title", "stream", "golden_samples"}
    told = {name: value for name, value in READY[reference].items() if name not in left_out}
    return compile_mapping({"version": "isthmus/v1", **told})


def refused(reference, records):
    """What our schema or an independent validator has against records that a mapping has made."""
    target = READY[reference].get("target_schema", "")
    if not target:
        return []
    schema = jsonschema.Draft202012Validator(schema_of(target), format_checker=FORMATS)
    ours = [error.message for record in records for error in schema.iter_errors(record)]
    model = target.partition("@")[0]
    return ours + [one for record in records if model in JUDGED for one in complaints(model, record)]


def test_every_connector_brings_some():
    """
    To canonical models and back.
    """
    connectors = {reference.partition("/")[0] for reference in READY}

    assert {"cisa-kev", "files", "http-json", "nist-oscal", "postgres"} <= connectors
    assert {"source_schema", "target_schema"} <= {name for told in READY.values() for name in told}


@pytest.mark.parametrize("reference", sorted(READY))
def test_golden_samples_hold(reference):
    """
    Each sample becomes what stands beside it, which fits the model and its standard.
    """
    told = READY[reference]
    spec = MappingSpec.model_validate({k: v for k, v in told.items() if k not in {"title", "stream"}})
    plan = plan_of(reference)
    made = [(sample, _outcome(plan, sample["input"])) for sample in spec.golden_samples]

    assert told["title"]
    assert made
    assert [outcome for _, outcome in made] == [_said(sample) for sample, _ in made]
    assert refused(reference, [outcome["expected"] for _, outcome in made if "expected" in outcome]) == []


def _outcome(plan, record):
    try:
        made = plan.apply(record, now=NOW)
    except RecordRejected as rejected:
        errors = [{"target": one.target, "reason": one.reason} for one in rejected.errors]
        return {"rejected": errors}
    return {"filtered": True} if made is None else {"expected": made}


def _said(sample):
    return {name: told for name, told in sample.items() if name in {"expected", "filtered", "rejected"}}


@pytest.mark.parametrize("reference", sorted(READY))
def test_the_readme_tells_of_it(reference):
    """
    Whoever reads about a connector sees what comes with it.
    """
    connector, _, name = reference.partition("/")
    readme = Path(__file__).parents[1] / "connectors" / connector.replace("-", "_") / "README.md"

    assert f"| `{name}` | {READY[reference]['title']} |" in readme.read_text()


@pytest.mark.parametrize(
    ("there", "back", "keeps"),
    [
        ("postgres/incident-finding", "postgres/incident-row", None),
        ("files/detection-finding", "files/security-event", None),
        ("http-json/servicenow-incident-finding", "http-json/servicenow-incident", ["state", "assigned_to"]),
    ],
)
def test_a_record_comes_back_as_it_went(there, back, keeps):
    """
    To OCSF and back: everything that both sides know is the same.
    """
    finding, row = plan_of(there), plan_of(back)
    for sample in READY[there]["golden_samples"][:1]:
        record = sample["input"]
        returned = row.apply(finding.apply(record, now=NOW), now=NOW)

        kept = keeps or list(record)
        assert {k: v for k, v in returned.items() if k in kept} == {k: record[k] for k in kept if record[k]}


@pytest.mark.parametrize("edition", ["kev-2025-01-24", "kev-2025-08-25"])
def test_every_known_exploited_vulnerability_becomes_a_finding(edition):
    """
    All entries of both editions, none refused by anybody.
    """
    entries = json.loads(shared("data", "kev", f"{edition}.json").read_text())["vulnerabilities"]
    reference = "cisa-kev/vulnerability-finding"

    made = plan_of(reference).apply_many(entries)

    assert len(made.records) == len(entries) > 1000
    assert {one["finding_info"]["uid"] for one in made.records} == {one["cveID"] for one in entries}
    assert [one for record in made.records for one in complaints("ocsf/vulnerability_finding", record)] == []
    assert refused(reference, made.records[::50]) == []


def test_every_control_of_a_catalogue_becomes_an_oscal_control():
    """
    NIST's low baseline as the connector reads it; compliance-trestle accepts each.
    """
    path = shared("data", "oscal", "nist-800-53-rev5-low-catalog.json")
    controls = [
        one.model_dump(mode="json") for one in Catalogue(json.loads(path.read_text()), path.name).controls()
    ]

    made = plan_of("nist-oscal/control").apply_many(controls)

    assert len(made.records) == len(controls) > 100
    assert refused("nist-oscal/control", made.records) == []


def test_real_records_of_vendors_are_understood():
    """
    What ServiceNow, Jira and Sentinel document as their records.
    """
    samples = {
        "http-json/servicenow-incident-finding": ("servicenow", "incident.json", "result"),
        "http-json/servicenow-incident-link": ("servicenow", "incident.json", "result"),
        "http-json/servicenow-user": ("servicenow", "sys-user.json", "result"),
        "http-json/sentinel-incident-finding": ("sentinel", "incident.json", ""),
    }
    for reference, (system, file, member) in samples.items():
        document = json.loads(shared("contracts", system, "samples", file).read_text())
        record = plan_of(reference).apply(document[member] if member else document, now=NOW)

        assert refused(reference, [record]) == [], reference
