"""A control plane and a hub in memory, with the rules that matter to a host."""

import hashlib
import time
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.credentials.v1 import credentials_pb2 as credentials
from isthmus.credentials.v1 import credentials_pb2_grpc as credentials_grpc
from isthmus.kit.errors import answer_of, refusal_of
from isthmus.mapping.v1 import mapping_pb2 as mapping
from isthmus.mapping.v1 import mapping_pb2_grpc as mapping_grpc
from isthmus.mapping.v1 import schemas_pb2 as schemas
from isthmus.mapping.v1 import schemas_pb2_grpc as schemas_grpc
from isthmus.monitoring.v1 import monitoring_pb2 as monitoring
from isthmus.monitoring.v1 import monitoring_pb2_grpc as monitoring_grpc
from isthmus.records.v1 import records_pb2 as records
from isthmus.records.v1 import records_pb2_grpc as records_grpc
from isthmus.registry.v1 import registry_pb2 as registry
from isthmus.registry.v1 import registry_pb2_grpc as registry_grpc
from isthmus.resilience import Fault, FixRequest, Missing, Precondition, RetryLater
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.scheduling.v1 import scheduling_pb2_grpc as scheduling_grpc
from isthmus.type.v1 import batch_pb2 as batch

FLOW = "flw_1"


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
    waiting: list[str] = field(default_factory=list)

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
        if any(one.fencing_token == request.fencing_token for one in self.finished):
            # One that was given up may come late, with positions that are older than those of the end.
            await refuse(context, Precondition("FENCED", "The attempt has ended."))
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

    async def AcquireLeases(self, request: Any, context: Any) -> scheduling.AcquireLeasesResponse:
        results = []
        for one in request.leases:
            found = self.grants.pop(one.execution_id, None)
            refusal = refusal_of(Missing("EXECUTION_UNKNOWN", "No such execution."))
            results.append(
                scheduling.LeaseResult(lease=found()) if found else scheduling.LeaseResult(refusal=refusal)
            )
        return scheduling.AcquireLeasesResponse(results=results)

    async def FinishAttempts(self, request: Any, context: Any) -> scheduling.FinishAttemptsResponse:
        closed = [await self.FinishAttempt(one, context) for one in request.attempts]
        given, self.waiting[:] = self.waiting[: request.room], self.waiting[request.room :]
        return scheduling.FinishAttemptsResponse(
            results=[scheduling.FinishResult(closed=one) for one in closed],
            handed_over=[
                scheduling.HandedOver(
                    lease=self.grants.pop(one)(), origin=scheduling.Origin(correlation_id=f"cor_{one}")
                )
                for one in given
            ],
        )

    async def _guard(self, request: Any, context: Any) -> None:
        if self.away:
            await refuse(context, RetryLater("DATABASE_UNREACHABLE", "Away.", retry_after=0.05))
        if request.fencing_token < self.token:
            await refuse(context, Precondition("FENCED", "Another attempt has taken over; stop."))


