"""What the service says about definitions: mistakes, samples, plans, differences."""

import json

import pytest
from isthmus.mapper import compile_mapping
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.mapping.v1.mapping_pb2_grpc import MappingServiceStub
from isthmus.resilience.faults import FixRequest

FIELDS = json.dumps([{"target": "id", "source": "number", "required": True}])
OTHER = json.dumps([{"target": "key", "source": "number"}])


async def test_a_definition_with_mistakes_is_refused_with_all_of_them(mappings, create, fault_of):
    """
    Each mistake is a field violation at its place in the definition.
    """
    fields = json.dumps(
        [{"target": "a..b", "source": "x"}, {"target": "c", "source": "x", "steps": ["uper"]}]
    )

    fault = await fault_of(create(mappings, fields=fields))

    assert isinstance(fault, FixRequest)
    assert fault.reason == "MAPPING_INVALID"
    assert [violation.path for violation in fault.violations] == [
        "/field_mappings/0/target",
        "/field_mappings/1/steps/0",
    ]


@pytest.mark.parametrize(
    ("documents", "path", "reason"),
    [
        ({"field_mappings": "[{"}, "/field_mappings", "JSON_INVALID"),
        ({"field_mappings": "{}"}, "/field_mappings", "WRONG_TYPE"),
        ({"field_mappings": ""}, "/field_mappings", "EMPTY"),
        ({"field_mappings": FIELDS, "transformations": '{"a":1,"a":2}'}, "/transformations", "NAME_TWICE"),
        ({"field_mappings": FIELDS, "transformations": "[]"}, "/transformations", "WRONG_TYPE"),
        ({"field_mappings": FIELDS, "transformations": "[" * 100_000}, "/transformations", "JSON_INVALID"),
        ({"field_mappings": FIELDS, "target_schema": "7"}, "/target_schema", "WRONG_TYPE"),
        ({"field_mappings": "[NaN]"}, "/field_mappings", "JSON_INVALID"),
    ],
)
async def test_validation_tells_where_and_why(mappings, documents, path, reason):
    """
    Mistakes are an answer with path, reason and remedy.
    """
    response = await mappings.ValidateMapping(pb.ValidateMappingRequest(**documents))

    assert (path, reason) in [(item.path, item.reason) for item in response.violations]


async def test_a_sound_definition_has_no_violations(mappings):
    """
    Nothing wrong means an empty answer.
    """
    request = pb.ValidateMappingRequest(field_mappings=FIELDS, target_schema='{"required":["id"]}')

    assert not (await mappings.ValidateMapping(request)).violations


async def test_samples_are_mapped_filtered_and_rejected_one_by_one(mappings):
    """
    Each sample has its own result, with one error for every field that failed.
    """
    fields = json.dumps(
        [{"target": "n", "source": "n", "cast": "integer"}, {"target": "t", "source": "t", "cast": "date"}]
    )
    request = pb.TestMappingRequest(
        field_mappings=fields,
        transformations='{"where": {"path": "skip", "not_equals": true}}',
        samples=['{"n": "7"}', '{"skip": true}', '{"n": "x", "t": "soon"}'],
    )

    mapped, filtered, rejected = (await mappings.TestMapping(request)).results

    assert json.loads(mapped.record) == {"n": 7}
    assert filtered.outcome == pb.SampleResult.OUTCOME_FILTERED
    assert [(error.target, error.reason, error.value) for error in rejected.errors] == [
        ("n", "NOT_INTEGER", '"x"'),
        ("t", "NOT_TIMESTAMP", '"soon"'),
    ]


async def test_samples_that_are_no_objects_are_named(mappings, create, fault_of):
    """
    A sample that cannot be read is the caller's mistake.
    """
    created = await create(mappings)
    request = pb.TestMappingRequest(mapping_id=created.mapping_id, samples=["{}", "[]", "{"])

    fault = await fault_of(mappings.TestMapping(request))

    assert fault.reason == "SAMPLE_INVALID"
    assert [violation.path for violation in fault.violations] == ["samples[1]", "samples[2]"]


async def test_compiling_tells_what_is_read_and_written(mappings, create):
    """
    The answer names source and target fields, and the fingerprint hosts cache by.
    """
    created = await create(mappings)

    response = await mappings.CompileMapping(pb.CompileMappingRequest(mapping_id=created.mapping_id))

    assert (list(response.source_fields), list(response.target_fields)) == (["number"], ["id"])
    assert response.fingerprint == created.fingerprint


async def test_a_host_gets_the_definition_of_the_version_it_asks_for(service, mappings, create, tenant):
    """
    The plan of a version compiles to the fingerprint the service promised.
    """
    created = await create(mappings)
    update = pb.UpdateMappingRequest(mapping_id=created.mapping_id, name="incidents", field_mappings=OTHER)
    await mappings.UpdateMapping(update)

    host = MappingServiceStub(service.channel(tenant=tenant, permissions=["mapping.plans.read"], mesh=True))
    newest = await host.GetPlan(pb.GetPlanRequest(mapping_id=created.mapping_id))
    first = await host.GetPlan(pb.GetPlanRequest(mapping_id=created.mapping_id, version=1))

    assert (newest.version, first.version) == (2, 1)
    assert (
        compile_mapping(json.loads(first.definition)).fingerprint == first.fingerprint == created.fingerprint
    )


async def test_versions_are_compared_by_target(mappings, create):
    """
    A field put in front of another shows as one addition.
    """
    created = await create(mappings)
    fields = json.dumps([{"target": "new", "constant": 1}, *json.loads(FIELDS)])
    update = pb.UpdateMappingRequest(
        mapping_id=created.mapping_id,
        name="incidents",
        field_mappings=fields,
        transformations='{"tables": {"t": {"entries": {"a": "b"}}}}',
    )
    await mappings.UpdateMapping(update)

    request = pb.DiffMappingVersionsRequest(mapping_id=created.mapping_id, from_version=1)
    found = (await mappings.DiffMappingVersions(request)).differences

    assert [(item.path, item.target, item.before) for item in found] == [
        ("/transformations/tables", "", ""),
        ("/field_mappings/0", "new", ""),
    ]


async def test_results_larger_than_an_answer_are_refused(mappings, fault_of):
    """
    Samples that grow beyond what one message carries are told so.
    """
    fields = json.dumps([{"target": f"t{n}", "source": "a"} for n in range(20)])
    samples = [json.dumps({"a": "x" * 40_000})] * 50

    fault = await fault_of(
        mappings.TestMapping(pb.TestMappingRequest(field_mappings=fields, samples=samples))
    )

    assert fault.reason == "SAMPLE_INVALID"
