"""Events: published, collected, listed, and known by type."""

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import nats
import pytest
from isthmus.events.v1 import events_pb2 as pb
from isthmus.resilience.faults import Conflict, FixRequest
from isthmus.services.events.domain import CATALOGUE
from isthmus.testing.waiting import PATIENCE_SECONDS

PROTO = Path(__file__).parents[3] / "proto" / "isthmus"


async def test_what_other_services_publish_is_listed(bench):
    """
    An event comes back with all that it carried.
    """
    event_id = await bench.happen(
        "registry", "instance", "created", {"instance": {"name": "é"}}, subject="ins_1"
    )
    (event,) = await bench.arrived(1)

    assert (event.event_id, event.type) == (event_id, "isthmus.registry.instance.created.v1")
    assert (event.subject, json.loads(event.data)) == ("ins_1", {"instance": {"name": "é"}})
    assert event.nats_subject == f"isthmus.v1.{bench.tenant}.registry.instance.created"
    assert event.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c")
    assert event.time.ToDatetime(UTC) == datetime(2026, 5, 1, 10, tzinfo=UTC)


async def test_an_event_that_comes_twice_is_kept_once(bench):
    """
    The bus may deliver again and again.
    """
    for _ in range(3):
        await bench.happen("registry", "instance", "created", {}, event_id="evt_same")
    await bench.happen("registry", "instance", "deleted", {})
    await bench.arrived(1, types=["isthmus.registry.instance.deleted.v1"])

    assert len(await bench.events()) == 2


async def test_an_event_of_ones_own_is_durable_once_answered(bench):
    """
    A published event can be listed at once and reaches the bus as a CloudEvent.
    """
    event = await bench.publish(data='{"order": 7}', subject="order-7")
    client = await nats.connect(bench.nats_url)
    queue = await client.jetstream().subscribe(event.nats_subject, ordered_consumer=True)
    envelope = json.loads((await queue.next_msg(timeout=PATIENCE_SECONDS)).data)
    await client.close()

    assert await bench.events() == [event]
    assert (envelope["id"], envelope["type"], envelope["data"]) == (
        event.event_id,
        "com.example.order.created",
        {"order": 7},
    )


async def test_an_event_of_ones_own_is_kept_once(bench):
    """
    What comes back from the bus is what was stored already.
    """
    await bench.publish()
    await bench.happen("registry", "instance", "deleted", {})
    await bench.arrived(2)

    assert len(await bench.events()) == 2


async def test_a_repeated_publication_gives_the_first_event(bench):
    """
    The same request id publishes once, and belongs to one request.
    """
    first = await bench.publish(request_id="r1")
    again = await bench.publish(request_id="r1")
    fault = await bench.refused(bench.publish(data='{"other": 1}', request_id="r1"))

    assert first == again
    assert (type(fault), fault.reason) == (Conflict, "REQUEST_ID_REUSED")


@pytest.mark.parametrize("kind", ["isthmus.order.created", "Isthmus.x.y", "isthmus"])
async def test_the_meshs_own_types_cannot_be_published(bench, kind):
    """
    Nobody speaks in the name of a service.
    """
    fault = await bench.refused(bench.publish(kind))

    assert (type(fault), fault.reason) == (FixRequest, "EVENT_TYPE_RESERVED")


@pytest.mark.parametrize(
    "kind", ["", "word", "a..b", "a.b c", "a.*", "a.>", "é.b", "a." + "b" * 300, "a.b\n"]
)
async def test_a_type_that_is_none_is_refused(bench, kind):
    """
    A type is words joined by dots, and nothing that means something to the bus.
    """
    fault = await bench.refused(bench.publish(kind))

    assert (fault.reason, fault.violations[0].path) == ("FIELD_INVALID", "type")


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[]",
        "nonsense",
        "{",
        '{"a": NaN}',
        '{"a": "\\u0000"}',
        json.dumps({"a": "x" * 300_000}),
        "{" * 5000,
    ],
)
async def test_data_that_is_no_small_json_object_is_refused(bench, data):
    """
    Data is a JSON object of at most 256 KiB.
    """
    fault = await bench.refused(bench.publish(data=data))

    assert (type(fault), fault.reason) == (FixRequest, "DATA_INVALID")


