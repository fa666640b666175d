"""The life of versions over gRPC: drafts, golden samples, activation, rolling back, retiring."""

import json

import pytest
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.mapping.v1 import versions_pb2 as versions
from isthmus.mapping.v1.versions_pb2_grpc import MappingVersionsServiceStub
from isthmus.resilience.faults import FixRequest, Missing, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling

FIELDS = json.dumps([{"target": "id", "source": "number", "required": True}])
OTHER = json.dumps([{"target": "key", "source": "number"}])
GOOD = json.dumps([{"name": "one", "input": {"number": 1}, "expected": {"id": 1}}])
BAD = json.dumps([{"name": "two", "input": {"number": 1}, "expected": {"id": 2}}])
DRAFT, VALIDATED = pb.DataMapping.STATE_DRAFT, pb.DataMapping.STATE_VALIDATED
ACTIVE, RETIRED = pb.DataMapping.STATE_ACTIVE, pb.DataMapping.STATE_RETIRED


@pytest.fixture
def life(service, tenant):
    """The service of versions, called as a service account of the tenant."""
    return MappingVersionsServiceStub(service.channel(tenant=tenant))


@pytest.fixture
def update(mappings):
    """Saves a further version and returns it."""

    async def update(mapping, fields=OTHER, **more):
        request = pb.UpdateMappingRequest(
            mapping_id=mapping.mapping_id, name=mapping.name, field_mappings=fields, **more
        )
        return (await mappings.UpdateMapping(request)).mapping

    return update


@pytest.fixture
def states(mappings):
    """Gives the states of all versions, newest first."""

    async def states(mapping):
        request = pb.ListMappingVersionsRequest(mapping_id=mapping.mapping_id)
        return [version.state for version in (await mappings.ListMappingVersions(request)).versions]

    return states


def which(kind, mapping, version=0, **more):
    """A request about a version."""
    return kind(mapping_id=mapping.mapping_id, version=version, **more)


async def test_what_is_saved_is_in_use_and_its_predecessor_is_kept(create, mappings, update, states):
    """
    Whoever has one file need not know of states.
    """
    created = await create(mappings)
    assert (created.state, created.active_version) == (ACTIVE, 1)

    updated = await update(created)

    assert (updated.state, updated.active_version) == (ACTIVE, 2)
    assert await states(created) == [ACTIVE, VALIDATED]


async def test_a_draft_may_have_mistakes_and_is_not_used(create, mappings, update, life, fault_of):
    """
    Flows go on with the active version until the draft is mended, and activated.
    """
    created = await create(mappings)
    wrong = json.dumps([{"target": "id", "source": "number", "steps": ["shout"]}])
    draft = await update(created, wrong, is_draft=True)
    assert (draft.version, draft.state, draft.active_version) == (2, DRAFT, 1)

    used = pb.GetMappingRequest(mapping_id=created.mapping_id, for_flow=True)
    assert (await mappings.GetMapping(used)).mapping.version == 1
    found = await life.ValidateMappingVersion(which(versions.ValidateMappingVersionRequest, draft))
    assert [one.reason for one in found.violations] == ["FUNCTION_UNKNOWN"]
    fault = await fault_of(life.ActivateMappingVersion(which(versions.ActivateMappingVersionRequest, draft)))
    assert isinstance(fault, FixRequest)
    assert fault.reason == "MAPPING_INVALID"


@pytest.mark.parametrize("version", [0, 1])
async def test_flows_are_not_given_drafts(create, mappings, fault_of, version):
    """
    A mapping of which there is only a draft cannot be used by any flow.
    """
    draft = await create(mappings, is_draft=True)

    asked = pb.GetMappingRequest(mapping_id=draft.mapping_id, version=version, for_flow=True)
    fault = await fault_of(mappings.GetMapping(asked))
    assert isinstance(fault, Missing)
    assert fault.reason == "MAPPING_NOT_USABLE"


async def test_golden_samples_are_tried_before_a_version_is_used(create, mappings, update, life, fault_of):
    """
    They are kept with the version, and an update that says nothing of them keeps them.
    """
    created = await create(mappings, golden_samples=GOOD)
    assert json.loads(created.golden_samples) == json.loads(GOOD)

    fault = await fault_of(update(created, OTHER))
    assert isinstance(fault, Precondition)
    assert (fault.reason, fault.metadata["failures"]) == ("GOLDEN_SAMPLES_FAILED", "one")
    draft = await update(created, OTHER, golden_samples=BAD, is_draft=True)
    found = await life.ValidateMappingVersion(which(versions.ValidateMappingVersionRequest, draft))
    assert (found.mapping.state, [list(one.paths) for one in found.samples]) == (DRAFT, [["id", "key"]])


