"""Flows: created, changed, reset, deleted."""

import pytest
from isthmus.resilience.faults import AlreadyExists, Conflict, FixRequest, Missing, Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as pb


async def test_a_flow_is_stored_as_sent(bench):
    """
    What a caller decides comes back, with ids, times and an etag added.
    """
    flow = await bench.flow(
        "nightly",
        description="All of it.",
        mapping_id="map_x",
        mapping_version=3,
        destination_key=["id"],
        failure_policy=pb.FailurePolicy(max_attempts=2, max_quarantined=10),
        read_mode="READ_MODE_FULL",
        write_mode="WRITE_MODE_CREATE",
    )
    read = (await bench.stub.GetFlow(pb.GetFlowRequest(flow_id=flow.flow_id))).flow

    assert read == flow
    assert (read.name, read.mapping_version, list(read.destination_key)) == ("nightly", 3, ["id"])
    assert (read.created_by, read.etag) == ("service_account:svc_test", "1")


async def test_defaults_are_written_out(bench):
    """
    An unspecified way of writing reads as upsert, an unspecified conflict policy as source wins.
    """
    flow = await bench.flow()

    assert (flow.write_mode, flow.conflict_policy) == (3, pb.CONFLICT_POLICY_SOURCE_WINS)


async def test_a_repeated_creation_gives_the_first_flow(bench):
    """
    The same request id and the same request make one flow.
    """
    request = pb.CreateFlowRequest(flow=bench.flow_message("once"), request_id="r1")
    first = await bench.stub.CreateFlow(request)
    again = await bench.stub.CreateFlow(request)

    assert first == again


async def test_a_request_id_cannot_be_used_for_something_else(bench):
    """
    A request id belongs to one request.
    """
    await bench.stub.CreateFlow(pb.CreateFlowRequest(flow=bench.flow_message("one"), request_id="r1"))
    other = pb.CreateFlowRequest(flow=bench.flow_message("two"), request_id="r1")
    fault = await bench.refused(bench.stub.CreateFlow(other))

    assert (type(fault), fault.reason) == (Conflict, "REQUEST_ID_REUSED")


async def test_names_are_taken_once(bench):
    """
    Two flows of a tenant cannot share a name, neither by creation nor by renaming.
    """
    await bench.flow("taken")
    other = await bench.flow("free")
    other.name = "taken"
    created = await bench.refused(bench.flow("taken"))
    renamed = await bench.refused(bench.stub.UpdateFlow(pb.UpdateFlowRequest(flow=other)))

    assert (type(created), created.reason) == (AlreadyExists, "FLOW_NAME_TAKEN")
    assert (type(renamed), renamed.reason) == (AlreadyExists, "FLOW_NAME_TAKEN")


@pytest.mark.parametrize("side", ["source", "destination"])
async def test_both_instances_have_to_exist(bench, side):
    """
    A flow from or to nowhere is refused, and the instance is named.
    """
    bench.registry.gone.add("ins_gone")
    endpoint = pb.Endpoint(instance_id="ins_gone", stream="x")
    fault = await bench.refused(bench.flow("lost", **{side: endpoint}))

    assert (type(fault), fault.reason) == (Missing, "INSTANCE_UNKNOWN")
    assert fault.metadata["instance_id"] == "ins_gone"


