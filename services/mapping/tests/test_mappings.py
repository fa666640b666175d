"""Mappings and their versions over gRPC, on a real PostgreSQL and a real NATS."""

import asyncio
import json

import nats
import pytest
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.mapping.v1.mapping_pb2_grpc import MappingServiceStub
from isthmus.resilience.faults import AlreadyExists, Conflict, Missing, NotAllowed

FIELDS = json.dumps([{"target": "id", "source": "number", "required": True}])
OTHER = json.dumps([{"target": "key", "source": "number"}])


async def test_a_new_mapping_is_version_one(mappings, create):
    """
    What was created can be read back, with who and when.
    """
    created = await create(mappings, description="To the hub.", instance_id="ins_1")

    read = (await mappings.GetMapping(pb.GetMappingRequest(mapping_id=created.mapping_id))).mapping
    assert read == created
    assert (read.version, read.etag, read.description, read.instance_id) == (1, "1", "To the hub.", "ins_1")
    assert read.created_by == "service_account:svc_test"
    assert len(read.fingerprint) == 64


async def test_creating_twice_with_one_request_id_makes_one_mapping(mappings, create):
    """
    A repeated request gets the first answer.
    """
    first = await create(mappings, request_id="r1")
    again = await create(mappings, request_id="r1")

    assert again == first


async def test_a_request_id_belongs_to_one_request(mappings, create, fault_of):
    """
    The same request id with another request is refused.
    """
    await create(mappings, request_id="r1")

    fault = await fault_of(create(mappings, name="other", request_id="r1"))
    assert isinstance(fault, Conflict)
    assert fault.reason == "REQUEST_ID_REUSED"


async def test_names_are_unique_in_a_tenant(mappings, create, fault_of):
    """
    Neither creating nor renaming may take a name that another mapping has.
    """
    await create(mappings)
    other = await create(mappings, name="other")
    rename = pb.UpdateMappingRequest(mapping_id=other.mapping_id, name="incidents", field_mappings=FIELDS)

    for call in (create(mappings), mappings.UpdateMapping(rename)):
        fault = await fault_of(call)
        assert isinstance(fault, AlreadyExists)
        assert fault.reason == "MAPPING_NAME_TAKEN"


async def test_an_update_adds_a_version_and_keeps_the_old_one(mappings, create):
    """
    Flows that pin version 1 go on with it.
    """
    created = await create(mappings)
    update = pb.UpdateMappingRequest(mapping_id=created.mapping_id, name="incidents", field_mappings=OTHER)

    updated = (await mappings.UpdateMapping(update)).mapping

    old = (await mappings.GetMapping(pb.GetMappingRequest(mapping_id=created.mapping_id, version=1))).mapping
    assert (updated.version, updated.etag) == (2, "2")
    assert (old.field_mappings, old.fingerprint) == (created.field_mappings, created.fingerprint)


async def test_an_update_that_changes_nothing_adds_no_version(mappings, create):
    """
    Applying the same file twice leaves one version.
    """
    created = await create(mappings)
    spaced = json.dumps(json.loads(FIELDS), indent=2)
    update = pb.UpdateMappingRequest(mapping_id=created.mapping_id, name="incidents", field_mappings=spaced)

    assert (await mappings.UpdateMapping(update)).mapping == created


async def test_versions_are_listed_newest_first_by_pages(mappings, create):
    """
    Pages of one lead through all versions.
    """
    created = await create(mappings)
    for fields in (OTHER, FIELDS):
        update = pb.UpdateMappingRequest(mapping_id=created.mapping_id, name="x", field_mappings=fields)
        await mappings.UpdateMapping(update)
    seen, token = [], ""

    while True:
        request = pb.ListMappingVersionsRequest(mapping_id=created.mapping_id, page_size=1, page_token=token)
        page = await mappings.ListMappingVersions(request)
        seen += [version.version for version in page.versions]
        token = page.next_page_token
        if not token:
            break

    assert seen == [3, 2, 1]


@pytest.mark.parametrize("rpc", ["UpdateMapping", "DeleteMapping"])
async def test_a_stale_etag_changes_nothing(mappings, rpc, create, fault_of):
    """
    Who has not seen the newest version cannot replace or delete it.
    """
    created = await create(mappings)
    requests = {
        "UpdateMapping": pb.UpdateMappingRequest(
            mapping_id=created.mapping_id, name="incidents", field_mappings=OTHER, etag="7"
        ),
        "DeleteMapping": pb.DeleteMappingRequest(mapping_id=created.mapping_id, etag="7"),
    }

    fault = await fault_of(getattr(mappings, rpc)(requests[rpc]))

    assert isinstance(fault, Conflict)
    assert fault.reason == "ETAG_MISMATCH"
    assert (await mappings.GetMapping(pb.GetMappingRequest(mapping_id=created.mapping_id))).mapping == created


