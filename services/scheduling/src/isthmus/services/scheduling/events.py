"""What happened to flows, plans, schedules and executions, on NATS; jobs; what others' events lead to."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from google.protobuf.json_format import MessageToJson, ParseDict
from isthmus.identity.v1.quotas_pb2 import QuotasChanged
from isthmus.kit import Bus, Consumer, DomainEvent, Outbox, ReceivedEvent, bus_users
from isthmus.kit.bus import CORRELATION_HEADER
from isthmus.kit.trace import HEADER as TRACE_HEADER
from isthmus.records.v1.pairs_pb2 import ConflictsChanged
from isthmus.records.v1.records_pb2 import QuarantineChanged
from isthmus.registry.v1.registry_pb2 import InstanceChanged
from isthmus.scheduling.v1 import plans_pb2
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain import Execution, Flow, Plan, PlanRun, Schedule, Trigger
from isthmus.services.scheduling.engine import Cause, EventFact, Executions, Origin, Schedules
from isthmus.services.scheduling.store import flows
from isthmus.services.scheduling.store.endings import OutboxRow
from isthmus.services.scheduling.store.executions import JobToSend
from isthmus.services.scheduling.store.room import EVERYWHERE
from isthmus.services.scheduling.translate import (
    most_executions,
    sync_data,
    write_flow,
    write_schedule,
    write_sync,
)
from isthmus.services.scheduling.translate.plans import write_plan, write_run
from sqlalchemy.ext.asyncio import AsyncConnection

_SAME_MESSAGE = 10
_QUOTAS = "isthmus.identity.quotas.changed.v1"
_POLICY = "policy"
_NOTHING = pb.SyncChanged()


class Announcements:
    """Says what happened, through the outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def flow(self, conn: AsyncConnection, tenant_id: str, verb: str, flow: Flow, by: str) -> None:
        """Say that a flow was created, updated, paused, resumed or deleted."""
        payload = pb.FlowChanged(flow=write_flow(flow), changed_by=by)
        await self._outbox.add(conn, DomainEvent(tenant_id, "flow", verb, flow.flow_id, payload))

    async def schedule(
        self, conn: AsyncConnection, tenant_id: str, verb: str, schedule: Schedule, by: str
    ) -> None:
        """Say that a schedule was created, updated or deleted."""
        payload = pb.ScheduleChanged(schedule=write_schedule(schedule), changed_by=by)
        await self._outbox.add(conn, DomainEvent(tenant_id, "schedule", verb, schedule.schedule_id, payload))

    async def plan(self, conn: AsyncConnection, tenant_id: str, verb: str, plan: Plan, by: str) -> None:
        """Say that a plan was created, updated or deleted."""
        payload = plans_pb2.PlanChanged(plan=write_plan(plan), changed_by=by)
        await self._outbox.add(conn, DomainEvent(tenant_id, "plan", verb, plan.plan_id, payload))

    async def plan_run(self, conn: AsyncConnection, tenant_id: str, verb: str, run: PlanRun) -> None:
        """Say that a run of a plan started, or how it ended."""
        payload = plans_pb2.PlanRunChanged(run=write_run(run))
        await self._outbox.add(conn, DomainEvent(tenant_id, "plan_run", verb, run.run_id, payload))

    async def sync(self, conn: AsyncConnection, tenant_id: str, verb: str, execution: Execution) -> None:
        """Say that an execution started, completed, failed or was cancelled.

        A comparison moves nothing, so what waits for the end of a flow's executions does not hear of it.
        """
        payload = write_sync(execution)
        event = DomainEvent(tenant_id, _entity_of(execution), verb, execution.execution_id, payload)
        await self._outbox.add(conn, event)

    def sync_row(self, tenant_id: str, verb: str, execution: Execution, origin: Origin) -> OutboxRow:
        """Give what says so as a row, for a statement that stores several."""
        event = DomainEvent(tenant_id, _entity_of(execution), verb, execution.execution_id, _NOTHING)
        return self._outbox.row(
            event,
            sync_data(execution),
            correlation_id=origin.correlation_id,
            traceparent=origin.traceparent,
        )

    def relay(self) -> None:
        """Have rows sent that were stored so; called after the commit."""
        self._outbox.added.set()


