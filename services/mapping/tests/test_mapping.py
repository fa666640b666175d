"""The mapping service over gRPC, on a real PostgreSQL."""

import asyncio
import json

import grpc.aio
import nats
import pytest
from isthmus.kit import fault_from_rpc_error
from isthmus.mapping.v1 import mapping_pb2 as pb
from isthmus.mapping.v1.mapping_pb2_grpc import MappingServiceStub
from isthmus.resilience.faults import AlreadyExists, Conflict, FixRequest, Missing, NotAllowed

FIELDS = json.dumps([{"target": "id", "source": "number", "required": True}])
OTHER = json.dumps([{"target": "key", "source": "number"}])


@pytest.fixture(scope="module")
async def service(running):
    async with running("mapping") as mapping:
        yield mapping


@pytest.fixture
def mappings(service, request):
    """Call as a service account of a tenant that this test has for itself."""
    return MappingServiceStub(service.channel(tenant=tenant_of(request)))


def tenant_of(request):
    return f"tnt_{abs(hash(request.node.name)) % 10**12}"


async def create(mappings, name="incidents", fields=FIELDS, **more):
    response = await mappings.CreateMapping(pb.CreateMappingRequest(name=name, field_mappings=fields, **more))
    return response.mapping


async def fault_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return fault_from_rpc_error(failure.value)


async def test_a_new_mapping_is_version_one(mappings):
    """
    What was created can be read back, with who and when.
    """
    created = await create(mappings, description="To the hub.", instance_id="ins_1")

    read = (await mappings.GetMapping(pb.GetMappingRequest(mapping_id=created.mapping_id))).mapping
    assert read == created
    assert (read.version, read.etag, read.description, read.instance_id) == (1, "1", "To the hub.", "ins_1")
    assert read.created_by == "service_account:svc_test"
    assert len(read.fingerprint) == 64


async def test_creating_twice_with_one_request_id_makes_one_mapping(mappings):
    """
    A repeated request gets the first answer.
    """
    first = await create(mappings, request_id="r1")
    again = await create(mappings, request_id="r1")

    assert again == first


async def test_a_request_id_belongs_to_one_request(mappings):
    """
    The same request id with another request is refused.
    """
    await create(mappings, request_id="r1")

    fault = await fault_of(create(mappings, name="other", request_id="r1"))
    assert isinstance(fault, Conflict)
    assert fault.reason == "REQUEST_ID_REUSED"


async def test_names_are_unique_in_a_tenant(mappings):
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


async def test_an_update_adds_a_version_and_keeps_the_old_one(mappings):
    """
    Flows that pin version 1 go on with it.
    """
    created = await create(mappings)
    update = pb.UpdateMappingRequest(mapping_id=created.mapping_id, name="incidents", field_mappings=OTHER)

    updated = (await mappings.UpdateMapping(update)).mapping

    old = (await mappings.GetMapping(pb.GetMappingRequest(mapping_id=created.mapping_id, version=1))).mapping
    assert (updated.version, updated.etag) == (2, "2")
    assert old == created


async def test_an_update_that_changes_nothing_adds_no_version(mappings):
    """
    Applying the same file twice leaves one version.
    """
    created = await create(mappings)
    spaced = json.dumps(json.loads(FIELDS), indent=2)
    update = pb.UpdateMappingRequest(mapping_id=created.mapping_id, name="incidents", field_mappings=spaced)

    assert (await mappings.UpdateMapping(update)).mapping == created


async def test_versions_are_listed_newest_first_by_pages(mappings):
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
async def test_a_stale_etag_changes_nothing(mappings, rpc):
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


async def test_deleting_twice_is_no_error(mappings):
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


async def test_lists_filter_and_page(mappings):
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


async def test_changes_are_told_to_the_mesh(service, nats_url):
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


async def test_another_tenant_sees_nothing(service, mappings):
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


async def test_reading_does_not_allow_changing(service):
    """
    A caller who may only read cannot create.
    """
    reader = MappingServiceStub(service.channel(tenant="tnt_reader", permissions=["mapping.mappings.read"]))

    assert isinstance(await fault_of(create(reader)), NotAllowed)


async def test_a_definition_with_mistakes_is_refused_with_all_of_them(mappings):
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


async def test_samples_that_are_no_objects_are_named(mappings):
    """
    A sample that cannot be read is the caller's mistake.
    """
    created = await create(mappings)
    request = pb.TestMappingRequest(mapping_id=created.mapping_id, samples=["{}", "[]", "{"])

    fault = await fault_of(mappings.TestMapping(request))

    assert fault.reason == "SAMPLE_INVALID"
    assert [violation.path for violation in fault.violations] == ["samples[1]", "samples[2]"]


async def test_compiling_tells_what_is_read_and_written(mappings):
    """
    The answer names source and target fields, and the fingerprint hosts cache by.
    """
    created = await create(mappings)

    response = await mappings.CompileMapping(pb.CompileMappingRequest(mapping_id=created.mapping_id))

    assert (list(response.source_fields), list(response.target_fields)) == (["number"], ["id"])
    assert response.fingerprint == created.fingerprint


async def test_a_host_gets_the_definition_of_the_version_it_asks_for(service, mappings, request):
    """
    The plan of a version compiles to the fingerprint the service promised.
    """
    from isthmus.mapper import compile_mapping

    created = await create(mappings)
    update = pb.UpdateMappingRequest(mapping_id=created.mapping_id, name="incidents", field_mappings=OTHER)
    await mappings.UpdateMapping(update)

    host = MappingServiceStub(
        service.channel(tenant=tenant_of(request), permissions=["mapping.plans.read"], mesh=True)
    )
    newest = await host.GetPlan(pb.GetPlanRequest(mapping_id=created.mapping_id))
    first = await host.GetPlan(pb.GetPlanRequest(mapping_id=created.mapping_id, version=1))

    assert (newest.version, first.version) == (2, 1)
    assert (
        compile_mapping(json.loads(first.definition)).fingerprint == first.fingerprint == created.fingerprint
    )


async def test_versions_are_compared_by_target(mappings):
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


@pytest.mark.parametrize("token", ["eyJ2ZXJzaW9uIjoieCJ9", "eyJpZCI6IngifQ", "?"])
async def test_page_tokens_of_other_lists_are_refused(mappings, token):
    """
    A token that this list did not give is the caller's mistake.
    """
    created = await create(mappings)
    request = pb.ListMappingVersionsRequest(mapping_id=created.mapping_id, page_token=token)

    assert (await fault_of(mappings.ListMappingVersions(request))).reason == "PAGE_TOKEN_INVALID"


async def test_results_larger_than_an_answer_are_refused(mappings):
    """
    Samples that grow beyond what one message carries are told so.
    """
    fields = json.dumps([{"target": f"t{n}", "source": "a"} for n in range(20)])
    samples = [json.dumps({"a": "x" * 40_000})] * 50

    fault = await fault_of(
        mappings.TestMapping(pb.TestMappingRequest(field_mappings=fields, samples=samples))
    )

    assert fault.reason == "SAMPLE_INVALID"