async def test_deleting_twice_is_no_error(mappings, create, fault_of):
    """
    Afterwards the mapping is unknown and its name is free.
    """
    created = await create(mappings)
    for _ in range(2):
        await mappings.DeleteMapping(pb.DeleteMappingRequest(mapping_id=created.mapping_id))

    fault = await fault_of(mappings.GetMapping(pb.GetMappingRequest(mapping_id=created.mapping_id)))
    assert isinstance(fault, Missing)
    assert fault.reason == "MAPPING_UNKNOWN"
    assert (await create(mappings)).mapping_id != created.mapping_id


async def test_lists_filter_and_page(mappings, create):
    """
    Mappings come oldest first; name and instance narrow the list.
    """
    for name, instance in (("a", "ins_1"), ("b", "ins_2"), ("c", "ins_1")):
        await create(mappings, name=name, instance_id=instance)

    async def names(**filters):
        return [
            item.name for item in (await mappings.ListMappings(pb.ListMappingsRequest(**filters))).mappings
        ]

    first = await mappings.ListMappings(pb.ListMappingsRequest(page_size=2))
    rest = await names(page_token=first.next_page_token)
    assert ([item.name for item in first.mappings], rest) == (["a", "b"], ["c"])
    assert await names(instance_id="ins_1") == ["a", "c"]
    assert await names(name="b") == ["b"]


async def test_changes_are_told_to_the_mesh(service, nats_url, create):
    """
    Creating, changing and deleting each publish one event that names mapping, version and subject.
    """
    told = asyncio.Queue()
    client = await nats.connect(nats_url)
    await client.subscribe("isthmus.v1.tnt_events.mapping.>", cb=told.put)
    await client.flush()
    mappings = MappingServiceStub(service.channel(tenant="tnt_events"))

    created = await create(mappings)
    update = pb.UpdateMappingRequest(mapping_id=created.mapping_id, name="incidents", field_mappings=OTHER)
    await mappings.UpdateMapping(update)
    await mappings.UpdateMapping(update)
    await mappings.DeleteMapping(pb.DeleteMappingRequest(mapping_id=created.mapping_id))
    messages = [json.loads((await asyncio.wait_for(told.get(), 20)).data) for _ in range(3)]
    await client.close()

    kinds = [(message["type"], message["data"]["version"]) for message in messages]
    assert kinds == [
        ("isthmus.mapping.mapping.created.v1", 1),
        ("isthmus.mapping.mapping.version_created.v1", 2),
        ("isthmus.mapping.mapping.deleted.v1", 2),
    ]
    assert {message["data"]["mappingId"] for message in messages} == {created.mapping_id}


async def test_another_tenant_sees_nothing(service, mappings, create, fault_of):
    """
    To a stranger the mapping does not exist, over every RPC that takes an id.
    """
    created = await create(mappings)
    stranger = MappingServiceStub(service.channel(tenant="tnt_stranger"))
    it = created.mapping_id
    calls = [
        stranger.GetMapping(pb.GetMappingRequest(mapping_id=it)),
        stranger.UpdateMapping(pb.UpdateMappingRequest(mapping_id=it, name="x", field_mappings=FIELDS)),
        stranger.ListMappingVersions(pb.ListMappingVersionsRequest(mapping_id=it)),
        stranger.TestMapping(pb.TestMappingRequest(mapping_id=it, samples=["{}"])),
        stranger.CompileMapping(pb.CompileMappingRequest(mapping_id=it)),
        stranger.GetPlan(pb.GetPlanRequest(mapping_id=it)),
        stranger.DiffMappingVersions(pb.DiffMappingVersionsRequest(mapping_id=it, from_version=1)),
    ]
    for call in calls:
        assert (await fault_of(call)).reason == "MAPPING_UNKNOWN"
    await stranger.DeleteMapping(pb.DeleteMappingRequest(mapping_id=it))

    assert not (await stranger.ListMappings(pb.ListMappingsRequest())).mappings
    assert (await mappings.GetMapping(pb.GetMappingRequest(mapping_id=it))).mapping == created


async def test_reading_does_not_allow_changing(service, create, fault_of):
    """
    A caller who may only read cannot create.
    """
    reader = MappingServiceStub(service.channel(tenant="tnt_reader", permissions=["mapping.mappings.read"]))

    assert isinstance(await fault_of(create(reader)), NotAllowed)


@pytest.mark.parametrize("token", ["eyJ2ZXJzaW9uIjoieCJ9", "eyJpZCI6IngifQ", "?"])
async def test_page_tokens_of_other_lists_are_refused(mappings, token, create, fault_of):
    """
    A token that this list did not give is the caller's mistake.
    """
    created = await create(mappings)
    request = pb.ListMappingVersionsRequest(mapping_id=created.mapping_id, page_token=token)

    assert (await fault_of(mappings.ListMappingVersions(request))).reason == "PAGE_TOKEN_INVALID"