class JobQueue:
    """Puts jobs into the work queues of connectors."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def send(self, job: JobToSend) -> None:
        """Put a job into its connector's queue.

        Repetitions carry the same message id for a while, so that a queue nobody reads does not
        grow; then another one, so that a job which somebody took and lost is not taken for a
        repetition.
        """
        body = pb.Job(tenant_id=job.tenant_id, execution_id=job.execution_id, flow_id=job.flow_id)
        turn = (job.dispatches - 1) // _SAME_MESSAGE
        message_id = f"{job.execution_id}.{job.attempt}" + (f".{turn}" if turn else "")
        payload = MessageToJson(body, preserving_proto_field_name=True, indent=None).encode()
        headers = {CORRELATION_HEADER: job.correlation_id, TRACE_HEADER: job.traceparent}
        present = {name: value for name, value in headers.items() if value}
        subject = bus_users.jobs(job.connector_id)
        await self._bus.publish(subject, payload, message_id=message_id, headers=present)


class Reactions:
    """What other services' events lead to.

    Args:
        work: Starts executions.
        schedules: Knows which flows and plans wait for events.
    """

    def __init__(self, work: Executions, schedules: Schedules) -> None:
        self._executions = work
        self._schedules = schedules

    def consumers(self) -> list[Consumer]:
        """The subjects wanted, with what is done about them."""
        return [
            Consumer(*bus_users.SCHEDULING_TRIGGERS, self.trigger, awaited=self.awaited),
            Consumer(*bus_users.SCHEDULING_REQUEUE, self.requeue),
            Consumer(*bus_users.SCHEDULING_CONFLICTS, self.conflict),
            Consumer(*bus_users.SCHEDULING_INSTANCES, self.places),
        ]

    async def trigger(self, conn: AsyncConnection, event: ReceivedEvent) -> None:
        """Start the flows and plans that wait for an event of this type."""
        flow_id, plan_id = _named("flow", event.data), _named("plan", event.data)
        fact = EventFact(event.tenant_id, event.type, flow_id, plan_id)
        await self._schedules.event(conn, fact)

    async def awaited(self, conn: AsyncConnection, events: Sequence[ReceivedEvent]) -> list[ReceivedEvent]:
        """Tell for which of a tenant's events flows or plans wait; for most of them nobody does."""
        types = {event.type for event in events}
        awaited = await self._schedules.awaited(conn, events[0].tenant_id, types)
        return [event for event in events if event.type in awaited]

    async def requeue(self, conn: AsyncConnection, event: ReceivedEvent) -> None:
        """Deliver requeued records as soon as their flow is free."""
        change = ParseDict(event.data, QuarantineChanged(), ignore_unknown_fields=True)
        flow = await flows.get_flow(conn, event.tenant_id, change.flow_id)
        if flow is None:
            return
        complete = len(change.quarantine_ids) >= change.count
        ids = tuple(change.quarantine_ids) if complete else ()
        cause = Cause(Trigger.REQUEUE, change.changed_by, quarantine_ids=ids)
        await self._executions.start_or_wait(conn, event.tenant_id, flow, cause)

    async def conflict(self, conn: AsyncConnection, event: ReceivedEvent) -> None:
        """Carry out what a person has decided; what a policy decides is being carried out already."""
        change = ParseDict(event.data, ConflictsChanged(), ignore_unknown_fields=True)
        flow = await flows.get_flow(conn, event.tenant_id, change.flow_id)
        if flow is not None and flow.spec.is_active and change.changed_by != _POLICY:
            cause = Cause(Trigger.EVENT, change.changed_by)
            await self._executions.start_or_wait(conn, event.tenant_id, flow, cause)

    async def places(self, conn: AsyncConnection, event: ReceivedEvent) -> None:
        """Remember how many executions an instance, or the tenant, may have at work at a time."""
        if event.type == _QUOTAS:
            await self._quotas(conn, event)
        else:
            await self._instance(conn, event)

    async def _quotas(self, conn: AsyncConnection, event: ReceivedEvent) -> None:
        quotas = ParseDict(event.data, QuotasChanged(), ignore_unknown_fields=True).quotas
        await flows.know_instance(
            conn,
            event.tenant_id,
            EVERYWHERE,
            is_active=True,
            executions=max(0, quotas.executions),
            update_time=event.time,
        )

    async def _instance(self, conn: AsyncConnection, event: ReceivedEvent) -> None:
        instance = ParseDict(event.data, InstanceChanged(), ignore_unknown_fields=True).instance
        is_active = instance.status == instance.STATUS_ACTIVE and not event.type.endswith(".deleted.v1")
        changed = instance.update_time.ToDatetime(UTC) if instance.HasField("update_time") else event.time
        await flows.know_instance(
            conn,
            event.tenant_id,
            instance.instance_id or event.subject,
            is_active=is_active,
            executions=most_executions(instance.limits),
            update_time=changed,
        )


def _entity_of(execution: Execution) -> str:
    return "sync" if execution.reconcile is None else "reconciliation"


def _named(kind: str, data: dict[str, Any]) -> str:
    """Find the flow or the plan that caused an event, where its payload names one."""
    parts = [data.get(name) for name in ("execution", "run")]
    for holder in (*(part for part in parts if isinstance(part, dict)), data):
        found = holder.get(f"{kind}Id") or holder.get(f"{kind}_id")
        if found:
            return str(found)
    return ""


__all__ = ["Announcements", "JobQueue", "Reactions"]
