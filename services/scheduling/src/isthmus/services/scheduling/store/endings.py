"""What the end of an attempt does to rows: in one statement, whatever follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from isthmus.services.scheduling.domain import (
    NOTHING,
    Checkpoint,
    Counts,
    Ending,
    Execution,
    Failure,
    Leg,
    LegDone,
)
from isthmus.services.scheduling.store.leases import checkpoint_fields, dump_checkpoints, storing_positions
from isthmus.services.scheduling.store.rows import dump, dump_failure, dump_legs, execution_of, failure_fields
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

OutboxRow: TypeAlias = Mapping[str, str]
"""An event as a row of the outbox."""

# With an execution's end go that of its attempt, what it has read to the end, positions that nobody will
# read again, and the event that tells of it. No position is both completed and dropped.
_ENDING = f"""
    WITH told AS (
        SELECT * FROM jsonb_to_recordset(CAST(:ends AS jsonb)) AS a (
            execution_id text, seen integer, status text, before jsonb, counted integer, idle_stops integer,
            failure jsonb, next_attempt_time timestamptz, closes boolean, completes boolean, outcome text,
            attempt_failure jsonb, counts jsonb, read bigint, checkpoints jsonb,
            id text, subject text, body text, headers text)
    ), ended AS (
        UPDATE executions x SET status = a.status, counts_before = a.before, counts_live = '{{}}',
            counts_durable = '{{}}', failures = x.failures + a.counted, idle_stops = a.idle_stops,
            failure = a.failure, next_attempt_time = a.next_attempt_time,
            dispatch_time = a.next_attempt_time, dispatches = 0, lease_expire_time = NULL,
            end_time = CASE WHEN a.status = 'pending' THEN NULL ELSE CAST(:now AS timestamptz) END,
            revision = x.revision + 1
        FROM told a
        WHERE x.tenant_id = :tenant_id AND x.execution_id = a.execution_id
          AND x.execution_id = ANY(CAST(:execution_ids AS text[]))
          AND (a.seen IS NULL OR (x.revision = a.seen AND x.status = 'running'))
        RETURNING x.*
    ), closed AS (
        UPDATE attempts t SET end_time = :now, outcome = a.outcome, failure = a.attempt_failure,
            counts = a.counts
        FROM ended e JOIN told a USING (execution_id)
        WHERE a.closes AND t.tenant_id = e.tenant_id AND t.execution_id = e.execution_id
          AND t.fencing_token = e.fencing_token
    ), stored AS (
        {storing_positions("ended", told="told")}
    ), completed AS (
        UPDATE checkpoints c SET is_complete = true FROM ended e JOIN told a USING (execution_id), flows f
        WHERE a.completes AND c.tenant_id = e.tenant_id AND c.flow_id = e.flow_id AND c.lineage = e.lineage
          AND c.execution_id = e.execution_id AND NOT c.is_complete
          AND NOT a.checkpoints @> jsonb_build_array(jsonb_build_object('partition', c.partition))
          AND f.tenant_id = c.tenant_id AND f.flow_id = c.flow_id
          AND split_part(c.lineage, '.', 1) = 'e' || f.epoch
    ), dropped AS (
        DELETE FROM checkpoints c USING ended e, flows f
        WHERE e.status <> 'pending' AND c.tenant_id = e.tenant_id AND c.flow_id = e.flow_id
          AND f.tenant_id = c.tenant_id AND f.flow_id = c.flow_id
          AND split_part(c.lineage, '.', 1) <> 'e' || f.epoch
          AND NOT EXISTS (SELECT FROM executions x WHERE x.tenant_id = c.tenant_id AND x.flow_id = c.flow_id
                          AND x.execution_id <> e.execution_id AND x.status IN ('pending', 'running'))
    ), announced AS (
        INSERT INTO outbox (tenant_id, id, subject, body, headers)
        SELECT e.tenant_id, a.id, a.subject, a.body, CAST(a.headers AS jsonb)
        FROM ended e JOIN told a USING (execution_id) WHERE a.id IS NOT NULL
    )
"""
_AWAITED = """
    EXISTS (SELECT FROM waiting w
            WHERE w.tenant_id = ended.tenant_id AND w.flow_id = ended.flow_id) AS is_awaited
    FROM ended
"""
_END = text(f"{_ENDING} SELECT ended.*, {_AWAITED}")
_END_SEVERAL = text(f"{_ENDING} SELECT ended.execution_id, {_AWAITED}")
_ADVANCE = text("""
    UPDATE executions SET status = 'pending', leg = :leg, connector_id = :connector_id, lineage = :lineage,
        legs = legs || CAST(:done AS jsonb), counts_before = '{}', counts_live = '{}', counts_durable = '{}',
        failures = 0, idle_stops = 0, failure = NULL, expected_records = 0, mapping_version = 0,
        next_attempt_time = NULL, dispatch_time = :now, dispatches = 0, lease_expire_time = NULL,
        revision = revision + 1
    WHERE tenant_id = :tenant_id AND execution_id = :execution_id RETURNING *
""")
_CLOSE_ATTEMPT = text(f"""
    WITH held AS (
        SELECT * FROM executions WHERE tenant_id = :tenant_id AND execution_id = :execution_id
    ), stored AS (
        {storing_positions("held")}
    )
    UPDATE attempts a SET end_time = :now, outcome = :outcome, failure = CAST(:attempt_failure AS jsonb),
        counts = CAST(:counts AS jsonb)
    FROM held e
    WHERE a.tenant_id = e.tenant_id AND a.execution_id = e.execution_id AND a.fencing_token = e.fencing_token
