"""Between the contract's messages and the domain's values."""

from datetime import UTC, datetime, timedelta
from typing import Any

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.kit.times import stamp
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling import domain
from isthmus.services.scheduling.domain import (
    Asked,
    Attempt,
    Checkpoint,
    ConflictPolicy,
    ConflictRules,
    Counts,
    DeleteKind,
    DeletePolicy,
    Direction,
    Endpoint,
    Execution,
    Failure,
    FailureKind,
    FailurePolicy,
    Flow,
    FlowSpec,
    Leg,
    LegDone,
    MissedRuns,
    Outcome,
    ReadMode,
    Reconcile,
    Round,
    Schedule,
    ScheduleSpec,
    ScheduleType,
    Status,
    Trigger,
    WriteMode,
)
from isthmus.type.v1 import batch_pb2 as batch

_READ_MODES = {mode: connector.ReadMode.Value(f"READ_MODE_{mode.name}") for mode in ReadMode}
_WRITE_MODES = {mode: connector.WriteMode.Value(f"WRITE_MODE_{mode.name}") for mode in WriteMode}
_DIRECTIONS = {one: pb.Direction.Value(f"DIRECTION_{one.name}") for one in Direction}
_POLICIES = {one: pb.ConflictPolicy.Value(f"CONFLICT_POLICY_{one.name}") for one in ConflictPolicy}
_DELETE_KINDS = {kind: pb.DeletePolicy.Kind.Value(f"KIND_{kind.name}") for kind in DeleteKind}
_LEGS = {leg: pb.Leg.Value(f"LEG_{leg.name}" if leg else "LEG_UNSPECIFIED") for leg in Leg}
_TYPES = {kind: pb.Schedule.Type.Value(f"TYPE_{kind.name}") for kind in ScheduleType}
_MISSED = {choice: pb.Schedule.MissedRuns.Value(f"MISSED_RUNS_{choice.name}") for choice in MissedRuns}
_TRIGGERS = {trigger: pb.Execution.Trigger.Value(f"TRIGGER_{trigger.name}") for trigger in Trigger}
_STATUSES = {status: pb.Execution.Status.Value(f"STATUS_{status.name}") for status in Status}
_KINDS = {kind: pb.ExecutionError.Kind.Value(f"KIND_{kind.name}") for kind in FailureKind}
_OUTCOMES = {outcome: pb.FinishAttemptRequest.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome}


def _back(table: dict[Any, Any], value: int, default: Any) -> Any:
    return next((mine for mine, theirs in table.items() if theirs == value), default)


def read_flow(message: pb.Flow) -> FlowSpec:
    """Read what a flow's owner decides."""
    return FlowSpec(
        name=message.name,
        description=message.description,
        source=Endpoint(message.source.instance_id, message.source.stream),
        destination=Endpoint(message.destination.instance_id, message.destination.stream),
        mapping_id=message.mapping_id,
        mapping_version=message.mapping_version,
        read_mode=_back(_READ_MODES, message.read_mode, ReadMode.UNSPECIFIED),
        write_mode=_back(_WRITE_MODES, message.write_mode, WriteMode.UPSERT),
        destination_key=tuple(message.destination_key),
        is_active=message.is_active,
        failure_policy=FailurePolicy(
            message.failure_policy.max_attempts, message.failure_policy.max_quarantined
        ),
        direction=_back(_DIRECTIONS, message.direction, Direction.FORWARD),
        reverse_mapping_id=message.reverse_mapping_id,
        reverse_mapping_version=message.reverse_mapping_version,
        reverse_key=tuple(message.reverse_key),
        reverse_read_mode=_back(_READ_MODES, message.reverse_read_mode, ReadMode.UNSPECIFIED),
        conflict_policy=_back(_POLICIES, message.conflict_policy or 1, ConflictPolicy.SOURCE_WINS),
        conflict_rules=_read_rules(message.conflict_rules),
        delete_policy=_read_deletes(message.delete_policy),
        priority=message.priority,
    )


def _read_rules(message: pb.ConflictRules) -> ConflictRules:
    return ConflictRules(
        source_time_field=message.source_time_field,
        destination_time_field=message.destination_time_field,
        skew_seconds=message.skew_tolerance.ToTimedelta().total_seconds(),
        otherwise=_back(_POLICIES, message.otherwise, ConflictPolicy.UNSPECIFIED),
    )


def _read_deletes(message: pb.DeletePolicy) -> DeletePolicy:
    return DeletePolicy(
        kind=_back(_DELETE_KINDS, message.kind, DeleteKind.PROPAGATE),
        tombstone_field=message.tombstone_field,
        tombstone_value=message.tombstone_value,
        most_deletions=message.most_deletions,
        absent=message.absent,
        most_percent=message.most_percent,
    )


