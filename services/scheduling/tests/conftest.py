"""A scheduling service over a real PostgreSQL and NATS; registry and mapping are stood in for."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import grpc
import nats
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.connector.v1 import connector_pb2, connector_pb2_grpc
from isthmus.kit import Clock, fault_from_rpc_error
from isthmus.mapping.v1 import mapping_pb2, mapping_pb2_grpc
from isthmus.registry.v1 import registry_pb2, registry_pb2_grpc
from isthmus.scheduling.v1 import plans_pb2
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.scheduling.v1.plans_pb2_grpc import PlansServiceStub
from isthmus.scheduling.v1.scheduling_pb2_grpc import SchedulingServiceStub
from isthmus.services.scheduling.settings import Settings
from isthmus.services.scheduling.wiring import wire
from isthmus.testing.waiting import eventually, waiting_for
from isthmus.type.v1 import batch_pb2
from nats.js import api
from nats.js.errors import NoStreamResponseError, NotFoundError

FAST = {
    "tick_seconds": 0.05,
    "sweep_seconds": 0.05,
    "dispatch_seconds": 0.05,
    "watch_seconds": 0.05,
    "lease_seconds": 5,
    "lease_grace_seconds": 0,
    "resend_seconds": 0.5,
    "retry_first_seconds": 0.01,
    "retry_longest_seconds": 0.02,
}


class FakeRegistry(registry_pb2_grpc.RegistryServiceServicer):
    """Knows every instance whose name does not say otherwise."""

    def __init__(self):
        self.inactive = set()
        self.gone = set()
        self.resolved = []
        self.etag = "1"
        self.limits = {}
        self.address = ""
        self.changed = {}

    async def GetInstance(self, request, context):
        if request.instance_id in self.gone:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such instance")
        state = registry_pb2.IntegrationInstance
        inactive = request.instance_id in self.inactive
        instance = registry_pb2.IntegrationInstance(
            instance_id=request.instance_id,
            connector_id={"hub": "hub", "ins_other": "other"}.get(request.instance_id, "files"),
            status=state.STATUS_INACTIVE if inactive else state.STATUS_ACTIVE,
            etag=self.etag,
            limits=self.limits.get(request.instance_id, ""),
        )
        # As at the registry, an instance is only newer where something about it has changed.
        before = self.changed.get(request.instance_id)
        if before is None or before[0] != instance:
            before = self.changed[request.instance_id] = (instance, Timestamp())
            before[1].GetCurrentTime()
        found = registry_pb2.IntegrationInstance()
        found.CopyFrom(instance)
        found.update_time.CopyFrom(before[1])
        return registry_pb2.GetInstanceResponse(instance=found)

    async def ResolveHost(self, request, context):
        self.resolved.append(request.connector_id)
        return registry_pb2.ResolveHostResponse(host=registry_pb2.Host(address=self.address))

    async def GetConnector(self, request, context):
        actions = [
            connector_pb2.ActionSpec(action="ring"),
            connector_pb2.ActionSpec(action="put", is_idempotent=True),
        ]
        spec = connector_pb2.ConnectorSpec(connector_id=request.connector_id, actions=actions)
        return registry_pb2.GetConnectorResponse(connector=registry_pb2.IntegrationConnector(spec=spec))


class FakeConnector(connector_pb2_grpc.ConnectorServiceServicer):
    """Carries actions out; what comes of the next calls can be set."""

    def __init__(self):
        self.calls = []
        self.next = []

    async def Invoke(self, request, context):
        self.calls.append(request)
        what = self.next.pop(0) if self.next else None
        if what is not None:
            await (context.abort(what, "not now") if isinstance(what, grpc.StatusCode) else what.wait())
        return connector_pb2.InvokeResponse(output=json.dumps({"did": json.loads(request.input)}))


class FakeMapping(mapping_pb2_grpc.MappingServiceServicer):
    """Has mappings whose newest version is 7."""

    def __init__(self):
        self.gone = set()

    async def GetMapping(self, request, context):
        if request.mapping_id in self.gone:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such mapping")
        return mapping_pb2.GetMappingResponse(
            mapping=mapping_pb2.DataMapping(mapping_id=request.mapping_id, version=request.version or 7)
        )


def flow_message(name="incidents", **more):
    defaults = {
        "source": pb.Endpoint(instance_id="ins_files", stream="incident"),
        "destination": pb.Endpoint(instance_id="hub", stream="incident"),
        "is_active": True,
    }
    return pb.Flow(name=name, **{**defaults, **more})


def counts(read=0, **places):
    places = places or {"created": read}
    return batch_pb2.Counts(read=read, **places)


def position(state, partition="", *, complete=False):
    return pb.Checkpoint(
        partition=partition, position=batch_pb2.Position(state=state.encode()), is_complete=complete
    )


async def until(condition):
    """Wait until an awaited condition is true and give its value."""
    return await eventually(condition, "what a test has caused")


class Host:
    """Carries executions out, one call at a time, as a connector host does."""

    def __init__(self, stub, name="host-1"):
        self.stub = stub
        self.name = name

    async def acquire(self, execution_id):
        request = pb.AcquireLeaseRequest(execution_id=execution_id, host_id=self.name)
        lease = await self.stub.AcquireLease(request)
        return SimpleNamespace(
            execution_id=execution_id, token=lease.fencing_token, attempt=lease.attempt, answer=lease
        )

    async def renew(self, lease, done=None, expected=0):
        request = pb.RenewLeaseRequest(
            execution_id=lease.execution_id, fencing_token=lease.token, counts=done, expected_records=expected
        )
        return await self.stub.RenewLease(request)

    async def commit(self, lease, done, *checkpoints):
        request = pb.CommitCheckpointRequest(
            execution_id=lease.execution_id, fencing_token=lease.token, counts=done, checkpoints=checkpoints
        )
        return await self.stub.CommitCheckpoint(request)

    async def finish(self, lease, done=None, *checkpoints, outcome="COMPLETED", error=None):
        request = pb.FinishAttemptRequest(
            execution_id=lease.execution_id,
            fencing_token=lease.token,
            outcome=f"OUTCOME_{outcome}",
            counts=done,
            checkpoints=checkpoints,
            error=error,
        )
        return (await self.stub.FinishAttempt(request)).execution

    async def fail(self, lease, kind, done=None, *checkpoints):
        error = pb.ExecutionError(kind=f"KIND_{kind}", reason="IT_BROKE", message="It broke; mend it.")
        return await self.finish(lease, done, *checkpoints, outcome="FAILED", error=error)


async def _queue(client, connector):
    """Bind to a connector's queue; None while the stream is not there."""
    config = api.ConsumerConfig(ack_policy=api.AckPolicy.EXPLICIT)
    subject, durable = f"isthmus.jobs.{connector}", f"host-{connector}"
    try:
        return await client.jetstream().pull_subscribe(subject, durable, stream="ISTHMUS_JOBS", config=config)
    except NotFoundError:
        return None


