import asyncio
import json
import shutil

import pytest
from google.protobuf import struct_pb2
from isthmus.kit import Bus, Consumer, DomainEvent, Outbox, current_correlation_id, current_principal
from isthmus.kit.principal import correlated
from isthmus.kit.relay import Relay
from isthmus.kit.subscription import Subscription
from isthmus.kit.supervision import Supervisor
from isthmus.resilience import faults
from isthmus.testing.waiting import PATIENCE_SECONDS, waiting_for
from sqlalchemy import text

ALL = "isthmus.v1.*.notes.note.written"


class Mesh:
    """One service's event machinery, running."""

    def __init__(self, db, url):
        self.db, self.bus, self.outbox = db, Bus(url, "notes"), Outbox("notes")
        self.supervisor = Supervisor(self._note)
        self.supervisor.start("bus", self.bus.run)

    async def _note(self, works):
        pass

    def relay(self):
        self.supervisor.start("relay", Relay(self.db, self.bus, self.outbox).run)

    def consume(self, handle, **more):
        more.setdefault("durable", f"c-{id(self)}")
        more.setdefault("backoff", 0.01)
        consumer = Consumer(subjects=[ALL], handle=handle, **more)
        self.supervisor.start("consumer", Subscription(consumer, self.db, self.bus).run)
        return consumer

    async def write(self, tenant="tnt_a", note="n1", text_="hello"):
        payload = struct_pb2.Struct()
        payload.update({"note": note, "text": text_})
        event = DomainEvent(tenant, "note", "written", note, payload)
        async with self.db.tenant(tenant) as conn:
            await self.outbox.add(conn, event)
        return event

    async def published(self, number):
        """Wait until so many events are in the stream."""
        async with waiting_for("the events to be in the stream"):
            while (await self.bus.jetstream.stream_info("ISTHMUS_EVENTS")).state.messages < number:
                await asyncio.sleep(0.02)

    async def close(self):
        await self.supervisor.stop()
        await self.bus.close()


@pytest.fixture
async def mesh(db, nats_url):
    running = Mesh(db, nats_url)
    await running.bus.ready(10)
    for stream in ("ISTHMUS_EVENTS", "ISTHMUS_DEAD"):
        await running.bus.jetstream.purge_stream(stream)
    yield running
    await running.close()


async def test_event_arrives_as_cloudevent(mesh, inbox):
    """
    What was added in a transaction arrives with type, tenant, correlation and data.
    """
    seen = []

    async def handle(conn, event):
        seen.append((current_principal().tenant_id, current_correlation_id()))
        await inbox.handle(conn, event)

    mesh.relay()
    mesh.consume(handle)
    with correlated("c-1"):
        written = await mesh.write()
    event = (await inbox.wait(1))[0]

    assert (event.id, event.type) == (written.id, "isthmus.notes.note.written.v1")
    assert (event.tenant_id, event.subject, event.data) == ("tnt_a", "n1", {"note": "n1", "text": "hello"})
    assert event.nats_subject == "isthmus.v1.tnt_a.notes.note.written"
    assert seen == [("tnt_a", "c-1")]


async def test_published_form_is_cloudevents_json(mesh):
    """
    On the wire an event is CloudEvents 1.0 in structured JSON.
    """
    sub = await mesh.bus.client.subscribe("isthmus.v1.>")
    mesh.relay()
    await mesh.write()
    message = await sub.next_msg(timeout=PATIENCE_SECONDS)
    envelope = json.loads(message.data)

    assert envelope["specversion"] == "1.0"
    assert envelope["source"] == "isthmus/notes"
    assert message.headers["content-type"] == "application/cloudevents+json"


async def test_rolled_back_event_is_never_sent(mesh, inbox):
    """
    An event belongs to its transaction.
    """
    mesh.relay()
    mesh.consume(inbox.handle)
    event = DomainEvent("tnt_a", "note", "written", "ghost", struct_pb2.Struct())

    async def fail():
        async with mesh.db.tenant("tnt_a") as conn:
            await mesh.outbox.add(conn, event)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    await mesh.write(note="real")

    assert [event.subject for event in await inbox.wait(1)] == ["real"]


async def test_event_has_its_effect_once(mesh, inbox):
    """
    The same event published again, past NATS' own memory, is not handled again.
    """
    mesh.relay()
    mesh.consume(inbox.handle)
    await mesh.write(note="n1")
    await inbox.wait(1)
    stored = await mesh.bus.jetstream.get_last_msg("ISTHMUS_EVENTS", "isthmus.v1.tnt_a.notes.note.written")
    await mesh.bus.publish(stored.subject, stored.data)
    await mesh.write(note="n2")

    assert [event.subject for event in await inbox.wait(2)] == ["n1", "n2"]