def write_spec(spec: FlowSpec) -> pb.Flow:
    """Write what a flow's owner decided."""
    message = pb.Flow(
        name=spec.name,
        description=spec.description,
        source=pb.Endpoint(instance_id=spec.source.instance_id, stream=spec.source.stream),
        destination=pb.Endpoint(instance_id=spec.destination.instance_id, stream=spec.destination.stream),
        mapping_id=spec.mapping_id,
        mapping_version=spec.mapping_version,
        read_mode=_READ_MODES[spec.read_mode],
        write_mode=_WRITE_MODES[spec.write_mode],
        conflict_policy=_POLICIES[spec.conflict_policy],
        destination_key=spec.destination_key,
        is_active=spec.is_active,
        failure_policy=pb.FailurePolicy(
            max_attempts=spec.failure_policy.max_attempts, max_quarantined=spec.failure_policy.max_quarantined
        ),
        direction=_DIRECTIONS[spec.direction],
        reverse_mapping_id=spec.reverse_mapping_id,
        reverse_mapping_version=spec.reverse_mapping_version,
        reverse_key=spec.reverse_key,
        reverse_read_mode=_READ_MODES[spec.reverse_read_mode],
        priority=spec.priority,
        delete_policy=pb.DeletePolicy(
            kind=_DELETE_KINDS[spec.delete_policy.kind],
            tombstone_field=spec.delete_policy.tombstone_field,
            tombstone_value=spec.delete_policy.tombstone_value,
            most_deletions=spec.delete_policy.most_deletions,
            absent=spec.delete_policy.absent,
            most_percent=spec.delete_policy.most_percent,
        ),
    )
    _write_rules(spec.conflict_rules, message.conflict_rules)
    return message


def _write_rules(rules: ConflictRules, message: pb.ConflictRules) -> None:
    message.source_time_field = rules.source_time_field
    message.destination_time_field = rules.destination_time_field
    message.skew_tolerance.FromTimedelta(timedelta(seconds=rules.skew_seconds))
    message.otherwise = _POLICIES[rules.otherwise]


def write_flow(flow: Flow) -> pb.Flow:
    """Write a flow as stored."""
    message = write_spec(flow.spec)
    message.flow_id = flow.flow_id
    message.created_by = flow.created_by
    message.create_time.FromDatetime(flow.create_time)
    message.update_time.FromDatetime(flow.update_time)
    message.etag = str(flow.revision)
    message.is_paused = flow.is_paused
    message.paused_by = flow.paused_by
    message.pause_reason = flow.pause_reason
    if flow.pause_time is not None:
        message.pause_time.FromDatetime(flow.pause_time)
    return message


