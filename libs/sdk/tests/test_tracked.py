"""Writing through a ledger: what a connector's author sees, and what is told of each record."""

from types import SimpleNamespace

import pytest
from isthmus.sdk import (
    Api,
    Batch,
    Connector,
    DataFailure,
    Guarantee,
    Item,
    OnDoubt,
    TransientFailure,
    destination,
)
from isthmus.sdk.runtime import (
    Known,
    Limits,
    Operation,
    Outcome,
    RetryLimits,
    Session,
    Standing,
    WriteMode,
    correlation_id,
)
from isthmus.testing.http_server import Answer, HttpServer
from pydantic import BaseModel, HttpUrl


class Settings(BaseModel):
    url: HttpUrl


class Ticket(BaseModel):
    id: int
    title: str = ""


class Desk(Connector[Settings]):
    """Makes tickets."""

    def open(self) -> None:
        self.api = Api(self.settings.url)

    @destination(key="id", lookup="find", lookup_lag=0)
    async def tickets(self, batch: Batch[Ticket]) -> None:
        """One by one."""
        for item in batch.items:
            if item.deletes:
                await self.api.delete(f"/tickets/{item.external_id}")
            elif item.external_id:
                await self.api.patch(f"/tickets/{item.external_id}", json=item.record)
            else:
                body = {**item.record.model_dump(), "ref": item.correlation_id}
                item.wrote((await self.api.post("/tickets", json=body)).body["id"])

    async def find(self, item: Item[Ticket]) -> str | None:
        """By reference."""
        return (await self.api.get("/find", params={"ref": item.correlation_id})).body["id"]

    @destination(key="id", guarantee=Guarantee.AT_LEAST_ONCE)
    async def plain(self, batch: Batch[dict]) -> None:
        """The bare records."""
        for record in batch:
            batch.wrote(record, external_id=(await self.api.post("/tickets", json=record)).body["id"])

    @destination(key="id", guarantee=Guarantee.AT_LEAST_ONCE, on_doubt=OnDoubt.REPEAT)
    async def again(self, batch: Batch[dict]) -> None:
        """All at once, without a word of each."""
        await self.api.post("/tickets", json=list(batch.records))


class Ledger:
    """Keeps what was said, and knows what a test wants it to know."""

    def __init__(self, **known):
        self.told = known
        self.announced = []
        self.settled = {}
        self.known = ()

    def correlation_id(self, key):
        return correlation_id("flow", key)

    async def announce(self, records):
        self.announced.append([record.key for record in records])
        self.known = [self.told.get(f"k{record.key}", Known(Standing.FRESH)) for record in records]
        return self

    def check(self):
        """May always write."""

    async def keep(self, work):
        return await work

    async def settle(self, settled):
        self.settled |= {one.key: (one.outcome, one.external_id) for one in settled}


@pytest.fixture
async def server():
    async with HttpServer() as running:
        running.on("/tickets", lambda request: Answer(201, {"id": f"T-{request.json['id']}"}), "POST")
        yield running


async def write(server, stream, records, ledger, **more):
    limits = Limits(retry=RetryLimits(attempts=1))
    async with Session(Desk, {"url": server.url}, limits=limits) as session:
        prepared = await session.prepare(stream, records, **more)
        return await session.apply(prepared, ledger=ledger)


def some(*numbers):
    return [{"id": number, "title": "t"} for number in numbers]


async def test_new_records_are_created_with_their_reference(server):
    """
    Each is announced before, carries its reference, and is settled under the system's id.
    """
    ledger = Ledger()
    result = await write(server, "tickets", some(1, 2), ledger)

    assert ledger.announced == [["1", "2"]]
    assert [request.json["ref"] for request in server.requests] == [
        correlation_id("flow", "1"),
        correlation_id("flow", "2"),
    ]
    assert ledger.settled == {"1": (Outcome.DONE, "T-1"), "2": (Outcome.DONE, "T-2")}
    assert (result.created, result.updated) == (2, 0)


async def test_known_records_go_to_their_id(server):
    """
    What is linked is changed or removed there, what is the same is left alone.
    """
    server.on("/tickets/T-1", {}, "PATCH")
    server.on("/tickets/T-2", 204, "DELETE")
    ledger = Ledger(
        k1=Known(Standing.LINKED, "T-1"), k2=Known(Standing.LINKED, "T-2"), k3=Known(Standing.UNCHANGED)
    )
    operations = [Operation.UPSERT, Operation.DELETE, Operation.UPSERT]
    result = await write(server, "tickets", some(1, 2, 3), ledger, operations=operations)

    assert ledger.settled == {"1": (Outcome.DONE, "T-1"), "2": (Outcome.DELETED, "T-2")}
    assert (result.updated, result.deleted, result.unchanged) == (1, 1, 1)


@pytest.mark.parametrize(("found", "method"), [("T-9", "PATCH"), (None, "POST")])
async def test_doubtful_record_is_looked_for(server, found, method):
    """
    What is found is changed, what is not is created.
    """
    server.on("/find", {"id": found})
    server.on("/tickets/T-9", {}, "PATCH")
    ledger = Ledger(k1=Known(Standing.IN_DOUBT))
    await write(server, "tickets", some(1), ledger)

    assert [request.method for request in server.requests] == ["GET", method]
    assert ledger.settled == {"1": (Outcome.DONE, found or "T-1")}


