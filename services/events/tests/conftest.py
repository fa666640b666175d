"""An events service over a real PostgreSQL and NATS; scheduling and monitoring are stood in for."""

import json
import time
from contextlib import asynccontextmanager

import grpc
import nats
import pytest
from isthmus.events.v1 import events_pb2 as pb
from isthmus.events.v1.events_pb2_grpc import EventsServiceStub
from isthmus.kit import fault_from_rpc_error
from isthmus.kit.errors import answer_of
from isthmus.monitoring.v1 import monitoring_pb2, monitoring_pb2_grpc
from isthmus.resilience.faults import Missing, Precondition
from isthmus.scheduling.v1 import scheduling_pb2, scheduling_pb2_grpc
from isthmus.testing.waiting import eventually
from nats.js.errors import NoStreamResponseError

FAST = {
    "tail_seconds": 0.05,
    "action_seconds": 0.05,
    "busy_seconds": 0.1,
    "claim_seconds": 1,
}


async def refuse(context, fault):
    answer = answer_of(fault)
    await context.abort(answer.code, answer.message, answer.trailers)


class FakeScheduling(scheduling_pb2_grpc.SchedulingServiceServicer):
    """Starts every flow that is not said to be gone or busy, once for each request id."""

    def __init__(self):
        self.gone = set()
        self.busy = set()
        self.started = {}
        self.failures = []

    async def GetFlow(self, request, context):
        if request.flow_id in self.gone:
            await refuse(context, Missing("FLOW_UNKNOWN", "no such flow"))
        return scheduling_pb2.GetFlowResponse()

    async def StartExecution(self, request, context):
        if self.failures:
            await refuse(context, self.failures.pop())
        if request.flow_id in self.gone:
            await refuse(context, Missing("FLOW_UNKNOWN", "no such flow"))
        if request.flow_id in self.busy:
            await refuse(context, Precondition("EXECUTION_RUNNING", "busy"))
        self.started.setdefault(request.request_id, request)
        return scheduling_pb2.StartExecutionResponse()

    def starts(self, flow_id):
        return [request for request in self.started.values() if request.flow_id == flow_id]


class FakeMonitoring(monitoring_pb2_grpc.MonitoringServiceServicer):
    """Keeps log entries by their id."""

    def __init__(self):
        self.logs = {}
        self.failures = []
        self.calls = 0

    async def AppendLogs(self, request, context):
        self.calls += 1
        if self.failures:
            await refuse(context, self.failures.pop())
        for entry in request.logs:
            self.logs[entry.log_id] = entry
        return monitoring_pb2.AppendLogsResponse()


async def until(condition):
    """Wait until a condition is true and give its value."""
    return await eventually(condition, "what a test has caused")


class Bench:
    """One tenant's view of an events service, with what tests of it need."""

    until = staticmethod(until)

    def __init__(self, service, scheduling, monitoring, nats_url, tenant):
        self.service = service
        self.scheduling = scheduling
        self.monitoring = monitoring
        self.nats_url = nats_url
        self.tenant = tenant
        self.stub = EventsServiceStub(service.channel(tenant=tenant))

    async def refused(self, call):
        """Make a call that has to fail and give its fault."""
        with pytest.raises(grpc.RpcError) as caught:
            await call
        return fault_from_rpc_error(caught.value)

    async def publish(self, kind="com.example.order.created", data="{}", **more):
        request = pb.PublishEventRequest(type=kind, data=data, **more)
        return (await self.stub.PublishEvent(request)).event

    async def happen(self, service, entity, verb, data, event_id="", subject=""):
        """Publish an event as another service's relay would."""
        body = {
            "specversion": "1.0",
            "id": event_id or f"evt_{time.monotonic_ns()}",
            "type": f"isthmus.{service}.{entity}.{verb}.v1",
            "source": f"isthmus/{service}",
            "subject": subject,
            "tenantid": self.tenant,
            "time": "2026-05-01T10:00:00.000Z",
            "data": data,
        }
        client = await nats.connect(self.nats_url)
        where = f"isthmus.v1.{self.tenant}.{service}.{entity}.{verb}"
        headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        await until(lambda: self._accepted(client, where, json.dumps(body).encode(), headers))
        await client.close()
        return body["id"]

    async def _accepted(self, client, where, body, headers):
        """Publish; False while the stream is not there."""
        try:
            return await client.jetstream().publish(where, body, headers=headers)
        except NoStreamResponseError:
            return False

    async def events(self, **wanted):
        request = pb.ListEventsRequest(filter=pb.EventFilter(**wanted))
        return list((await self.stub.ListEvents(request)).events)

    async def arrived(self, number, **wanted):
        """Wait until so many events are listed."""

        async def enough():
            found = await self.events(**wanted)
            return found if len(found) >= number else None

        return await until(enough)

    def subscription(self, **more):
        defaults = {
            "name": f"sub-{time.monotonic_ns()}",
            "event_type": "com.example.*",
            "action_type": "ACTION_TYPE_NOTIFICATION",
            "action_config": '{"message": "It happened."}',
            "is_active": True,
        }
        return pb.EventSubscription(**{**defaults, **more})

    async def subscribe(self, request_id="", **more):
        request = pb.CreateSubscriptionRequest(subscription=self.subscription(**more), request_id=request_id)
        return (await self.stub.CreateSubscription(request)).subscription

    async def subscribe_flow(self, flow_id, **more):
        config = json.dumps({"flow_id": flow_id})
        return await self.subscribe(action_type="ACTION_TYPE_SYNC", action_config=config, **more)

    def notices(self, subscription):
        wanted = subscription.subscription_id
        return [
            log
            for log in self.monitoring.logs.values()
            if json.loads(log.details)["subscription_id"] == wanted
        ]


@pytest.fixture(scope="session")
def open_bench(open_mesh, nats_url):
    """Run an events service with other settings, perhaps in several replicas."""

    @asynccontextmanager
    async def run(replicas=1, **options):
        scheduling, monitoring = FakeScheduling(), FakeMonitoring()
        peers = {
            "scheduling": (scheduling_pb2_grpc.add_SchedulingServiceServicer_to_server, scheduling),
            "monitoring": (monitoring_pb2_grpc.add_MonitoringServiceServicer_to_server, monitoring),
        }
        async with open_mesh(peers=peers) as mesh:
            services = [
                await mesh.start("events", replica=number > 0, **{**FAST, **options})
                for number in range(replicas)
            ]

            def bench(tenant, replica=-1):
                made = Bench(services[replica], scheduling, monitoring, nats_url, tenant)
                made.mesh = mesh
                return made

            yield bench

    return run


@pytest.fixture(scope="module")
async def benches(open_bench):
    """Run one events service for a module's tests; gives a tenant's view of it."""
    async with open_bench() as bench:
        yield bench


@pytest.fixture
def bench(benches):
    """Give the view of a tenant that nobody else uses."""
    return benches(f"tnt_{time.monotonic_ns()}")
