"""Previews over gRPC, on records that a fake registry samples."""

import json

import grpc
import pytest
from isthmus.mapping.v1 import mapping_pb2, suggestions_pb2
from isthmus.mapping.v1 import previews_pb2 as pb
from isthmus.mapping.v1.previews_pb2_grpc import MappingPreviewsServiceStub
from isthmus.resilience.faults import Missing, NotAllowed
from isthmus.type.v1 import privacy_pb2

FIELDS = json.dumps(
    [
        {"target": "id", "source": "number", "required": True},
        {"target": "mail", "source": "email"},
        {"target": "level", "source": "prio", "enum": {"1": "high"}},
    ]
)
RECORDS = [
    {"number": "I1", "email": "ada@example.org", "prio": 1},
    {"number": "I2", "email": "ada@example.org", "prio": "ada@example.org"},
]
OUTCOMES = mapping_pb2.SampleResult


@pytest.fixture
def previews(service, tenant):
    """The service of previews, called as a service account of the tenant."""
    return MappingPreviewsServiceStub(service.channel(tenant=tenant))


@pytest.fixture
def sampled(sampling):
    """What the registry gives: two records with a personal field."""
    sampling.records = [json.dumps(record).encode() for record in RECORDS]
    personal = privacy_pb2.DATA_CLASS_PERSONAL
    sampling.classes = [privacy_pb2.FieldClass(path=path, data_class=personal) for path in ("email", "prio")]
    return sampling


def order(created, **more):
    """Asks for the records of one instance."""
    return pb.PreviewOrder(mapping_id=created.mapping_id, instance_id="ins_1", stream="incident", **more)


async def test_real_records_are_mapped_and_their_fields_explained(mappings, create, previews, sampled):
    """
    One result for each record, and what each target field is made of.
    """
    created = await create(mappings, fields=FIELDS)

    answer = await previews.PreviewMapping(pb.PreviewMappingRequest(order=order(created, limit=2)))

    outcomes = [one.result.outcome for one in answer.records]
    assert outcomes == [OUTCOMES.OUTCOME_MAPPED, OUTCOMES.OUTCOME_REJECTED]
    assert [list(one.sources) for one in answer.fields] == [["number"], ["email"], ["prio"]]
    asked = sampled.asked[-1]
    assert (asked.instance_id, asked.stream, asked.limit) == ("ins_1", "incident", 2)
    assert list(asked.named_fields) == ["email", "number", "prio"]


async def test_sensitive_values_are_left_out(mappings, create, previews, sampled):
    """
    Of the record, of what is made of it, and of what errors quote.
    """
    created = await create(mappings, fields=FIELDS)

    answer = await previews.PreviewMapping(pb.PreviewMappingRequest(order=order(created)))

    assert "ada@" not in str(answer)
    assert json.loads(answer.records[0].result.record)["mail"] == "‹personal: 15 characters›"
    assert json.loads(answer.records[0].source)["number"] == "I1"


async def test_each_part_of_a_split_record_is_without_sensitive_values(previews, sampled):
    """
    What one record becomes is a list then.
    """
    sampled.records = [b'{"parts": [{"email": "ada@example.org"}, {"email": "bob@example.org"}]}']
    sampled.classes[0].path = "parts[*].email"
    asked = pb.PreviewOrder(
        field_mappings='[{"target": "mail", "source": "email"}]',
        transformations='{"split": {"each": "parts"}}',
        instance_id="ins_1",
        stream="incident",
    )

    answer = await previews.PreviewMapping(pb.PreviewMappingRequest(order=asked))

    assert json.loads(answer.records[0].result.record) == [{"mail": "‹personal: 15 characters›"}] * 2
    assert "@example" not in str(answer)


async def test_whoever_may_see_values_sees_them(
    service, mappings, create, previews, sampled, tenant, fault_of
):
    """
    It takes a permission of its own.
    """
    created = await create(mappings, fields=FIELDS)
    request = pb.ReadMappingPreviewRequest(order=order(created))

    answer = await previews.ReadMappingPreview(request)
    assert json.loads(answer.records[0].result.record) == {
        "id": "I1",
        "mail": "ada@example.org",
        "level": "high",
    }
    shy = MappingPreviewsServiceStub(service.channel(tenant=tenant, permissions=["mapping.mappings.preview"]))
    assert isinstance(await fault_of(shy.ReadMappingPreview(request)), NotAllowed)


async def test_a_definition_is_tried_on_given_records_before_it_is_saved(previews):
    """
    Neither a mapping nor an instance is needed.
    """
    asked = pb.PreviewOrder(field_mappings=FIELDS, samples=[json.dumps(RECORDS[0])])

    answer = await previews.PreviewMapping(pb.PreviewMappingRequest(order=asked))

    assert json.loads(answer.records[0].result.record)["level"] == "high"
    assert isinstance(answer.fields[0], suggestions_pb2.FieldLineage)


async def test_what_the_registry_refuses_is_passed_on(mappings, create, previews, sampled, fault_of):
    """
    An instance that is not there is no mistake of the mapping.
    """
    created = await create(mappings, fields=FIELDS)
    sampled.failure = (grpc.StatusCode.NOT_FOUND, "There is no such instance.")

    fault = await fault_of(previews.PreviewMapping(pb.PreviewMappingRequest(order=order(created))))

    sampled.failure = None
    assert isinstance(fault, Missing)