async def test_events_that_come_together_are_handled_together_once(mesh, inbox):
    """
    A handler for several gets those of one tenant in their order; one that came before is left out.
    """
    came = []

    async def together(conn, events):
        came.append([event.subject for event in events])
        for event in events:
            await inbox.handle(conn, event)

    mesh.relay()
    await asyncio.gather(*(mesh.write(note=f"n{number}") for number in range(4)))
    await mesh.published(4)
    mesh.consume(inbox.handle, together=together)
    events = await inbox.wait(4)
    stored = await mesh.bus.jetstream.get_last_msg("ISTHMUS_EVENTS", "isthmus.v1.tnt_a.notes.note.written")
    await mesh.bus.publish(stored.subject, stored.data)
    await mesh.write(note="last")
    await inbox.wait(5)

    assert sorted(event.subject for event in events) == ["last", "n0", "n1", "n2", "n3"]
    assert max(map(len, came)) > 1


async def test_where_events_fail_together_each_is_handled_alone(mesh, inbox):
    """
    One bad event takes no others along.
    """

    async def together(conn, events):
        raise faults.FixRequest("BAD", "One of them is bad.")

    mesh.relay()
    await asyncio.gather(*(mesh.write(note=f"n{number}") for number in range(3)))
    await mesh.published(3)
    mesh.consume(inbox.handle, together=together)

    assert sorted(event.subject for event in await inbox.wait(3)) == ["n0", "n1", "n2"]


async def test_what_can_have_no_effect_is_not_handled(mesh, inbox):
    """
    A consumer that tells by the event alone is not bothered with the others.
    """
    mesh.relay()
    mesh.consume(inbox.handle, wanted=lambda event: event.subject == "wanted")
    await mesh.write(note="other")
    await mesh.write(note="wanted")

    assert [event.subject for event in await inbox.wait(1)] == ["wanted"]


async def test_failed_handler_leaves_no_trace_and_is_repeated(mesh, inbox):
    """
    A handler's writes and the memory of the event commit together or not at all.
    """

    async def handle(conn, event):
        await conn.execute(text("INSERT INTO note VALUES ('tnt_a', :id, 'x')"), {"id": event.id})
        await inbox.handle(conn, event)
        if len(inbox.events) == 1:
            raise ValueError("first time")

    mesh.relay()
    mesh.consume(handle)
    await mesh.write()
    await inbox.wait(2)

    await asyncio.sleep(0.05)
    async with mesh.db.tenant("tnt_a") as conn:
        assert (await conn.execute(text("SELECT count(*) FROM note"))).scalar_one() == 1


async def test_poison_goes_to_the_dead_letters(mesh, inbox):
    """
    After a bounded number of tries an event is set aside with its reason, and the next one goes on.
    """

    async def handle(conn, event):
        await inbox.handle(conn, event)
        if event.subject == "poison":
            raise ValueError("cannot")

    mesh.relay()
    consumer = mesh.consume(handle, max_deliver=3)
    dead = await mesh.bus.client.subscribe(f"isthmus.dead.{consumer.durable}")
    await mesh.write(note="poison")
    letter = await dead.next_msg(timeout=PATIENCE_SECONDS)
    await mesh.write(note="good")
    events = await inbox.wait(4)

    assert letter.headers["isthmus-reason"] == "ValueError"
    assert json.loads(letter.data)["subject"] == "poison"
    assert [event.subject for event in events] == ["poison"] * 3 + ["good"]


async def test_poison_spoils_nothing_that_came_with_it(mesh, inbox):
    """
    Of events that come together each good one has its effect once, whichever of the others fails.
    """

    async def handle(conn, event):
        await conn.execute(text("INSERT INTO note VALUES ('tnt_a', :id, 'x')"), {"id": event.subject})
        if event.subject == "poison":
            raise ValueError("cannot")

    mesh.relay()
    for note in ("n1", "n2", "poison", "n3"):
        await mesh.write(note=note)
    mesh.consume(inbox.handle, durable=f"seen-{id(mesh)}")
    await inbox.wait(4)
    consumer = mesh.consume(handle, max_deliver=2)
    dead = await mesh.bus.client.subscribe(f"isthmus.dead.{consumer.durable}")
    letter = await dead.next_msg(timeout=PATIENCE_SECONDS)
    async with mesh.db.tenant("tnt_a") as conn:
        notes = (await conn.execute(text("SELECT id FROM note ORDER BY id"))).scalars().all()

    assert (json.loads(letter.data)["subject"], notes) == ("poison", ["n1", "n2", "n3"])


