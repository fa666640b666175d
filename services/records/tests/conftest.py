"""The hub under test, and a writer that speaks to it as a host does."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import psycopg
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from isthmus.connector.v1 import connector_pb2 as connector_pb
from isthmus.connector.v1 import connector_pb2_grpc as connector_grpc
from isthmus.records.v1 import records_pb2 as pb
from isthmus.records.v1 import records_pb2_grpc as pb_grpc
from isthmus.type.v1 import batch_pb2

_COUNTER = itertools.count(1)


def reason(error: grpc.aio.AioRpcError) -> str:
    """Read the stable reason out of a refusal."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert any(detail.Unpack(info) for detail in status.details)
    return info.reason


def lines(*records: Any) -> list[bytes]:
    """Write records as a host does; bytes go as they are."""
    return [one if isinstance(one, bytes) else json.dumps(one).encode() for one in records]


@dataclass
class Write:
    """One open Write call."""

    call: Any
    ready: connector_pb.WriteReady
    sequences: dict[str, int] = field(default_factory=dict)

    async def send(
        self,
        records: Sequence[Any],
        keys: Sequence[str] = (),
        operations: Sequence[int] = (),
        *,
        partition: str = "",
        sequence: int = 0,
        encoding: int = 0,
    ) -> None:
        """Send one batch and do not wait."""
        sequence = sequence or self.sequences.get(partition, 0) + 1
        self.sequences[partition] = sequence
        batch = batch_pb2.Batch(
            partition=partition,
            sequence=sequence,
            records=lines(*records),
            keys=keys,
            operations=operations,
            encoding=encoding,
        )
        await self.call.write(connector_pb.WriteRequest(batch=batch))

    async def ack(self) -> connector_pb.BatchAck:
        """Wait for the next acknowledgement."""
        answer = await self.call.read()
        if answer is grpc.aio.EOF:
            code = await self.call.code()
            raise AssertionError(f"the call ended with {code}: {await self.call.details()}")
        return answer.ack

    async def put(self, *args: Any, **options: Any) -> connector_pb.BatchAck:
        """Send one batch and wait until it is durable."""
        await self.send(*args, **options)
        return await self.ack()

    async def close(self) -> None:
        """End the call in good order."""
        await self.call.done_writing()
        assert await self.call.read() is grpc.aio.EOF


class Hub:
    """One tenant's view of the hub, and a look into its tables."""

    def __init__(self, service: Any, tenant: str) -> None:
        self.service = service
        self.tenant = tenant
        channel = service.channel(tenant=tenant)
        self.records = pb_grpc.RecordsServiceStub(channel)
        self.connector = connector_grpc.ConnectorServiceStub(channel)

    async def open(self, stream: str, *, flow: str = "", token: int = 1, **options: Any) -> Write:
        """Open a write and wait until the hub is ready."""
        binding = connector_pb.Binding(instance_id="hub")
        options = {"execution_id": f"exe_{token}", "origin": "files/ins_1/rows", **options}
        opened = connector_pb.WriteOpen(
            binding=binding, stream=stream, flow_id=flow or f"flw_{stream}", fencing_token=token, **options
        )
        call = self.connector.Write()
        await call.write(connector_pb.WriteRequest(open=opened))
        answer = await call.read()
        if answer is grpc.aio.EOF:
            await call.code()
            raise AssertionError(await call.details())
        return Write(call, answer.ready)

    async def put(self, stream: str, records: Sequence[Any], keys: Sequence[str] = (), **options: Any) -> Any:
        """Write one batch as an attempt of its own and return its acknowledgement."""
        operations = options.pop("operations", ())
        write = await self.open(stream, token=next(_COUNTER), **options)
        ack = await write.put(records, keys, operations)
        await write.close()
        return ack

    async def query(self, stream: str, text: str = "", **options: Any) -> list[pb.HubRecord]:
        """Query one page."""
        request = pb.QueryRecordsRequest(stream=stream, filter=text, page_size=1000, **options)
        return list((await self.records.QueryRecords(request)).records)

    async def content(self, stream: str, text: str = "") -> dict[str, Any]:
        """Query one page and parse the records."""
        return {record.key: json.loads(record.data) for record in await self.query(stream, text)}

    async def read(self, stream: str, mode: int, **options: Any) -> tuple[list[Any], connector_pb.ReadEnd]:
        """Read a stream as a source: (key, operation) of each record, and the end."""
        request = connector_pb.ReadRequest(stream=stream, mode=mode, **options)
        found: list[Any] = []
        end = connector_pb.ReadEnd()
        async for answer in self.connector.Read(request):
            end = answer.end if answer.HasField("end") else end
            batch = answer.batch
            found += zip(batch.keys, batch.operations or [1] * len(batch.keys), strict=True)
        return found, end

    def sql(self, statement: str) -> list[Any]:
        """Look into the tables past all isolation."""
        with psycopg.connect(self.service._mesh.database_url()) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
async def records_service(running: Any) -> AsyncIterator[Any]:
    async with running("records") as service:
        yield service


@pytest.fixture
def hub(records_service: Any) -> Hub:
    """A tenant that nobody used before."""
    return Hub(records_service, f"tnt_test{next(_COUNTER)}")


@pytest.fixture
def hub_of() -> Any:
    """Give the view of a tenant that nobody used before on a service of the test's own."""
    return lambda service: Hub(service, f"tnt_test{next(_COUNTER)}")


@pytest.fixture
def other(records_service: Any) -> Hub:
    """Another tenant that nobody used before."""
    return Hub(records_service, f"tnt_test{next(_COUNTER)}")


@pytest.fixture
def refused() -> Any:
    """Await something that must be refused and return (status code, reason)."""

    async def refused(awaitable: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await awaitable
        return caught.value.code(), reason(caught.value)

    return refused


@pytest.fixture
def ended() -> Any:
    """Wait until a call ends and return (status code, reason)."""

    async def end(call: Any) -> None:
        while await asyncio.wait_for(call.read(), 30) is not grpc.aio.EOF:
            pass

    async def ended(call: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await end(call)
        return caught.value.code(), reason(caught.value)

    return ended
