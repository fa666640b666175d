"""Executions and their attempts, between the contract's messages and the domain's values."""

from datetime import UTC, datetime, timedelta
from typing import Any

from isthmus.kit.times import stamp
from isthmus.scheduling.v1 import scheduling_pb2 as pb
from isthmus.services.scheduling import domain
from isthmus.services.scheduling.domain import (
    Asked,
    Attempt,
    Checkpoint,
    Counts,
    Execution,
    Failure,
    FailureKind,
    Leg,
    LegDone,
    Outcome,
    ReadMode,
    Reconcile,
    Round,
    Status,
    Trigger,
)
from isthmus.services.scheduling.translate.flows import write_spec
from isthmus.services.scheduling.translate.tables import back
from isthmus.type.v1 import batch_pb2 as batch

_LEGS = {leg: pb.Leg.Value(f"LEG_{leg.name}" if leg else "LEG_UNSPECIFIED") for leg in Leg}
_TRIGGERS = {trigger: pb.Execution.Trigger.Value(f"TRIGGER_{trigger.name}") for trigger in Trigger}
_STATUSES = {status: pb.Execution.Status.Value(f"STATUS_{status.name}") for status in Status}
_KINDS = {kind: pb.ExecutionError.Kind.Value(f"KIND_{kind.name}") for kind in FailureKind}
_OUTCOMES = {outcome: pb.FinishAttemptRequest.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome}


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
        kind=back(_KINDS, message.kind, FailureKind.TRANSIENT),
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
        reconcile=write_reconcile(execution.reconcile),
        priority=execution.priority,
        note=execution.note,
        waiting_for_instance_id=execution.waits_for if execution.status is Status.PENDING else "",
        plan_run_id=execution.place.run_id,
        plan_step=execution.place.step,
        is_compensation=execution.place.undoes,
        range=_write_range(execution.asked),
    )


def read_reconcile(message: pb.ReconcileOptions) -> Reconcile:
    """Read what a reconciliation is to do."""
    return Reconcile(message.repair, message.delete_extra)


def write_reconcile(reconcile: Reconcile | None) -> pb.ReconcileOptions | None:
    """Write what a reconciliation is to do."""
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
    return [back(_STATUSES, value, None) for value in values if value in _STATUSES.values()]


def read_outcome(value: int) -> Outcome:
    """Read how an attempt ended."""
    outcome: domain.Outcome = back(_OUTCOMES, value, Outcome.FAILED)
    return outcome


__all__ = [
    "has_range",
    "read_asked",
    "read_checkpoint",
    "read_counts",
    "read_failure",
    "read_outcome",
    "read_reconcile",
    "read_statuses",
    "write_attempt",
    "write_checkpoint",
    "write_counts",
    "write_execution",
    "write_failure",
    "write_leg",
    "write_reconcile",
    "write_round",
]