async def test_a_validated_version_waits_until_it_is_activated(create, mappings, update, life, states):
    """
    The one before is validated from then on, so that going back is possible.
    """
    created = await create(mappings)
    draft = await update(created, is_draft=True)

    done = await life.ValidateMappingVersion(which(versions.ValidateMappingVersionRequest, draft))
    assert (done.mapping.state, done.mapping.active_version) == (VALIDATED, 1)
    active = await life.ActivateMappingVersion(which(versions.ActivateMappingVersionRequest, draft))

    assert (active.mapping.state, active.former_version) == (ACTIVE, 1)
    assert await states(created) == [ACTIVE, VALIDATED]


async def test_one_call_goes_back_step_by_step(create, mappings, update, life, fault_of):
    """
    From version 3 to 2 to 1, and from there to nowhere; a draft in between never counts.
    """
    created = await create(mappings)
    await update(created, OTHER)
    await update(created, FIELDS, description="the third")
    request = which(versions.RollBackMappingRequest, created)

    first, second = [await life.RollBackMapping(request) for _ in range(2)]

    assert [(done.former_version, done.mapping.version) for done in (first, second)] == [(3, 2), (2, 1)]
    assert (await fault_of(life.RollBackMapping(request))).reason == "MAPPING_NOTHING_BEFORE"


async def test_saving_what_is_saved_already_brings_it_back_into_use(create, mappings, update, life):
    """
    After a rollback, applying the file again means what the file says.
    """
    created = await create(mappings)
    await update(created)
    await life.RollBackMapping(which(versions.RollBackMappingRequest, created))

    again = await update(created)

    assert (again.version, again.state, again.active_version) == (2, ACTIVE, 2)


async def test_a_pinned_version_cannot_be_retired(create, mappings, update, life, flows, states, fault_of):
    """
    The answer names the flows; once none pins it, it can be, and flows that ask for it are refused.
    """
    created = await create(mappings)
    await update(created)
    flows.found = [scheduling.Flow(name="nightly", mapping_id=created.mapping_id, mapping_version=1)]
    request = which(versions.RetireMappingVersionRequest, created, 1)

    fault = await fault_of(life.RetireMappingVersion(request))
    assert (fault.reason, fault.metadata["flows"]) == ("MAPPING_VERSION_PINNED", "nightly")
    flows.found = []
    await life.RetireMappingVersion(request)

    assert await states(created) == [ACTIVE, RETIRED]
    asked = pb.GetMappingRequest(mapping_id=created.mapping_id, version=1, for_flow=True)
    assert (await fault_of(mappings.GetMapping(asked))).reason == "MAPPING_NOT_USABLE"
    plan = await mappings.GetPlan(pb.GetPlanRequest(mapping_id=created.mapping_id, version=1))
    assert plan.version == 1


async def test_a_retired_version_is_taken_back_by_validating_it(create, mappings, update, life, fault_of):
    """
    Activating it before that is refused.
    """
    created = await create(mappings)
    await update(created)
    await life.RetireMappingVersion(which(versions.RetireMappingVersionRequest, created, 1))
    activate = which(versions.ActivateMappingVersionRequest, created, 1)

    assert (await fault_of(life.ActivateMappingVersion(activate))).reason == "MAPPING_VERSION_RETIRED"
    await life.ValidateMappingVersion(which(versions.ValidateMappingVersionRequest, created, 1))

    assert (await life.ActivateMappingVersion(activate)).mapping.state == ACTIVE


async def test_the_active_version_cannot_be_retired(create, mappings, life, fault_of):
    """
    Another one has to take its place first.
    """
    created = await create(mappings)

    fault = await fault_of(life.RetireMappingVersion(which(versions.RetireMappingVersionRequest, created, 1)))
    assert fault.reason == "MAPPING_VERSION_ACTIVE"


async def test_a_change_that_breaks_a_flow_is_refused_and_names_it(
    create, mappings, update, life, flows, fault_of
):
    """
    A key that is not made any more; flows that pin a version, or stand still, are in nobody's way.
    """
    created = await create(mappings)
    known = {"mapping_id": created.mapping_id, "destination_key": ["id"]}
    flows.found = [
        scheduling.Flow(flow_id="flw_1", name="nightly", is_active=True, **known),
        scheduling.Flow(flow_id="flw_2", name="pinned", is_active=True, mapping_version=1, **known),
        scheduling.Flow(flow_id="flw_3", name="asleep", **known),
    ]

    fault = await fault_of(update(created))
    assert (fault.reason, fault.metadata["flows"]) == ("MAPPING_BREAKS_FLOWS", "nightly")
    draft = await update(created, is_draft=True)
    told = await life.AssessMappingVersion(which(versions.AssessMappingVersionRequest, draft))
    assert [(one.flow_name, one.reason, one.path) for one in told.breaks] == [
        ("nightly", "KEY_NOT_MADE", "id"),
        ("asleep", "KEY_NOT_MADE", "id"),
    ]
    assert [(one.target, versions.FieldChange.Kind.Name(one.kind)) for one in told.changes] == [
        ("key", "KIND_ADDED"),
        ("id", "KIND_REMOVED"),
    ]
    allowed = await update(created, allow_breaking=True)
    assert (allowed.version, allowed.state) == (2, ACTIVE)
