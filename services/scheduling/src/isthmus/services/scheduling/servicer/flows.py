"""RPCs of flows."""

import asyncio

from isthmus.kit import PageRequest, current_principal, encode_token, once
from isthmus.kit.paging import fitting
from isthmus.kit.quotas import check_room, counted
from isthmus.kit.splitting import refusal_of_split
from isthmus.kit.validation import validating
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain import (
    DeleteKind,
    Direction,
    Execution,
    FlowSpec,
    ReadMode,
    with_way_back,
)
from isthmus.services.scheduling.engine import InstanceFacts
from isthmus.services.scheduling.servicer.checks import check_flow, check_id
from isthmus.services.scheduling.servicer.desk import Context, Rpcs
from isthmus.services.scheduling.store import flows as rows
from isthmus.services.scheduling.translate import read_flow, write_execution, write_flow


class FlowRpcs(Rpcs):
    """Translates the RPCs of flows."""

    async def GetUsage(self, request: pb.GetUsageRequest, _: Context) -> pb.GetUsageResponse:
        """Count the tenant's flows, and its executions at work."""
        async with self._desk.db.tenant(current_principal().tenant_id) as conn:
            used = {
                "flows": await counted(conn, "flows"),
                "executions": await counted(
                    conn, "executions", "status = 'running' and lease_expire_time is not null"
                ),
            }
        return pb.GetUsageResponse(used=used)

    async def CreateFlow(self, request: pb.CreateFlowRequest, _: Context) -> pb.CreateFlowResponse:
        """Create a flow whose instances and mapping exist."""
        check_flow(request.flow)
        caller, spec = current_principal(), with_way_back(read_flow(request.flow))
        async with self._desk.db.tenant(caller.tenant_id) as conn:

            async def create() -> pb.CreateFlowResponse:
                needed = await self._look_up(spec)
                await check_room(conn, "flows", caller.quotas.flows, "flows")
                flow = await self._desk.flows.create(conn, caller.tenant_id, spec, needed, caller.subject)
                return pb.CreateFlowResponse(flow=write_flow(flow))

            return await once(conn, "CreateFlow", request, create, pb.CreateFlowResponse)

    async def GetFlow(self, request: pb.GetFlowRequest, _: Context) -> pb.GetFlowResponse:
        """Read a flow."""
        check_id("flow_id", request.flow_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            flow = await self._desk.flows.get(conn, tenant_id, request.flow_id)
        return pb.GetFlowResponse(flow=write_flow(flow))

    async def ListFlows(self, request: pb.ListFlowsRequest, _: Context) -> pb.ListFlowsResponse:
        """List flows, oldest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["flow"])
        after = str(page.after["flow"]) if page.after else ""
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            found = await rows.list_flows(
                conn,
                tenant_id,
                instance_id=request.instance_id,
                name=request.name,
                mapping_id=request.mapping_id,
                after=after,
                limit=page.size + 1,
            )
        shown = fitting(map(write_flow, found), page.size)
        token = encode_token({"flow": shown[-1].flow_id}) if len(found) > len(shown) else ""
        return pb.ListFlowsResponse(flows=shown, next_page_token=token)

    async def UpdateFlow(self, request: pb.UpdateFlowRequest, _: Context) -> pb.UpdateFlowResponse:
        """Replace what a flow's owner decides."""
        check_id("flow.flow_id", request.flow.flow_id)
        check_flow(request.flow)
        caller, flow_id = current_principal(), request.flow.flow_id
        spec = with_way_back(read_flow(request.flow))
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            await self._desk.flows.get(conn, caller.tenant_id, flow_id)
        needed = await self._look_up(spec)
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            flow = await self._desk.flows.update(
                conn, caller.tenant_id, flow_id, spec, needed, etag=request.etag, by=caller.subject
            )
        return pb.UpdateFlowResponse(flow=write_flow(flow))

    async def DeleteFlow(self, request: pb.DeleteFlowRequest, _: Context) -> pb.DeleteFlowResponse:
        """Delete a flow with all that hangs on it."""
        check_id("flow_id", request.flow_id)
        caller = current_principal()
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            await self._desk.flows.delete(
                conn, caller.tenant_id, request.flow_id, etag=request.etag, by=caller.subject
            )
        return pb.DeleteFlowResponse()

    async def ResetFlow(self, request: pb.ResetFlowRequest, _: Context) -> pb.ResetFlowResponse:
        """Forget a flow's positions."""
        check_id("flow_id", request.flow_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            number = await self._desk.flows.reset(conn, tenant_id, request.flow_id)
        return pb.ResetFlowResponse(checkpoints=number)

    async def PauseFlow(self, request: pb.PauseFlowRequest, _: Context) -> pb.PauseFlowResponse:
        """Stop a flow for a while."""
        check_id("flow_id", request.flow_id)
        with validating() as check:
            check.text("reason", request.reason, required=False)
        caller = current_principal()
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            flow, execution = await self._desk.pauses.pause_flow(
                conn, caller.tenant_id, request.flow_id, by=caller.subject, reason=request.reason
            )
        return pb.PauseFlowResponse(flow=write_flow(flow), execution=_written(execution))

    async def ResumeFlow(self, request: pb.ResumeFlowRequest, _: Context) -> pb.ResumeFlowResponse:
        """Let a flow go on."""
        check_id("flow_id", request.flow_id)
        caller = current_principal()
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            flow, execution = await self._desk.pauses.resume_flow(
                conn, caller.tenant_id, request.flow_id, by=caller.subject
            )
        return pb.ResumeFlowResponse(flow=write_flow(flow), execution=_written(execution))

    async def _look_up(self, spec: FlowSpec) -> list[InstanceFacts]:
        """Ask for instances and mapping at once; of several that are missing always name the same one."""
        asked = asyncio.gather(*map(self._desk.instances.facts, spec.instance_ids), return_exceptions=True)
        mapping = asyncio.gather(self._need_mapping(spec), return_exceptions=True)
        found, [lacking] = await asyncio.gather(asked, mapping)
        for failure in (*found, lacking):
            if isinstance(failure, BaseException):
                raise failure
        return [facts for facts in found if not isinstance(facts, BaseException)]

    async def _need_mapping(self, spec: FlowSpec) -> None:
        if spec.mapping_id and await self._desk.mappings.splits(spec.mapping_id, spec.mapping_version):
            policy = spec.delete_policy
            refusal = refusal_of_split(
                has_key=bool(spec.destination_key),
                is_one_way=spec.direction is not Direction.BOTH,
                ignores_deletions=policy.kind is DeleteKind.IGNORE,
                shows_all=policy.absent and spec.read_mode is ReadMode.FULL,
            )
            if refusal is not None:
                raise refusal
        if spec.reverse_mapping_id:
            await self._desk.mappings.version(spec.reverse_mapping_id, spec.reverse_mapping_version)


def _written(execution: Execution | None) -> pb.Execution | None:
    return None if execution is None else write_execution(execution)


__all__ = ["FlowRpcs"]
