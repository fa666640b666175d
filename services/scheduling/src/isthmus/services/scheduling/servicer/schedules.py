"""RPCs of schedules."""

from isthmus.kit import PageRequest, current_principal, encode_token, once
from isthmus.kit.paging import fitting
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.servicer.checks import check_id, check_schedule
from isthmus.services.scheduling.servicer.desk import Context, Rpcs
from isthmus.services.scheduling.store import schedules as rows
from isthmus.services.scheduling.translate import read_schedule, write_schedule


class ScheduleRpcs(Rpcs):
    """Translates the RPCs of schedules."""

    async def CreateSchedule(
        self, request: pb.CreateScheduleRequest, _: Context
    ) -> pb.CreateScheduleResponse:
        """Create a schedule for a flow or a plan."""
        check_schedule(request.schedule)
        caller, spec = current_principal(), read_schedule(request.schedule)
        async with self._desk.db.tenant(caller.tenant_id) as conn:

            async def create() -> pb.CreateScheduleResponse:
                schedule = await self._desk.schedules.create(conn, caller.tenant_id, spec, caller.subject)
                return pb.CreateScheduleResponse(schedule=write_schedule(schedule))

            return await once(conn, "CreateSchedule", request, create, pb.CreateScheduleResponse)

    async def GetSchedule(self, request: pb.GetScheduleRequest, _: Context) -> pb.GetScheduleResponse:
        """Read a schedule."""
        check_id("schedule_id", request.schedule_id)
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            schedule = await self._desk.schedules.get(conn, tenant_id, request.schedule_id)
        return pb.GetScheduleResponse(schedule=write_schedule(schedule))

    async def ListSchedules(self, request: pb.ListSchedulesRequest, _: Context) -> pb.ListSchedulesResponse:
        """List schedules, oldest first."""
        page = PageRequest.parse(request.page_size, request.page_token, keys=["schedule"])
        after = str(page.after["schedule"]) if page.after else ""
        tenant_id = current_principal().tenant_id
        async with self._desk.db.tenant(tenant_id) as conn:
            found = await rows.list_schedules(
                conn,
                tenant_id,
                flow_id=request.flow_id,
                plan_id=request.plan_id,
                after=after,
                limit=page.size + 1,
            )
        shown = fitting(map(write_schedule, found), page.size)
        token = encode_token({"schedule": shown[-1].schedule_id}) if len(found) > len(shown) else ""
        return pb.ListSchedulesResponse(schedules=shown, next_page_token=token)

    async def UpdateSchedule(
        self, request: pb.UpdateScheduleRequest, _: Context
    ) -> pb.UpdateScheduleResponse:
        """Replace what a schedule's owner decides."""
        check_id("schedule.schedule_id", request.schedule.schedule_id)
        check_schedule(request.schedule)
        caller, spec = current_principal(), read_schedule(request.schedule)
        schedule_id = request.schedule.schedule_id
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            schedule = await self._desk.schedules.update(
                conn, caller.tenant_id, schedule_id, spec, etag=request.etag, by=caller.subject
            )
        return pb.UpdateScheduleResponse(schedule=write_schedule(schedule))

    async def DeleteSchedule(
        self, request: pb.DeleteScheduleRequest, _: Context
    ) -> pb.DeleteScheduleResponse:
        """Delete a schedule."""
        check_id("schedule_id", request.schedule_id)
        caller = current_principal()
        async with self._desk.db.tenant(caller.tenant_id) as conn:
            await self._desk.schedules.delete(
                conn, caller.tenant_id, request.schedule_id, etag=request.etag, by=caller.subject
            )
        return pb.DeleteScheduleResponse()


__all__ = ["ScheduleRpcs"]