""")


@dataclass(frozen=True, slots=True)
class NextLeg:
    """What follows a leg that is complete."""

    done: LegDone
    leg: Leg
    connector_id: str
    lineage: str


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How an attempt ended.

    Attributes:
        outcome: In a word.
        failure: Why it did not succeed.
        counts: What it did.
        checkpoints: Positions that its host told at the end.
    """

    outcome: str
    failure: Failure | None
    counts: Counts
    checkpoints: tuple[Checkpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """An execution that ends with its present attempt.

    Attributes:
        seen: As it is stored.
        ending: What follows.
        attempt: How the attempt ended.
        completes: All that the execution has read is read to its end.
        event: What tells of it; None where nobody is told.
    """

    seen: Execution
    ending: Ending
    attempt: AttemptEnd
    completes: bool
    event: OutboxRow | None


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution after the end of an attempt.

    Attributes:
        execution: As it is now.
        is_awaited: Whether a start waits for its flow.
    """

    execution: Execution
    is_awaited: bool


async def end_execution_attempt(
    conn: AsyncConnection,
    tenant_id: str,
    execution: Execution,
    ending: Ending,
    now: datetime,
    *,
    attempt: AttemptEnd | None = None,
    completes: bool = False,
) -> Ended:
    """Store what an attempt's end means for its locked execution.

    Args:
        conn: The transaction.
        tenant_id: Whose.
        execution: Which one.
        ending: What follows.
        now: The time.
        attempt: How the attempt itself ended; None where there was none.
        completes: Mark all that the execution has read as read to its end.
    """
    end = _end_fields(execution, ending, attempt, completes=completes)
    which = {"tenant_id": tenant_id, "execution_ids": [execution.execution_id]}
    fields = {**which, "now": now, "ends": dump([end])}
    row = (await conn.execute(_END, fields)).mappings().one()
    return Ended(execution_of(row), row["is_awaited"])


async def end_executions(
    conn: AsyncConnection, tenant_id: str, ends: Sequence[End], now: datetime
) -> dict[str, bool]:
    """End executions whose attempts have ended, in one statement, with the events that tell of it.

    Returns:
        By the ids of those that were as they were seen, and have ended now: whether a start waits for the
            flow.
    """
    told = [
        {
            **_end_fields(one.seen, one.ending, one.attempt, completes=one.completes),
            "seen": one.seen.revision,
            **(one.event or {}),
        }
        for one in ends
    ]
    which = {"tenant_id": tenant_id, "execution_ids": [one.seen.execution_id for one in ends]}
    rows = await conn.execute(_END_SEVERAL, {**which, "now": now, "ends": dump(told)})
    return {row.execution_id: row.is_awaited for row in rows}


def _end_fields(
    execution: Execution, ending: Ending, attempt: AttemptEnd | None, *, completes: bool
) -> dict[str, Any]:
    told = attempt or AttemptEnd("", None, NOTHING)
    due = ending.next_attempt_time
    return {
        "execution_id": execution.execution_id,
        "status": ending.status,
        "before": ending.before.stored(),
        "counted": int(ending.is_counted),
        "idle_stops": ending.idle_stops,
        "failure": failure_fields(ending.failure),
        "next_attempt_time": due.isoformat() if due else None,
        "completes": completes,
        "closes": attempt is not None,
        "outcome": told.outcome,
        "attempt_failure": failure_fields(told.failure),
        "counts": told.counts.stored(),
        "checkpoints": checkpoint_fields(told.checkpoints),
        "read": told.counts.read,
    }


def _closing(attempt: AttemptEnd, now: datetime) -> dict[str, Any]:
    return {
        "outcome": attempt.outcome,
        "attempt_failure": dump_failure(attempt.failure),
        "counts": dump(attempt.counts.stored()),
        "checkpoints": dump_checkpoints(attempt.checkpoints),
        "read": attempt.counts.read,
        "now": now,
    }


async def advance_execution(
    conn: AsyncConnection, tenant_id: str, execution: Execution, following: NextLeg, now: datetime
) -> Execution:
    """Close the present leg of a locked execution and make the next one due."""
    fields = {
        "tenant_id": tenant_id,
        "execution_id": execution.execution_id,
        "leg": following.leg.value,
        "connector_id": following.connector_id,
        "lineage": following.lineage,
        "done": dump_legs([following.done]),
        "now": now,
    }
    return execution_of((await conn.execute(_ADVANCE, fields)).mappings().one())


async def close_attempt(
    conn: AsyncConnection, tenant_id: str, execution: Execution, attempt: AttemptEnd, now: datetime
) -> None:
    """Store how the present attempt at a locked execution ended, with its last positions."""
    fields = {
        "tenant_id": tenant_id,
        "execution_id": execution.execution_id,
        **_closing(attempt, now),
    }
    await conn.execute(_CLOSE_ATTEMPT, fields)


__all__ = [
    "AttemptEnd",
    "End",
    "Ended",
    "NextLeg",
    "OutboxRow",
    "advance_execution",
    "close_attempt",
    "end_execution_attempt",
    "end_executions",
]
