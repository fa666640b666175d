"""Peers that never answer: every call of the contract ends by itself."""

import asyncio
import re
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc.aio
import pytest
from isthmus.kit import fault_from_rpc_error
from isthmus.kit.channel import Caller, Patience
from isthmus.resilience.faults import OutOfTime, RetryLater
from isthmus.testing.contract import all_rpcs
from isthmus.testing.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]
AT_ONCE = 50


class Swallowing(grpc.GenericRpcHandler):
    """Takes every call of every kind, and says nothing."""

    def service(self, _details):
        async def swallow(_requests, _context):
            await asyncio.Event().wait()

        return grpc.stream_stream_rpc_method_handler(swallow)


@asynccontextmanager
async def deaf():
    """Gives the address of who takes connections and reads nothing."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    with closing(server):
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def swallowing():
    """Gives the address of who speaks gRPC and never answers a call."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Swallowing(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def waited(channel, rpc):
    """Calls an RPC without saying how long that may take, and gives what came of it."""
    sends, gets = rpc.method.client_streaming, rpc.method.server_streaming
    kind = f"{'stream' if sends else 'unary'}_{'stream' if gets else 'unary'}"

    async def nothing_more():
        yield b""

    call = getattr(channel, kind)(rpc.path)(nothing_more() if sends else b"")
    try:
        return [one async for one in call] if gets else await call
    except grpc.RpcError as error:
        return fault_from_rpc_error(error)


@pytest.mark.parametrize("peer", [deaf, swallowing])
async def test_no_call_waits_longer_than_it_may_for_a_peer_that_never_answers(peer):
    """
    Of all RPCs and all kinds of them, whatever the caller says or forgets to say.
    """
    caller, gate = Caller(patience=Patience(unary=0.2, stream=0.2)), asyncio.Semaphore(AT_ONCE)
    async with peer() as address:
        channel = caller.channel(address, "service:silent")

        async def one(rpc):
            async with gate:
                return rpc.path, await waited(channel, rpc)

        ended = await asyncio.wait_for(asyncio.gather(*map(one, all_rpcs())), PATIENCE_SECONDS)
        await caller.close()

    assert {path: str(what) for path, what in ended if not isinstance(what, OutOfTime | RetryLater)} == {}


def test_nobody_opens_a_channel_besides_those_that_have_deadlines():
    """
    The launcher asks for health with a time of its own, and the client speaks for people.
    """
    sources = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("connector-host/*/src/**/*.py")]
    sources += ROOT.glob("libs/kit/src/**/*.py")
    opens = re.compile(r"\.(in)?secure_channel\(")
    found = {one.name for one in sources if opens.search(one.read_text())}

    assert found == {"channel.py"}
