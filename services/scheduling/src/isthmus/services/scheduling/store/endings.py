"""What the end of an attempt does to rows: in one statement, whatever follows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
from isthmus.services.scheduling.store.leases import dump_checkpoints, storing_positions
from isthmus.services.scheduling.store.rows import dump, dump_failure, dump_legs, execution_of
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_CLOSE = """
    UPDATE attempts a SET end_time = :now, outcome = :outcome, failure = CAST(:attempt_failure AS jsonb),
        counts = CAST(:counts AS jsonb)
"""
# With an execution's end go that of its attempt, what it has read to the end, and positions that nobody
# will read again. No position is both completed and dropped.
_END = text(f"""
    WITH ended AS (
        UPDATE executions SET status = :status, counts_before = CAST(:before AS jsonb), counts_live = '{{}}',
            counts_durable = '{{}}', failures = failures + :counted, idle_stops = :idle_stops,
            failure = CAST(:failure AS jsonb), next_attempt_time = :next_attempt_time,
            dispatch_time = :next_attempt_time, dispatches = 0, lease_expire_time = NULL,
            end_time = CASE WHEN :status = 'pending' THEN NULL ELSE CAST(:now AS timestamptz) END,
            revision = revision + 1
        WHERE tenant_id = :tenant_id AND execution_id = :execution_id RETURNING *
    ), closed AS (
        {_CLOSE} FROM ended e
        WHERE :closes AND a.tenant_id = e.tenant_id AND a.execution_id = e.execution_id
          AND a.fencing_token = e.fencing_token
    ), stored AS (
        {storing_positions("ended", ":completes")}
    ), completed AS (
        UPDATE checkpoints c SET is_complete = true FROM ended e, flows f
        WHERE :completes AND c.tenant_id = e.tenant_id AND c.flow_id = e.flow_id AND c.lineage = e.lineage
          AND c.execution_id = e.execution_id AND NOT c.is_complete
          AND c.partition <> ALL(CAST(:partitions AS text[]))
          AND f.tenant_id = c.tenant_id AND f.flow_id = c.flow_id
          AND split_part(c.lineage, '.', 1) = 'e' || f.epoch
    ), dropped AS (
        DELETE FROM checkpoints c USING ended e, flows f
        WHERE e.status <> 'pending' AND c.tenant_id = e.tenant_id AND c.flow_id = e.flow_id
          AND f.tenant_id = c.tenant_id AND f.flow_id = c.flow_id
          AND split_part(c.lineage, '.', 1) <> 'e' || f.epoch
          AND NOT EXISTS (SELECT FROM executions x WHERE x.tenant_id = c.tenant_id AND x.flow_id = c.flow_id
                          AND x.execution_id <> e.execution_id AND x.status IN ('pending', 'running'))
    )
    SELECT ended.*, EXISTS (SELECT FROM waiting w WHERE w.tenant_id = ended.tenant_id
                            AND w.flow_id = ended.flow_id) AS is_awaited
    FROM ended
""")
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
    {_CLOSE} FROM held e
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
    told = attempt or AttemptEnd("", None, NOTHING)
    fields = {
        "tenant_id": tenant_id,
        "execution_id": execution.execution_id,
        "status": ending.status.value,
        "before": dump(ending.before.stored()),
        "counted": int(ending.is_counted),
        "idle_stops": ending.idle_stops,
        "failure": dump_failure(ending.failure),
        "next_attempt_time": ending.next_attempt_time,
        "completes": completes,
        "closes": attempt is not None,
        "partitions": [point.partition for point in told.checkpoints],
        **_closing(told, now),
    }
    row = (await conn.execute(_END, fields)).mappings().one()
    return Ended(execution_of(row), row["is_awaited"])


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
    "Ended",
    "NextLeg",
    "advance_execution",
    "close_attempt",
    "end_execution_attempt",
]
