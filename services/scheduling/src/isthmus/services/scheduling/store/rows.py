"""Between rows and the domain's values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from isthmus.services.scheduling.domain import (
    NOTHING_ASKED,
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
    Place,
    ReadMode,
    Reconcile,
    Schedule,
    ScheduleSpec,
    ScheduleType,
    Status,
    Stop,
    Trigger,
    WriteMode,
)
from sqlalchemy import RowMapping

Row = RowMapping | Mapping[str, Any]


def dump(value: object) -> str:
    """Write a value for a jsonb parameter."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=1000)
def dump_flow(spec: FlowSpec) -> str:
    """Write what a flow's owner decided."""
    return dump(asdict(spec))


def load_flow(stored: Mapping[str, Any]) -> FlowSpec:
    """Read what a flow's owner decided."""
    return FlowSpec(
        **{
            **stored,
            "source": Endpoint(**stored["source"]),
            "destination": Endpoint(**stored["destination"]),
            "read_mode": ReadMode(stored["read_mode"]),
            "write_mode": WriteMode(stored["write_mode"]),
            "destination_key": tuple(stored["destination_key"]),
            "failure_policy": FailurePolicy(**stored["failure_policy"]),
            **_two_way(stored),
        }
    )


def _two_way(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Read what flows stored before there were two-way ones do not have."""
    if "direction" not in stored:
        return {}
    rules, deletes = stored["conflict_rules"], stored["delete_policy"]
    return {
        "direction": Direction(stored["direction"]),
        "reverse_key": tuple(stored["reverse_key"]),
        "reverse_read_mode": ReadMode(stored["reverse_read_mode"]),
        "conflict_policy": ConflictPolicy(stored["conflict_policy"]),
        "conflict_rules": ConflictRules(**{**rules, "otherwise": ConflictPolicy(rules["otherwise"])}),
        "delete_policy": DeletePolicy(**{**deletes, "kind": DeleteKind(deletes["kind"])}),
    }


def dump_legs(legs: Sequence[LegDone]) -> str:
    """Write legs that are complete."""
    return dump(
        [
            {
                "leg": one.leg,
                "counts": one.counts.stored(),
                "start_time": one.start_time.isoformat() if one.start_time else None,
                "end_time": one.end_time.isoformat() if one.end_time else None,
            }
            for one in legs
        ]
    )


def load_legs(stored: Sequence[Mapping[str, Any]]) -> tuple[LegDone, ...]:
    """Read legs that are complete."""
    return tuple(
        LegDone(
            Leg(one["leg"]),
            Counts.of(one["counts"]),
            moment_of(one["start_time"]),
            moment_of(one["end_time"]),
        )
        for one in stored
    )


def moment_of(text: str | None) -> datetime | None:
    """Read a time out of jsonb."""
    return datetime.fromisoformat(text) if text else None


def dump_asked(asked: Asked) -> str:
    """Write what is special about an execution."""
    if asked == NOTHING_ASKED:
        return "{}"
    return dump({name: value for name, value in asdict(asked).items() if value})


def dump_schedule(spec: ScheduleSpec) -> str:
    """Write what a schedule's owner decided; the flow has a column of its own."""
    return dump({**asdict(spec), "jitter": spec.jitter.total_seconds()})


def load_schedule(stored: Mapping[str, Any]) -> ScheduleSpec:
    """Read what a schedule's owner decided."""
    return ScheduleSpec(
        **{
            **stored,
            "type": ScheduleType(stored["type"]),
            "missed_runs": MissedRuns(stored["missed_runs"]),
            "jitter": timedelta(seconds=stored["jitter"]),
        }
    )


def dump_failure(failure: Failure | None) -> str | None:
    """Write why an attempt did not succeed."""
    return None if failure is None else dump(failure_fields(failure))


def failure_fields(failure: Failure | None) -> dict[str, Any] | None:
    """Give why an attempt did not succeed, as it stands in a jsonb parameter."""
    if failure is None:
        return None
    wait = failure.retry_after.total_seconds() if failure.retry_after is not None else None
    return {**asdict(failure), "retry_after": wait}


def load_failure(stored: Mapping[str, Any] | None) -> Failure | None:
    """Read why an attempt did not succeed."""
    if stored is None:
        return None
    wait = stored["retry_after"]
    return Failure(
        kind=FailureKind(stored["kind"]),
        reason=stored["reason"],
        message=stored["message"],
        retry_after=timedelta(seconds=wait) if wait is not None else None,
    )


def flow_of(row: Row) -> Flow:
    """Read a row of `flows`."""
    return Flow(
        flow_id=row["flow_id"],
        spec=load_flow(row["spec"]),
        source_connector_id=row["source_connector_id"],
        created_by=row["created_by"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        revision=row["revision"],
        epoch=row["epoch"],
        destination_connector_id=row["destination_connector_id"],
        pause_time=row["pause_time"],
        paused_by=row["paused_by"],
        pause_reason=row["pause_reason"],
    )


def schedule_of(row: Row) -> Schedule:
    """Read a row of `schedules`."""
    return Schedule(
        schedule_id=row["schedule_id"],
        spec=load_schedule(row["spec"]),
        created_by=row["created_by"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        last_execution_time=row["last_execution_time"],
        next_execution_time=row["next_execution_time"],
        revision=row["revision"],
        last_skip_time=row["last_skip_time"],
        last_skip_reason=row["last_skip_reason"],
        hold_reason=row.get("hold_reason", ""),
    )


def execution_of(row: Row) -> Execution:
    """Read a row of `executions`."""
    same = (
        "execution_id flow_id connector_id lineage schedule_id initiated_by create_time start_time end_time "
        "expected_records mapping_version attempts failures idle_stops fencing_token host_id "
        "lease_expire_time next_attempt_time revision epoch destination_connector_id priority note waits_for"
    )
    return Execution(
        **{name: row[name] for name in same.split()},
        flow=load_flow(row["flow"]),
        trigger=Trigger(row["trigger"]),
        status=Status(row["status"]),
        before=Counts.of(row["counts_before"]),
        live=Counts.of(row["counts_live"]),
        durable=Counts.of(row["counts_durable"]),
        stop=Stop(row["stop"]),
        failure=load_failure(row["failure"]),
        quarantine_ids=tuple(row["quarantine_ids"]),
        leg=Leg(row["leg"]),
        legs=load_legs(row["legs"]),
        asked=Asked(**row["asked"]),
        preview=bytes(row["preview"] or b""),
        reconcile=Reconcile(**row["reconcile"]) if row["reconcile"] else None,
        place=Place(row["plan_run_id"], row["plan_step"], row["plan_undo"]),
    )


def attempt_of(row: Row) -> Attempt:
    """Read a row of `attempts`."""
    return Attempt(
        attempt=row["attempt"],
        fencing_token=row["fencing_token"],
        host_id=row["host_id"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        outcome=row["outcome"],
        failure=load_failure(row["failure"]),
        counts=Counts.of(row["counts"]),
    )


def checkpoint_of(row: Row) -> Checkpoint:
    """Read a row of `checkpoints`."""
    return Checkpoint(
        partition=row["partition"],
        state=bytes(row["state"]),
        schema_version=row["schema_version"],
        summary=row["summary"],
        is_complete=row["is_complete"],
    )


__all__ = [
    "Row",
    "attempt_of",
    "checkpoint_of",
    "dump",
    "dump_asked",
    "dump_failure",
    "dump_flow",
    "dump_legs",
    "dump_schedule",
    "execution_of",
    "failure_fields",
    "flow_of",
    "load_flow",
    "moment_of",
    "schedule_of",
]
