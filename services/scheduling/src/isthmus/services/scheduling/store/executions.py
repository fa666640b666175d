"""Rows of executions: their start, their reading, and the jobs that have to be sent."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from isthmus.services.scheduling.domain import Execution, Status, Stop
from isthmus.services.scheduling.store.rows import dump, dump_asked, dump_flow, execution_of
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT = text("""
    INSERT INTO executions (tenant_id, execution_id, flow_id, flow, connector_id, lineage,
                            schedule_id, trigger, status, initiated_by, create_time, dispatch_time,
                            quarantine_ids, correlation_id, traceparent, leg, epoch,
                            destination_connector_id, plan_run_id, plan_step, plan_undo, plan_unsettled,
                            priority, rank_time, asked, reconcile)
    SELECT :tenant_id, :execution_id, :flow_id, CAST(:flow AS jsonb), :connector_id,
            :lineage, :schedule_id, :trigger, 'pending', :initiated_by, :create_time, :create_time,
            CAST(:quarantine_ids AS text[]), :correlation_id, :traceparent, :leg, :epoch,
            :destination_connector_id, :plan_run_id, :plan_step, :plan_undo, :plan_run_id <> '',
            :priority, :rank_time, CAST(:asked AS jsonb), CAST(:reconcile AS jsonb)
    -- Whoever pauses the flow meanwhile is waited for.
    FROM (SELECT 1 FROM flows WHERE tenant_id = :tenant_id AND flow_id = :flow_id AND pause_time IS NULL
          FOR SHARE) going
    ON CONFLICT (tenant_id, flow_id) WHERE status IN ('pending', 'running') DO NOTHING
""")
_LIST = text("""
    SELECT * FROM executions
    WHERE tenant_id = :tenant_id AND (:after = '' OR execution_id < :after)
      AND (:flow_id = '' OR flow_id = :flow_id)
      AND (cardinality(CAST(:statuses AS text[])) = 0 OR CASE WHEN status = 'pending' AND stop = 'pause'
           THEN 'paused' ELSE status END = ANY(CAST(:statuses AS text[])))
    ORDER BY execution_id DESC LIMIT :limit
""")
_STOP = text("""
    UPDATE executions SET stop = :stop, stop_time = :now, revision = revision + 1
    WHERE tenant_id = :tenant_id AND execution_id = :execution_id AND status = 'running'
      AND stop IN ('', 'pause')
""")
_DISPATCH = text("""
    UPDATE executions x SET dispatches = x.dispatches + 1,
        dispatch_time = CAST(:now AS timestamptz)
            + make_interval(secs => :resend * CASE WHEN x.dispatches < 10 THEN 1 ELSE 3 END)
    FROM (SELECT tenant_id, execution_id FROM executions
          WHERE status = 'pending' AND stop = '' AND dispatch_time <= :now
          ORDER BY rank_time LIMIT :limit FOR UPDATE SKIP LOCKED) due
    WHERE x.tenant_id = due.tenant_id AND x.execution_id = due.execution_id
    RETURNING x.tenant_id, x.execution_id, x.flow_id, x.connector_id, x.attempts,
              x.dispatches, x.correlation_id, x.traceparent, x.rank_time
""")
_GOES_FIRST = text("""
    SELECT execution_id FROM executions
    WHERE tenant_id = :tenant_id AND connector_id = :connector_id AND status = 'pending' AND stop = ''
      AND rank_time < :rank_time AND priority <> :priority
      AND (waits_for = '' OR dispatch_time IS NOT NULL)
      AND (next_attempt_time IS NULL OR next_attempt_time <= :now)
    ORDER BY rank_time LIMIT 1
""")
# Its job was used for another one; it is sent again under a new id.
_SEND_AGAIN = text("""
    UPDATE executions SET dispatches = (dispatches + 9) / 10 * 10, dispatch_time = :now
    WHERE tenant_id = :tenant_id AND execution_id = :execution_id AND status = 'pending'
""")

_PRUNE = text("""
    WITH old AS (
        SELECT tenant_id, execution_id FROM executions WHERE end_time < :before
        LIMIT :limit FOR UPDATE SKIP LOCKED
    ), attempts_gone AS (
        DELETE FROM attempts a USING old
        WHERE a.tenant_id = old.tenant_id AND a.execution_id = old.execution_id
    )
    DELETE FROM executions x USING old
    WHERE x.tenant_id = old.tenant_id AND x.execution_id = old.execution_id
