"""A control plane and a destination in memory, which speak the contract like the real ones."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import msgspec
import pytest
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.connector.v1 import connector_pb2_grpc as connector_grpc
from isthmus.credentials.v1 import credentials_pb2 as credentials
from isthmus.credentials.v1 import credentials_pb2_grpc as credentials_grpc
from isthmus.host.attempt.attempt import Attempt, Tools
from isthmus.host.attempt.preparing import Preparing
from isthmus.host.binding import Leases, Resolver
from isthmus.host.control import ControlPlane
from isthmus.host.local import LocalBackend
from isthmus.host.plans import Plans
from isthmus.host.reports import Reports
from isthmus.host.settings import HostSettings
from isthmus.kit import acting_for
from isthmus.kit.errors import answer_of
from isthmus.mapping.v1 import mapping_pb2 as mapping
from isthmus.mapping.v1 import mapping_pb2_grpc as mapping_grpc
from isthmus.monitoring.v1 import monitoring_pb2 as monitoring
from isthmus.monitoring.v1 import monitoring_pb2_grpc as monitoring_grpc
from isthmus.records.v1 import records_pb2 as records
from isthmus.records.v1 import records_pb2_grpc as records_grpc
from isthmus.registry.v1 import registry_pb2 as registry
from isthmus.registry.v1 import registry_pb2_grpc as registry_grpc
from isthmus.resilience import Fault, Missing, Precondition, RetryLater
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.scheduling.v1 import scheduling_pb2_grpc as scheduling_grpc
from isthmus.sdk import Batch, Connector, Page, destination, source
from isthmus.sdk.failures import AuthenticationFailure, TransientFailure
from isthmus.type.v1 import batch_pb2 as batch
from pydantic import BaseModel, SecretStr

TENANT = "tnt_test"
FLOW = "flw_1"


class NumbersSettings(BaseModel):
    count: int = 10
    page: int = 3
    pause: float = 0.0
    fail_at: int = -1
    token: SecretStr = SecretStr("")


class Numbers(Connector[NumbersSettings]):
    """Counts."""

    connector_id = "numbers"
    is_built_in = True
    reads: list[int] = []  # noqa: RUF012 - shared by intention: tests count what was read
    good_token = ""
    written: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - the system behind the destination
    batches = 0

    @classmethod
    def forget(cls) -> None:
        cls.reads, cls.written, cls.good_token, cls.batches = [], {}, "", 0

    @source(key="id", cursor="id")
    async def numbers(self, resume: dict[str, Any] | None) -> AsyncIterator[Page[dict[str, Any]]]:
        """Numbers in order."""
        settings = self.settings
        at = (resume or {}).get("at", 0)
        while at < settings.count:
            await asyncio.sleep(settings.pause)
            if at == settings.fail_at:
                raise TransientFailure("SYSTEM_UNREACHABLE", "The counter is away; repeat later.")
            if Numbers.good_token and settings.token.get_secret_value() != Numbers.good_token:
                raise AuthenticationFailure("AUTHENTICATION_FAILED", "The token is refused; renew it.")
            end = min(at + settings.page, settings.count)
            Numbers.reads.extend(range(at, end))
            yield Page(
                [{"id": number, "name": f"n{number}"} for number in range(at, end)], resume={"at": end}
            )
            at = end

    @destination(key="id")
    async def sink(self, given: Batch[dict[str, Any]]) -> None:
        """Keeps what it gets."""
        Numbers.batches += 1
        for record in given:
            if record.get("name") == "bad":
                given.reject(record, "It is bad; mend it.")
            else:
                Numbers.written[str(record["id"])] = record


async def refuse(context: Any, fault: Fault) -> None:
    code, message, trailers = answer_of(fault)
    await context.abort(code, message, trailers)


@dataclass
class Scheduling(scheduling_grpc.SchedulingServiceServicer):
    """Remembers what the host says, with the rules that matter to it."""

    lease_seconds: float = 30.0
    token: int = 0
    checkpoints: dict[str, scheduling.Checkpoint] = field(default_factory=dict)
    commits: list[scheduling.CommitCheckpointRequest] = field(default_factory=list)
    renewals: list[scheduling.RenewLeaseRequest] = field(default_factory=list)
    finished: list[scheduling.FinishAttemptRequest] = field(default_factory=list)
    total: batch.Counts = field(default_factory=batch.Counts)
    cancel: bool = False
    away: bool = False
    grants: dict[str, Callable[[], scheduling.AcquireLeaseResponse]] = field(default_factory=dict)

    def grant(self, **flow: Any) -> scheduling.AcquireLeaseResponse:
        """Open the next attempt."""
        self.token += 1
        answer = scheduling.AcquireLeaseResponse(attempt=self.token, fencing_token=self.token)
        answer.execution.execution_id = "exe_1"
        answer.execution.flow_id = FLOW
        answer.execution.counts.CopyFrom(self.total)
        answer.flow.CopyFrom(
            scheduling.Flow(
                flow_id=FLOW,
                name="count",
                source=scheduling.Endpoint(instance_id="ins_source", stream="numbers"),
                destination=scheduling.Endpoint(instance_id="hub", stream="numbers"),
                **flow,
            )
        )
        answer.lease_expire_time.FromSeconds(int(time.time() + self.lease_seconds))
        answer.checkpoints.extend(self.checkpoints.values())
        return answer

    async def AcquireLease(self, request: Any, context: Any) -> scheduling.AcquireLeaseResponse:
        if request.execution_id not in self.grants:
            await refuse(context, Missing("EXECUTION_UNKNOWN", "No such execution."))
        return self.grants.pop(request.execution_id)()

    async def RenewLease(self, request: Any, context: Any) -> scheduling.RenewLeaseResponse:
        await self._guard(request, context)
        self.renewals.append(request)
        answer = scheduling.RenewLeaseResponse(is_cancel_requested=self.cancel)
        answer.lease_expire_time.FromSeconds(int(time.time() + self.lease_seconds))
        return answer

    async def CommitCheckpoint(self, request: Any, context: Any) -> scheduling.CommitCheckpointResponse:
        await self._guard(request, context)
        self.commits.append(request)
        self.checkpoints.update({one.partition: one for one in request.checkpoints})
        answer = scheduling.CommitCheckpointResponse(is_cancel_requested=self.cancel)
        answer.lease_expire_time.FromSeconds(int(time.time() + self.lease_seconds))
        return answer

    async def FinishAttempt(self, request: Any, context: Any) -> scheduling.FinishAttemptResponse:
        await self._guard(request, context)
        self.finished.append(request)
        self.checkpoints.update({one.partition: one for one in request.checkpoints})
        for name in ("read", "created", "updated", "unchanged", "deleted", "filtered", "quarantined"):
            setattr(self.total, name, getattr(self.total, name) + getattr(request.counts, name))
        return scheduling.FinishAttemptResponse(execution=scheduling.Execution(execution_id="exe_1"))

    async def _guard(self, request: Any, context: Any) -> None:
        if self.away:
            await refuse(context, RetryLater("DATABASE_UNREACHABLE", "Away.", retry_after=0.05))
        if request.fencing_token < self.token:
            await refuse(context, Precondition("FENCED", "Another attempt has taken over; stop."))


@dataclass
class Registry(registry_grpc.RegistryServiceServicer):
    """Knows the source, and where destinations are."""

    configuration: dict[str, Any] = field(default_factory=dict)
    auth_config_id: str = ""
    address: Callable[[], str] = lambda: ""
    hosts: list[registry.Host] = field(default_factory=list)
    connectors: list[connector.ConnectorSpec] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    away: bool = False
    asked: int = 0

    async def GetInstance(self, request: Any, context: Any) -> registry.GetInstanceResponse:
        self.asked += 1
        if self.away:
            await refuse(context, RetryLater("DATABASE_UNREACHABLE", "Away.", retry_after=0.05))
        if request.instance_id == "ins_unknown":
            await refuse(context, Missing("INSTANCE_UNKNOWN", "No such instance."))
        return registry.GetInstanceResponse(
            instance=registry.IntegrationInstance(
                instance_id=request.instance_id,
                name="counter",
                status=registry.IntegrationInstance.STATUS_ACTIVE,
                connector_id="numbers",
                configuration=msgspec.json.encode(self.configuration).decode(),
                configuration_revision=len(str(self.configuration)),
                auth_config_id=self.auth_config_id,
            )
        )

    async def ResolveHost(self, request: Any, context: Any) -> registry.ResolveHostResponse:
        return registry.ResolveHostResponse(host=registry.Host(address=self.address()))

    async def RegisterConnector(self, request: Any, context: Any) -> registry.RegisterConnectorResponse:
        self.connectors.append(request.spec)
        return registry.RegisterConnectorResponse()

    async def RegisterHost(self, request: Any, context: Any) -> registry.RegisterHostResponse:
        self.hosts.append(request.host)
        return registry.RegisterHostResponse()

    async def DeregisterHost(self, request: Any, context: Any) -> registry.DeregisterHostResponse:
        self.gone.append(request.host_id)
        return registry.DeregisterHostResponse()


@dataclass
class Vault(credentials_grpc.CredentialsServiceServicer):
    """Lends one bearer token."""

    token: str = "old"
    version: int = 1
    leases: int = 0

    async def LeaseCredential(self, request: Any, context: Any) -> credentials.LeaseCredentialResponse:
        self.leases += 1
        answer = credentials.LeaseCredentialResponse(
            auth_type=connector.AUTH_METHOD_BEARER, secret_version=self.version
        )
        answer.secret.bearer_token = self.token
        answer.expire_time.FromSeconds(int(time.time() + 300))
        return answer


@dataclass
class Mapping(mapping_grpc.MappingServiceServicer):
    """Gives one definition."""

    definition: dict[str, Any] = field(default_factory=dict)
    asked: int = 0

    async def GetPlan(self, request: Any, context: Any) -> mapping.GetPlanResponse:
        self.asked += 1
        text = msgspec.json.encode(self.definition).decode()
        return mapping.GetPlanResponse(
            mapping_id=request.mapping_id,
            version=request.version or 1,
            fingerprint=hashlib.sha256(text.encode()).hexdigest(),
            definition=text,
        )


@dataclass
class Quarantined(records_grpc.RecordsServiceServicer):
    """Keeps quarantined records once for each flow, record and stage."""

    held: dict[str, records.QuarantinedRecord] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)
    away: bool = False

    async def QuarantineRecords(self, request: Any, context: Any) -> records.QuarantineRecordsResponse:
        if self.away:
            await refuse(context, RetryLater("DATABASE_UNREACHABLE", "Away.", retry_after=0.05))
        ids = []
        for record in request.records:
            content = f"{record.flow_id}/{record.record}/{record.stage}"
            record.quarantine_id = f"qrn_{hashlib.sha256(content.encode()).hexdigest()[:8]}"
            record.status = records.QuarantinedRecord.STATUS_WAITING
            self.held[record.quarantine_id] = record
            ids.append(record.quarantine_id)
        return records.QuarantineRecordsResponse(quarantine_ids=ids)

    async def GetQuarantined(self, request: Any, context: Any) -> records.GetQuarantinedResponse:
        return records.GetQuarantinedResponse(record=self.held[request.quarantine_id])

    async def ListQuarantine(self, request: Any, context: Any) -> records.ListQuarantineResponse:
        chosen = [record for record in self.held.values() if record.status in request.statuses]
        return records.ListQuarantineResponse(records=chosen)

    async def ResolveQuarantined(self, request: Any, context: Any) -> records.ResolveQuarantinedResponse:
        for one in request.quarantine_ids:
            self.held[one].status = records.QuarantinedRecord.STATUS_DELIVERED
        self.resolved.extend(request.quarantine_ids)
        return records.ResolveQuarantinedResponse(resolved=len(request.quarantine_ids))


@dataclass
class Monitoring(monitoring_grpc.MonitoringServiceServicer):
    """Keeps log lines."""

    logs: list[monitoring.IntegrationLog] = field(default_factory=list)
    samples: list[monitoring.UsageSample] = field(default_factory=list)

    async def AppendLogs(self, request: Any, context: Any) -> monitoring.AppendLogsResponse:
        self.logs.extend(request.logs)
        return monitoring.AppendLogsResponse(appended=len(request.logs))

    async def RecordUsage(self, request: Any, context: Any) -> monitoring.RecordUsageResponse:
        self.samples.extend(request.samples)
        return monitoring.RecordUsageResponse()


@dataclass
class Hub(connector_grpc.ConnectorServiceServicer):
    """A transactional destination: remembers token and sequence with the records, fences zombies."""

    credit: int = 4
    most_records: int = 0
    pause: float = 0.0
    open_gate: asyncio.Event = field(default_factory=asyncio.Event)
    data: dict[str, bytes] = field(default_factory=dict)
    versions: int = 0
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    openings: list[connector.WriteOpen] = field(default_factory=list)
    batches: list[batch.Batch] = field(default_factory=list)
    in_flight: int = 0
    reject: Callable[[dict[str, Any]], bool] = lambda record: False
    before_ack: Callable[[batch.Batch], Any] = lambda one: None

    def __post_init__(self) -> None:
        self.open_gate.set()

    async def Write(self, request_iterator: Any, context: Any) -> AsyncIterator[connector.WriteResponse]:
        opening = (await anext(request_iterator)).open
        self.openings.append(opening)
        yield connector.WriteResponse(
            ready=connector.WriteReady(credit=self.credit, max_batch_records=self.most_records)
        )
        async for request in request_iterator:
            await self.open_gate.wait()
            await asyncio.sleep(self.pause)
            ack = await self._apply(opening, request.batch, context)
            await asyncio.sleep(0)
            if self.before_ack(request.batch):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
            yield connector.WriteResponse(ack=ack)

    async def _apply(self, opening: Any, one: batch.Batch, context: Any) -> connector.BatchAck:
        token, sequence = self.seen.get(one.partition, (0, 0))
        ack = connector.BatchAck(partition=one.partition, sequence=one.sequence)
        if opening.fencing_token < token:
            await refuse(context, Precondition("FENCED", "A newer attempt writes this flow; stop."))
        rejected = [index for index, data in enumerate(one.records) if self.reject(msgspec.json.decode(data))]
        for index in rejected:
            ack.outcomes.add(
                index=index, result=batch.RecordOutcome.RESULT_REJECTED, reason="BAD", message="It is bad."
            )
        if opening.fencing_token == token and one.sequence <= sequence:
            ack.repeated_batch = True
            return ack
        assert one.sequence == (sequence if opening.fencing_token == token else 0) + 1
        self.batches.append(one)
        for index, (key, data) in enumerate(zip(one.keys, one.records, strict=True)):
            if index not in rejected:
                self._store(ack, key, data)
        self.seen[one.partition] = (opening.fencing_token, one.sequence)
        return ack

    def _store(self, ack: connector.BatchAck, key: str, data: bytes) -> None:
        if key not in self.data:
            ack.created += 1
        elif self.data[key] == data:
            ack.unchanged += 1
            return
        else:
            ack.updated += 1
        self.data[key] = data
        self.versions += 1


class PlainMesh:
    """Channels without identities."""

    def __init__(self, control: str) -> None:
        self._control = control
        self._channels: dict[str, grpc.aio.Channel] = {}

    def peer(self, name: str) -> grpc.aio.Channel:
        return self.channel(self._control)

    def channel(self, address: str) -> grpc.aio.Channel:
        if address not in self._channels:
            options = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100))
            self._channels[address] = grpc.aio.insecure_channel(address, options=options)
        return self._channels[address]

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()


@dataclass
class World:
    """Everything around a host, and a way to run attempts."""

    scheduling: Scheduling
    registry: Registry
    vault: Vault
    mapping: Mapping
    quarantine: Quarantined
    monitoring: Monitoring
    hub: Hub
    mesh: PlainMesh
    control_address: str
    hub_address: str
    control: ControlPlane
    backend: Any
    monkeypatch: pytest.MonkeyPatch
    connector: type[Numbers] = Numbers
    tenant: str = TENANT
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def tools(self, **options: Any) -> Tools:
        values = {"commit_seconds": 0.01, "renew_seconds": 0.1, "patience_seconds": 5.0, "stop_seconds": 2.0}
        settings = HostSettings(connector="numbers", **{**values, **options})
        resolver = Resolver(self.control, Leases(self.control, "hst_test"))
        preparing = Preparing(self.control, resolver, Plans(self.control), patience=settings.patience_seconds)
        return Tools(self.backend, self.control, preparing, Reports(self.control), settings)

    def attempt(self, grant: Any = None, *, tools: Tools | None = None, **options: Any) -> Attempt:
        return Attempt(
            tools or self.tools(**options), self.tenant, grant or self.scheduling.grant(), self.stop
        )

    async def run(self, grant: Any = None, **options: Any) -> scheduling.FinishAttemptRequest:
        """Run an attempt to its end and return how it ended."""
        with acting_for(self.tenant):
            await self.attempt(grant, **options).run()
        return self.scheduling.finished[-1]


@asynccontextmanager
async def serving(*registrations: Any) -> AsyncIterator[str]:
    server = grpc.aio.server()
    for add, servicer in registrations:
        add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.fixture
def serve() -> Any:
    """Serve generated servicers in this process."""
    return serving


@pytest.fixture(scope="module")
def counter() -> type[Numbers]:
    return Numbers


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    Numbers.forget()
    plane = (Scheduling(), Registry(), Vault(), Mapping(), Quarantined(), Monitoring())
    hub = Hub()
    async with AsyncExitStack() as stack:
        hub_address = await stack.enter_async_context(
            serving((connector_grpc.add_ConnectorServiceServicer_to_server, hub))
        )
        adders = (
            scheduling_grpc.add_SchedulingServiceServicer_to_server,
            registry_grpc.add_RegistryServiceServicer_to_server,
            credentials_grpc.add_CredentialsServiceServicer_to_server,
            mapping_grpc.add_MappingServiceServicer_to_server,
            records_grpc.add_RecordsServiceServicer_to_server,
            monitoring_grpc.add_MonitoringServiceServicer_to_server,
        )
        control_address = await stack.enter_async_context(serving(*zip(adders, plane, strict=True)))
        mesh = PlainMesh(control_address)
        stack.push_async_callback(mesh.close)
        backend = LocalBackend(Numbers)
        stack.push_async_callback(backend.close)
        plane[1].address = lambda: hub_address
        addresses = (control_address, hub_address)
        yield World(*plane, hub, mesh, *addresses, ControlPlane(mesh), backend, monkeypatch)  # type: ignore[arg-type]
