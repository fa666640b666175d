"""What authors may override, and sessions that several callers share."""

import asyncio
from typing import ClassVar

import pytest
from isthmus.sdk import (
    Api,
    AuthenticationFailure,
    Batch,
    CheckStep,
    ConfigurationFailure,
    Connector,
    DataFailure,
    NotFound,
    Page,
    Secret,
    Stream,
    TransientFailure,
    action,
    destination,
    source,
)
from isthmus.sdk.runtime import (
    Capability,
    Credential,
    Position,
    ReadMode,
    Session,
    StepResult,
    WriteMode,
    spec_of,
)
from isthmus.testing.http_server import Answer
from isthmus.testing.waiting import waiting_for
from pydantic import BaseModel, SecretStr


class Settings(BaseModel):
    url: str = "http://127.0.0.1:1"
    username: str = ""
    password: Secret | None = None


class Rename(BaseModel):
    id: str
    name: str


class Desk(Connector[Settings]):
    """A connector that overrides every hook."""

    allowed_hosts: ClassVar = ("{url}",)
    seen: ClassVar[list] = []

    async def connect(self):
        self.api = Api(self.settings.url)
        self.seen.append("connect")

    async def authenticate(self):
        self.seen.append("authenticate")
        if self.settings.username == "nobody":
            raise AuthenticationFailure(
                "AUTHENTICATION_FAILED", "Nobody may not log in; use another account."
            )

    async def receive_data(self, stream, **given):
        self.seen.append(f"receive {stream.stream}")
        async for page in super().receive_data(stream, **given):
            yield page

    async def send_data(self, stream, batch):
        self.seen.append(f"send {stream.stream}")
        await super().send_data(stream, batch)

    async def handle_error(self, error):
        if isinstance(error, ZeroDivisionError):
            return NotFound("NOTHING_LEFT", "Nothing is left to divide.")
        return await super().handle_error(error)

    async def health_check(self):
        yield CheckStep("coffee", StepResult.WARNING, "LOW", "The coffee is low.", "Buy some.")

    async def disconnect(self):
        self.seen.append("disconnect")

    async def instance_changed(self, change):
        self.seen.append(change)

    @source(key="id", partitions="parts")
    async def items(self, partition):
        """Items of a part."""
        if partition == "zero":
            _ = 1 / 0
        yield Page([{"id": partition}])

    async def parts(self):
        return ["a", "b"]

    @destination(key="id")
    async def careless(self, batch: Batch[dict]):
        """Writes and does not look at the answers."""
        for record in batch:
            await self.api.put(f"/items/{record['id']}", json=record)

    @action(idempotent=True)
    async def rename(self, given: Rename, request_id: str) -> dict:
        """Gives an item another name."""
        return {"renamed": given.id, "request": request_id}


@pytest.fixture(autouse=True)
def _fresh():
    Desk.seen = []


async def test_hooks_are_called_in_their_order():
    """
    Connecting comes first, disconnecting last, whatever happens in between.
    """
    async with Session(Desk, {}) as session:
        _ = [page async for page in await session.read("items", partition="a")]
        await session.notify("activated")

    assert Desk.seen == ["connect", "authenticate", "receive items", "activated", "disconnect"]


async def test_own_meaning_of_an_error():
    """
    A connector knows its vendor's exceptions best.
    """
    async with Session(Desk, {}) as session:
        with pytest.raises(NotFound, match="Nothing is left"):
            _ = [page async for page in await session.read("items", partition="zero")]


async def test_own_steps_join_the_others():
    """
    Steps of the connector's own come before those that are proved by working.
    """
    steps = [step async for step in Session(Desk, {}).check()]

    assert [step.step for step in steps] == [
        "coffee",
        "configuration",
        "reach",
        "authenticate",
        "permit",
        "sample",
    ]
    assert Desk.seen[-1] == "disconnect"


async def test_failed_login_fails_the_check_and_closes():
    """
    What was opened before the failure is closed.
    """
    steps = {step.step: step.result async for step in Session(Desk, {"username": "nobody"}).check()}

    assert (steps["authenticate"], steps["sample"]) == ("failed", "skipped")
    assert Desk.seen[-1] == "disconnect"


async def test_partitions_are_listed():
    """
    By the method that the source names.
    """
    async with Session(Desk, {}) as session:
        assert await session.partitions("items") == ["a", "b"]
        assert await session.partitions("careless") == [""]


async def test_refusal_that_nobody_looked_at_fails_the_batch(server):
    """
    A refused record must not pass for a written one.
    """
    server.on("/items/1", 200, "PUT")
    server.on("/items/2", Answer(422, "no"), "PUT")
    async with Session(Desk, {"url": server.url}) as session:
        await session.write("careless", [{"id": 1}])
        with pytest.raises(ConfigurationFailure, match="/items/2 was answered with 422"):
            await session.write("careless", [{"id": 2}])


async def test_writes_side_by_side_keep_their_refusals_apart(server):
    """
    One batch's refusal fails that batch and no other; counts are each batch's own.
    """
    release = asyncio.Event()
    server.on("/items/1", Answer(422, "no"), "PUT")
    server.on("/items/2", Answer(200, until=release), "PUT")
    async with Session(Desk, {"url": server.url}) as session:
        good = asyncio.create_task(session.write("careless", [{"id": 2}]))
        bad = await asyncio.gather(session.write("careless", [{"id": 1}]), return_exceptions=True)
        release.set()

        assert isinstance(bad[0], ConfigurationFailure)
        assert (await good).api_calls == 1


