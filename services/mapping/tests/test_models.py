"""Canonical models over gRPC, and mappings that name one."""

import json

import pytest
from isthmus.mapping.v1 import mapping_pb2, models_pb2
from isthmus.mapping.v1.models_pb2_grpc import ModelServiceStub
from isthmus.models import model, references
from isthmus.resilience.faults import FixRequest, Missing

POSTURE = [
    {"target": "policyId", "constant": "hardening"},
    {"target": "requirementId", "source": "control", "required": True},
    {"target": "status", "source": "state", "default": "unknown"},
    {"target": "evidenceRef", "source": "evidence", "default": ""},
    {"target": "evaluatedAtUtc", "source": "at", "cast": "timestamp", "required": True},
]


@pytest.fixture
def models(service, tenant):
    """The service, called as a service account of the tenant."""
    return ModelServiceStub(service.channel(tenant=tenant))


async def test_models_are_listed_page_by_page(models):
    """
    Every version of every model once, without schemas; those of one standard where it is named.
    """
    seen, token = [], ""
    while page := await models.ListModels(models_pb2.ListModelsRequest(page_size=10, page_token=token)):
        seen += [f"{one.name}@{one.version}" for one in page.models if not one.json_schema]
        token = page.next_page_token
        if not token:
            break
    scim = (await models.ListModels(models_pb2.ListModelsRequest(standard="scim"))).models

    assert seen == references()
    assert [one.name for one in scim] == ["scim/group", "scim/user"]


async def test_a_model_is_read_with_its_schema(models, fault_of):
    """
    By its name, in the newest version or the named one.
    """
    named = (await models.GetModel(models_pb2.GetModelRequest(name="stix/indicator@1"))).model
    newest = (await models.GetModel(models_pb2.GetModelRequest(name="stix/indicator"))).model
    unknown = await fault_of(models.GetModel(models_pb2.GetModelRequest(name="stix/indicator", version=7)))

    assert named == newest
    assert json.loads(named.json_schema) == model("stix/indicator").schema
    assert isinstance(unknown, Missing)
    assert unknown.reason == "MODEL_UNKNOWN"


async def test_a_mapping_may_name_a_model(mappings, create, fault_of):
    """
    It is kept by its name, checked by its schema, and hosts are given the name.
    """
    named = json.dumps("isthmus/policy_posture@1")
    mapping = await create(mappings, fields=json.dumps(POSTURE), target_schema=named)
    plan = await mappings.GetPlan(mapping_pb2.GetPlanRequest(mapping_id=mapping.mapping_id))
    short = await fault_of(create(mappings, "short", json.dumps(POSTURE[1:]), target_schema=named))

    assert mapping.target_schema == named
    assert json.loads(plan.definition)["target_schema"] == "isthmus/policy_posture@1"
    assert isinstance(short, FixRequest)
    assert [one.reason for one in short.violations] == ["TARGET_REQUIRED"]
