import asyncio
import json
import signal
import subprocess
import sys

import grpc.aio
import pytest
import uvloop
from google.protobuf import struct_pb2
from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.connector.v1 import connector_pb2_grpc as rpc
from isthmus.kit import (
    Consumer,
    DomainEvent,
    ServiceSettings,
    Wiring,
    acting_for,
    current_correlation_id,
    current_principal,
    deadline,
    fault_from_rpc_error,
    metrics,
    run,
)
from isthmus.kit.channel import Caller
from isthmus.kit.principal import correlated
from isthmus.kit.supervision import Supervisor, when_reachable
from isthmus.kit.trace import continue_trace, current_trace_id
from isthmus.resilience import faults
from isthmus.testing.waiting import PATIENCE_SECONDS
from sqlalchemy import text

PROGRAM = """
from isthmus.kit import ServiceSettings, Wiring, serve

async def wire(chassis):
    return Wiring()

serve(ServiceSettings(), wire, name="registry", ready=lambda port: print(port, flush=True))
"""


def run_python(program):
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_process_in_order(number):
    """
    A service started as a process says its port, logs JSON lines, and ends with 0 when told to stop.
    """
    process = run_python(PROGRAM)
    port = int(process.stdout.readline())
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    messages = [json.loads(line)["message"] for line in errors.splitlines()]

    assert port > 0
    assert process.returncode == 0
    assert messages == ["ready", "stopped"]


def test_taken_address_is_one_clear_error(free_port):
    """
    Two services on one address: the second one says what to do.
    """
    taken = PROGRAM.replace("ServiceSettings()", f"ServiceSettings(listen='127.0.0.1:{free_port}')")
    first = run_python(taken)
    first.stdout.readline()
    second = run_python(taken)
    _, errors = second.communicate(timeout=PATIENCE_SECONDS)
    first.terminate()
    first.communicate(timeout=PATIENCE_SECONDS)

    last = json.loads(errors.splitlines()[-1])
    assert second.returncode == 1
    assert "Choose another address" in last["fields"]["why"]


def test_import_starts_nothing_and_loads_little():
    """
    Importing the kit starts no thread and loads neither SQLAlchemy nor NATS nor OpenTelemetry's SDK.
    """
    program = (
        "import sys, threading, isthmus.kit as kit\n"
        "kit.Principal, kit.new_id, kit.fault_from_rpc_error, kit.ServiceSettings, kit.serve\n"
        "heavy = {'sqlalchemy', 'nats', 'alembic', 'hvac', 'joserfc', 'opentelemetry.sdk'}\n"
        "heavy &= sys.modules.keys()\n"
        "print(threading.active_count(), sorted(heavy))"
    )
    out, _ = run_python(program).communicate(timeout=PATIENCE_SECONDS)

    assert out.strip() == "1 []"


