"""Writing to a system without transactions: however it goes wrong, each record has one ticket."""

import asyncio
import itertools
import json
import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc.aio
import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connectors.http_json import HttpJson
from isthmus.host.backend import Bound
from isthmus.host.control import ControlPlane
from isthmus.host.links import HeldClaim, LinksLedger
from isthmus.host.local import LocalBackend
from isthmus.records.v1 import links_pb2 as links
from isthmus.resilience import Fault, Precondition
from isthmus.testing.tickets import Break, running_desk
from isthmus.type.v1 import batch_pb2 as batch

TENANT = "tnt_links"
PLACE = {"path": "/tickets", "records_path": "tickets", "id_field": "number", "lag_seconds": 0}
LOOKUP = {**PLACE, "params": {"correlation": "{correlation_id}"}}
WRITE = {
    "path": "/tickets",
    "id_field": "number",
    "correlation_field": "correlation",
    "lookup": LOOKUP,
    "update": {"method": "PATCH", "path": "/tickets/{external_id}"},
    "delete_path": "/tickets/{external_id}",
}
LIMITS = {"retry": {"attempts": 1}, "breaker": {"failures": 1000}}
REJECTED = batch.RecordOutcome.RESULT_REJECTED
_FLOWS = itertools.count(1)


class KilledError(Exception):
    """Stands for the end of the process."""


@dataclass
class World:
    """A real records service, a ticket system, and hosts that come and go."""

    control: ControlPlane
    desk: Any
    flow: str = field(default_factory=lambda: f"flw_{next(_FLOWS)}")
    write: dict[str, Any] = field(default_factory=lambda: WRITE)
    token: int = 0

    def host(self, *, hold: float = 15.0, ledger: Any = LinksLedger) -> LocalBackend:
        make = partial(ledger, self.control, hold_seconds=hold, patience=30.0)
        return LocalBackend(HttpJson, ledger=make)

    async def send(
        self, host: LocalBackend, *batches: list[dict[str, Any]], token: int = 0, **more: Any
    ) -> Any:
        """Send batches as one attempt; a record with `gone` is a deletion."""
        self.token = max(self.token, token) if token else self.token + 1
        operations = more.pop("operations", 0)
        opening = connector.WriteOpen(
            stream="tickets", flow_id=self.flow, fencing_token=token or self.token, primary_key=["id"], **more
        )
        stream = {"name": "tickets", "key": ["id"], "write": self.write}
        bound = Bound(
            TENANT, "ins_1", configuration={"base_url": self.desk.url, "streams": [stream]}, limits=LIMITS
        )

        async def coming() -> Any:
            for number, records in enumerate(batches, start=1):
                encoded = [json.dumps(record).encode() for record in records]
                keys = [str(record["id"]) for record in records]
                kinds = [operations] * len(records) if operations else []
                yield batch.Batch(sequence=number, records=encoded, keys=keys, operations=kinds)

        acks = []
        async with host.connect(bound) as connection:
            async for answer in connection.write(opening, coming()):
                if answer.HasField("ack"):
                    acks.append(answer.ack)
        return acks

    async def links(self) -> dict[str, Any]:
        answer = await self.control.links.ListLinks(links.ListLinksRequest(flow_id=self.flow, page_size=1000))
        return {link.key: link for link in answer.links}


class Mesh:
    """Channels to the one service that there is."""

    def __init__(self, service: Any) -> None:
        self._channel = service.channel(tenant=TENANT)

    def peer(self, name: str) -> grpc.aio.Channel:
        return self._channel


@pytest.fixture(scope="module")
async def control(running: Any) -> Any:
    async with running("records") as service:
        yield ControlPlane(Mesh(service))


@pytest.fixture
def world(control: Any) -> Any:
    with running_desk() as desk:
        yield World(control, desk)


def tickets(*numbers: int, title: str = "disk full") -> list[dict[str, Any]]:
    return [{"id": number, "title": title} for number in numbers]


def ids(desk: Any) -> list[int]:
    return sorted(body["id"] for body in desk.created)


