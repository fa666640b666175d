import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1 import connector_pb2_grpc as rpc
from isthmus.kit import (
    ServiceSettings,
    Wiring,
    acting_for,
    current_correlation_id,
    current_principal,
    fault_from_rpc_error,
)
from isthmus.kit.channel import Caller
from isthmus.kit.conversation import Conversation
from isthmus.kit.tokens import refused
from isthmus.resilience import faults
from isthmus.testing import TcpProxy
from isthmus.testing.waiting import waiting_for


async def fault_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return fault_from_rpc_error(caught.value)


async def health(address, service=""):
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def test_call_without_identity_is_refused(stub):
    """
    Nobody gets in without a credential.
    """
    fault = await fault_of(stub.Describe(pb.DescribeRequest()))

    assert (type(fault), fault.reason) == (faults.NotAuthenticated, "CALLER_UNKNOWN")


@pytest.mark.parametrize(
    "key", ["ist_admin_" + "b" * 64, "ist_x", "eyJhbGciOiJub25lIn0.e30.", "x" * 5000, "ä"]
)
async def test_wrong_credentials_get_one_answer(stub, key):
    """
    Unknown keys, forged tokens and rubbish are refused alike, in the same words.
    """
    metadata = (("authorization", f"Bearer {key}".encode("ascii", "replace").decode()),)
    fault = await fault_of(stub.Describe(pb.DescribeRequest(), metadata=metadata))

    assert (type(fault), fault.reason) == (faults.NotAuthenticated, "CALLER_UNKNOWN")
    assert fault.message == refused().message


async def test_missing_permission_is_named(stub, bearer):
    """
    A caller who lacks a permission is told which one.
    """
    fault = await fault_of(stub.Discover(pb.DiscoverRequest(), metadata=bearer("reader")))

    assert isinstance(fault, faults.NotAllowed)
    assert fault.metadata["permission"] == "connector.instances.discover"


async def test_servicer_sees_the_principal(connector, stub, bearer):
    """
    Inside an RPC the caller and the correlation id are known.
    """

    async def describe(request, context):
        raise faults.Missing(current_principal().subject, current_correlation_id())

    connector.describe = describe
    fault = await fault_of(stub.Describe(pb.DescribeRequest(), metadata=bearer(isthmus_correlation_id="c-1")))

    assert (fault.reason, fault.message) == ("usr_admin", "c-1")


async def test_tenant_header_is_for_the_mesh_only(stub, bearer):
    """
    A user cannot choose a tenant.
    """
    metadata = bearer(isthmus_tenant="tnt_b")
    fault = await fault_of(stub.Describe(pb.DescribeRequest(), metadata=metadata))

    assert (type(fault), fault.reason) == (faults.NotAllowed, "TENANT_NOT_YOURS")


async def test_mesh_process_acts_for_a_tenant(connector, mesh_stub):
    """
    A peer's calls carry its identity and the tenant it acts for.
    """
    seen = []

    async def describe(request, context):
        seen.append(current_principal())
        return pb.DescribeResponse()

    connector.describe = describe
    with acting_for("tnt_b"):
        await mesh_stub.Describe(pb.DescribeRequest())

    assert (seen[0].subject, seen[0].tenant_id, seen[0].kind) == ("service:scheduling", "tnt_b", "mesh")


async def test_key_taken_out_of_trust_is_refused(mesh_stub, mesh_key):
    """
    The trust file is followed without a restart.
    """
    await mesh_stub.Describe(pb.DescribeRequest())
    (mesh_key / "trust.json").write_text('{"keys": []}')

    fault = await fault_of(mesh_stub.Describe(pb.DescribeRequest()))

    assert isinstance(fault, faults.NotAuthenticated)


