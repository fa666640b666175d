"""The way back of a mapping is derived, told, and read like any mapping."""

import json

from isthmus.mapping.v1 import inverses_pb2
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.resilience.faults import FixRequest, Missing

FIELDS = json.dumps(
    [
        {"target": "id", "source": "number", "required": True},
        {"target": "state", "source": "status", "enum": {"New": "open", "Done": "closed"}},
        {"target": "origin", "constant": "desk"},
    ]
)
LOSSY = json.dumps([*json.loads(FIELDS), {"target": "name", "source": "name", "steps": ["lower"]}])


async def test_the_way_back_is_told_and_tried(mappings, create):
    """
    The answer holds a definition, what is left out, and what became of samples.
    """
    created = await create(mappings, fields=FIELDS)
    sample = json.dumps({"number": "1", "status": "New"})
    request = inverses_pb2.DeriveInverseMappingRequest(mapping_id=created.mapping_id, samples=[sample])

    answer = await mappings.DeriveInverseMapping(request)

    assert answer.is_full
    assert [rule["target"] for rule in json.loads(answer.field_mappings)] == ["number", "status"]
    assert [(loss.target, loss.reason, loss.is_lost) for loss in answer.losses] == [
        ("origin", "CONSTANT", False)
    ]
    assert [trip.verdict for trip in answer.round_trips] == [inverses_pb2.RoundTrip.VERDICT_SAME]


async def test_flows_read_the_way_back_by_an_id_of_its_own(mappings, create):
    """
    The derived mapping is read, tried and given to hosts like one that is stored, in the same versions.
    """
    created = await create(mappings, fields=FIELDS)
    asked = inverses_pb2.DeriveInverseMappingRequest(mapping_id=created.mapping_id)
    inverse_id = (await mappings.DeriveInverseMapping(asked)).inverse_mapping_id
    back = json.dumps({"id": "1", "state": "closed", "origin": "desk"})

    plan = await mappings.GetPlan(pb.GetPlanRequest(mapping_id=inverse_id))
    tried = await mappings.TestMapping(pb.TestMappingRequest(mapping_id=inverse_id, samples=[back]))

    assert (plan.mapping_id, plan.version) == (inverse_id, 1)
    assert plan.fingerprint != created.fingerprint
    assert json.loads(tried.results[0].record) == {"number": "1", "status": "Done"}


async def test_what_is_lost_is_named(mappings, create, fault_of):
    """
    A mapping that cannot be undone says by which fields, and flows do not get it.
    """
    created = await create(mappings, fields=LOSSY)
    asked = inverses_pb2.DeriveInverseMappingRequest(mapping_id=created.mapping_id)

    answer = await mappings.DeriveInverseMapping(asked)
    fault = await fault_of(mappings.GetPlan(pb.GetPlanRequest(mapping_id=f"{created.mapping_id}~inverse")))

    assert (answer.is_full, answer.inverse_mapping_id) == (False, "")
    assert [loss.target for loss in answer.losses if loss.is_lost] == ["name"]
    assert isinstance(fault, Missing)
    assert (fault.reason, fault.metadata["fields"]) == ("MAPPING_NOT_INVERTIBLE", "name")


async def test_a_sample_is_an_object(mappings, create, fault_of):
    """
    Samples that are no JSON objects are refused.
    """
    created = await create(mappings, fields=FIELDS)
    asked = inverses_pb2.DeriveInverseMappingRequest(mapping_id=created.mapping_id, samples=["[]"])

    fault = await fault_of(mappings.DeriveInverseMapping(asked))

    assert isinstance(fault, FixRequest)
    assert fault.reason == "SAMPLE_INVALID"
