import asyncio
import gzip

import grpc
import pytest
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1 import connector_pb2_grpc as rpc
from isthmus.kit import Principal, ServiceSettings, Wiring, fault_from_rpc_error
from isthmus.kit.authentication import KeyHolder
from isthmus.kit.health import LOAD_TRAILER
from isthmus.kit.quotas import Quotas
from isthmus.resilience import faults

DISCOVER = "/isthmus.connector.v1.ConnectorService/Discover"


def bearer(tenant):
    return (("authorization", f"Bearer ist_{tenant}_{'a' * 64}"),)


async def look_up(key):
    """A key of any tenant, by its name."""
    return KeyHolder(Principal("usr_1", f"tnt_{key.split('_')[1]}", frozenset({"*"}), "user"))


@pytest.fixture
def limited(connector, mesh_key, serving):
    """Serves the connector with limits that a test reaches quickly."""

    async def wire(chassis):
        servicers = [(rpc.add_ConnectorServiceServicer_to_server, connector)]
        return Wiring(servicers=servicers, key_lookup=look_up)

    def serve(**limits):
        return serving(ServiceSettings(trust_file=mesh_key / "trust.json", drain_seconds=1, **limits), wire)

    return serve


async def refusals_of(calls):
    """The faults that calls end with."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    return [fault_from_rpc_error(one) for one in answers if isinstance(one, grpc.aio.AioRpcError)]


async def test_a_flood_of_one_tenant_leaves_others_alone(connector, limited):
    """
    Hundreds of calls of one tenant wait or are refused; another tenant's call is answered meanwhile, and
    when the flood is over so is the first one's.
    """
    most, at_work, leave = 0, 0, asyncio.Event()

    async def describe(request, context):
        nonlocal most, at_work
        at_work += 1
        most = max(most, at_work)
        if dict(context.invocation_metadata())["authorization"].startswith("Bearer ist_flood"):
            await leave.wait()
        at_work -= 1
        return pb.DescribeResponse()

    connector.describe = describe
    limits = {"calls_at_once": 4, "calls_of_tenant": 3, "calls_waiting": 50, "calls_waiting_of_tenant": 20}
    async with limited(**limits, call_patience=60) as address:
        channels = [
            grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(5)
        ]
        stubs = [rpc.ConnectorServiceStub(channel) for channel in channels]
        ask = pb.DescribeRequest()
        flood = [
            asyncio.ensure_future(stubs[n % 4].Describe(ask, metadata=bearer("flood"), timeout=60))
            for n in range(300)
        ]
        while sum(call.done() for call in flood) < 300 - 23:
            await asyncio.wait([call for call in flood if not call.done()], return_when="FIRST_COMPLETED")
        refused = await refusals_of([call for call in flood if call.done()])
        await stubs[4].Describe(ask, metadata=bearer("other"), timeout=60)
        leave.set()
        answered = await asyncio.gather(*flood, return_exceptions=True)
        await stubs[0].Describe(ask, metadata=bearer("flood"))
        for channel in channels:
            await channel.close()

    assert most == 4
    assert {(type(fault), fault.reason) for fault in refused} == {(faults.LimitReached, "TENANT_BUSY")}
    assert min(fault.retry_after for fault in refused) > 0
    assert 3 <= len([one for one in answered if isinstance(one, pb.DescribeResponse)]) <= 23


async def test_the_mesh_goes_on_while_users_wait(connector, limited, mesh_key):
    """
    Every place of users is taken, and a peer's call is answered.
    """
    from isthmus.kit.channel import Caller

    taken, leave = asyncio.Event(), asyncio.Event()

    async def describe(request, context):
        if dict(context.invocation_metadata())["authorization"].startswith("Bearer ist_"):
            taken.set()
            await leave.wait()
        return pb.DescribeResponse()

    connector.describe = describe
    caller = Caller(mesh_key / "key.jwk")
    async with limited(calls_at_once=1, calls_waiting=0) as address:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = rpc.ConnectorServiceStub(channel)
            first = asyncio.ensure_future(stub.Describe(pb.DescribeRequest(), metadata=bearer("a")))
            await taken.wait()
            (refused,) = await refusals_of([stub.Describe(pb.DescribeRequest(), metadata=bearer("b"))])
            answer = await rpc.ConnectorServiceStub(caller.channel(address, "service:demo")).Describe(
                pb.DescribeRequest()
            )
            leave.set()
            await first
        await caller.close()

    assert refused.reason == "SERVICE_OVERLOADED"
    assert answer == pb.DescribeResponse()


async def test_all_keys_of_a_tenant_share_its_rate(connector, mesh_key, serving):
    """
    Beyond its calls a minute a tenant is refused with the time to wait, and others are not.
    """

    async def holder(key):
        tenant = f"tnt_{key.split('_')[1]}"
        quotas = Quotas(calls_per_minute=60 if tenant == "tnt_a" else None)
        return KeyHolder(Principal("usr_1", tenant, frozenset({"*"}), "user", quotas=quotas))

    async def wire(chassis):
        servicers = [(rpc.add_ConnectorServiceServicer_to_server, connector)]
        return Wiring(servicers=servicers, key_lookup=holder)

    async with serving(ServiceSettings(), wire) as address, grpc.aio.insecure_channel(address) as channel:
        stub = rpc.ConnectorServiceStub(channel)
        calls = [stub.Describe(pb.DescribeRequest(), metadata=bearer("a")) for _ in range(20)]
        refused = await refusals_of(calls)
        await stub.Describe(pb.DescribeRequest(), metadata=bearer("b"))

    assert {fault.reason for fault in refused} == {"QUOTA_EXCEEDED"}
    assert refused[0].metadata.items() >= {"quota": "calls_per_minute", "limit": "60"}.items()
    assert refused[0].retry_after > 0


async def test_streams_of_a_tenant_are_counted(connector, limited):
    """
    Beyond its share a tenant opens no more streams, and a closed one makes room.
    """

    async def check(request, context):
        yield pb.CheckResponse()
        await asyncio.Event().wait()

    connector.check = check
    async with limited(streams_of_tenant=1) as address, grpc.aio.insecure_channel(address) as channel:
        stub = rpc.ConnectorServiceStub(channel)
        first = stub.Check(pb.CheckRequest(), metadata=bearer("a"))
        await first.read()
        (refused,) = await refusals_of([stub.Check(pb.CheckRequest(), metadata=bearer("a")).read()])
        await stub.Check(pb.CheckRequest(), metadata=bearer("b")).read()
        first.cancel()
        while await refusals_of([stub.Check(pb.CheckRequest(), metadata=bearer("a")).read()]):
            await asyncio.sleep(0.01)

    assert refused.reason == "TENANT_BUSY"


async def test_a_stream_that_brings_nothing_is_ended(limited):
    """
    Whoever opens a stream and says nothing does not hold it for long.
    """
    async with limited(stream_idle_seconds=0.05) as address, grpc.aio.insecure_channel(address) as channel:
        call = rpc.ConnectorServiceStub(channel).Write(metadata=bearer("a"))
        (ended,) = await refusals_of([call.read()])

    assert (type(ended), ended.reason) == (faults.OutOfTime, "STREAM_IDLE")


async def test_a_reader_that_reads_nothing_is_left(connector, limited):
    """
    Answers are made no faster than they are taken, and for nobody who takes none for too long.
    """
    made, ended = 0, asyncio.Event()

    async def check(request, context):
        nonlocal made
        try:
            while True:
                made += 1
                yield pb.CheckResponse(step=pb.CheckStep(message="x" * 100_000))
        finally:
            ended.set()

    connector.check = check
    async with limited(stream_idle_seconds=0.3) as address, grpc.aio.insecure_channel(address) as channel:
        call = rpc.ConnectorServiceStub(channel).Check(pb.CheckRequest(), metadata=bearer("a"))
        await call.read()
        await ended.wait()
        call.cancel()

    assert made < 200


async def test_metadata_beyond_its_bound_is_refused(limited):
    """
    A call with headers of hundreds of kilobytes is not taken; the connection goes on.
    """
    async with limited() as address, grpc.aio.insecure_channel(address) as channel:
        discover = channel.unary_unary(DISCOVER)
        bloated = [*bearer("a"), *((f"x-{n}", "y" * 4000) for n in range(60))]
        (refused,) = await refusals_of([discover(b"", metadata=bloated)])
        (usual,) = await refusals_of([discover(b"", metadata=bearer("a"))])

    assert isinstance(refused, faults.LimitReached)
    assert usual.reason == "RPC_NOT_IMPLEMENTED"


async def test_a_compressed_message_is_measured_unpacked(limited):
    """
    Sixteen megabytes of zeros are sixteen kilobytes on the line, and too large all the same.
    """
    options = [("grpc.max_send_message_length", -1)]
    async with limited() as address, grpc.aio.insecure_channel(address, options=options) as channel:
        discover = channel.unary_unary(DISCOVER)
        call = discover(b"\0" * (16 << 20), metadata=bearer("a"), compression=grpc.Compression.Gzip)
        (refused,) = await refusals_of([call])
        (usual,) = await refusals_of([discover(b"", metadata=bearer("a"))])

    assert len(gzip.compress(b"\0" * (16 << 20))) < 100_000
    assert (type(refused), refused.reason) == (faults.FixRequest, "MESSAGE_TOO_LARGE")
    assert usual.reason == "RPC_NOT_IMPLEMENTED"


async def test_health_tells_of_overload():
    """
    A process that sheds load serves, and says in a trailer that it does.
    """
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from isthmus.kit.health import Health

    load = [False]
    health = Health("registry", lambda: load[0])
    await health.ready([])
    add, servicer = health.registration
    server = grpc.aio.server()
    add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    seen = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for load[0] in (False, True):
            call = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            await call
            seen.append(dict(await call.trailing_metadata()).get(LOAD_TRAILER))
    await server.stop(0)

    assert seen == [None, "overloaded"]
