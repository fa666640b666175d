"""Two-way flows: one execution, four legs, one after the other."""

import pytest
from isthmus.connector.v1 import connector_pb2
from isthmus.resilience.faults import FixRequest
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.type.v1 import batch_pb2

BOTH = {
    "source": pb.Endpoint(instance_id="ins_files", stream="tickets"),
    "destination": pb.Endpoint(instance_id="ins_other", stream="incidents"),
    "mapping_id": "map_there",
    "reverse_mapping_id": "map_back",
    "destination_key": ["id"],
    "reverse_key": ["number"],
    "direction": pb.DIRECTION_BOTH,
}
LEGS = ["LEG_READ_SOURCE", "LEG_READ_DESTINATION", "LEG_WRITE_DESTINATION", "LEG_WRITE_SOURCE"]


@pytest.fixture
def host(bench):
    """Give a host that carries legs out."""
    return bench.host


async def started(bench, flow):
    """Start a flow and give the execution's id."""
    return (await bench.start(flow)).execution_id


def counts(read, **places):
    """Give the counts of a leg."""
    return batch_pb2.Counts(read=read, **(places or {"unchanged": read}))


def position(state):
    """Give the position of a source that has been read to its end."""
    return pb.Checkpoint(position=batch_pb2.Position(state=state.encode()), is_complete=True)


async def test_each_leg_is_a_movement_one_way(bench, host):
    """
    Its ends, mapping and key are its own; the legs follow one another in one execution.
    """
    flow = await bench.flow("both", **BOTH)
    execution_id = await started(bench, flow)
    seen = []
    for number in range(4):
        lease = await host.acquire(execution_id)
        seen.append(lease.answer)
        ended = await host.finish(lease, counts(number, unchanged=number), position("p"))

    moved = [
        (
            one.flow.source.stream,
            one.flow.destination.stream,
            one.flow.mapping_id,
            list(one.flow.destination_key),
        )
        for one in seen
    ]
    mine, theirs = seen[0].flow.destination.stream, seen[1].flow.destination.stream
    assert [pb.Leg.Name(one.leg) for one in seen] == LEGS
    assert moved == [
        ("tickets", mine, "map_there", []),
        ("incidents", theirs, "map_there", []),
        (theirs, "incidents", "", ["id"]),
        (mine, "tickets", "map_back", ["number"]),
    ]
    assert mine.startswith(f"pair:{flow.flow_id}.")
    assert ended.status == pb.Execution.STATUS_COMPLETED
    assert [pb.Leg.Name(leg.leg) for leg in ended.legs] == LEGS
    assert (ended.counts.read, ended.counts.unchanged, ended.attempts) == (6, 6, 4)


async def test_a_job_of_an_earlier_leg_is_refused(bench, host):
    """
    Hosts of another connector carry the next leg out, even when the old job comes again.
    """
    execution_id = await started(bench, await bench.flow("both", **BOTH))
    await host.finish(await host.acquire(execution_id), counts(0))
    request = pb.AcquireLeaseRequest(execution_id=execution_id, host_id="h", connector_id="hub")

    fault = await bench.refused(bench.stub.AcquireLease(request))

    assert fault.reason == "LEASE_HELD"


async def test_a_round_that_fails_is_over_and_the_next_one_begins_anew(bench, host):
    """
    What the legs before have reached stays reached.
    """
    flow = await bench.flow("both", **BOTH)
    first = await started(bench, flow)
    await host.finish(await host.acquire(first), counts(1), position("reached"))
    failed = await host.fail(await host.acquire(first), "CONFIGURATION")

    lease = await host.acquire(await started(bench, flow))

    assert failed.status == pb.Execution.STATUS_FAILED
    assert [leg.counts.read for leg in failed.legs] == [1, 0]
    assert lease.answer.leg == pb.LEG_READ_SOURCE
    assert lease.answer.checkpoints[0].position.state == b"reached"


async def test_a_side_that_is_read_whole_is_read_from_the_beginning_in_every_round(bench, host):
    """
    A round that was interrupted must not leave out what it had read: the missing count as deleted.
    """
    flow = await bench.flow("both", **{**BOTH, "read_mode": connector_pb2.READ_MODE_FULL})
    first = await started(bench, flow)
    lease = await host.acquire(first)
    await host.commit(lease, counts(1), pb.Checkpoint(position=batch_pb2.Position(state=b"half way")))
    await host.fail(lease, "CONFIGURATION", counts(1))

    lease = await host.acquire(await started(bench, flow))

    assert list(lease.answer.checkpoints) == []


async def test_the_record_store_learns_how_the_round_stands(bench, host):
    """
    It is told what each side has taken, also between two rounds.
    """
    flow = await bench.flow("both", **{**BOTH, "read_mode": connector_pb2.READ_MODE_FULL})
    execution_id = await started(bench, flow)
    for state in ("a", "b", "to-destination"):
        await host.finish(await host.acquire(execution_id), counts(0), position(state))
    lease = await host.acquire(execution_id)
    during = await bench.stub.GetRound(pb.GetRoundRequest(flow_id=flow.flow_id))
    await host.finish(lease, counts(0), position("to-source"))
    after = await bench.stub.GetRound(pb.GetRoundRequest(flow_id=flow.flow_id))

    assert (during.execution_id, during.fencing_token) == (execution_id, lease.token)
    assert during.destination_position.state == b"to-destination"
    assert (during.is_source_whole, during.is_destination_whole) == (True, False)
    assert (after.execution_id, after.source_position.state) == ("", b"to-source")


