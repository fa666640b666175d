"""Flows: created, changed, reset and deleted."""

from collections.abc import Sequence
from dataclasses import replace

from isthmus.kit import Clock, check_etag, new_id
from isthmus.kit.deed import tell
from isthmus.resilience.faults import AlreadyExists, Precondition
from isthmus.services.scheduling.domain import Endpoint, Flow, FlowSpec
from isthmus.services.scheduling.engine.executions import Executions, remember
from isthmus.services.scheduling.engine.ports import Announcer, InstanceFacts
from isthmus.services.scheduling.engine.refusals import flow_in_use, flow_unknown
from isthmus.services.scheduling.store import executions, flows, plans
from sqlalchemy.ext.asyncio import AsyncConnection


class Flows:
    """Keeps flows; every method is one transaction's work.

    Args:
        work: Cancels what runs of a flow that goes.
        announcer: Says what happened.
        clock: The time.
    """

    def __init__(self, work: Executions, announcer: Announcer, clock: Clock) -> None:
        self._executions = work
        self._announcer = announcer
        self._clock = clock

    async def create(
        self,
        conn: AsyncConnection,
        tenant_id: str,
        spec: FlowSpec,
        instances: Sequence[InstanceFacts],
        by: str,
    ) -> Flow:
        """Store a new flow whose instances were looked up.

        Raises:
            AlreadyExists: `FLOW_NAME_TAKEN`.
        """
        now = self._clock.now()
        flow = Flow(
            flow_id=new_id("flw"),
            spec=spec,
            source_connector_id=_connector(spec.source, instances),
            destination_connector_id=_connector(spec.destination, instances),
            created_by=by,
            create_time=now,
            update_time=now,
        )
        stored = await flows.insert_flow(conn, tenant_id, flow)
        if stored is None:
            raise _name_taken(spec)
        for facts in instances:
            await remember(conn, tenant_id, facts)
        await self._announcer.flow(conn, tenant_id, "created", stored, by)
        return stored

    async def get(self, conn: AsyncConnection, tenant_id: str, flow_id: str) -> Flow:
        """Read a flow.

        Raises:
            Missing: `FLOW_UNKNOWN`.
        """
        flow = await flows.get_flow(conn, tenant_id, flow_id)
        if flow is None:
            raise flow_unknown(flow_id)
        return flow

    async def update(
        self,
        conn: AsyncConnection,
        tenant_id: str,
        flow_id: str,
        spec: FlowSpec,
        instances: Sequence[InstanceFacts],
        *,
        etag: str,
        by: str,
    ) -> Flow:
        """Replace what a flow's owner decided; positions that lose their meaning are dropped.

        Raises:
            Missing: `FLOW_UNKNOWN`.
            Conflict: `ETAG_MISMATCH`.
            AlreadyExists: `FLOW_NAME_TAKEN`.
        """
        old = await flows.get_flow(conn, tenant_id, flow_id, lock="UPDATE")
        if old is None:
            raise flow_unknown(flow_id)
        check_etag(etag, old.revision)
        tell(before=old)
        changed = replace(
            old,
            spec=spec,
            source_connector_id=_connector(spec.source, instances),
            destination_connector_id=_connector(spec.destination, instances),
            update_time=self._clock.now(),
            epoch=old.epoch if spec.keeps_position_of(old.spec) else old.epoch + 1,
        )
        stored = await flows.update_flow(conn, tenant_id, changed)
        if stored is None:
            raise _name_taken(spec)
        for facts in instances:
            await remember(conn, tenant_id, facts)
        await flows.drop_old_lineages(conn, tenant_id, flow_id)
        await self._announcer.flow(conn, tenant_id, "updated", stored, by)
        return stored

    async def delete(
        self, conn: AsyncConnection, tenant_id: str, flow_id: str, *, etag: str, by: str
    ) -> None:
        """Remove a flow, its schedules and positions, and cancel what runs; its executions stay.

        Raises:
            Conflict: `ETAG_MISMATCH`.
            Precondition: `FLOW_IN_USE`, a plan would be left with a step that nobody can run.
        """
        flow = await flows.get_flow(conn, tenant_id, flow_id, lock="UPDATE")
        if flow is None:
            return
        check_etag(etag, flow.revision)
        tell(before=flow)
        users = await plans.plans_with(conn, tenant_id, flow_id)
        if users:
            raise flow_in_use(flow, users)
        await flows.delete_flow_parts(conn, tenant_id, flow_id)
        await self._executions.cancel_live(conn, tenant_id, flow_id)
        await flows.delete_flow(conn, tenant_id, flow_id)
        await self._announcer.flow(conn, tenant_id, "deleted", flow, by)

    async def reset(self, conn: AsyncConnection, tenant_id: str, flow_id: str) -> int:
        """Forget a flow's positions and say how many there were.

        Raises:
            Missing: `FLOW_UNKNOWN`.
            Precondition: `EXECUTION_RUNNING`.
        """
        flow = await flows.get_flow(conn, tenant_id, flow_id, lock="UPDATE")
        if flow is None:
            raise flow_unknown(flow_id)
        live = await executions.live_execution(conn, tenant_id, flow_id)
        if live is not None:
            message = f"Execution {live.execution_id} is at work; cancel it before resetting the flow."
            metadata = {"flow_id": flow_id, "execution_id": live.execution_id}
            raise Precondition("EXECUTION_RUNNING", message, metadata=metadata)
        return await flows.forget_checkpoints(conn, tenant_id, flow_id)


def _connector(end: Endpoint, instances: Sequence[InstanceFacts]) -> str:
    return next(one.connector_id for one in instances if one.instance_id == end.instance_id)


def _name_taken(spec: FlowSpec) -> AlreadyExists:
    message = f'There is a flow named "{spec.name}" already; choose another name.'
    return AlreadyExists("FLOW_NAME_TAKEN", message, path="flow.name")


__all__ = ["Flows"]