async def test_rubbish_on_the_subject_is_set_aside(mesh, inbox):
    """
    A message that is no event does not stop the consumer.
    """
    mesh.relay()
    consumer = mesh.consume(inbox.handle)
    dead = await mesh.bus.client.subscribe(f"isthmus.dead.{consumer.durable}")
    await mesh.bus.publish("isthmus.v1.x.notes.note.written", b"\xff{")
    letter = await dead.next_msg(timeout=PATIENCE_SECONDS)
    await mesh.write()

    assert letter.headers["isthmus-reason"] == "EVENT_UNREADABLE"
    assert len(await inbox.wait(1)) == 1


async def test_outage_does_not_use_up_the_tries(mesh, inbox):
    """
    While a handler asks to wait, the event waits; it is not set aside.
    """

    async def handle(conn, event):
        await inbox.handle(conn, event)
        if len(inbox.events) < 5:
            raise faults.RetryLater("DOWN", "down")

    mesh.relay()
    mesh.consume(handle, max_deliver=2)
    await mesh.write()

    assert len(await inbox.wait(5)) == 5


async def test_events_wait_while_nats_is_away(mesh, inbox, nats_server):
    """
    Events written during an outage of NATS arrive after it.
    """
    mesh.relay()
    mesh.consume(inbox.handle)
    await mesh.write(note="before")
    await inbox.wait(1)
    nats_server.kill()
    await mesh.write(note="during")
    nats_server.start()
    await mesh.write(note="after")

    assert [event.subject for event in await inbox.wait(3)] == ["before", "during", "after"]


async def test_lost_store_loses_nothing(mesh, inbox, nats_server, backend_home):
    """
    The whole NATS store may vanish: what had not been consumed is sent again out of PostgreSQL.
    """
    mesh.relay()
    await mesh.write(note="unread")
    async with waiting_for("an event in the stream"):
        while (await mesh.bus.jetstream.stream_info("ISTHMUS_EVENTS")).state.messages == 0:
            await asyncio.sleep(0.01)
    nats_server.kill()
    shutil.rmtree(backend_home / "nats" / "jetstream")
    nats_server.start()
    mesh.consume(inbox.handle)
    await mesh.write(note="new")

    assert {event.subject for event in await inbox.wait(2)} == {"unread", "new"}


async def test_consumer_survives_the_loss_of_its_consumer(mesh, inbox):
    """
    A consumer that somebody deleted on the server is made again.
    """
    mesh.relay()
    consumer = mesh.consume(inbox.handle)
    await mesh.write(note="n1")
    await inbox.wait(1)
    await mesh.bus.jetstream.delete_consumer("ISTHMUS_EVENTS", consumer.durable)
    await mesh.write(note="n2")

    assert [event.subject for event in await inbox.wait(2)] == ["n1", "n2"]


async def test_relays_of_replicas_share_the_work(mesh, inbox):
    """
    Several relays publish each event once.
    """
    for number in range(300):
        await mesh.write(note=f"n{number}")
    for _ in range(3):
        mesh.relay()
    mesh.consume(inbox.handle)
    await inbox.wait(300)
    info = await mesh.bus.jetstream.stream_info("ISTHMUS_EVENTS")

    assert len({event.id for event in inbox.events}) == 300
    assert info.state.messages == 300


async def test_events_flow_through_a_restart_of_postgres(mesh, inbox, postgres, database):
    """
    When PostgreSQL dies and comes back, relay and consumer go on by themselves.
    """
    mesh.relay()
    mesh.consume(inbox.handle)
    await mesh.write(note="n1")
    await inbox.wait(1)
    async with mesh.db.system() as conn:
        await conn.execute(text("SET LOCAL synchronous_commit = on; UPDATE outbox SET headers = headers"))
    postgres.kill()
    postgres.start()
    await mesh.write(note="n2")

    assert {event.subject for event in await inbox.wait(2)} == {"n1", "n2"}


async def test_message_larger_than_nats_takes_is_refused(mesh):
    """
    An event that could never be published does not enter the outbox.
    """
    with pytest.raises(faults.Broken, match="reference"):
        await mesh.write(text_="x" * 1_000_000)