async def test_action_takes_a_model_and_the_request_id():
    """
    Input is validated, with the fields in the failure.
    """
    async with Session(Desk, {}) as session:
        output = await session.invoke("rename", {"id": "1", "name": "x"}, "r1")
        with pytest.raises(ConfigurationFailure) as raised:
            await session.invoke("rename", {"id": "1"})

    assert output == {"renamed": "1", "request": "r1"}
    assert [violation.path for violation in raised.value.violations] == ["name"]


async def test_unknown_names_list_the_known_ones():
    """
    The remedy is in the message.
    """
    async with Session(Desk, {}) as session:
        with pytest.raises(NotFound, match="has rename"):
            await session.invoke("remane", {})
        with pytest.raises(NotFound, match="none"):
            await session.receive("x", "POST", "/", {}, b"")
        with pytest.raises(ConfigurationFailure, match="offers no mode"):
            await session.read("careless")
        with pytest.raises(ConfigurationFailure, match="offers upsert"):
            await session.write("careless", [], mode=WriteMode.DELETE)
        with pytest.raises(ConfigurationFailure, match="offers full"):
            await session.read("items", mode=ReadMode.DELTA)


def test_abilities_are_told():
    """
    What is overridden or marked shows in the description.
    """
    spec = spec_of(Desk)

    assert set(spec.capabilities) == {
        Capability.SOURCE,
        Capability.DESTINATION,
        Capability.ACTIONS,
        Capability.PARTITIONS,
        Capability.LIFECYCLE,
    }
    assert (spec.actions[0].action, spec.actions[0].is_idempotent) == ("rename", True)
    assert spec.actions[0].input_schema["required"] == ["id", "name"]
    assert len(spec.build_digest) == 64


@pytest.mark.parametrize(
    "credential",
    [
        Credential("basic", username="ann", password="pw-of-ann"),
        Credential("bearer", "pw-of-ann", username="ann"),
        Credential.from_material({"method": "basic", "username": "ann", "fields": {"password": "pw-of-ann"}}),
    ],
)
def test_secret_settings_are_filled_from_the_credential(credential):
    """
    By name, or the one open secret takes the one secret; nothing of it shows.
    """
    session = Session(Desk, {}, credential)
    settings = session.connector.settings

    assert isinstance(settings.password, SecretStr)
    assert (settings.username, settings.password.get_secret_value()) == ("ann", "pw-of-ann")
    shown = repr(settings) + repr(credential) + settings.model_dump_json() + str(session.context.credential)
    assert "pw-of-ann" not in shown


def test_unknown_credential_method_is_named():
    """
    A word that this build does not know is not taken for none.
    """
    with pytest.raises(ConfigurationFailure, match="'magic' is not known"):
        Credential.from_material({"method": "magic"})


async def test_streams_may_be_found_at_run_time():
    """
    A connector may list its streams itself.
    """

    class Dynamic(Desk):
        async def streams(self):
            async def reader(limit):
                yield Page([{"id": str(n)} for n in range(limit or 5)])

            return [Stream("found", primary_key=("id",), read_modes=(ReadMode.FULL,), reader=reader)]

    async with Session(Dynamic, {}) as session:
        pages = [page async for page in await session.read("found", limit=2)]

    assert pages[0].keys == ["0", "1"]
    assert Capability.DISCOVERY in spec_of(Dynamic).capabilities


async def test_record_that_is_none_is_rejected():
    """
    A text in place of a record goes to quarantine instead of failing the page.
    """

    class Odd(Desk):
        @source(key="id")
        async def odd(self):
            """Gives what is no record."""
            yield Page(["text", {"id": 1}])

    async with Session(Odd, {}) as session:
        pages = [page async for page in await session.read("odd")]

    assert (pages[0].keys, [reject.reason for reject in pages[0].rejected]) == (["1"], ["RECORD_INVALID"])


async def test_cancelled_reading_ends_at_once(server):
    """
    Leaving a reading stops the request in progress.
    """

    class Slow(Desk):
        @source()
        async def slow(self):
            """Waits for an answer that does not come."""
            yield Page((await self.api.get("/slow")).body)

    server.on("/slow", Answer(until=asyncio.Event()))
    async with Session(Slow, {"url": server.url}) as session:
        reading = await session.read("slow")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(reading)
        async with waiting_for("the reading to be closed"):
            await reading.aclose()


async def test_reject_of_a_stranger_is_refused():
    """
    Only records of the batch can be rejected.
    """
    batch = Batch([{"id": 1}])

    with pytest.raises(DataFailure, match="not part of this batch"):
        batch.reject({"id": 1}, "no")


async def test_generator_that_cancels_itself_does_not_hang():
    """
    Whoever reads is told, instead of waiting for ever.
    """

    class Quitter(Desk):
        @source()
        async def quits(self):
            """Gives up."""
            yield Page([{"id": 1}])
            raise asyncio.CancelledError

    async with Session(Quitter, {}) as session, waiting_for("the connector to quit"):
        with pytest.raises(TransientFailure, match="cancelled its own reading"):
            _ = [page async for page in await session.read("quits")]


def test_position_has_a_limit():
    """
    State that grows without end is told about before it is stored.
    """
    with pytest.raises(DataFailure, match="keep less state"):
        Position({"state": "x" * 70_000}).encode()
