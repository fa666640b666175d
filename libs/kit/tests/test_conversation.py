"""Streams that the peer ends while they are written to."""

import asyncio

import grpc
import grpc.aio
import pytest
from isthmus.kit.conversation import Conversation

MESSAGE = b"x" * 30_000


async def refused_at_once(requests, context):
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you", (("why", "test"),))


async def refused_later(requests, context):
    await anext(requests)
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you", (("why", "test"),))


async def well_ended(requests, context):
    await anext(requests)
    yield b"enough"


WAYS = {f"/{way.__name__}": way for way in (refused_at_once, refused_later, well_ended)}


class Handlers(grpc.GenericRpcHandler):
    """Ends streams before they have been written to their end."""

    def service(self, call_details):
        return grpc.stream_stream_rpc_method_handler(WAYS[call_details.method])


@pytest.fixture
async def channel():
    server = grpc.aio.server(handlers=[Handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def written(call):
    """Write until the stream ends, then read to the end."""
    call = Conversation(call(timeout=60))
    try:
        for _ in range(20):
            await call.write(MESSAGE)
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass
    return [message async for message in call]


async def fed(call):
    """Let an iterator do the writing."""

    async def messages():
        for _ in range(20):
            yield MESSAGE

    return [message async for message in Conversation(call(messages(), timeout=60))]


async def many(do, call):
    rounds = [await asyncio.gather(*(do(call) for _ in range(16)), return_exceptions=True) for _ in range(6)]
    return [outcome for one in rounds for outcome in one]


@pytest.mark.parametrize("do", [written, fed])
@pytest.mark.parametrize("way", ["refused_at_once", "refused_later"])
async def test_a_refusal_is_heard_in_the_middle_of_a_write(channel, do, way):
    """
    Whichever of the two comes first, the caller learns the peer's status, words and trailers.
    """
    outcomes = await many(do, channel.stream_stream(f"/{way}"))

    assert {(one.code(), one.details(), str(one.trailing_metadata()["why"])) for one in outcomes} == {
        (grpc.StatusCode.PERMISSION_DENIED, "not you", "test")
    }


@pytest.mark.parametrize("do", [written, fed])
async def test_what_came_before_the_end_is_read_in_the_middle_of_a_write(channel, do):
    """
    A peer that has said enough and ends the stream has not failed, and its words are not lost.
    """
    outcomes = await many(do, channel.stream_stream("/well_ended"))

    assert outcomes == [[b"enough"]] * len(outcomes)