FAULTS = [
    faults.FixRequest("R", "m", violations=[faults.Violation("a.b", "TOO_LONG", "shorten")]),
    faults.Missing("R", "m", metadata={"k": "v"}),
    faults.AlreadyExists("R", "m"),
    faults.Conflict("R", "m", path="etag"),
    faults.Precondition("R", "m"),
    faults.NotAllowed("R", "m"),
    faults.NotAuthenticated("R", "m"),
    faults.RetryLater("R", "m", retry_after=2.5),
    faults.LimitReached("R", "m", retry_after=7),
    faults.OutOfTime("R", "m"),
    faults.DataLost("R", "m"),
    faults.Unsupported("R", "m"),
    faults.Broken("R", "m"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_faults_travel_whole(connector, stub, fault, bearer):
    """
    What a servicer raises is what the caller gets back.
    """

    async def describe(request, context):
        raise fault

    connector.describe = describe
    seen = await fault_of(stub.Describe(pb.DescribeRequest(), metadata=bearer()))
    fault.__traceback__ = None

    assert (type(seen), seen.reason, seen.message, seen.path) == (type(fault), "R", "m", seen.path)
    assert fault.metadata.items() <= seen.metadata.items()
    assert getattr(seen, "retry_after", None) == getattr(fault, "retry_after", None)
    assert getattr(seen, "violations", None) == getattr(fault, "violations", None)


async def test_many_violations_fit_the_trailers(connector, stub, bearer):
    """
    However much is wrong, the answer stays below the limits of ordinary clients.
    """

    async def describe(request, context):
        wrong = [faults.Violation(f"field[{n}]", "WRONG", "ü" * 500) for n in range(500)]
        raise faults.FixRequest("R", "ü" * 5000, violations=wrong)

    connector.describe = describe
    fault = await fault_of(stub.Describe(pb.DescribeRequest(), metadata=bearer()))

    assert isinstance(fault, faults.FixRequest)
    assert len(fault.violations) >= 3


async def test_unexpected_error_leaks_nothing(connector, stub, caplog, bearer):
    """
    A defect is answered with a correlation id, and logged once with its traceback.
    """

    async def describe(request, context):
        raise ValueError("the password is hunter2")

    connector.describe = describe
    fault = await fault_of(stub.Describe(pb.DescribeRequest(), metadata=bearer(isthmus_correlation_id="c-9")))

    assert (type(fault), fault.reason) == (faults.Broken, "UNEXPECTED")
    assert "c-9" in fault.message
    assert "hunter2" not in fault.message
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_undecodable_request_is_the_callers_fault(address, bearer):
    """
    Bytes that are no message are INVALID_ARGUMENT, not UNKNOWN.
    """
    async with grpc.aio.insecure_channel(address) as channel:
        discover = channel.unary_unary("/isthmus.connector.v1.ConnectorService/Discover")
        fault = await fault_of(discover(b"\xff\xff\xff", metadata=bearer()))

    assert (type(fault), fault.reason) == (faults.FixRequest, "REQUEST_UNDECODABLE")


async def test_undecodable_message_in_a_stream(address, bearer):
    """
    The same holds in the middle of a stream.
    """

    async def messages():
        yield b""
        yield b"\xff\xff\xff"

    async with grpc.aio.insecure_channel(address) as channel:
        write = channel.stream_stream("/isthmus.connector.v1.ConnectorService/Write")
        call = Conversation(write(messages(), metadata=bearer()))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_slow_line_is_a_line(address, mesh_key):
    """
    A connection that needs half a second to open is waited for, not given up.
    """
    caller = Caller(mesh_key / "key.jwk")
    async with TcpProxy(int(address.rpartition(":")[2]), delay=0.5) as proxy:
        slow = rpc.ConnectorServiceStub(caller.channel(f"127.0.0.1:{proxy.port}", "service:demo"))
        fault = await fault_of(slow.Discover(pb.DiscoverRequest()))
        await caller.close()

    assert fault.reason == "RPC_NOT_IMPLEMENTED"


async def test_oversized_request_is_refused(address, bearer):
    """
    A message above four megabytes is not read.
    """
    async with grpc.aio.insecure_channel(address) as channel:
        discover = channel.unary_unary("/isthmus.connector.v1.ConnectorService/Discover")
        fault = await fault_of(discover(b"\0" * (5 << 20), metadata=bearer()))

    assert fault.reason in {"MESSAGE_TOO_LARGE", "RESOURCE_EXHAUSTED"}


async def test_unimplemented_and_unknown_calls(stub, address, bearer):
    """
    What is not there is UNIMPLEMENTED with a reason.
    """
    missing = await fault_of(stub.Discover(pb.DiscoverRequest(), metadata=bearer()))
    async with grpc.aio.insecure_channel(address) as channel:
        unknown = await fault_of(channel.unary_unary("/isthmus.x.v1.X/Y")(b"", metadata=bearer()))

    assert (missing.reason, unknown.reason) == ("RPC_NOT_IMPLEMENTED", "RPC_UNKNOWN")


async def test_rpc_without_permission_is_not_served(tmp_path, serving):
    """
    A service whose contract does not declare a permission refuses to start.
    """

    async def wire(chassis):
        servicer = health_pb2_grpc.HealthServicer()
        return Wiring(servicers=[(health_pb2_grpc.add_HealthServicer_to_server, servicer)])

    with pytest.raises(faults.Broken, match="permission"):
        async with serving(ServiceSettings(), wire):
            pass


async def test_starting_is_told_from_broken():
    """
    While wiring, calls are told to come back and health says UNKNOWN; a failing task makes it NOT_SERVING.
    """
    wired, ports = asyncio.Event(), []

    async def failing():
        raise faults.RetryLater("NO", "no")

    async def wire(chassis):
        await wired.wait()
        servicers = [(rpc.add_ConnectorServiceServicer_to_server, rpc.ConnectorServiceServicer())]
        return Wiring(servicers=servicers, tasks=[failing])

    from isthmus.kit.engine import Engine

    engine = Engine(ServiceSettings(listen="127.0.0.1:0", drain_seconds=1), "registry")
    listen = engine._listen

    async def listening():
        ports.append(await listen())
        return ports[0]

    engine._listen = listening
    starting = asyncio.create_task(engine.start(wire))
    while not ports:
        await asyncio.sleep(0)
    address = f"127.0.0.1:{ports[0]}"
    async with grpc.aio.insecure_channel(address) as channel:
        early = await fault_of(rpc.ConnectorServiceStub(channel).Describe(pb.DescribeRequest()))
    first = await health(address)
    wired.set()
    await starting
    async with grpc.aio.insecure_channel(address) as channel, waiting_for("the health to change"):
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
            if answer.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                break
    await engine.stop()

    assert (type(early), early.reason) == (faults.RetryLater, "STARTING")
    assert first == health_pb2.HealthCheckResponse.UNKNOWN


async def test_reflection_lists_services_when_it_is_on(address):
    """
    With the setting on, anybody can list the services; the setting is off by default.
    """
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    async with grpc.aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        answer = await call.read()

    names = {service.name for service in answer.list_services_response.service}
    assert "isthmus.connector.v1.ConnectorService" in names
    assert not ServiceSettings().reflection


async def test_health_names_each_service(address):
    """
    Health answers for the process and for each gRPC service.
    """
    answers = [
        await health(address, name) for name in ("", "registry", "isthmus.connector.v1.ConnectorService")
    ]

    assert answers == [health_pb2.HealthCheckResponse.SERVING] * 3


async def test_drain_finishes_what_is_in_hand(connector, mesh_key, bearer, serving, look_up):
    """
    A call in flight is answered during a drain, an endless stream is ended with DRAINING.
    """
    entered, leave = asyncio.Event(), asyncio.Event()

    async def describe(request, context):
        entered.set()
        await leave.wait()
        return pb.DescribeResponse()

    async def check(request, context):
        yield pb.CheckResponse()
        await asyncio.Event().wait()

    async def wire(chassis):
        chassis_seen.append(chassis)
        servicers = [(rpc.add_ConnectorServiceServicer_to_server, connector)]
        return Wiring(servicers=servicers, key_lookup=look_up)

    chassis_seen = []
    connector.describe, connector.check = describe, check
    context = serving(ServiceSettings(drain_seconds=4), wire)
    address = await context.__aenter__()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = rpc.ConnectorServiceStub(channel)
        unary = asyncio.ensure_future(stub.Describe(pb.DescribeRequest(), metadata=bearer()))
        stream = stub.Check(pb.CheckRequest(), metadata=bearer())
        await stream.read()
        await entered.wait()
        stopping = asyncio.create_task(context.__aexit__(None, None, None))
        await chassis_seen[0].draining.wait()
        leave.set()
        answer = await unary
        ended = await fault_of(stream.read())
        await stopping

    assert answer == pb.DescribeResponse()
    assert ended.reason == "DRAINING"


def test_a_slip_in_the_rules_of_egress_opens_nothing(tmp_path):
    """
    A service whose rules cannot be read does not start with others.
    """
    tenants = tmp_path / "tenants.json"
    tenants.write_text('{"tnt_a": {"allow": ["10.0.0.0/8"]}}')
    policy = ServiceSettings(egress_allow="", egress_tenants=tenants).egress_policy()

    assert policy.permits("tnt_a", "10.0.0.1", 443)
    assert not policy.permits("tnt_b", "10.0.0.1", 443)
    for wrong in ("10.0.0.0/99", "http://erp.corp"):
        with pytest.raises(faults.Precondition, match="ISTHMUS_EGRESS"):
            ServiceSettings(egress_allow=wrong).egress_policy()
