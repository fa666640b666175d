"""A connector served by itself, without a mesh."""

import grpc
import pytest
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1.connector_pb2_grpc import ConnectorServiceStub
from isthmus.host.alone import serving
from isthmus.kit import fault_from_rpc_error
from isthmus.sdk import Connector, Page, source
from pydantic import BaseModel


class Settings(BaseModel):
    count: int = 3


class Numbers(Connector[Settings]):
    """Numbers."""

    async def check(self):
        """Needs nothing."""

    @source(key="n")
    async def numbers(self):
        """Numbers from 0 on."""
        if self.settings.count < 0:
            raise RuntimeError("defect")
        yield Page([{"n": n} for n in range(self.settings.count)])


@pytest.fixture
async def stub(tmp_path):
    async with (
        serving(Numbers, f"unix:{tmp_path}/numbers.sock") as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield ConnectorServiceStub(channel)


async def read(stub, configuration="", stream="numbers"):
    request = pb.ReadRequest(binding=pb.Binding(configuration=configuration), stream=stream)
    return [len(answer.batch.records) async for answer in stub.Read(request) if answer.HasField("batch")]


async def test_bindings_bring_everything(stub):
    """
    The configuration counts that comes with the call; nobody has to have saved it.
    """
    assert sum(await read(stub, '{"count": 2}')) == 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"configuration": "[]"}, "CONFIGURATION_INVALID"),
        ({"stream": "letters"}, "STREAM_UNKNOWN"),
        ({"configuration": '{"count": -1}'}, "UNEXPECTED"),
    ],
    ids=["no-object", "no-stream", "defect"],
)
async def test_failures_have_a_reason(stub, given, reason):
    """
    Mistakes of the caller are told as such, and defects of the connector by their place.
    """
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await read(stub, **given)

    assert fault_from_rpc_error(failure.value).reason == reason