async def test_the_mapping_has_to_exist(bench):
    """
    A flow with a mapping that is not there is refused, also by an update.
    """
    bench.mapping.gone.add("map_gone")
    flow = await bench.flow()
    flow.mapping_id = "map_gone"
    created = await bench.refused(bench.flow("lost", mapping_id="map_gone"))
    updated = await bench.refused(bench.stub.UpdateFlow(pb.UpdateFlowRequest(flow=flow)))

    assert (created.reason, updated.reason) == ("MAPPING_UNKNOWN", "MAPPING_UNKNOWN")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, "flow.name"),
        ({"name": "a\0b"}, "flow.name"),
        ({"source": pb.Endpoint(stream="x")}, "flow.source.instance_id"),
        ({"destination": pb.Endpoint(instance_id="hub")}, "flow.destination.stream"),
        ({"source": pb.Endpoint(instance_id="hub", stream="incident")}, "flow.destination"),
        ({"mapping_version": 2}, "flow.mapping_id"),
        ({"mapping_id": "map_x", "mapping_version": -1}, "flow.mapping_version"),
        ({"read_mode": 99}, "flow.read_mode"),
        ({"destination_key": [""]}, "flow.destination_key[0]"),
        ({"failure_policy": pb.FailurePolicy(max_attempts=-1)}, "flow.failure_policy.max_attempts"),
        ({"failure_policy": pb.FailurePolicy(max_quarantined=-1)}, "flow.failure_policy.max_quarantined"),
    ],
)
async def test_a_wrong_field_is_named(bench, change, path):
    """
    A refused flow says which field to mend.
    """
    fault = await bench.refused(
        bench.stub.CreateFlow(pb.CreateFlowRequest(flow=bench.flow_message(**{"name": "x", **change})))
    )

    assert (type(fault), fault.reason) == (FixRequest, "FIELD_INVALID")
    assert path in [violation.path for violation in fault.violations]


async def test_lists_are_paged_and_narrowed(bench):
    """
    Pages follow one another without gap, and a list can be narrowed to a name or an instance.
    """
    names = [f"flow {number}" for number in range(5)]
    for name in names:
        await bench.flow(name)
    await bench.flow("elsewhere", source=pb.Endpoint(instance_id="ins_other", stream="x"))
    pages, token = [], ""
    while token or not pages:
        page = await bench.stub.ListFlows(
            pb.ListFlowsRequest(page_size=2, page_token=token, instance_id="ins_files")
        )
        pages.append([flow.name for flow in page.flows])
        token = page.next_page_token
    named = await bench.stub.ListFlows(pb.ListFlowsRequest(name="flow 3"))

    assert pages == [names[:2], names[2:4], names[4:]]
    assert [flow.name for flow in named.flows] == ["flow 3"]


async def test_a_page_token_of_another_list_is_refused(bench):
    """
    A token says where its own list goes on, nothing else.
    """
    for number in range(2):
        await bench.flow(f"flow {number}")
    token = (await bench.stub.ListFlows(pb.ListFlowsRequest(page_size=1))).next_page_token
    fault = await bench.refused(bench.stub.ListSchedules(pb.ListSchedulesRequest(page_token=token)))

    assert fault.reason == "PAGE_TOKEN_INVALID"


async def test_an_update_against_an_old_etag_is_refused(bench):
    """
    Whoever changes a flow says which form of it was read.
    """
    flow = await bench.flow()
    await bench.stub.UpdateFlow(pb.UpdateFlowRequest(flow=flow, etag="1"))
    updated = await bench.refused(bench.stub.UpdateFlow(pb.UpdateFlowRequest(flow=flow, etag="1")))
    deleted = await bench.refused(bench.stub.DeleteFlow(pb.DeleteFlowRequest(flow_id=flow.flow_id, etag="1")))

    assert (type(updated), updated.reason) == (Conflict, "ETAG_MISMATCH")
    assert deleted.reason == "ETAG_MISMATCH"


async def test_what_is_not_there_is_missing(bench):
    """
    Reading, changing and resetting an unknown flow say so.
    """
    unknown = bench.flow_message("x", flow_id="flw_x")
    faults = [
        await bench.refused(bench.stub.GetFlow(pb.GetFlowRequest(flow_id="flw_x"))),
        await bench.refused(bench.stub.UpdateFlow(pb.UpdateFlowRequest(flow=unknown))),
        await bench.refused(bench.stub.ResetFlow(pb.ResetFlowRequest(flow_id="flw_x"))),
    ]

    assert {(type(fault), fault.reason) for fault in faults} == {(Missing, "FLOW_UNKNOWN")}