@pytest.mark.parametrize("seed", range(3))
async def test_every_record_has_one_ticket_whatever_breaks(world, seed):
    """
    Connections are cut before and after the effect, proxies fail, hosts die before they can tell what
    they did: in the end there is one ticket for each record, with its last content.
    """
    chance = random.Random(seed)
    world.desk.plan = lambda _: chance.choice(list(Break)) if chance.random() < 0.3 else None

    class MortalClaim(HeldClaim):
        async def settle(self, settled: Any) -> None:
            if chance.random() < 0.1:
                raise KilledError
            await super().settle(settled)

    class MortalLedger(LinksLedger):
        async def announce(self, records: Any) -> Any:
            claim = await super().announce(records)
            claim.__class__ = MortalClaim
            return claim

    for title in ("first", "second"):
        left = [tickets(*range(start, start + 8), title=title) for start in range(0, 24, 8)]
        while left:
            try:
                await world.send(world.host(hold=1.0, ledger=MortalLedger), left[0])
            except (Fault, KilledError):
                continue
            left.pop(0)

    assert ids(world.desk) == list(range(24))
    assert {ticket["title"] for ticket in world.desk.tickets.values()} == {"second"}
    linked = {key: link.external_id for key, link in (await world.links()).items()}
    assert linked == {str(ticket["id"]): number for number, ticket in world.desk.tickets.items()}


async def test_what_is_the_same_costs_no_request(world):
    """
    A complete re-read writes nothing; one changed record is one change under its id.
    """
    host = world.host()
    await world.send(host, tickets(1, 2, 3))
    [same] = await world.send(host, tickets(1, 2, 3))
    before = world.desk.changes
    [changed] = await world.send(host, [*tickets(1, 3), *tickets(2, title="mended")])

    assert (same.unchanged, same.api_calls, before) == (3, 0, 3)
    assert (changed.unchanged, changed.updated, world.desk.changes) == (2, 1, 4)
    assert world.desk.tickets["T-2"]["title"] == "mended"


async def test_deletion_goes_to_the_id(world):
    """
    A deletion removes the one ticket, is not repeated, and a record that comes back gets a new one.
    """
    host = world.host()
    await world.send(host, tickets(1, 2))
    [gone] = await world.send(host, tickets(1), operations=batch.OPERATION_DELETE)
    [again] = await world.send(host, tickets(1), operations=batch.OPERATION_DELETE)
    await world.send(host, tickets(1))

    assert (gone.deleted, again.unchanged) == (1, 1)
    assert sorted(world.desk.tickets) == ["T-2", "T-3"]


async def test_key_that_comes_twice_is_written_twice_in_order(world):
    """
    Within one batch the second form of a record changes the ticket that the first one made.
    """
    [ack] = await world.send(world.host(), [*tickets(1, title="old"), *tickets(1, title="new")])

    assert (ack.created, ack.updated, ids(world.desk)) == (1, 1, [1])
    assert world.desk.tickets["T-1"]["title"] == "new"


async def test_only_records_in_doubt_are_looked_for(world):
    """
    What was answered is known, what was not begun is fresh: one failure costs one look.
    """
    world.desk.plan = lambda number: Break.AFTER if number == 3 else None
    host = world.host()

    with pytest.raises(Fault):
        await world.send(host, tickets(1, 2, 3, 4, 5))
    [ack] = await world.send(host, tickets(1, 2, 3, 4, 5))

    assert (ack.unchanged, ack.updated, ack.created) == (2, 1, 2)
    assert (ids(world.desk), world.desk.lookups) == ([1, 2, 3, 4, 5], 1)


@pytest.mark.parametrize("kind", [Break.BUSY, Break.LIMIT])
async def test_refused_request_leaves_no_doubt(world, kind):
    """
    A system that says it took nothing is believed, so nobody has to look.
    """
    world.desk.plan = lambda number: kind if number == 1 else None
    host = world.host()

    with pytest.raises(Fault):
        await world.send(host, tickets(1))
    await world.send(host, tickets(1))

    assert (ids(world.desk), world.desk.lookups) == ([1], 0)


