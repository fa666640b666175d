"""Lineage and suggestions over gRPC."""

import json

import pytest
from isthmus.mapping.v1 import suggestions_pb2 as pb
from isthmus.mapping.v1.suggestions_pb2_grpc import MappingSuggestionsServiceStub


@pytest.fixture
def hints(service, tenant):
    """The service of suggestions, called as a service account of the tenant."""
    return MappingSuggestionsServiceStub(service.channel(tenant=tenant))


async def test_a_version_tells_what_its_fields_are_made_of(mappings, create, hints):
    """
    Sources, functions and constants of each target field.
    """
    fields = json.dumps([{"target": "id", "source": "number", "steps": ["trim"], "default": "none"}])
    created = await create(mappings, fields=fields)

    answer = await hints.GetMappingLineage(pb.GetMappingLineageRequest(mapping_id=created.mapping_id))

    [one] = answer.fields
    assert (answer.version, one.target, list(one.sources)) == (1, "id", ["number"])
    assert (list(one.functions), list(one.constants)) == (["trim"], ['"none"'])


async def test_a_mapping_is_proposed_for_two_schemas(hints):
    """
    A model may stand in place of a schema; a field says why it is proposed.
    """
    source = {"type": "object", "properties": {"number": {"type": "string"}, "opened_at": {"type": "string"}}}
    request = pb.SuggestMappingRequest(
        source_schema=json.dumps(source), target_schema=json.dumps("isthmus/case@1"), samples=["{}"]
    )

    answer = await hints.SuggestMapping(request)

    found = {pair.source: pair.target for field in answer.fields for pair in field.pairs}
    assert found == {"number": "id", "opened_at": "created_at"}
    assert "title" in answer.missing_targets
    assert all(0.5 <= field.confidence < 1 for field in answer.fields)


@pytest.mark.parametrize("schema", ["", "[]", '"no/such@1"', "{"])
async def test_what_is_no_schema_is_refused(hints, fault_of, schema):
    """
    The answer names the field.
    """
    request = pb.SuggestMappingRequest(source_schema="{}", target_schema=schema)

    fault = await fault_of(hints.SuggestMapping(request))

    assert [one.path for one in fault.violations] == ["target_schema"]
