"""A connector service that does as its test says, served by the chassis for real."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1 import connector_pb2_grpc as rpc
from isthmus.kit import Database, ServiceSettings, Wiring, run
from isthmus.kit.authentication import KeyHolder
from isthmus.kit.channel import Caller
from isthmus.kit.db import provision
from isthmus.kit.db.migrating import migrate
from isthmus.kit.principal import Principal
from isthmus.kit.tokens import new_key, refused
from isthmus.testing.waiting import waiting_for

ADMIN_KEY = "ist_admin_" + "a" * 64
READER_KEY = "ist_reader_" + "r" * 64


class Connector(rpc.ConnectorServiceServicer):
    """Answers with whatever the test put in."""

    def __init__(self):
        self.describe = self._describe
        self.check = self._check

    async def _describe(self, request, context):
        return pb.DescribeResponse()

    async def _check(self, request, context):
        yield pb.CheckResponse()

    async def Describe(self, request, context):
        return await self.describe(request, context)

    async def Check(self, request, context):
        async for answer in self.check(request, context):
            yield answer

    async def Write(self, request_iterator, context):
        async for _ in request_iterator:
            yield pb.WriteResponse()


async def _look_up(api_key):
    known = {
        ADMIN_KEY: Principal("usr_admin", "tnt_a", frozenset({"*"}), "user"),
        READER_KEY: Principal("usr_reader", "tnt_a", frozenset({"registry.*.read"}), "user"),
    }
    if api_key not in known:
        raise refused()
    return KeyHolder(known[api_key])


@pytest.fixture
def mesh_key(tmp_path):
    """The key file and trust file of one mesh process."""
    private, entry = new_key("k1", "service:scheduling", ["*"])
    (tmp_path / "key.jwk").write_text(json.dumps(private))
    (tmp_path / "trust.json").write_text(json.dumps({"keys": [entry]}))
    return tmp_path


@asynccontextmanager
async def _serving(settings, wire, name="registry") -> AsyncIterator[str]:
    """Runs a service and gives its address."""
    port = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(settings, wire, name=name, ready=port.set_result))
    await asyncio.wait({task, port}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield f"127.0.0.1:{port.result()}"
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def connector():
    return Connector()


@pytest.fixture
async def address(connector, mesh_key):
    """Address of a served connector that knows two API keys and one mesh key."""

    async def wire(chassis):
        servicers = [(rpc.add_ConnectorServiceServicer_to_server, connector)]
        return Wiring(servicers=servicers, key_lookup=_look_up)

    settings = ServiceSettings(trust_file=mesh_key / "trust.json", reflection=True, drain_seconds=1)
    async with _serving(settings, wire) as where:
        yield where


@pytest.fixture
async def stub(address):
    """Calls the connector with an administrator's key."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield rpc.ConnectorServiceStub(channel)


@pytest.fixture
async def mesh_stub(address, mesh_key):
    """Calls the connector as a process of the mesh."""
    caller = Caller(mesh_key / "key.jwk")
    yield rpc.ConnectorServiceStub(caller.channel(address, "service:demo"))
    await caller.close()


@pytest.fixture
def serving():
    """Runs a service inside a block and gives its address."""
    return _serving


@pytest.fixture
def look_up():
    """Knows two API keys."""
    return _look_up


@pytest.fixture
def bearer():
    """Makes call metadata with an API key; the administrator's by default."""
    keys = {"admin": ADMIN_KEY, "reader": READER_KEY}

    def make(key="admin", **more):
        credential = keys.get(key, key)
        return (
            ("authorization", f"Bearer {credential}"),
            *((k.replace("_", "-"), v) for k, v in more.items()),
        )

    return make


SAMPLE = Path(__file__).parent / "sample" / "migrations"


@pytest.fixture
async def urls(database):
    """A provisioned schema `notes`, not yet migrated."""
    return (await provision(database, {"notes": "secret"}))["notes"]


@pytest.fixture
async def db(urls):
    """The migrated schema `notes`."""
    notes = Database(urls.url, "notes")
    await migrate(notes, urls.owner_url, SAMPLE)
    yield notes
    await notes.close()


@pytest.fixture
def sample():
    """The folder of the sample migrations."""
    return SAMPLE


class Collected:
    def __init__(self):
        self.events = []
        self._came = asyncio.Condition()

    async def handle(self, conn, event):
        self.events.append(event)
        async with self._came:
            self._came.notify_all()

    async def wait(self, number):
        async with waiting_for("the events"), self._came:
            await self._came.wait_for(lambda: len(self.events) >= number)
        return self.events


@pytest.fixture
def inbox():
    """Collects the events a consumer was given."""
    return Collected()