async def test_without_lookup_a_doubtful_record_waits_for_a_person(world):
    """
    It goes to quarantine once, however often it is sent; requeued, it is created.
    """
    world.write = {"path": "/tickets", "id_field": "number"}
    world.desk.plan = lambda number: Break.BEFORE if number == 2 else None
    host = world.host()

    with pytest.raises(Fault):
        await world.send(host, tickets(1, 2, 3))
    [first] = await world.send(host, tickets(1, 2, 3))
    [second] = await world.send(host, tickets(1, 2, 3))
    [requeued] = await world.send(host, tickets(2), is_requeue=True)

    told = [(one.index, one.result, one.reason) for ack in (first, second) for one in ack.outcomes]
    assert told == [(1, REJECTED, "OUTCOME_UNKNOWN")] * 2
    assert (requeued.created, ids(world.desk)) == (1, [1, 2, 3])


async def test_who_wants_repetition_gets_it(world):
    """
    With `on_doubt: repeat` no record waits, and a ticket may be there twice.
    """
    world.write = {"path": "/tickets", "id_field": "number", "on_doubt": "repeat"}
    world.desk.plan = lambda number: Break.AFTER if number == 1 else None
    host = world.host()

    with pytest.raises(Fault):
        await world.send(host, tickets(1))
    [ack] = await world.send(host, tickets(1))

    assert (ack.created, ids(world.desk)) == (1, [1, 1])


async def test_idempotency_key_is_the_same_for_every_attempt(world):
    """
    Where the system knows a key again, nobody has to look, even when the content has changed meanwhile.
    """
    update = {"path": "/tickets/{external_id}"}
    header = {"idempotency_header": "Idempotency-Key"}
    world.write = {"path": "/tickets", "id_field": "number", "update": update, **header}
    world.desk.plan = lambda number: Break.AFTER if number == 1 else None
    host = world.host()

    with pytest.raises(Fault):
        await world.send(host, tickets(1, title="old"))
    await world.send(host, tickets(1, title="new"))

    assert (ids(world.desk), world.desk.lookups) == ([1], 0)
    assert world.desk.tickets["T-1"]["title"] == "new"


async def test_record_is_found_by_a_field_of_its_own(world):
    """
    A system without a field to spare is asked for what the record has anyway.
    """
    world.write = {"path": "/tickets", "lookup": {**PLACE, "params": {"id": "{id}"}}}
    world.desk.plan = lambda number: Break.AFTER if number == 1 else None
    host = world.host()

    with pytest.raises(Fault):
        await world.send(host, tickets(1, 2))
    [ack] = await world.send(host, tickets(1, 2))

    assert (ack.updated, ack.created, ids(world.desk)) == (1, 1, [1, 2])


async def test_record_that_cannot_be_looked_for_waits_alone(world):
    """
    A missing field keeps one record back, not its batch.
    """
    world.write = {"path": "/tickets", "lookup": {**PLACE, "params": {"id": "{asset.tag}"}}}
    world.desk.plan = lambda number: Break.BEFORE if number == 1 else None
    host = world.host()

    with pytest.raises(Fault):
        await world.send(host, tickets(1, 2))
    [ack] = await world.send(host, tickets(1, 2))

    assert [(one.index, one.reason) for one in ack.outcomes] == [(0, "OUTCOME_UNKNOWN")]
    assert ids(world.desk) == [2]


async def test_all_that_is_new_is_looked_for_on_request(world):
    """
    Where links were lost, or the system held records before, they are found and not made again.
    """
    await world.send(world.host(), tickets(1, 2))
    await world.control.links.DeleteLinks(links.DeleteLinksRequest(flow_id=world.flow, all=True))
    world.write = {**WRITE, "lookup": {**LOOKUP, "always": True}}

    [ack] = await world.send(world.host(), tickets(1, 2, 3))

    assert (ack.updated, ack.created, ids(world.desk)) == (2, 1, [1, 2, 3])