""")


@dataclass(frozen=True, slots=True)
class JobToSend:
    """A pending execution whose job is due to be sent."""

    tenant_id: str
    execution_id: str
    flow_id: str
    connector_id: str
    attempt: int
    dispatches: int
    correlation_id: str
    traceparent: str


async def insert_execution(
    conn: AsyncConnection, tenant_id: str, execution: Execution, *, correlation_id: str, traceparent: str
) -> Execution | None:
    """Store a new execution, due to be dispatched; None when the flow has a live one, or is paused."""
    fields = {
        "tenant_id": tenant_id,
        "execution_id": execution.execution_id,
        "flow_id": execution.flow_id,
        "flow": dump_flow(execution.flow),
        "connector_id": execution.connector_id,
        "lineage": execution.lineage,
        "schedule_id": execution.schedule_id,
        "trigger": execution.trigger.value,
        "initiated_by": execution.initiated_by,
        "create_time": execution.create_time,
        "quarantine_ids": list(execution.quarantine_ids),
        "leg": execution.leg.value,
        "epoch": execution.epoch,
        "destination_connector_id": execution.destination_connector_id,
        "asked": dump_asked(execution.asked),
        "reconcile": dump(asdict(execution.reconcile)) if execution.reconcile else None,
        "plan_run_id": execution.place.run_id,
        "plan_step": execution.place.step,
        "plan_undo": execution.place.undoes,
        "priority": execution.priority,
        "rank_time": execution.rank_time,
        "correlation_id": correlation_id,
        "traceparent": traceparent,
    }
    return execution if (await conn.execute(_INSERT, fields)).rowcount else None


async def get_execution(
    conn: AsyncConnection, tenant_id: str, execution_id: str, *, lock: bool = False
) -> Execution | None:
    """Read an execution, locked when it is to be changed."""
    query = "SELECT * FROM executions WHERE tenant_id = :tenant_id AND execution_id = :execution_id"
    which = {"tenant_id": tenant_id, "execution_id": execution_id}
    row = (await conn.execute(text(query + " FOR UPDATE" * lock), which)).mappings().one_or_none()
    return None if row is None else execution_of(row)


async def running_execution(conn: AsyncConnection, tenant_id: str, flow_id: str) -> Execution | None:
    """Read the flow's running execution."""
    query = text(
        "SELECT * FROM executions WHERE tenant_id = :tenant_id AND flow_id = :flow_id AND status = 'running'"
    )
    row = (await conn.execute(query, {"tenant_id": tenant_id, "flow_id": flow_id})).mappings().one_or_none()
    return None if row is None else execution_of(row)


async def live_execution(conn: AsyncConnection, tenant_id: str, flow_id: str) -> Execution | None:
    """Read and lock the flow's pending or running execution."""
    query = text(
        "SELECT * FROM executions WHERE tenant_id = :tenant_id AND flow_id = :flow_id "
        "AND status IN ('pending', 'running') FOR UPDATE"
    )
    row = (await conn.execute(query, {"tenant_id": tenant_id, "flow_id": flow_id})).mappings().one_or_none()
    return None if row is None else execution_of(row)


async def list_executions(
    conn: AsyncConnection, tenant_id: str, *, flow_id: str, statuses: Sequence[Status], after: str, limit: int
) -> Sequence[Execution]:
    """Read executions, newest first."""
    wanted = {
        "tenant_id": tenant_id,
        "flow_id": flow_id,
        "statuses": [status.value for status in statuses],
        "after": after,
        "limit": limit,
    }
    return [execution_of(row) for row in (await conn.execute(_LIST, wanted)).mappings()]


async def request_stop(
    conn: AsyncConnection, tenant_id: str, execution_id: str, stop: Stop, now: datetime
) -> None:
    """Ask the host of a running execution to stop; the first reason stays, unless that is a pause."""
    fields = {"tenant_id": tenant_id, "execution_id": execution_id, "stop": stop.value, "now": now}
    await conn.execute(_STOP, fields)


async def take_jobs(conn: AsyncConnection, now: datetime, *, resend: float, limit: int) -> list[JobToSend]:
    """Take pending executions whose job is due to be sent, and say when it is due again.

    Those that go first come first.
    """
    found = (await conn.execute(_DISPATCH, {"now": now, "resend": resend, "limit": limit})).mappings()
    rows = sorted(found, key=lambda row: row["rank_time"])
    return [
        JobToSend(
            tenant_id=row["tenant_id"],
            execution_id=row["execution_id"],
            flow_id=row["flow_id"],
            connector_id=row["connector_id"],
            attempt=row["attempts"] + 1,
            dispatches=row["dispatches"],
            correlation_id=row["correlation_id"],
            traceparent=row["traceparent"],
        )
        for row in rows
    ]


async def goes_first(conn: AsyncConnection, tenant_id: str, asked: Execution, now: datetime) -> str:
    """Name what waits for the same hosts and goes first by its priority; empty where nothing does."""
    wanted = {
        "tenant_id": tenant_id,
        "connector_id": asked.connector_id,
        "rank_time": asked.rank_time,
        "priority": asked.priority,
        "now": now,
    }
    return str((await conn.execute(_GOES_FIRST, wanted)).scalar_one_or_none() or "")


async def send_again(conn: AsyncConnection, tenant_id: str, execution_id: str, now: datetime) -> None:
    """Have the job of a pending execution sent once more at once."""
    fields = {"tenant_id": tenant_id, "execution_id": execution_id, "now": now}
    await conn.execute(_SEND_AGAIN, fields)


async def prune_executions(conn: AsyncConnection, before: datetime, limit: int) -> int:
    """Forget executions of all tenants that ended long ago, and say how many."""
    return (await conn.execute(_PRUNE, {"before": before, "limit": limit})).rowcount


__all__ = [
    "JobToSend",
    "get_execution",
    "goes_first",
    "insert_execution",
    "list_executions",
    "live_execution",
    "prune_executions",
    "request_stop",
    "running_execution",
    "send_again",
    "take_jobs",
]
