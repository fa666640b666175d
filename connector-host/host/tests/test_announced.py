"""A connector of somebody else whose system may do things twice: one ticket for each record all the same."""

import uuid
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import msgspec
import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1 import connector_pb2_grpc as connector_grpc
from isthmus.host.backend import Bound
from isthmus.host.control import ControlPlane
from isthmus.host.links import LinksLedger
from isthmus.host.upstream import UpstreamBackend
from isthmus.records.v1 import links_pb2 as links
from isthmus.resilience import Fault, FixRequest
from isthmus.type.v1 import batch_pb2 as batch

TENANT = "tnt_test"
REJECTED = batch.RecordOutcome.RESULT_REJECTED


class Desk(connector_grpc.ConnectorServiceServicer):
    """Creates a ticket for each record that comes without an id, and can die when it has done so."""

    def __init__(self) -> None:
        self.tickets: list[dict[str, Any]] = []
        self.changed: list[str] = []
        self.dies_at = 0
        self.guarantee: int = connector.GUARANTEE_AT_LEAST_ONCE
        self.looks_first = False
        self.by_mark: dict[str, str] = {}

    async def Describe(self, request: Any, context: Any) -> connector.DescribeResponse:
        return connector.DescribeResponse(
            spec=connector.ConnectorSpec(connector_id="desk", contract_version=1)
        )

    async def Write(self, requests: Any, context: Any) -> AsyncIterator[connector.WriteResponse]:
        async for request in requests:
            if request.HasField("open"):
                ready = connector.WriteReady(
                    credit=4,
                    guarantee=connector.Guarantee.ValueType(self.guarantee),
                    looks_first=self.looks_first,
                )
                yield connector.WriteResponse(ready=ready)
                continue
            yield connector.WriteResponse(ack=await self._taken(request.batch, context))

    async def _taken(self, one: batch.Batch, context: Any) -> connector.BatchAck:
        ack = connector.BatchAck(partition=one.partition, sequence=one.sequence)
        marks, known = list(one.correlation_ids), list(one.external_ids)
        for place, record in enumerate(one.records):
            mark, external_id = (marks[place], known[place]) if marks else ("", "")
            found = external_id or (self.by_mark.get(mark, "") if self.looks_first else "")
            if found:
                self.changed.append(found)
                ack.updated += 1
            else:
                self.tickets.append(msgspec.json.decode(record))
                found = self.by_mark[mark] = f"T-{len(self.tickets)}"
                ack.created += 1
            ack.outcomes.add(index=place, result=1, external_id=found)
            if len(self.tickets) == self.dies_at:
                self.dies_at = 0
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the connector died")
        return ack


class Mesh:
    """Channels to the one service that there is."""

    def __init__(self, service: Any) -> None:
        self._channel = service.channel(tenant=TENANT)

    def peer(self, name: str) -> grpc.aio.Channel:
        return self._channel


@pytest.fixture(scope="module")
async def control(running: Any) -> Any:
    async with running("records") as service:
        yield ControlPlane(Mesh(service))  # type: ignore[arg-type]


class World:
    """A host in front of the desk, one flow, and what it has been told."""

    def __init__(self, control: Any, desk: Desk, channel: grpc.aio.Channel) -> None:
        self.control, self.desk, self._channel = control, desk, channel
        self.flow = f"flw_{uuid.uuid4().hex}"
        self._token = 0

    async def send(self, *records: dict[str, Any], key: tuple[str, ...] = ("id",)) -> connector.BatchAck:
        """Write one batch as an attempt of its own."""
        ledger = partial(LinksLedger, self.control, hold_seconds=5.0, patience=20.0)
        backend = await UpstreamBackend.open(self._channel, "desk", ledger)
        self._token += 1
        opening = connector.WriteOpen(
            stream="tickets", flow_id=self.flow, fencing_token=self._token, primary_key=key
        )
        opening.binding.instance_id = "ins_desk"

        async def coming() -> AsyncIterator[batch.Batch]:
            yield batch.Batch(sequence=1, encoding=1, records=[msgspec.json.encode(one) for one in records])

        acks = []
        async with backend.connect(Bound(TENANT, "ins_desk")) as connection:
            async for answer in connection.write(opening, coming()):
                acks += [answer.ack] if answer.HasField("ack") else []
        return acks[0]

    async def in_doubt(self) -> list[str]:
        """List the records of which nobody knows whether they arrived."""
        request = links.ListLinksRequest(flow_id=self.flow, only_in_doubt=True)
        return [one.key for one in (await self.control.links.ListLinks(request)).links]