async def test_several_finds_are_left_to_a_person(world):
    """
    When the system holds two tickets for one record, neither is chosen.
    """
    world.desk.plan = lambda number: Break.AFTER if number == 1 else None
    host = world.host()
    with pytest.raises(Fault):
        await world.send(host, tickets(1))
    world.desk.create(dict(world.desk.tickets["T-1"]))

    [ack] = await world.send(host, tickets(1))

    assert [one.reason for one in ack.outcomes] == ["OUTCOME_UNKNOWN"]


async def test_lookup_that_is_ignored_finds_nothing(world):
    """
    A system that gives all it has, whatever is asked, does not lend a stranger's ticket.
    """
    world.write = {**WRITE, "lookup": PLACE}
    host = world.host()
    await world.send(host, tickets(1))
    world.desk.plan = lambda number: Break.BEFORE if number == 2 else None
    with pytest.raises(Fault):
        await world.send(host, tickets(2))

    await world.send(host, tickets(2))

    assert ids(world.desk) == [1, 2]


async def test_overtaken_attempt_announces_nothing(world):
    """
    An older fencing token is refused by the records service, on whatever host it turns up.
    """
    await world.send(world.host(), tickets(1), token=5)

    with pytest.raises(Precondition) as caught:
        await world.send(world.host(), tickets(2), token=4)

    assert caught.value.reason == "FENCED"
    assert ids(world.desk) == [1]


async def test_second_host_waits_for_the_first(world):
    """
    While one host is at a record, another one neither writes it nor takes it for lost.
    """
    arrived, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(_body: Any) -> None:
        loop.call_soon_threadsafe(arrived.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)

    world.desk.arrived = hold
    first = asyncio.create_task(world.send(world.host(), tickets(1)))
    await arrived.wait()
    second = asyncio.create_task(world.send(world.host(), tickets(1)))
    done, _ = await asyncio.wait({second}, timeout=0.5)
    go_on.set()

    assert not done
    assert (await first)[0].created == 1
    assert (await second)[0].unchanged == 1
    assert ids(world.desk) == [1]


async def test_long_writing_keeps_its_hold(world):
    """
    A system that is slower than the hold is long costs nobody his records.
    """
    renewed = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Watched(HeldClaim):
        async def _renew(self) -> None:
            until = self._until
            watching = asyncio.create_task(super()._renew())
            while self._until == until and not watching.done():
                await asyncio.sleep(0.01)
            renewed.set()
            await watching

    class Ledger(LinksLedger):
        async def announce(self, records: Any) -> Any:
            claim = await super().announce(records)
            claim.__class__ = Watched
            return claim

    world.desk.arrived = lambda _: asyncio.run_coroutine_threadsafe(renewed.wait(), loop).result(60)
    [ack] = await world.send(world.host(hold=9.0, ledger=Ledger), tickets(1))

    assert ack.created == 1


async def test_lost_hold_stops_the_writer(world):
    """
    A host that cannot be heard any more stops writing before anybody else begins.
    """

    class Deaf(HeldClaim):
        async def _renew(self) -> None:
            self._until = 0.0

    class Ledger(LinksLedger):
        async def announce(self, records: Any) -> Any:
            claim = await super().announce(records)
            claim.__class__ = Deaf
            return claim

    with pytest.raises(Fault) as caught:
        await world.send(world.host(ledger=Ledger), tickets(1, 2, 3))
    await world.send(world.host(), tickets(1, 2, 3))

    assert caught.value.reason == "INTENTS_LAPSED"
    assert ids(world.desk) == [1, 2, 3]


async def test_array_is_announced_too(world):
    """
    Records that go together in one request are in doubt together.
    """
    world.write = {"path": "/tickets", "batch": True, "wrap": "all"}
    world.desk.plan = lambda number: Break.BEFORE if number == 2 else None
    host = world.host()

    [first] = await world.send(host, tickets(1, 2))
    with pytest.raises(Fault):
        await world.send(host, tickets(3, 4))
    [again] = await world.send(host, tickets(1, 2, 3, 4))

    assert (first.created, again.unchanged) == (2, 2)
    assert [one.reason for one in again.outcomes] == ["OUTCOME_UNKNOWN"] * 2