class Bench:
    """One tenant's view of a scheduling service, with what tests of it need."""

    flow_message = staticmethod(flow_message)
    counts = staticmethod(counts)
    position = staticmethod(position)
    until = staticmethod(until)

    def __init__(self, service, registry, mapping, nats_url, tenant):
        self.service = service
        self.registry = registry
        self.mapping = mapping
        self.tenant = tenant
        self.nats_url = nats_url
        self.stub = SchedulingServiceStub(service.channel(tenant=tenant))
        self.plans = PlansServiceStub(service.channel(tenant=tenant))
        # It stands for hosts of all connectors; a real one is given what belongs to its own.
        self.host = Host(SchedulingServiceStub(service.channel(tenant=tenant, mesh=True)))

    async def flow(self, name="", **more):
        name = name or f"flow-{time.monotonic_ns()}"
        request = pb.CreateFlowRequest(flow=flow_message(name, **more))
        return (await self.stub.CreateFlow(request)).flow

    async def start(self, flow, request_id=""):
        request = pb.StartExecutionRequest(flow_id=flow.flow_id, request_id=request_id)
        return (await self.stub.StartExecution(request)).execution

    async def refused(self, call):
        """Make a call that has to fail and give its fault."""
        with pytest.raises(grpc.RpcError) as caught:
            await call
        return fault_from_rpc_error(caught.value)

    async def execution(self, execution_id):
        return (await self.stub.GetExecution(pb.GetExecutionRequest(execution_id=execution_id))).execution

    async def executions(self, flow):
        found = await self.stub.ListExecutions(pb.ListExecutionsRequest(flow_id=flow.flow_id))
        return list(found.executions)

    async def attempts(self, execution_id):
        found = await self.stub.ListAttempts(pb.ListAttemptsRequest(execution_id=execution_id))
        return list(found.attempts)

    async def schedule(self, flow, **more):
        defaults = {"flow_id": flow.flow_id, "is_active": True}
        request = pb.CreateScheduleRequest(schedule=pb.Schedule(**{**defaults, **more}))
        return (await self.stub.CreateSchedule(request)).schedule

    async def publish(self, service, entity, verb, data, event_id=""):
        """Publish an event as another service's relay would."""
        body = {
            "specversion": "1.0",
            "id": event_id or f"evt_{time.monotonic_ns()}",
            "type": f"isthmus.{service}.{entity}.{verb}.v1",
            "source": f"isthmus/{service}",
            "tenantid": self.tenant,
            "time": "2026-05-01T00:00:00.000Z",
            "data": data,
        }
        client = await nats.connect(self.nats_url)
        subject = f"isthmus.v1.{self.tenant}.{service}.{entity}.{verb}"
        try:
            async with waiting_for("the stream"):
                while not await self._published(client, subject, body):
                    await asyncio.sleep(0.05)
        finally:
            await client.close()

    async def _published(self, client, subject, body):
        """Publish, unless the service has not made the stream yet."""
        try:
            await client.jetstream().publish(subject, json.dumps(body).encode())
        except NoStreamResponseError:
            return False
        return True

    async def jobs(self, execution_id, count=1, connector="files"):
        """Take an execution's next jobs off the queue, as (message id, body)."""
        client = await nats.connect(self.nats_url)
        taken = []
        try:
            async with waiting_for("the jobs"):
                queue = await until(lambda: _queue(client, connector))
                while len(taken) < count:
                    taken += await self._take(queue, execution_id)
        finally:
            await client.close()
        return taken

    async def _take(self, queue, execution_id):
        try:
            messages = await queue.fetch(10, timeout=1)
        except TimeoutError:
            return []
        for message in messages:
            await message.ack()
        found = [(message.headers["Nats-Msg-Id"], json.loads(message.data)) for message in messages]
        return [one for one in found if one[1]["execution_id"] == execution_id]