async def test_lists_are_newest_first_and_paged(bench):
    """
    Pages follow one another without gap or repetition, also when events arrive meanwhile.
    """
    made = [(await bench.publish(f"com.example.n{number}")).event_id for number in range(5)]
    seen, token = [], ""
    while token or not seen:
        page = await bench.stub.ListEvents(pb.ListEventsRequest(page_size=2, page_token=token))
        seen += [event.event_id for event in page.events]
        token = page.next_page_token
        await bench.publish("com.example.later")

    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"types": ["com.a.x"]}, ["com.a.x"]),
        ({"types": ["com.a.*"]}, ["com.a.x", "com.a.y"]),
        ({"types": ["com.b.x", "com.a.y"]}, ["com.a.y", "com.b.x"]),
        ({"types": ["*"]}, ["com.a.x", "com.a.y", "com.b.x"]),
        ({"subject": "com.b.x"}, ["com.b.x"]),
        ({"types": ["com.a.*"], "subject": "com.b.x"}, []),
        ({"end_time": datetime(2020, 1, 1, tzinfo=UTC)}, []),
        ({"start_time": datetime(2020, 1, 1, tzinfo=UTC), "types": ["com.b.*"]}, ["com.b.x"]),
    ],
)
async def test_lists_can_be_narrowed(bench, wanted, expected):
    """
    By type, by the beginning of a type, by subject and by time.
    """
    for kind in ("com.a.x", "com.a.y", "com.b.x"):
        await bench.publish(kind, subject=kind)

    assert sorted(event.type for event in await bench.events(**wanted)) == expected


@pytest.mark.parametrize("pattern", ["", "a*b", "*.x", "a b", "a" * 300])
async def test_a_pattern_that_is_none_is_refused(bench, pattern):
    """
    The star stands at the end or nowhere.
    """
    fault = await bench.refused(bench.events(types=[pattern]))

    assert (type(fault), fault.reason) == (FixRequest, "FIELD_INVALID")


async def test_the_catalogue_is_the_contracts():
    """
    Every event that the contracts name is in the catalogue, and no other.
    """
    named = set()
    for path in PROTO.glob("*/v1/*.proto"):
        for comment, message in re.findall(r"// Payload of ((?:.|\n//)*?)\nmessage (\w+)", path.read_text()):
            events = re.findall(r"`(\w+\.\w+)`", comment)
            named |= {(path.parts[-3], event, message) for event in events}
    listed = {(kind.service, f"{kind.entity}.{kind.verb}", kind.payload) for kind in CATALOGUE}

    assert listed == named


async def test_types_of_events_are_listed_page_by_page(bench):
    """
    Each type says when it is published, with which payload, and where.
    """
    found, token = [], ""
    while token or not found:
        page = await bench.stub.ListEventTypes(pb.ListEventTypesRequest(page_size=10, page_token=token))
        found += page.event_types
        token = page.next_page_token
    completed = next(kind for kind in found if kind.type == "isthmus.scheduling.sync.completed.v1")

    assert len(found) == len(CATALOGUE)
    assert completed.payload == "isthmus.scheduling.v1.SyncChanged"
    assert completed.nats_subject == "isthmus.v1.<tenant>.scheduling.sync.completed"


async def test_old_events_are_forgotten(open_bench, monkeypatch):
    """
    Events are kept for as long as the settings say.
    """
    monkeypatch.setattr("isthmus.services.events.wiring._PRUNE_SECONDS", 0.05)
    async with open_bench(events_kept_days=0.00001) as benches:
        bench = benches("tnt_forgetful")
        await bench.publish()

        async def forgotten():
            return not await bench.events()

        assert await bench.until(forgotten)


async def test_nothing_is_lost_when_the_bus_loses_everything(bench):
    """
    An event published while JetStream's whole store is deleted is listed and reaches the bus.
    """
    client = await nats.connect(bench.nats_url)
    for stream in await client.jetstream().streams_info():
        await client.jetstream().delete_stream(stream.config.name)
    event = await bench.publish()

    async def is_there():
        try:
            return await client.jetstream().get_last_msg("ISTHMUS_EVENTS", event.nats_subject)
        except Exception:
            return None

    assert await bench.until(is_there)
    await client.close()
    await asyncio.sleep(0)


async def test_large_events_are_listed_in_pages_that_fit_an_answer(bench):
    """
    A page of a thousand large events would be larger than any answer may be; it is cut short.
    """
    large = json.dumps({"text": "x" * 250_000})
    made = [(await bench.publish(data=large)).event_id for _ in range(20)]
    seen, token, pages = [], "", 0
    while token or not pages:
        page = await bench.stub.ListEvents(pb.ListEventsRequest(page_size=1000, page_token=token))
        seen += [event.event_id for event in page.events]
        token, pages = page.next_page_token, pages + 1

    assert seen == made[::-1]
    assert pages == 3