async def test_a_cancelled_round_begins_no_further_leg(bench, host):
    """
    The leg at work may end well; the execution is cancelled all the same.
    """
    execution_id = await started(bench, await bench.flow("both", **BOTH))
    lease = await host.acquire(execution_id)
    await bench.stub.CancelExecution(pb.CancelExecutionRequest(execution_id=execution_id))

    ended = await host.finish(lease, counts(0))

    assert ended.status == pb.Execution.STATUS_CANCELLED


async def test_a_reverse_flow_moves_the_other_way(bench, host):
    """
    Its destination is read, by the reverse mapping, and its source is written.
    """
    way = {"direction": pb.DIRECTION_REVERSE, "write_mode": connector_pb2.WRITE_MODE_UPDATE}
    flow = await bench.flow("back", **{**BOTH, **way})
    lease = await host.acquire(await started(bench, flow))

    moving = lease.answer.flow
    assert (moving.source.stream, moving.destination.stream) == ("incidents", "tickets")
    assert (moving.mapping_id, lease.answer.leg) == ("map_back", pb.LEG_UNSPECIFIED)
    assert moving.write_mode == connector_pb2.WRITE_MODE_UPDATE


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"destination_key": []}, "flow.destination_key"),
        ({"conflict_policy": pb.CONFLICT_POLICY_NEWEST_WINS}, "flow.conflict_rules.source_time_field"),
        ({"direction": 0, "conflict_policy": pb.CONFLICT_POLICY_REVIEW}, "flow.conflict_policy"),
        (
            {"conflict_rules": pb.ConflictRules(otherwise=pb.CONFLICT_POLICY_MERGE)},
            "flow.conflict_rules.otherwise",
        ),
        (
            {"delete_policy": pb.DeletePolicy(kind=pb.DeletePolicy.KIND_TOMBSTONE)},
            "flow.delete_policy.tombstone_field",
        ),
        ({"delete_policy": pb.DeletePolicy(tombstone_value="{")}, "flow.delete_policy.tombstone_value"),
        ({"source": pb.Endpoint(instance_id="hub", stream="pair:x.y:source")}, "flow.source.stream"),
        ({"reverse_mapping_id": "", "reverse_mapping_version": 2}, "flow.reverse_mapping_id"),
        ({"direction": 0, "delete_policy": pb.DeletePolicy(absent=True)}, "flow.read_mode"),
        ({"delete_policy": pb.DeletePolicy(most_percent=101)}, "flow.delete_policy.most_percent"),
        ({"delete_policy": pb.DeletePolicy(absent=True)}, "flow.delete_policy.absent"),
        (
            {"direction": pb.DIRECTION_REVERSE, "delete_policy": pb.DeletePolicy(absent=True)},
            "flow.reverse_read_mode",
        ),
        ({"write_mode": connector_pb2.WRITE_MODE_UPDATE}, "flow.write_mode"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_two_way_flow_that_cannot_work_is_refused(bench, change, path):
    """
    The field to mend is named.
    """
    message = bench.flow_message(name="both", **{**BOTH, **change})

    fault = await bench.refused(bench.stub.CreateFlow(pb.CreateFlowRequest(flow=message)))

    assert isinstance(fault, FixRequest)
    assert path in [violation.path for violation in fault.violations]


async def test_one_mapping_serves_both_ways(bench):
    """
    A flow that names one gets what undoes it, in the same version, for the other way; also when it changes.
    """
    one_way = {**BOTH, "reverse_mapping_id": "", "mapping_version": 3}
    flow = await bench.flow("one mapping", **one_way)
    back = await bench.flow("way back", **{**BOTH, "mapping_id": ""})
    changed = pb.Flow()
    changed.CopyFrom(flow)
    changed.mapping_id = "map_other"

    updated = (await bench.stub.UpdateFlow(pb.UpdateFlowRequest(flow=changed))).flow

    assert (flow.reverse_mapping_id, flow.reverse_mapping_version) == ("map_there~inverse", 3)
    assert (back.mapping_id, back.reverse_mapping_id) == ("map_back~inverse", "map_back")
    assert updated.reverse_mapping_id == "map_other~inverse"


async def test_what_the_owner_decided_is_kept(bench):
    """
    A flow is read as it was written.
    """
    wanted = bench.flow_message(
        name="kept",
        **BOTH,
        conflict_policy=pb.CONFLICT_POLICY_NEWEST_WINS,
        conflict_rules=pb.ConflictRules(
            source_time_field="a.at", destination_time_field="at", otherwise=pb.CONFLICT_POLICY_SOURCE_WINS
        ),
        delete_policy=pb.DeletePolicy(
            kind=pb.DeletePolicy.KIND_TOMBSTONE,
            tombstone_field="state",
            tombstone_value='"closed"',
            most_deletions=5,
        ),
        reverse_read_mode=connector_pb2.READ_MODE_FULL,
        reverse_mapping_version=3,
    )
    wanted.conflict_rules.skew_tolerance.FromSeconds(30)
    made = await bench.stub.CreateFlow(pb.CreateFlowRequest(flow=wanted))

    stored = (await bench.stub.GetFlow(pb.GetFlowRequest(flow_id=made.flow.flow_id))).flow

    for name in ("conflict_rules", "delete_policy", "reverse_key", "direction", "reverse_mapping_version"):
        assert getattr(stored, name) == getattr(wanted, name)
    assert stored.conflict_policy == wanted.conflict_policy