def test_importing_everything_is_safe_before_a_fork():
    """
    A parent may load every module of the kit, fork, and serve in the child.
    """
    program = (
        "import importlib, os, pkgutil, threading, isthmus.kit as kit\n"
        "for found in pkgutil.walk_packages(kit.__path__, 'isthmus.kit.'):\n"
        "    importlib.import_module(found.name)\n"
        "assert threading.active_count() == 1\n"
        "async def wire(chassis):\n"
        "    return kit.Wiring(tasks=[stop])\n"
        "async def stop():\n"
        "    os.kill(os.getpid(), 15)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    kit.serve(kit.ServiceSettings(), wire, name='registry')\n"
        "    os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    out, errors = run_python(program).communicate(timeout=PATIENCE_SECONDS)

    assert out.strip() == "7", errors


@pytest.fixture
def settings(urls, nats_url, sample):
    class Settings(ServiceSettings):
        def migrations_folder(self):
            return sample

    return Settings(
        database_url=urls.url, database_owner_url=urls.owner_url, nats_url=nats_url, drain_seconds=1
    )


async def test_service_is_migrated_wired_and_fed(settings, serving):
    """
    A service gets its database migrated, its events out, and others' events in.
    """
    came = asyncio.get_running_loop().create_future()

    async def handle(conn, event):
        if event.tenant_id == "tnt_whole" and not came.done():
            came.set_result(event)

    async def wire(chassis):
        async with chassis.db.tenant("tnt_whole") as conn:
            event = DomainEvent("tnt_whole", "note", "written", "n1", struct_pb2.Struct())
            await conn.execute(text("INSERT INTO note VALUES ('tnt_whole', 'n1', 'x')"))
            await chassis.outbox.add(conn, event)
        return Wiring(consumers=[Consumer("whole", ["isthmus.v1.tnt_whole.>"], handle)])

    async with serving(settings, wire, "notes"):
        event = await asyncio.wait_for(came, 30)

    assert event.subject == "n1"


def test_service_works_on_the_loop_of_production(settings):
    """
    Database and bus work on uvloop, which `serve` uses.
    """
    came = []

    async def main():
        arrived = asyncio.Event()

        async def handle(conn, event):
            came.append((await conn.execute(text("SELECT current_setting('isthmus.tenant')"))).scalar())
            arrived.set()

        async def wire(chassis):
            async with chassis.db.tenant("tnt_loop") as conn:
                event = DomainEvent("tnt_loop", "note", "written", "n1", struct_pb2.Struct())
                await chassis.outbox.add(conn, event)
            return Wiring(consumers=[Consumer("loop", ["isthmus.v1.tnt_loop.>"], handle)])

        task = asyncio.create_task(run(settings, wire, name="notes"))
        await asyncio.wait_for(arrived.wait(), 30)
        task.cancel()
        await asyncio.wait({task})

    uvloop.run(main())

    assert came == ["tnt_loop"]


async def test_missing_setting_is_named(serving):
    """
    A service that needs a database and has none says which variable to set.
    """

    async def wire(chassis):
        chassis.db.tenant("x")

    with pytest.raises(faults.Precondition, match="ISTHMUS_DATABASE_URL"):
        async with serving(ServiceSettings(), wire):
            pass


async def test_peer_address_comes_from_the_environment(serving, monkeypatch):
    """
    Peers are found by name, and a missing address is named.
    """
    monkeypatch.setenv("ISTHMUS_RECORDS_ADDRESS", "127.0.0.1:1")

    async def wire(chassis):
        assert chassis.peer("records") is chassis.channel("127.0.0.1:1", "service:records")
        chassis.peer("mapping")

    with pytest.raises(faults.Precondition, match="ISTHMUS_MAPPING_ADDRESS"):
        async with serving(ServiceSettings(), wire):
            pass


async def test_calls_carry_correlation_trace_and_tenant(connector, mesh_stub):
    """
    What was known about a request before a call to a peer is known after it.
    """
    seen = []

    async def describe(request, context):
        seen.append((current_correlation_id(), current_trace_id(), current_principal().tenant_id))
        return pb.DescribeResponse()

    connector.describe = describe
    continue_trace("00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    with correlated("c-7"), acting_for("tnt_z"):
        await mesh_stub.Describe(pb.DescribeRequest())
    continue_trace("")

    assert seen == [("c-7", "a" * 32, "tnt_z")]


async def test_call_made_on_behalf_of_a_call_has_its_time_only(connector, mesh_stub):
    """
    A peer gets no more time than the call that needs it has left.
    """
    left = []

    async def describe(request, context):
        left.append(context.time_remaining())
        return pb.DescribeResponse()

    connector.describe = describe
    await mesh_stub.Describe(pb.DescribeRequest())
    deadline.start(6.0)
    await mesh_stub.Describe(pb.DescribeRequest())
    deadline.start(None)

    assert 6.1 < left[0] < 10.1
    assert 0 < left[1] < 6.1


async def test_silent_peer_does_not_hang_anyone():
    """
    A peer that accepts and never answers is out of time.
    """
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    caller = Caller()
    stub = rpc.ConnectorServiceStub(
        caller.channel(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "service:demo")
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Describe(pb.DescribeRequest(), timeout=0.3)
    await caller.close()
    server.close()

    assert isinstance(fault_from_rpc_error(caught.value), faults.OutOfTime | faults.RetryLater)


async def test_failing_task_is_restarted_until_it_works():
    """
    A task that fails is started again; a finished one is not.
    """
    changes, tries, done = [], [], asyncio.Event()

    async def note(works):
        changes.append(works)

    async def task():
        tries.append(1)
        if len(tries) < 4:
            raise ValueError("no")
        done.set()

    supervisor = Supervisor(note)
    supervisor.start("task", task)
    await asyncio.wait_for(done.wait(), 30)
    await asyncio.sleep(0)
    await supervisor.stop()

    assert (len(tries), changes) == (4, [False, True])


async def test_start_waits_for_what_is_not_there_yet():
    """
    An unreachable database delays the start; any other failure ends it.
    """
    failures = [faults.RetryLater("DOWN", "down"), ValueError("defect")]

    async def work():
        raise failures.pop(0)

    with pytest.raises(ValueError, match="defect"):
        await when_reachable(work)


def test_metrics_count_by_labels():
    """
    A counter and a histogram keep one series per combination of labels.
    """
    counter = metrics.counter("test.count", "Test")
    counter.add(2, kind="a")
    counter.add(1, kind="b")
    durations = metrics.histogram("test.seconds", "Test")
    durations.record(0.2, kind="a")

    assert (counter.value(kind="a"), counter.value(kind="b"), counter.value(kind="c")) == (2, 1, 0)
    assert durations.series[(("kind", "a"),)].count == 1
    assert metrics.counter("test.count", "Test") is counter


TRACED = """
import asyncio, grpc.aio
from concurrent import futures
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as tp, trace_service_pb2_grpc as tg
from isthmus.kit import ServiceSettings, Wiring, run
from isthmus.kit.trace import current_trace_id
from isthmus.connector.v1 import connector_pb2 as pb, connector_pb2_grpc as rpc

names, seen = [], []

class Collector(tg.TraceServiceServicer):
    def Export(self, request, context):
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                names.extend((span.name, span.kind, span.trace_id.hex()) for span in scope.spans)
        return tp.ExportTraceServiceResponse()

class Connector(rpc.ConnectorServiceServicer):
    async def Describe(self, request, context):
        seen.append(current_trace_id())
        return pb.DescribeResponse()

collector = grpc.server(futures.ThreadPoolExecutor(2))
tg.add_TraceServiceServicer_to_server(Collector(), collector)
port = collector.add_insecure_port("127.0.0.1:0")
collector.start()

async def main():
    ready = asyncio.get_running_loop().create_future()
    held = []
    async def wire(chassis):
        held.append(chassis)
        servicers = [(rpc.add_ConnectorServiceServicer_to_server, Connector())]
        return Wiring(servicers=servicers, key_lookup=look_up)
    task = asyncio.create_task(run(ServiceSettings(otlp_endpoint=f"http://127.0.0.1:{port}"), wire,
                                   name="registry", ready=ready.set_result))
    await ready
    stub = rpc.ConnectorServiceStub(held[0].channel(f"127.0.0.1:{ready.result()}", "service:demo"))
    await stub.Describe(pb.DescribeRequest(), metadata=[("authorization", "Bearer ist_a_" + "a" * 64)])
    task.cancel()
    await asyncio.wait({task})

async def look_up(key):
    from isthmus.kit.authentication import KeyHolder
    from isthmus.kit import Principal
    return KeyHolder(Principal("usr", "tnt", frozenset({"*"}), "user"))

asyncio.run(main())
traces = {trace for _, _, trace in names}
print(len(names), len(traces), seen[0] in traces)
"""


def test_one_trace_from_client_to_server():
    """
    With a collector configured, client and server spans of a call reach it as one trace.
    """
    out, errors = run_python(TRACED).communicate(timeout=PATIENCE_SECONDS)

    assert out.strip() == "2 1 True", errors
