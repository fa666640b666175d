"""What a real NATS lets each user of the mesh do, and what it refuses."""

import asyncio
import json
import shutil
from contextlib import suppress

import nats
import pytest
from isthmus.kit import Bus, bus_admission, bus_users
from isthmus.kit.bus import BusLogin
from isthmus.kit.bus_admission import Issuer
from isthmus.local.backends import EmbeddedNats
from isthmus.resilience.faults import Precondition, RetryLater
from isthmus.testing.waiting import PATIENCE_SECONDS, waiting_for

HOSTS = tuple(map(bus_users.host, ("files", "postgres")))
USERS = (*bus_users.SERVICES, *HOSTS)
NAMES = [user.name for user in USERS]
STRANGE = "isthmus.v1.tnt_a.strange.thing.done"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = EmbeddedNats(
        tmp_path_factory.mktemp("nats"), fast=True, connectors=lambda: ("files", "postgres")
    )
    server.start()
    yield server
    server.kill()


class Wire:
    """A connection as one of the users, which notes what it is refused."""

    def __init__(self):
        self.refused = []
        self.told = asyncio.Event()
        self.client = nats.aio.client.Client()

    async def open(self, server, user):
        login = {"user": user, "password": server.users.password(user)}
        inbox = bus_users.inbox(user)
        await self.client.connect(server.address, error_cb=self.note, inbox_prefix=inbox, **login)

    async def note(self, error):
        self.refused.append(str(error).lower())
        self.told.set()

    async def refuses(self, subjects, way):
        """Tells which of the subjects the server refuses."""
        self.refused.clear()
        for subject in subjects:
            if way == "publish":
                await self.client.publish(subject, b"{}", reply="nowhere")
            else:
                await (await self.client.subscribe(subject)).unsubscribe()
        # Refusals come in order, so the last one says that there are no more.
        await self.client.publish(STRANGE, b"{}")
        async with waiting_for("the last refusal"):
            while not self.refused or STRANGE not in self.refused[-1]:
                self.told.clear()
                await self.told.wait()
        told = " ".join(self.refused)
        return [subject for subject in subjects if f'"{subject}"'.lower() in told]


@pytest.fixture
async def wire(server):
    opened = []

    async def connect(user):
        opened.append(Wire())
        await opened[-1].open(server, user)
        return opened[-1]

    yield connect
    for one in opened:
        await one.client.close()


def spoken(patterns):
    """Makes plain subjects of patterns."""
    return [pattern.replace(">", "a.b").replace("*", "a") for pattern in patterns]


@pytest.mark.parametrize("user", USERS, ids=NAMES)
async def test_others_subjects_are_refused(wire, user):
    """
    Nobody may publish, ask for or acknowledge what belongs to somebody else, nor hear it as it passes.
    """
    connection = await wire(user.name)
    mine, others = user.permissions, [one.permissions for one in USERS if one is not user]
    says = {subject for one in others for subject in one.publish} - set(mine.publish)
    hears = {subject for one in others for subject in one.subscribe} - set(mine.subscribe)
    if user.admits:  # it makes the consumers of subscribers, whatever their names
        says = {subject for subject in says if ".CREATE." not in subject}

    forbidden = [*spoken(sorted(says)), "$JS.API.STREAM.DELETE.ISTHMUS_EVENTS", "isthmus.jobs.other"]
    if user.name == "scheduling":
        forbidden.remove("isthmus.jobs.other")

    assert await connection.refuses(forbidden, "publish") == forbidden
    wide = [*sorted(hears), ">", "isthmus.>", "isthmus.jobs.>", "_INBOX.>", "$JS.>"]
    assert await connection.refuses(wide, "subscribe") == wide


@pytest.mark.parametrize("user", USERS, ids=NAMES)
async def test_its_own_subjects_are_open(wire, user):
    """
    What the description grants is granted, so that nobody waits for an answer that never comes.
    """
    connection = await wire(user.name)
    allowed = user.permissions
    harmless = [one for one in allowed.publish if "$JS.API.STREAM.CREATE" not in one]

    assert await connection.refuses(spoken(harmless), "publish") == []
    assert await connection.refuses(allowed.subscribe, "subscribe") == []


async def test_a_host_reads_no_other_connectors_jobs(wire):
    """
    Its own consumer's filter is bound by the server, and other consumers are out of reach.
    """
    operator, host = await wire("isthmus"), await wire("host-files")
    await operator.client.jetstream(timeout=30).add_stream(name="ISTHMUS_JOBS", subjects=["isthmus.jobs.>"])
    config = {"durable_name": "host-files", "ack_policy": "explicit"}
    create = "$JS.API.CONSUMER.CREATE.ISTHMUS_JOBS.host-files.isthmus.jobs.files"

    async def asked(**more):
        body = json.dumps({"stream_name": "ISTHMUS_JOBS", "config": {**config, **more}})
        return json.loads((await host.client.request(create, body.encode(), timeout=30)).data)

    assert "error" in await asked(filter_subject="isthmus.jobs.postgres")
    assert "error" in await asked(filter_subjects=["isthmus.jobs.files", "isthmus.jobs.postgres"])
    assert "error" in await asked()
    assert "error" not in await asked(filter_subject="isthmus.jobs.files")


async def test_a_changed_password_needs_no_restart(server, tmp_path):
    """
    A process whose password file is late is let in as soon as the file is right.
    """
    file = tmp_path / "password"
    file.write_text("old")
    bus = Bus(server.address, "scheduling", BusLogin(bus_users.user_named("scheduling"), file))
    running = asyncio.create_task(bus.run())
    file.write_text(server.users.password("scheduling"))

    async with waiting_for("the bus"):
        await bus.ready()

    running.cancel()
    await bus.close()