class Planning:
    """Plans of one tenant, and what tests of them need."""

    def __init__(self, bench):
        self.bench = bench

    @staticmethod
    def step(name, flow=None, after=(), undo=None, **more):
        return plans_pb2.PlanStep(
            name=name,
            flow_id=flow.flow_id if flow else "",
            after=after,
            compensation_flow_id=undo.flow_id if undo else "",
            **more,
        )

    @staticmethod
    def of(run, name):
        """Find a step of a run."""
        return next(one for one in run.steps if one.name == name)

    @staticmethod
    def named(run):
        """Give the states of a run's steps by name."""
        status = plans_pb2.PlanStepRun.Status
        return {one.name: status.Name(one.status).removeprefix("STATUS_") for one in run.steps}

    async def made(self, *steps, **more):
        plan = plans_pb2.Plan(steps=steps, **{"name": "joiners", "is_active": True, **more})
        return (await self.bench.plans.CreatePlan(plans_pb2.CreatePlanRequest(plan=plan))).plan

    async def chain(self, three, **more):
        """Create users before groups before tickets."""
        order = {"users": (), "groups": ("users",), "tickets": ("groups",)}
        steps = [self.step(name, three[name][0], after, three[name][1]) for name, after in order.items()]
        return await self.made(*steps, **more)

    async def started(self, plan, **more):
        request = plans_pb2.StartPlanRunRequest(plan_id=plan.plan_id, **more)
        return (await self.bench.plans.StartPlanRun(request)).run

    async def read(self, run):
        request = plans_pb2.GetPlanRunRequest(plan_run_id=run.plan_run_id)
        return (await self.bench.plans.GetPlanRun(request)).run

    async def reached(self, run, condition):
        """Wait until a run is as wanted and give it."""

        async def look():
            found = await self.read(run)
            return found if condition(found) else None

        return await until(look)

    async def ended(self, run):
        return await self.reached(run, lambda one: one.HasField("end_time"))

    async def at_work(self, run, name, field="execution_id"):
        """Wait until a step has an execution and give its id."""
        found = await self.reached(run, lambda one: getattr(self.of(one, name), field))
        return getattr(self.of(found, name), field)

    async def finish(self, execution_id, *, well=True):
        """Carry an execution out."""
        lease = await self.bench.host.acquire(execution_id)
        await (self.bench.host.finish(lease) if well else self.bench.host.fail(lease, "CONFIGURATION"))


class MovableClock(Clock):
    """The wall clock, put forward by tests."""

    def __init__(self):
        self.ahead = timedelta()

    def now(self):
        return super().now() + self.ahead

    def forward(self, **much):
        self.ahead += timedelta(**much)


@pytest.fixture(scope="session")
def open_bench(open_mesh, nats_url):
    """Run a scheduling service with other settings, perhaps in several replicas."""

    @asynccontextmanager
    async def run(replicas=1, **options):
        registry, mapping, clock = FakeRegistry(), FakeMapping(), MovableClock()
        peers = {
            "registry": (registry_pb2_grpc.add_RegistryServiceServicer_to_server, registry),
            "mapping": (mapping_pb2_grpc.add_MappingServiceServicer_to_server, mapping),
            "credentials": (connector_pb2_grpc.add_ConnectorServiceServicer_to_server, FakeConnector()),
        }

        async def wire_with_clock(chassis):
            chassis.clock = clock
            return await wire(chassis)

        async with open_mesh(peers=peers) as mesh:
            registry.address = mesh.address("credentials")
            for number in range(replicas):
                service = await mesh.start(
                    "scheduling",
                    wire=wire_with_clock,
                    settings=Settings,
                    replica=number > 0,
                    **{**FAST, **options},
                )

            def bench(tenant):
                made = Bench(service, registry, mapping, nats_url, tenant)
                made.clock, made.mesh = clock, mesh
                made.connector = peers["credentials"][1]
                return made

            yield bench

    return run


@pytest.fixture(scope="module")
async def benches(open_bench):
    """Run one scheduling service for a module's tests; gives a tenant's view of it."""
    async with open_bench() as bench:
        yield bench


@pytest.fixture
def bench(benches):
    """Give the view of a tenant that nobody else uses."""
    return benches(f"tnt_{time.monotonic_ns()}")


@pytest.fixture
def planning(bench):
    """Give that tenant's plans."""
    return Planning(bench)


@pytest.fixture
async def three(bench):
    """Give users, groups and tickets, each with the flow that undoes it."""
    return {name: (await bench.flow(), await bench.flow()) for name in ("users", "groups", "tickets")}