@pytest.fixture
async def world(control: Any, serve: Any, open_channel: Any) -> AsyncIterator[World]:
    desk = Desk()
    async with serve((connector_grpc.add_ConnectorServiceServicer_to_server, desk)) as address:
        yield World(control, desk, open_channel(address))


@pytest.fixture
async def open_channel() -> AsyncIterator[Any]:
    channels: list[grpc.aio.Channel] = []

    def opened(address: str) -> grpc.aio.Channel:
        channels.append(grpc.aio.insecure_channel(address))
        return channels[-1]

    yield opened
    for channel in channels:
        await channel.close()


def tickets(*ids: int, title: str = "a") -> list[dict[str, Any]]:
    return [{"id": str(one), "title": title} for one in ids]


async def test_a_crash_between_request_and_answer_makes_no_second_ticket(world):
    """
    What may have been created waits for a person; what was acknowledged is not sent again.
    """
    await world.send(*tickets(1, 2))
    world.desk.dies_at = 4
    with pytest.raises(Fault):
        await world.send(*tickets(3, 4))
    ack = await world.send(*tickets(1, 2, 3, 4, 5))

    assert [one["id"] for one in world.desk.tickets] == ["1", "2", "3", "4", "5"]
    assert (ack.unchanged, ack.created) == (2, 1)
    assert [(one.index, one.reason) for one in ack.outcomes] == [
        (2, "OUTCOME_UNKNOWN"),
        (3, "OUTCOME_UNKNOWN"),
    ]
    assert await world.in_doubt() == ["3", "4"]


async def test_a_connector_that_looks_first_is_sent_what_is_in_doubt(world):
    """
    It finds the ticket by the name that the record has in every attempt.
    """
    world.desk.looks_first, world.desk.dies_at = True, 2
    with pytest.raises(Fault):
        await world.send(*tickets(1, 2))
    ack = await world.send(*tickets(1, 2, title="b"))

    assert [one["id"] for one in world.desk.tickets] == ["1", "2"]
    assert (ack.updated, world.desk.changed) == (2, ["T-1", "T-2"])
    assert await world.in_doubt() == []


async def test_a_change_goes_to_the_ticket_that_there_is(world):
    """
    The connector is told under which id it has the record; a key that comes twice is written in order.
    """
    first = await world.send(*tickets(1), *tickets(1, title="b"))
    again = await world.send(*tickets(1, title="b"))
    ack = await world.send(*tickets(1, title="c"))

    assert (first.created, first.updated, again.unchanged, ack.updated) == (1, 1, 1, 1)
    assert world.desk.changed == ["T-1", "T-1"]


async def test_records_that_cannot_be_told_apart_are_refused(world):
    """
    Before anything is sent, with what to do; a single record without its key waits alone.
    """
    with pytest.raises(FixRequest, match="give the flow a `key`"):
        await world.send(*tickets(1), key=())
    ack = await world.send({"title": "no id"}, *tickets(2))

    assert [one["id"] for one in world.desk.tickets] == ["2"]
    assert [(one.index, one.result, one.reason) for one in ack.outcomes] == [(0, REJECTED, "KEY_MISSING")]


async def test_a_system_that_knows_a_batch_again_is_not_asked_about_each_record(world):
    """
    Nothing is announced, and everything goes through as it comes.
    """
    world.desk.guarantee = connector.GUARANTEE_TRANSACTIONAL
    await world.send(*tickets(1))
    await world.send(*tickets(1), key=())

    assert len(world.desk.tickets) == 2
    assert await world.in_doubt() == []
