import asyncio

import grpc
import pytest
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.kit import (
    ServiceSettings,
    Wiring,
)
from isthmus.resilience import faults


async def test_one_connection_cannot_take_all(connector, stub, bearer):
    """
    However many streams a caller opens on a connection, at most a hundred run; the rest waits or is refused.
    """
    running, most, full, leave = 0, 0, asyncio.Event(), asyncio.Event()

    async def check(request, context):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 100:
            full.set()
        await leave.wait()
        running -= 1
        yield pb.CheckResponse()

    connector.check = check
    await stub.Describe(pb.DescribeRequest(), metadata=bearer())
    calls = [stub.Check(pb.CheckRequest(), metadata=bearer()) for _ in range(150)]
    reads = [asyncio.ensure_future(call.read()) for call in calls]
    await full.wait()
    await asyncio.sleep(0.1)
    leave.set()
    answers = await asyncio.gather(*reads, return_exceptions=True)
    refused = {answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)}

    assert most == 100
    assert refused <= {grpc.StatusCode.UNAVAILABLE}


async def test_call_without_deadline_gets_one():
    """
    A caller who forgets the deadline cannot hold a call for ever.
    """
    from isthmus.kit.admission import Admission, Bounds
    from isthmus.kit.authentication import Authenticator
    from isthmus.kit.guard import Guard

    class Context:
        def time_remaining(self):
            return None

        def peer(self):
            return "ipv4:127.0.0.1:1"

        def invocation_metadata(self):
            return ()

        async def abort(self, code, message, trailers):
            raise grpc.aio.AbortError(code)

    async def endless(request, context):
        await asyncio.Event().wait()

    handler = grpc.unary_unary_rpc_method_handler(endless, lambda raw: raw, lambda message: message)
    room = Bounds(places=1, share=1)
    wrapped = Guard(Authenticator(), Admission(room, room), unary_limit=0.01).wrap("/x/Y", "public", handler)

    with pytest.raises(grpc.aio.AbortError) as caught:
        await wrapped.unary_unary(b"", Context())

    assert caught.value.args[0] is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_plaintext_beyond_this_machine_is_refused(serving):
    """
    Listening on every interface needs an explicit word.
    """

    async def wire(chassis):
        return Wiring()

    with pytest.raises(faults.Precondition, match="ISTHMUS_ALLOW_PLAINTEXT"):
        async with serving(ServiceSettings(listen="0.0.0.0:0"), wire):
            pass