@dataclass
class Registry(registry_grpc.RegistryServiceServicer):
    """Knows the source, and where destinations are."""

    configuration: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    auth_config_id: str = ""
    address: Callable[[], str] = lambda: ""
    hosts: list[registry.Host] = field(default_factory=list)
    connectors: list[connector.ConnectorSpec] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    away: bool = False
    asked: int = 0
    etag: str = ""
    resolved: int = 0

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
                configuration_revision=zlib.crc32(f"{self.configuration}{self.limits}".encode()) >> 1,
                auth_config_id=self.auth_config_id,
                limits=msgspec.json.encode(self.limits).decode(),
                etag=self.etag,
            )
        )

    async def ResolveHost(self, request: Any, context: Any) -> registry.ResolveHostResponse:
        self.resolved += 1
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
    """Lends one bearer token, or access tokens where one of them takes the place of another."""

    token: str = "old"
    further: dict[str, str] = field(default_factory=dict)
    version: int = 1
    leases: int = 0
    next_tokens: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    has_tokens: bool = False

    async def LeaseCredential(self, request: Any, context: Any) -> credentials.LeaseCredentialResponse:
        self.leases += 1
        answer = credentials.LeaseCredentialResponse(
            auth_type=connector.AUTH_METHOD_BEARER, secret_version=self.version
        )
        answer.secret.bearer_token = self.token
        answer.secret.further.update(self.further)
        answer.expire_time.FromSeconds(int(time.time() + 300))
        if self.has_tokens:
            answer.access_token.token_id = f"tok_{self.token}"
        return answer

    async def RefreshCredential(self, request: Any, context: Any) -> credentials.RefreshCredentialResponse:
        self.refused.append(request.refused_token_id)
        if request.refused_token_id == f"tok_{self.token}" and self.next_tokens:
            self.token = self.next_tokens.pop(0)
        return credentials.RefreshCredentialResponse(lease=await self.LeaseCredential(request, context))


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
class Schemas(schemas_grpc.SchemaServiceServicer):
    """Judges as it is told to; by default everything passes and nothing is remembered."""

    asked: list[schemas.ObserveSchemaRequest] = field(default_factory=list)
    answer: Callable[[schemas.ObserveSchemaRequest], schemas.ObserveSchemaResponse] | None = None

    async def ObserveSchema(self, request: Any, context: Any) -> schemas.ObserveSchemaResponse:
        self.asked.append(request)
        if self.answer is not None:
            return self.answer(request)
        return schemas.ObserveSchemaResponse(
            verdict=schemas.ObserveSchemaResponse.VERDICT_PASS,
            json_schema=request.seen_schema or '{"type": "object"}',
        )


@dataclass
class Quarantined(records_grpc.RecordsServiceServicer):
    """Keeps quarantined records once for each flow, record and stage."""

    held: dict[str, records.QuarantinedRecord] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)
    away: bool = False
    most_bytes: int = 64 << 20

    async def QuarantineRecords(self, request: Any, context: Any) -> records.QuarantineRecordsResponse:
        if self.away:
            await refuse(context, RetryLater("DATABASE_UNREACHABLE", "Away.", retry_after=0.05))
        ids = [self._keep(record) for record in request.records]
        return records.QuarantineRecordsResponse(quarantine_ids=ids)

    async def QuarantineLargeRecord(
        self, request_iterator: Any, context: Any
    ) -> records.QuarantineLargeRecordResponse:
        record = (await anext(request_iterator)).record
        text = b"".join([request.piece async for request in request_iterator])
        if len(text) > self.most_bytes:
            await refuse(context, FixRequest("RECORD_TOO_LARGE", "A record may have less."))
        record.record = text.decode()
        return records.QuarantineLargeRecordResponse(quarantine_id=self._keep(record))

    def _keep(self, record: records.QuarantinedRecord) -> str:
        content = f"{record.flow_id}/{record.record}/{record.stage}"
        record.quarantine_id = f"qrn_{hashlib.sha256(content.encode()).hexdigest()[:8]}"
        record.status = records.QuarantinedRecord.STATUS_WAITING
        self.held[record.quarantine_id] = record
        return record.quarantine_id

    async def GetQuarantined(self, request: Any, context: Any) -> records.GetQuarantinedResponse:
        return records.GetQuarantinedResponse(record=self._shown(self.held[request.quarantine_id]))

    async def ListQuarantine(self, request: Any, context: Any) -> records.ListQuarantineResponse:
        chosen = [self._shown(one) for one in self.held.values() if one.status in request.statuses]
        return records.ListQuarantineResponse(records=chosen)

    async def ReadQuarantined(
        self, request: Any, context: Any
    ) -> AsyncIterator[records.ReadQuarantinedResponse]:
        text = self.held[request.quarantine_id].record.encode()
        for start in range(0, len(text), 1 << 20):
            yield records.ReadQuarantinedResponse(piece=text[start : start + (1 << 20)])

    def _shown(self, record: records.QuarantinedRecord) -> records.QuarantinedRecord:
        shown = records.QuarantinedRecord()
        shown.CopyFrom(record)
        shown.record_bytes = len(record.record.encode())
        if shown.record_bytes > 1 << 20:
            shown.ClearField("record")
        return shown

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