def read_schedule(message: pb.Schedule) -> ScheduleSpec:
    """Read what a schedule's owner decides."""
    return ScheduleSpec(
        flow_id=message.flow_id,
        plan_id=message.plan_id,
        type=_back(_TYPES, message.type, ScheduleType.INTERVAL),
        interval_minutes=message.interval_minutes,
        cron_expression=message.cron_expression,
        event_trigger=message.event_trigger,
        time_zone=message.time_zone,
        is_active=message.is_active,
        missed_runs=_back(_MISSED, message.missed_runs, MissedRuns.RUN_ONCE),
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


def read_counts(message: batch.Counts) -> Counts:
    """Read counts."""
    return Counts(**{field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields})


def write_counts(counts: Counts) -> batch.Counts:
    """Write counts."""
    return batch.Counts(**counts.stored())


def read_failure(message: pb.ExecutionError) -> Failure:
    """Read why an attempt did not succeed; a kind this build does not know counts as transient."""
    wait = message.retry_after.ToTimedelta() if message.HasField("retry_after") else None
    return Failure(
        kind=_back(_KINDS, message.kind, FailureKind.TRANSIENT),
        reason=message.reason,
        message=message.message,
        retry_after=max(wait, timedelta()) if wait is not None else None,
    )


def write_failure(failure: Failure | None) -> pb.ExecutionError | None:
    """Write why an attempt did not succeed."""
    if failure is None:
        return None
    message = pb.ExecutionError(kind=_KINDS[failure.kind], reason=failure.reason, message=failure.message)
    if failure.retry_after is not None:
        message.retry_after.FromTimedelta(failure.retry_after)
    return message


def write_execution(execution: Execution) -> pb.Execution:
    """Write an execution as stored."""
    counts = execution.counts
    return pb.Execution(
        execution_id=execution.execution_id,
        flow_id=execution.flow_id,
        flow_name=execution.flow.name,
        schedule_id=execution.schedule_id,
        trigger=_TRIGGERS[execution.trigger],
        status=_STATUSES[Status.PAUSED if execution.is_held else execution.status],
        start_time=stamp(execution.start_time),
        end_time=stamp(execution.end_time),
        counts=write_counts(counts),
        records_processed=counts.read,
        success_count=counts.arrived,
        error_count=counts.quarantined,
        error=write_failure(execution.failure),
        initiated_by=execution.initiated_by,
        create_time=stamp(execution.create_time),
        attempts=execution.attempts,
        mapping_version=execution.mapping_version,
        expected_records=execution.expected_records,
        next_attempt_time=stamp(execution.next_attempt_time),
        is_cancel_requested=execution.is_cancel_requested,
        leg=write_leg(execution.leg if execution.status.is_live else Leg.WHOLE),
        legs=_write_legs(execution),
        is_dry_run=execution.asked.dry_run,
        record_limit=execution.asked.record_limit,
        reconcile=_write_reconcile(execution.reconcile),
        priority=execution.priority,
        plan_run_id=execution.place.run_id,
        plan_step=execution.place.step,
        is_compensation=execution.place.undoes,
        range=_write_range(execution.asked),
    )


def read_reconcile(message: pb.ReconcileOptions) -> Reconcile:
    """Read what a reconciliation is to do."""
    return Reconcile(message.repair, message.delete_extra)


def _write_reconcile(reconcile: Reconcile | None) -> pb.ReconcileOptions | None:
    if reconcile is None:
        return None
    return pb.ReconcileOptions(repair=reconcile.repair, delete_extra=reconcile.delete_extra)


def has_range(request: pb.StartExecutionRequest) -> bool:
    """Whether only a span of time is to be read; one without times means everything."""
    return request.range.HasField("start_time") or request.range.HasField("end_time")


def read_asked(request: pb.StartExecutionRequest) -> Asked:
    """Read what is special about an execution."""
    if not has_range(request):
        return Asked(request.is_dry_run, request.record_limit)
    times = (request.range.start_time, request.range.end_time)
    since, until = (one.ToDatetime(UTC).isoformat() for one in times)
    return Asked(request.is_dry_run, request.record_limit, since, until, request.range.field)


def _write_range(asked: Asked) -> pb.TimeRange | None:
    if not asked.since:
        return None
    start, end = map(datetime.fromisoformat, (asked.since, asked.until))
    return pb.TimeRange(start_time=stamp(start), end_time=stamp(end), field=asked.field)


def write_leg(leg: Leg) -> pb.Leg.ValueType:
    """Write which leg it is."""
    return _LEGS[leg]


def _write_legs(execution: Execution) -> list[pb.ExecutionLeg]:
    """Write the legs that have begun; the last one is as far as the execution is."""
    if execution.leg is Leg.WHOLE:
        return []
    began = execution.legs[-1].end_time if execution.legs else execution.start_time
    present = LegDone(execution.leg, execution.leg_counts, began, execution.end_time)
    return [
        pb.ExecutionLeg(
            leg=write_leg(one.leg),
            counts=write_counts(one.counts),
            start_time=stamp(one.start_time),
            end_time=stamp(one.end_time),
        )
        for one in (*execution.legs, present)
    ]


def write_round(current: Round) -> pb.GetRoundResponse:
    """Write how a two-way flow's round stands."""
    flow, execution, taken = current.flow, current.execution, current.taken
    message = write_spec(flow)
    message.flow_id = current.flow_id
    return pb.GetRoundResponse(
        execution_id=execution.execution_id if execution else "",
        fencing_token=execution.fencing_token if execution else 0,
        leg=write_leg(execution.leg if execution else Leg.WHOLE),
        flow=message,
        is_source_whole=flow.read_mode is ReadMode.FULL,
        is_destination_whole=flow.reverse_read_mode is ReadMode.FULL,
        destination_position=write_checkpoint(taken[Leg.WRITE_DESTINATION]).position,
        source_position=write_checkpoint(taken[Leg.WRITE_SOURCE]).position,
        is_requeue=execution is not None and execution.trigger is Trigger.REQUEUE,
    )


def write_attempt(attempt: Attempt) -> pb.Attempt:
    """Write an attempt as stored."""
    return pb.Attempt(
        attempt=attempt.attempt,
        fencing_token=attempt.fencing_token,
        host_id=attempt.host_id,
        start_time=stamp(attempt.start_time),
        end_time=stamp(attempt.end_time),
        error=write_failure(attempt.failure),
        counts=write_counts(attempt.counts),
    )


def read_checkpoint(message: pb.Checkpoint) -> Checkpoint:
    """Read a position."""
    return Checkpoint(
        partition=message.partition,
        state=message.position.state,
        schema_version=message.position.schema_version,
        summary=message.position.summary,
        is_complete=message.is_complete,
    )


def write_checkpoint(checkpoint: Checkpoint) -> pb.Checkpoint:
    """Write a position; the beginning stays unset."""
    message = pb.Checkpoint(partition=checkpoint.partition, is_complete=checkpoint.is_complete)
    if checkpoint.state:
        message.position.state = checkpoint.state
        message.position.schema_version = checkpoint.schema_version
        message.position.summary = checkpoint.summary
    return message


def read_statuses(values: Any) -> list[Status]:
    """Read the states that a list is narrowed to."""
    return [_back(_STATUSES, value, None) for value in values if value in _STATUSES.values()]


def read_outcome(value: int) -> Outcome:
    """Read how an attempt ended."""
    outcome: domain.Outcome = _back(_OUTCOMES, value, Outcome.FAILED)
    return outcome


__all__ = [
    "has_range",
    "read_asked",
    "read_checkpoint",
    "read_counts",
    "read_failure",
    "read_flow",
    "read_outcome",
    "read_reconcile",
    "read_schedule",
    "read_statuses",
    "write_attempt",
    "write_checkpoint",
    "write_counts",
    "write_execution",
    "write_failure",
    "write_flow",
    "write_leg",
    "write_round",
    "write_schedule",
    "write_spec",
]