async def test_id_that_the_system_did_not_tell_is_looked_for(server):
    """
    A record that is known to be there is changed, not made again.
    """
    server.on("/find", {"id": "T-9"})
    server.on("/tickets/T-9", {}, "PATCH")
    ledger = Ledger(k1=Known(Standing.LINKED))
    result = await write(server, "tickets", some(1), ledger)

    assert (result.updated, ledger.settled) == (1, {"1": (Outcome.DONE, "T-9")})


async def test_doubtful_deletion_that_is_not_found_is_done(server):
    """
    What the system does not hold needs no removing.
    """
    server.on("/find", {"id": None})
    ledger = Ledger(k1=Known(Standing.IN_DOUBT))
    result = await write(server, "tickets", some(1), ledger, operations=[Operation.DELETE])

    assert (result.deleted, ledger.settled["1"][0]) == (1, Outcome.DELETED)


async def test_failure_tells_the_three_kinds_apart(server):
    """
    Before it: done. The one in hand: unknown. Behind it: untouched.
    """
    answers = iter([{"id": "T-1"}, Answer(500), {"id": "T-3"}])
    server.on("/tickets", lambda _: next(answers), "POST")
    ledger = Ledger()

    with pytest.raises(TransientFailure):
        await write(server, "plain", some(1, 2, 3), ledger)

    assert [outcome for outcome, _ in ledger.settled.values()] == [
        Outcome.DONE,
        Outcome.UNKNOWN,
        Outcome.UNTOUCHED,
    ]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
async def test_answer_without_effect_leaves_the_record_untouched(server, status):
    """
    A request that the system did not take may be sent again.
    """
    server.on("/tickets", status, "POST")
    ledger = Ledger()

    with pytest.raises(Exception, match=str(status)):
        await write(server, "plain", some(1), ledger)

    assert ledger.settled == {"1": (Outcome.UNTOUCHED, "")}


async def test_unreachable_system_leaves_the_record_untouched():
    """
    No byte of the request has left, so there is nothing to doubt.
    """
    ledger = Ledger()
    nowhere = SimpleNamespace(url="http://127.0.0.1:9")

    with pytest.raises(TransientFailure):
        await write(nowhere, "plain", some(1), ledger)

    assert ledger.settled == {"1": (Outcome.UNTOUCHED, "")}


async def test_unread_refusal_is_no_success(server):
    """
    A refusal that the connector did not look at leaves a doubt, not a link.
    """
    server.on("/tickets", Answer(422, {"id": "x"}), "POST")
    ledger = Ledger()

    with pytest.raises(Exception, match="422"):
        await write(server, "again", some(1), ledger)

    assert ledger.settled["1"][0] == Outcome.UNKNOWN


async def test_without_lookup_the_doubtful_record_alone_is_rejected(server):
    """
    The others of its batch are written.
    """
    ledger = Ledger(k2=Known(Standing.IN_DOUBT))
    result = await write(server, "plain", some(1, 2, 3), ledger)

    assert [(reject.index, reject.reason) for reject in result.rejected] == [(1, "OUTCOME_UNKNOWN")]
    assert {key: outcome for key, (outcome, _) in ledger.settled.items()} == {
        "1": Outcome.DONE,
        "2": Outcome.SET_ASIDE,
        "3": Outcome.DONE,
    }


async def test_same_key_is_announced_one_after_another(server):
    """
    The second form of a record knows of the first.
    """
    ledger = Ledger()
    result = await write(server, "plain", some(1, 2, 1), ledger)

    assert (ledger.announced, result.created) == ([["1", "2"], ["1"]], 3)


async def test_records_without_a_key_are_rejected_alone(server):
    """
    Nothing that cannot be told apart is announced.
    """
    ledger = Ledger()
    result = await write(server, "plain", [{"id": 1}, {"no": 2}, {"id": "a\0"}], ledger)

    assert [reject.reason for reject in result.rejected] == ["KEY_MISSING", "KEY_INVALID"]
    assert (ledger.announced, result.created) == ([["1"]], 1)


async def test_mode_create_leaves_what_is_there(server):
    """
    A flow that may only add refuses what the system holds in another form.
    """
    ledger = Ledger(k1=Known(Standing.LINKED, "T-1"))

    class Adding(Desk):
        @destination(key="id", guarantee=Guarantee.AT_LEAST_ONCE, modes=(WriteMode.CREATE,))
        async def plain(self, batch: Batch[dict]) -> None:
            """Adds."""
            await Desk.plain(self, batch)

    async with Session(Adding, {"url": server.url}) as session:
        prepared = await session.prepare("plain", some(1, 2), mode=WriteMode.CREATE)
        result = await session.apply(prepared, ledger=ledger)

    assert [reject.reason for reject in result.rejected] == ["RECORD_EXISTS"]
    assert [request.json["id"] for request in server.requests] == [2]


def test_only_records_of_the_batch_have_an_outcome():
    """
    Speaking of another record is a defect of the connector.
    """
    with pytest.raises(DataFailure):
        Batch(records=[{"id": 1}]).wrote({"id": 1})


def test_references_are_short_and_differ():
    """
    30 characters of letters, digits and one dash, from all parts and their borders.
    """
    made = {correlation_id(*parts) for parts in [("a", "bc"), ("ab", "c"), ("abc",), ("abc", "")]}

    assert len(made) == 4
    assert all(len(one) == 30 and one.replace("-", "").isalnum() for one in made)
