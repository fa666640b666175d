"""Schedules, between the contract's messages and the domain's values."""

from isthmus.kit.times import stamp
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling.domain import (
    MissedRuns,
    Schedule,
    ScheduleSpec,
    ScheduleType,
)
from isthmus.services.scheduling.translate.tables import back

_TYPES = {kind: pb.Schedule.Type.Value(f"TYPE_{kind.name}") for kind in ScheduleType}
_MISSED = {choice: pb.Schedule.MissedRuns.Value(f"MISSED_RUNS_{choice.name}") for choice in MissedRuns}


def read_schedule(message: pb.Schedule) -> ScheduleSpec:
    """Read what a schedule's owner decides."""
    return ScheduleSpec(
        flow_id=message.flow_id,
        plan_id=message.plan_id,
        type=back(_TYPES, message.type, ScheduleType.INTERVAL),
        interval_minutes=message.interval_minutes,
        cron_expression=message.cron_expression,
        event_trigger=message.event_trigger,
        time_zone=message.time_zone,
        is_active=message.is_active,
        missed_runs=back(_MISSED, message.missed_runs, MissedRuns.RUN_ONCE),
        jitter=message.jitter.ToTimedelta(),
    )


def write_schedule(schedule: Schedule) -> pb.Schedule:
    """Write a schedule as stored."""
    spec = schedule.spec
    message = pb.Schedule(
        schedule_id=schedule.schedule_id,
        flow_id=spec.flow_id,
        plan_id=spec.plan_id,
        type=_TYPES[spec.type],
        interval_minutes=spec.interval_minutes,
        cron_expression=spec.cron_expression,
        event_trigger=spec.event_trigger,
        time_zone=spec.time_zone,
        is_active=spec.is_active,
        missed_runs=_MISSED[spec.missed_runs],
        last_execution_time=stamp(schedule.last_execution_time),
        next_execution_time=stamp(schedule.next_execution_time),
        created_by=schedule.created_by,
        create_time=stamp(schedule.create_time),
        update_time=stamp(schedule.update_time),
        etag=str(schedule.revision),
        last_skip_time=stamp(schedule.last_skip_time),
        last_skip_reason=schedule.last_skip_reason,
        hold_reason=schedule.hold_reason,
    )
    message.jitter.FromTimedelta(spec.jitter)
    return message


__all__ = [
    "read_schedule",
    "write_schedule",
]