async def test_a_deleted_flow_takes_its_schedules_along_and_leaves_its_executions(bench):
    """
    Deleting cancels what is pending, keeps the history, and may be repeated.
    """
    flow = await bench.flow()
    await bench.schedule(flow, type="TYPE_INTERVAL", interval_minutes=5)
    execution = await bench.start(flow)
    for _ in range(2):
        await bench.stub.DeleteFlow(pb.DeleteFlowRequest(flow_id=flow.flow_id))
    left = await bench.stub.ListSchedules(pb.ListSchedulesRequest(flow_id=flow.flow_id))

    assert list(left.schedules) == []
    assert (await bench.execution(execution.execution_id)).status == pb.Execution.STATUS_CANCELLED


async def test_deleting_a_flow_stops_the_host_that_works_on_it(bench):
    """
    The host of a deleted flow learns at its next renewal that it has to stop.
    """
    flow = await bench.flow()
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.stub.DeleteFlow(pb.DeleteFlowRequest(flow_id=flow.flow_id))
    answer = await bench.host.commit(lease, bench.counts(1), bench.position("p1"))
    execution = await bench.host.finish(lease, bench.counts(1), outcome="CANCELLED")

    assert answer.is_cancel_requested
    assert execution.status == pb.Execution.STATUS_CANCELLED


async def test_a_reset_flow_begins_anew(bench):
    """
    Resetting forgets the positions, and is refused while an execution could still store some.
    """
    flow = await bench.flow()
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    busy = await bench.refused(bench.stub.ResetFlow(pb.ResetFlowRequest(flow_id=flow.flow_id)))
    await bench.host.finish(lease, bench.counts(2), bench.position("a", "1"), bench.position("b", "2"))
    reset = await bench.stub.ResetFlow(pb.ResetFlowRequest(flow_id=flow.flow_id))
    again = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert (type(busy), busy.reason) == (Precondition, "EXECUTION_RUNNING")
    assert (reset.checkpoints, list(again.answer.checkpoints)) == (2, [])


@pytest.mark.parametrize(
    "change",
    [
        {"source": pb.Endpoint(instance_id="ins_files", stream="other")},
        {"destination": pb.Endpoint(instance_id="hub", stream="other")},
        {"read_mode": "READ_MODE_DELTA"},
    ],
)
async def test_positions_are_dropped_when_they_lose_their_meaning(bench, change):
    """
    Another source, destination or way of reading begins at the beginning, whatever a host that
    still works on the old form stores.
    """
    flow = await bench.flow("changing")
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.commit(lease, bench.counts(1), bench.position("before"))
    await bench.stub.UpdateFlow(
        pb.UpdateFlowRequest(flow=bench.flow_message("changing", flow_id=flow.flow_id, **change))
    )
    await bench.host.finish(lease, bench.counts(2), bench.position("after"))
    again = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert list(again.answer.checkpoints) == []


async def test_positions_stay_when_only_words_change(bench):
    """
    A new description or mapping does not make a flow read everything again.
    """
    flow = await bench.flow("calm")
    lease = await bench.host.acquire((await bench.start(flow)).execution_id)
    await bench.host.finish(lease, bench.counts(1), bench.position("here"))
    await bench.stub.UpdateFlow(
        pb.UpdateFlowRequest(flow=bench.flow_message("calm", flow_id=flow.flow_id, mapping_id="map_y"))
    )
    again = await bench.host.acquire((await bench.start(flow)).execution_id)

    assert [point.position.state for point in again.answer.checkpoints] == [b"here"]


async def test_an_execution_keeps_the_form_it_started_with(bench):
    """
    A change of the flow reaches the next execution, not the one that is pending.
    """
    flow = await bench.flow("form", description="old")
    execution = await bench.start(flow)
    changed = bench.flow_message("form", flow_id=flow.flow_id, description="new")
    await bench.stub.UpdateFlow(pb.UpdateFlowRequest(flow=changed))
    lease = await bench.host.acquire(execution.execution_id)

    assert lease.answer.flow.description == "old"
