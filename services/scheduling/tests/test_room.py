"""Room at instances: no more executions at work with one at a time than its limits say."""

import asyncio

import grpc
import pytest
from isthmus.kit import fault_from_rpc_error
from isthmus.resilience.faults import Precondition
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.testing.waiting import waiting_for


@pytest.fixture(scope="module")
async def benches(open_bench):
    """Run a scheduling service whose hosts neither fall silent nor are asked twice."""
    async with open_bench(lease_seconds=600, resend_seconds=600) as bench:
        yield bench


@pytest.fixture(autouse=True)
def two_at_a_time(bench):
    """Has the registry know the limit."""
    bench.registry.limits["ins_two"] = '{"executions": 2, "rate": "10/s"}'
    yield
    bench.registry.limits.clear()


async def from_vendor(bench, **more):
    """Start a flow that reads from the instance."""
    flow = await bench.flow(source=pb.Endpoint(instance_id="ins_two", stream="incident"), **more)
    return await bench.start(flow)


async def to_vendor(bench):
    """Start a flow that writes into the instance."""
    flow = await bench.flow(destination=pb.Endpoint(instance_id="ins_two", stream="incident"))
    return await bench.start(flow)


async def turned_away(bench, execution):
    """Ask for an execution as a host does that has its job; give the fault where there is no room."""
    try:
        await bench.host.acquire(execution.execution_id)
    except grpc.RpcError as error:
        return fault_from_rpc_error(error)
    return None


async def waiting(bench, **more):
    """Start a flow whose job a host drops for want of room."""
    execution = await from_vendor(bench, **more)
    await bench.jobs(execution.execution_id)
    assert await turned_away(bench, execution)
    return execution


async def has_place(bench, execution):
    """Tells whether a host gets it."""
    return await turned_away(bench, execution) is None


async def waits_for(bench, execution):
    """Names the instance that has no place."""
    return (await bench.execution(execution.execution_id)).waiting_for_instance_id


async def test_the_third_execution_waits_and_says_for_what(bench):
    """
    It counts who reads from the instance and who writes into it; other instances have room.
    """
    await bench.host.acquire((await from_vendor(bench)).execution_id)
    await bench.host.acquire((await to_vendor(bench)).execution_id)
    third, other = await from_vendor(bench), await bench.start(await bench.flow())
    fault = await turned_away(bench, third)

    assert (type(fault), fault.reason) == (Precondition, "LEASE_HELD")
    assert await waits_for(bench, third) == "ins_two"
    assert await turned_away(bench, other) is None


async def test_who_waits_is_called_as_soon_as_there_is_room(bench):
    """
    Its job comes again though the first one was dropped.
    """
    lease = await bench.host.acquire((await from_vendor(bench)).execution_id)
    await bench.host.acquire((await from_vendor(bench)).execution_id)
    third = await waiting(bench)
    await bench.host.finish(lease)
    await bench.jobs(third.execution_id)

    assert await turned_away(bench, third) is None
    assert await waits_for(bench, third) == ""


async def test_places_are_given_in_the_order_of_priority_and_age(bench):
    """
    Whoever holds a job: who goes first by priority or age has the place, and newcomers wait behind.
    """
    leases = [await bench.host.acquire((await from_vendor(bench)).execution_id) for _ in range(2)]
    low, normal, high = [await waiting(bench, priority=worth) for worth in (-100, 0, 100)]
    await bench.host.finish(leases[0])
    late = [await turned_away(bench, one) for one in (low, normal, await from_vendor(bench))]
    await bench.jobs(high.execution_id)

    assert all(late)
    assert await turned_away(bench, high) is None


async def test_a_place_comes_back_when_its_host_dies(open_bench):
    """
    Only what is at work is counted, so nobody has to give anything back.
    """
    async with open_bench(lease_seconds=0.5, lease_grace_seconds=0.0) as benches:
        bench = benches("tnt_death")
        bench.registry.limits["ins_two"] = '{"executions": 1}'
        await bench.host.acquire((await from_vendor(bench)).execution_id)
        following = await from_vendor(bench, priority=1000)
        await turned_away(bench, following)

        assert await bench.until(lambda: has_place(bench, following))


async def test_hosts_that_come_at_once_never_have_more_places_than_there_are(bench):
    """
    Twelve hosts ask for twelve executions at the same moment; two get one.
    """
    started = [await from_vendor(bench) for _ in range(12)]
    faults = await asyncio.gather(*(turned_away(bench, one) for one in started))
    running = [
        one for one in started if (await bench.execution(one.execution_id)).status == one.STATUS_RUNNING
    ]

    assert len(running) == 2
    assert faults.count(None) == 2


async def test_a_limit_that_is_taken_back_lets_everything_go(bench):
    """
    What waits is called at once, without anybody asking.
    """
    for _ in range(2):
        await bench.host.acquire((await from_vendor(bench)).execution_id)
    third = await waiting(bench)
    instance = {"instanceId": "ins_two", "status": "STATUS_ACTIVE", "updateTime": "2100-01-01T00:00:00Z"}
    await bench.publish("registry", "instance", "updated", {"instance": instance})
    await bench.jobs(third.execution_id)

    assert await turned_away(bench, third) is None


async def test_who_is_cancelled_while_it_waits_keeps_nobody_from_going(bench):
    """
    The next one has its place.
    """
    leases = [await bench.host.acquire((await from_vendor(bench)).execution_id) for _ in range(2)]
    gone, kept = await waiting(bench), await waiting(bench)
    await bench.stub.CancelExecution(pb.CancelExecutionRequest(execution_id=gone.execution_id))
    await bench.host.finish(leases[0])
    await bench.jobs(kept.execution_id)

    assert await turned_away(bench, kept) is None


async def test_a_tenants_quota_is_a_limit_like_that_of_an_instance(bench):
    """
    Beyond it executions wait, with whatever instances, and go on as soon as there is room.
    """
    await bench.publish("identity", "quotas", "changed", {"quotas": {"executions": "1"}})
    leases, fault = [], None
    async with waiting_for("the news of the quota"):
        while fault is None:  # until the news has come
            execution = await bench.start(await bench.flow())
            await bench.jobs(execution.execution_id)
            try:
                leases.append(await bench.host.acquire(execution.execution_id))
            except grpc.RpcError as error:
                fault = fault_from_rpc_error(error)
    waits = await waits_for(bench, execution)
    for lease in leases:
        await bench.host.finish(lease)
    await bench.jobs(execution.execution_id)

    assert (fault.reason, waits) == ("LEASE_HELD", "*")
    assert await has_place(bench, execution)
