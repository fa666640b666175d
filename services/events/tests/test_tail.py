"""Following events: the past that is asked for, then what comes, without a gap."""

import asyncio
import json
from datetime import UTC, datetime

import grpc
import psycopg
import pytest
from isthmus.events.v1 import events_pb2 as pb
from isthmus.events.v1.events_pb2_grpc import EventsServiceStub
from isthmus.kit import fault_from_rpc_error
from isthmus.resilience.faults import FixRequest, LimitReached, RetryLater
from isthmus.testing.waiting import PATIENCE_SECONDS, waiting_for


def batched(items, size):
    return (items[start : start + size] for start in range(0, len(items), size))


class Follower:
    """Reads a tail in the background and keeps what it saw."""

    def __init__(self, bench, after="", **wanted):
        self.seen = []
        request = pb.TailEventsRequest(filter=pb.EventFilter(**wanted), after_event_id=after)
        self._task = asyncio.create_task(self._read(bench.stub.TailEvents(request)))

    async def _read(self, stream):
        async for message in stream:
            self.seen.append(message.event)

    async def begun(self, bench):
        """Wait until the tail shows what happens."""
        while not self.seen:
            await bench.publish("com.example.try")
            await asyncio.sleep(0.05)

    async def saw(self, number):
        async with waiting_for("the events"):
            while len(self.seen) < number:
                if self._task.done():
                    await self._task
                await asyncio.sleep(0.01)
        return [event.event_id for event in self.seen]

    async def fault(self):
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.wait_for(self._task, PATIENCE_SECONDS)
        return fault_from_rpc_error(caught.value)

    def stop(self):
        self._task.cancel()


async def test_a_tail_begins_now_and_shows_what_comes(bench):
    """
    Without a wish for the past only new events are shown, soon after they happened.
    """
    before = await bench.publish("com.example.before")
    follower = Follower(bench)
    await follower.begun(bench)
    made = [(await bench.publish(f"com.example.n{number}")).event_id for number in range(3)]
    await bench.until(lambda: follower.seen[-1].event_id == made[-1])
    seen = [event.event_id for event in follower.seen]

    assert seen[-3:] == made
    assert before.event_id not in seen


async def test_a_tail_shows_the_past_that_is_asked_for(bench):
    """
    From a time on, the past comes first and goes over into the present.
    """
    made = [(await bench.publish()).event_id for _ in range(3)]
    follower = Follower(bench, start_time=datetime(2020, 1, 1, tzinfo=UTC))
    await follower.saw(3)
    made.append((await bench.publish()).event_id)

    assert await follower.saw(4) == made


async def test_a_tail_goes_on_after_the_last_event_seen(bench):
    """
    A follower that comes back misses nothing and sees nothing twice.
    """
    made = [(await bench.publish()).event_id for _ in range(4)]
    follower = Follower(bench, after=made[1])

    assert await follower.saw(2) == made[2:]


async def test_an_event_that_is_not_known_is_no_place_to_go_on(bench):
    """
    The follower is told to ask by time.
    """
    fault = await Follower(bench, after="evt_x").fault()

    assert (type(fault), fault.reason) == (FixRequest, "EVENT_UNKNOWN")


async def test_a_tail_can_be_narrowed(bench):
    """
    What is not meant is passed over, however much of it there is.
    """
    follower = Follower(bench, start_time=datetime(2020, 1, 1, tzinfo=UTC), types=["com.example.wanted"])
    kinds = ["com.example.other" if number % 30 else "com.example.wanted" for number in range(150)]
    for few in batched(kinds, 10):
        await asyncio.gather(*map(bench.publish, few))

    assert len(await follower.saw(5)) == 5


EVENT_BY_HAND = """
    WITH next AS (INSERT INTO tails (tenant_id, last) VALUES (%(tenant)s, 1) RETURNING last)
    INSERT INTO events (tenant_id, event_id, position, type, source, subject, time, data, traceparent,
                        correlation_id, nats_subject)
    SELECT %(tenant)s, 'evt_now', last, 'com.example.now', '', '', now(), '{}', '', '', '' FROM next
"""