def test_a_consumer_that_nobody_described_is_refused_at_the_start(server):
    """
    Whoever adds a consumer learns at once where to describe it, before the bus refuses it.
    """
    bus = Bus(server.address, "records", BusLogin(bus_users.user_named("records"), server.users.folder))
    bus.check_described(bus_users.RECORDS_FLOWS)

    with pytest.raises(Precondition, match="bus_users"):
        bus.check_described(bus_users.RECORDS_FLOWS._replace(subjects=("isthmus.v1.>",)))


async def test_a_refusal_is_told_in_the_log(server, caplog):
    """
    Whoever looks why nothing arrives finds the user, the subject and the remedy.
    """
    bus = Bus(
        server.address,
        "identity",
        BusLogin(bus_users.user_named("identity"), server.users.password_file("identity")),
    )
    with suppress(nats.errors.Error):
        await bus._connect()

    await bus.client.publish("isthmus.v1.tnt_a.registry.instance.created", b"{}")
    await bus.client.flush()

    async with waiting_for("the refusal in the log"):
        while not (told := [one for one in caplog.records if "refuses" in one.getMessage()]):
            await asyncio.sleep(0.01)
    assert told[0].levelname == "ERROR"
    assert "isthmus.v1.tnt_a.registry" in told[0].fields["refused"]
    await bus.close()


async def test_a_new_password_ends_the_connection_for_a_moment_only(server, tmp_path):
    """
    A server that is started again with other passwords is reached again by who reads the new one.
    """
    file = tmp_path / "password"
    file.write_text(server.users.password("scheduling"))
    bus = Bus(server.address, "scheduling", BusLogin(bus_users.user_named("scheduling"), file))
    running = asyncio.create_task(bus.run())
    await bus.ready()
    before = bus.incarnation.generation

    (server.users.folder / "seed.json").unlink()
    server.kill()
    await asyncio.to_thread(server.start)
    file.write_text(server.users.password("scheduling"))

    async with waiting_for("the new connection"):
        while bus.incarnation.generation == before:
            await asyncio.sleep(0.05)
        await bus.ready()
    running.cancel()
    await bus.close()


async def test_a_lost_store_is_made_again_by_those_who_keep_it(server):
    """
    After the whole store has vanished, users who may make nothing publish and consume again.
    """
    buses = [
        Bus(server.address, name, BusLogin(bus_users.user_named(name), server.users.password_file(name)))
        for name in ("registry", "records", "scheduling")
    ]
    running = [asyncio.create_task(bus.run()) for bus in buses]
    for bus in buses:
        await bus.ready()

    server.kill()
    shutil.rmtree(server.folder / "jetstream")
    await asyncio.to_thread(server.start)

    async with waiting_for("the store"):
        while True:
            with suppress(RetryLater, nats.errors.Error):
                await buses[0].publish("isthmus.v1.tnt_a.registry.instance.created", b"{}")
                await buses[1].jetstream.consumer_info("ISTHMUS_EVENTS", "records-flows")
                break
            await asyncio.sleep(0.1)
    for task, bus in zip(running, buses, strict=True):
        task.cancel()
        await bus.close()


@pytest.fixture
async def subscriber(server, wire):
    """A program of a tenant for which the mesh vouches, and all for whom it has been asked."""
    asked = []
    events, issuer = await wire("events"), Issuer.load(server.users.issuer_file)
    allowed = bus_users.subscriber("sub_a", "tnt_a")

    async def answer(message):
        request = bus_admission.Request.parse(message.data)
        asked.append(request.user)
        known = request.password == "secret"
        await message.respond(issuer.admit(request, allowed) if known else issuer.refuse(request))

    await events.client.subscribe("$SYS.REQ.USER.AUTH", cb=answer)
    await events.client.flush()
    client = await nats.connect(
        server.address, user="sub_a", password="secret", reconnect_time_wait=0.05, max_reconnect_attempts=-1
    )
    yield client, asked
    await client.close()


async def test_a_connector_that_is_installed_later_is_admitted(server, wire, subscriber):
    """
    Its hosts get a user for whom nobody has to vouch, no process is cut off, and subscribers go on.
    """
    program, asked = subscriber
    operator, files, heard = await wire("isthmus"), await wire("host-files"), asyncio.Event()

    async def hear(_):
        heard.set()

    await program.subscribe("isthmus.v1.tnt_a.>", cb=hear)
    clients = [operator.client, files.client]
    before = [one._client_id for one in clients]
    await asyncio.to_thread(list, server.admit("later"))
    later = await wire("host-later")

    async with waiting_for("an event to be heard"):
        while not heard.is_set():
            await operator.client.publish("isthmus.v1.tnt_a.registry.instance.created", b"{}")
            await asyncio.sleep(0.05)
    assert "host-later" not in asked
    assert await later.refuses(["isthmus.jobs.later"], "publish")
    assert [(one.is_connected, one.stats["reconnects"], one._client_id) for one in clients] == [
        (True, 0, number) for number in before
    ]
    assert server.process.poll() is None


@pytest.mark.parametrize("user", ["host-later", "host-unknown", "registry"])
async def test_nobody_gets_in_as_a_process_with_another_password(server, subscriber, user):
    """
    Whether the mesh is asked for them or not.
    """

    async def enter():
        client = await nats.connect(server.address, user=user, password="wrong", allow_reconnect=False)
        await client.flush(PATIENCE_SECONDS)

    with pytest.raises((nats.errors.Error, OSError)):
        await enter()
