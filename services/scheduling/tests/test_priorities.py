"""Priorities: who goes first when more waits than hosts take, and that nobody waits for ever."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from isthmus.resilience.faults import FixRequest
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain import Endpoint, Execution, FlowSpec, Trigger

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SPEC = FlowSpec("f", Endpoint("hub", "a"), Endpoint("hub", "b"))


async def started(bench, flow, **more):
    """Start a flow."""
    request = pb.StartExecutionRequest(flow_id=flow.flow_id, **more)
    return (await bench.stub.StartExecution(request)).execution


async def given_to(bench, asked):
    """Ask for an execution's lease as a host does, and name the one that was given."""
    return (await bench.host.acquire(asked.execution_id)).answer.execution.execution_id


async def test_a_host_is_given_what_goes_first(bench):
    """
    Whichever job it holds: high before normal before low. Each job is used once.
    """
    low = await started(bench, await bench.flow(priority=-100))
    normal = await started(bench, await bench.flow())
    high = await started(bench, await bench.flow(priority=100))
    given = [await given_to(bench, one) for one in (low, low, low)]

    assert given == [one.execution_id for one in (high, normal, low)]
    assert [one.priority for one in (low, normal, high)] == [-100, 0, 100]


async def test_the_job_that_was_used_for_another_one_is_sent_again(bench):
    """
    At once, under an id that the bus does not take for a repetition.
    """
    low = await started(bench, await bench.flow(priority=-100))
    [(first, _)] = await bench.jobs(low.execution_id)
    await started(bench, await bench.flow(priority=100))
    await given_to(bench, low)
    [(second, _)] = await bench.jobs(low.execution_id)

    assert second != first


async def test_a_start_can_have_a_priority_of_its_own(bench):
    """
    It outweighs the flow's; the same flow has its own again the next time.
    """
    flow = await bench.flow(priority=-100)
    urgent = await started(bench, flow, priority=500)
    await bench.host.finish(await bench.host.acquire(urgent.execution_id))
    later = await started(bench, flow)
    beyond = await bench.refused(started(bench, flow, priority=5000))

    assert (urgent.priority, later.priority) == (500, -100)
    assert (type(beyond), beyond.path) == (FixRequest, "priority")


async def test_whoever_has_waited_long_enough_goes_before_a_newcomer(bench):
    """
    Ten minutes outweigh the difference between low and high.
    """
    low = await started(bench, await bench.flow(priority=-100))
    bench.clock.forward(minutes=11)
    high = await started(bench, await bench.flow(priority=100))

    assert await given_to(bench, high) == low.execution_id


async def test_among_equals_a_host_gets_what_it_asks_for(bench):
    """
    The order of the queue is theirs.
    """
    first, second = [await started(bench, await bench.flow()) for _ in range(2)]

    assert await given_to(bench, second) == second.execution_id
    assert await given_to(bench, first) == first.execution_id


async def test_an_execution_that_waits_for_its_next_attempt_does_not_go_first(bench):
    """
    However urgent: what cannot begin yet keeps nobody from beginning.
    """
    urgent = await started(bench, await bench.flow(priority=100))
    error = pb.ExecutionError(kind="KIND_RATE_LIMITED", reason="SLOW_DOWN", message="Wait.")
    error.retry_after.FromSeconds(3600)
    await bench.host.finish(await bench.host.acquire(urgent.execution_id), outcome="FAILED", error=error)
    normal = await started(bench, await bench.flow())

    assert await given_to(bench, normal) == normal.execution_id


def waiting(priority, seconds):
    """Give an execution that was started some seconds after the first of May."""
    return Execution(
        "exe",
        "flw",
        SPEC,
        "c",
        "e1",
        Trigger.MANUAL,
        "me",
        NOW + timedelta(seconds=seconds),
        priority=priority,
    )


@given(low=st.integers(-1000, 1000), high=st.integers(-1000, 1000), wait=st.integers(0, 100_000))
def test_nothing_waits_for_ever(low, high, wait):
    """
    Behind how many newcomers somebody has to stand has a bound: three seconds a point of difference.
    """
    old, new = waiting(low, 0), waiting(high, wait)

    assert (old.rank_time <= new.rank_time) == (wait >= 3 * (high - low))
