"""Rows of calls of actions that steps of plans have asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isthmus.services.scheduling.domain import ActionCall, CallEnd, Place, PlanAction, Why
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT = text("""
    INSERT INTO action_calls (tenant_id, call_id, run_id, step, undoes, instance_id, action, input, retries,
                              next_time)
    VALUES (:tenant_id, :call_id, :run_id, :step, :undoes, :instance_id, :action, :input, :retries, :now)
""")
# Whose lease has ended was called by somebody who died on it: nobody knows what came of that.
_TAKE = text("""
    WITH due AS (
        SELECT c.tenant_id, c.call_id, r.correlation_id, c.lease_expire_time IS NOT NULL AS was_begun
        FROM action_calls c
        JOIN plan_runs r ON r.tenant_id = c.tenant_id AND r.run_id = c.run_id
        WHERE c.end_time IS NULL AND c.next_time <= :now AND NOT r.is_paused
        ORDER BY c.next_time LIMIT :limit FOR UPDATE OF c SKIP LOCKED
    )
    UPDATE action_calls c SET status = 'running', attempts = c.attempts + 1, lease_expire_time = :expires,
        next_time = :expires, is_unsure = c.is_unsure OR due.was_begun
    FROM due WHERE c.tenant_id = due.tenant_id AND c.call_id = due.call_id
    RETURNING c.*, due.correlation_id
""")
_RENEW = text("""
    UPDATE action_calls SET lease_expire_time = :expires, next_time = :expires
    WHERE tenant_id = :tenant_id AND call_id = :call_id AND attempts = :attempts AND end_time IS NULL
""")
_END = text("""
    UPDATE action_calls SET status = CASE WHEN :reason = '' THEN 'completed' ELSE 'failed' END,
        reason = :reason, message = :message, output = :output, end_time = :now, lease_expire_time = NULL
    WHERE tenant_id = :tenant_id AND call_id = :call_id AND attempts = :attempts AND end_time IS NULL
""")
_AGAIN = text("""
    UPDATE action_calls SET status = 'pending', reason = :reason, message = :message,
        lease_expire_time = NULL, attempts = attempts - :uncounted,
        next_time = CAST(:now AS timestamptz) + make_interval(secs => :wait)
    WHERE tenant_id = :tenant_id AND call_id = :call_id AND attempts = :attempts AND end_time IS NULL
""")
_CANCEL = text("""
    UPDATE action_calls SET status = 'cancelled', end_time = :now, reason = 'EXECUTION_CANCELLED',
        message = 'The call was cancelled before it was made.'
    WHERE tenant_id = :tenant_id AND run_id = :run_id AND status = 'pending' AND NOT is_unsure
""")
_ENDED = text("""
    UPDATE action_calls SET is_unsettled = false
    WHERE tenant_id = :tenant_id AND run_id = :run_id AND is_unsettled AND end_time IS NOT NULL
    RETURNING call_id, reason, message, output, end_time
""")


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that has ended.

    Attributes:
        failure: Why it did not go well; None when it did.
    """

    call_id: str
    end_time: datetime
    failure: Why | None
    output: str


async def insert_call(
    conn: AsyncConnection, tenant_id: str, call_id: str, action: PlanAction, *, place: Place, now: datetime
) -> None:
    """Store a call that is due at once."""
    fields = {
        "tenant_id": tenant_id,
        "call_id": call_id,
        "run_id": place.run_id,
        "step": place.step,
        "undoes": place.undoes,
        "instance_id": action.instance_id,
        "action": action.action,
        "input": action.input,
        "retries": action.retries,
        "now": now,
    }
    await conn.execute(_INSERT, fields)


async def take_calls(
    conn: AsyncConnection, now: datetime, *, expires: datetime, limit: int
) -> list[ActionCall]:
    """Take the calls of all tenants that have to be made, for as long as the lease lasts."""
    rows = (await conn.execute(_TAKE, {"now": now, "expires": expires, "limit": limit})).mappings()
    return [
        ActionCall(
            tenant_id=row["tenant_id"],
            call_id=row["call_id"],
            action=PlanAction(row["instance_id"], row["action"], row["input"], row["retries"]),
            attempts=row["attempts"],
            is_unsure=row["is_unsure"],
            correlation_id=row["correlation_id"],
        )
        for row in rows
    ]


async def renew_call(conn: AsyncConnection, call: ActionCall, expires: datetime) -> None:
    """Say that a call is still being made."""
    which = {"tenant_id": call.tenant_id, "call_id": call.call_id, "attempts": call.attempts}
    await conn.execute(_RENEW, {**which, "expires": expires})


async def end_call(conn: AsyncConnection, call: ActionCall, end: CallEnd, now: datetime) -> None:
    """Store how a try ended; one that somebody else has taken over meanwhile counts no more."""
    fields = {
        "tenant_id": call.tenant_id,
        "call_id": call.call_id,
        "attempts": call.attempts,
        "reason": end.reason,
        "message": end.message,
        "now": now,
    }
    if end.retry_after is None:
        await conn.execute(_END, {**fields, "output": end.output})
        return
    wait = {"wait": end.retry_after.total_seconds(), "uncounted": int(not end.is_counted)}
    await conn.execute(_AGAIN, {**fields, **wait})


async def cancel_calls(conn: AsyncConnection, tenant_id: str, run_id: str, now: datetime) -> None:
    """End the calls of a run that nobody has begun; those under way come to their end."""
    await conn.execute(_CANCEL, {"tenant_id": tenant_id, "run_id": run_id, "now": now})


async def take_ended_calls(conn: AsyncConnection, tenant_id: str, run_id: str) -> Sequence[EndedCall]:
    """Read once the calls of a locked run that have ended."""
    rows = (await conn.execute(_ENDED, {"tenant_id": tenant_id, "run_id": run_id})).mappings()
    return [
        EndedCall(
            row["call_id"],
            row["end_time"],
            Why(row["reason"], row["message"]) if row["reason"] else None,
            row["output"],
        )
        for row in rows
    ]


__all__ = [
    "EndedCall",
    "cancel_calls",
    "end_call",
    "insert_call",
    "renew_call",
    "take_calls",
    "take_ended_calls",
]