async def test_a_tail_that_begins_while_something_happens_misses_nothing(bench):
    """
    An event that becomes visible while a follower looks for its first one is not passed over.
    """
    url = bench.mesh.database_url()
    async with await psycopg.AsyncConnection.connect(url, options="-c search_path=events") as connection:
        await connection.execute("LOCK TABLE tails")
        follower = Follower(bench, start_time=datetime(2020, 1, 1, tzinfo=UTC))
        waiting = "SELECT 1 FROM pg_locks WHERE relation = 'tails'::regclass AND NOT granted"
        await bench.until(lambda: found(connection, waiting))
        await connection.execute(EVENT_BY_HAND, {"tenant": bench.tenant})

    assert await follower.saw(1) == ["evt_now"]


async def found(connection, query):
    return await (await connection.execute(query)).fetchone()


async def test_many_writers_leave_no_gap(open_bench):
    """
    While two replicas publish at the same time, two followers see every event once, in one order.
    """
    async with open_bench(replicas=2) as benches:
        one, two = benches("tnt_many", 0), benches("tnt_many", 1)
        followers = [Follower(bench, start_time=datetime(2020, 1, 1, tzinfo=UTC)) for bench in (one, two)]
        made = []
        for _ in range(8):
            made += await asyncio.gather(*(bench.publish() for _ in range(5) for bench in (one, two)))
        first, second = [await follower.saw(80) for follower in followers]

    assert sorted(first) == sorted(event.event_id for event in made)
    assert first == second


def narrow_channel(bench):
    """Open a channel that takes little in advance, whatever the speed of the line."""
    key = bench.mesh.identity.api_key(bench.tenant, ["*"], "service_account:svc_slow")
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_535)]
    return grpc.aio.insecure_channel(bench.service.address, options=options), key


async def read_on(stream, seen):
    async for message in stream:
        seen.append(message.event.event_id)


async def test_a_follower_that_does_not_read_is_ended(open_bench):
    """
    Who leaves events lying is told so, and may go on after the last one it saw.
    """
    async with open_bench(slow_seconds=2) as benches:
        bench = benches("tnt_slow")
        large = json.dumps({"text": "x" * 200_000})
        for _ in range(40):
            await bench.publish(data=large)
        request = pb.TailEventsRequest(filter=pb.EventFilter(start_time=datetime(2020, 1, 1, tzinfo=UTC)))
        channel, key = narrow_channel(bench)
        stream = aiter(
            EventsServiceStub(channel).TailEvents(request, metadata=[("authorization", f"Bearer {key}")])
        )
        seen = [(await anext(stream)).event.event_id]
        await asyncio.sleep(3)
        with pytest.raises(grpc.RpcError) as caught:
            await read_on(stream, seen)
        await channel.close()
        again = Follower(bench, after=seen[-1])
        rest = await again.saw(40 - len(seen))
        fault = fault_from_rpc_error(caught.value)

    assert (type(fault), fault.reason) == (LimitReached, "SUBSCRIBER_TOO_SLOW")
    assert len({*seen, *rest}) == 40


async def test_a_service_that_stops_tells_its_followers_to_come_back(open_bench):
    """
    A tail does not end as if there were no more events.
    """
    async with open_bench() as benches:
        bench = benches("tnt_stopping")
        follower = Follower(bench)
        await follower.begun(bench)
        await bench.service.stop()
        fault = await follower.fault()

    assert isinstance(fault, RetryLater)


async def test_a_tail_shows_the_callers_own_events_only(bench, benches):
    """
    Another tenant's events pass by unseen, and their ids are unknown.
    """
    stranger = benches("tnt_stranger")
    follower = Follower(stranger, start_time=datetime(2020, 1, 1, tzinfo=UTC))
    event = await bench.publish()
    await stranger.publish("com.example.mine")
    await follower.saw(1)
    fault = await Follower(stranger, after=event.event_id).fault()

    assert [one.type for one in follower.seen] == ["com.example.mine"]
    assert fault.reason == "EVENT_UNKNOWN"
