"""What is stored of pauses: of flows, and of what is at work when a flow or a run of a plan is paused."""

from dataclasses import dataclass
from datetime import datetime

from isthmus.services.scheduling.domain import Execution, Flow
from isthmus.services.scheduling.store.rows import execution_of, flow_of
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PAUSE_FLOW = text("""
    UPDATE flows SET pause_time = :now, paused_by = :by, pause_reason = :reason
    WHERE tenant_id = :tenant_id AND flow_id = :flow_id AND pause_time IS NULL RETURNING *
""")
_RESUME_FLOW = text("""
    UPDATE flows SET pause_time = NULL, paused_by = '', pause_reason = ''
    WHERE tenant_id = :tenant_id AND flow_id = :flow_id AND pause_time IS NOT NULL RETURNING *
""")
_THOSE = """
    x.tenant_id = :tenant_id AND x.status IN ('pending', 'running')
    AND (x.flow_id = :flow_id OR (x.plan_run_id <> '' AND x.plan_run_id = :run_id))
"""
_HOLD = text(f"""
    UPDATE executions x SET stop = 'pause', stop_time = :now, revision = revision + 1
    WHERE {_THOSE} AND x.stop = '' RETURNING *
""")
# A job that was sent before the pause was dropped; it is sent again under a new id.
_LET_GO = text(f"""
    UPDATE executions x SET stop = '', stop_time = NULL, revision = revision + 1,
        failure = CASE WHEN x.failure ->> 'reason' = 'PAUSED' THEN NULL ELSE x.failure END,
        dispatches = (x.dispatches + 9) / 10 * 10,
        dispatch_time = CASE WHEN x.status = 'pending'
            THEN GREATEST(CAST(:now AS timestamptz), x.next_attempt_time) END
    WHERE {_THOSE} AND x.stop = 'pause'
      AND NOT EXISTS (SELECT FROM flows f WHERE f.tenant_id = x.tenant_id AND f.flow_id = x.flow_id
                      AND f.pause_time IS NOT NULL)
      AND NOT EXISTS (SELECT FROM plan_runs r WHERE r.tenant_id = x.tenant_id AND r.run_id = x.plan_run_id
                      AND r.is_paused)
    RETURNING *
""")


@dataclass(frozen=True, slots=True)
class Whose:
    """Which executions are meant: those of a flow, or those that a run of a plan has started."""

    flow_id: str = ""
    run_id: str = ""


async def pause_flow(
    conn: AsyncConnection, tenant_id: str, flow_id: str, *, by: str, reason: str, now: datetime
) -> Flow | None:
    """Note that a flow is paused; None when it is already, or is not there."""
    fields = {"tenant_id": tenant_id, "flow_id": flow_id, "by": by, "reason": reason, "now": now}
    row = (await conn.execute(_PAUSE_FLOW, fields)).mappings().one_or_none()
    return None if row is None else flow_of(row)


async def resume_flow(conn: AsyncConnection, tenant_id: str, flow_id: str) -> Flow | None:
    """Note that a flow is not paused any more; None when it was not, or is not there."""
    which = {"tenant_id": tenant_id, "flow_id": flow_id}
    row = (await conn.execute(_RESUME_FLOW, which)).mappings().one_or_none()
    return None if row is None else flow_of(row)


async def hold_executions(
    conn: AsyncConnection, tenant_id: str, whose: Whose, now: datetime
) -> list[Execution]:
    """Ask what is at work to stop, and keep what waits from starting."""
    return await _change(conn, tenant_id, whose, now, let_go=False)


async def let_executions_go(
    conn: AsyncConnection, tenant_id: str, whose: Whose, now: datetime
) -> list[Execution]:
    """Let those go on that nothing else holds."""
    return await _change(conn, tenant_id, whose, now, let_go=True)


async def _change(
    conn: AsyncConnection, tenant_id: str, whose: Whose, now: datetime, *, let_go: bool
) -> list[Execution]:
    fields = {"tenant_id": tenant_id, "flow_id": whose.flow_id, "run_id": whose.run_id, "now": now}
    rows = (await conn.execute(_LET_GO if let_go else _HOLD, fields)).mappings()
    return [execution_of(row) for row in rows]


__all__ = ["Whose", "hold_executions", "let_executions_go", "pause_flow", "resume_flow"]
