"""Room at instances: how many executions may be at work with one at a time, and who waits for that."""

from collections.abc import Sequence
from datetime import datetime

from isthmus.services.scheduling.domain import Execution
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Stands for all instances of a tenant, so that its quota is a limit like theirs.
EVERYWHERE = "*"
# The part of the statement that gives an execution away: without a look at who else is at work it can
# only be had where no limit is set, which costs two rows of an index.
UNLIMITED = """
    (:has_room OR NOT EXISTS (
        SELECT FROM instances i
        WHERE i.tenant_id = executions.tenant_id AND i.instance_id IN (:source, :destination, '*')
          AND i.executions > 0))
"""

_ENDS = "(x.flow #>> '{source,instance_id}', x.flow #>> '{destination,instance_id}')"
_AT_WORK = f"""
    SELECT count(*) FROM executions x
    WHERE x.tenant_id = i.tenant_id AND x.status = 'running' AND x.lease_expire_time IS NOT NULL
      AND (i.instance_id = '*' OR i.instance_id IN {_ENDS})
"""
# Who has been called and does not come, because no host serves it, keeps nobody else from going.
_CALLED = """
    x.tenant_id = i.tenant_id AND x.waits_for = i.instance_id AND x.status = 'pending' AND x.stop = ''
    AND (x.next_attempt_time IS NULL OR x.next_attempt_time <= :now) AND x.dispatches % 10 < 3
"""
# Who wants an instance that has a limit waits for whoever is being given a place at it.
_LOCK = text("""
    SELECT instance_id FROM instances
    WHERE tenant_id = :tenant_id AND instance_id IN (:source, :destination, '*') AND executions > 0
    ORDER BY instance_id FOR UPDATE
""")
_FULL = text(f"""
    SELECT i.instance_id FROM instances i
    WHERE i.tenant_id = :tenant_id AND i.instance_id = ANY(CAST(:instance_ids AS text[]))
      AND EXISTS (SELECT FROM executions x
                  WHERE x.tenant_id = i.tenant_id AND x.execution_id = :execution_id AND x.status = 'pending'
                    AND x.stop = '' AND (x.next_attempt_time IS NULL OR x.next_attempt_time <= :now))
      AND i.executions <= ({_AT_WORK}) + (
          SELECT count(*) FROM executions x WHERE {_CALLED}
            AND x.execution_id <> :execution_id AND x.rank_time < :rank_time)
    ORDER BY i.instance_id LIMIT 1
""")
# The job that its host drops is sent again under a new id, once there is room.
_WAIT = text("""
    UPDATE executions SET waits_for = :instance_id, dispatch_time = NULL,
        dispatches = (dispatches + 9) / 10 * 10, revision = revision + 1
    WHERE tenant_id = :tenant_id AND execution_id = :execution_id AND status = 'pending' AND stop = ''
    RETURNING execution_id
""")
_CALL = text(f"""
    WITH places AS (
        SELECT w.tenant_id, w.waits_for,
            CASE WHEN i.executions > 0 THEN GREATEST(0, i.executions - ({_AT_WORK}) - (
                SELECT count(*) FROM executions x WHERE {_CALLED} AND x.dispatch_time IS NOT NULL))
            END AS free
        FROM (SELECT DISTINCT tenant_id, waits_for FROM executions
              WHERE waits_for <> '' AND status = 'pending') w
        LEFT JOIN instances i ON i.tenant_id = w.tenant_id AND i.instance_id = w.waits_for
    ), called AS (
        UPDATE executions e SET dispatch_time = :now
        FROM places p CROSS JOIN LATERAL (
            SELECT x.tenant_id, x.execution_id FROM executions x
            WHERE x.tenant_id = p.tenant_id AND x.waits_for = p.waits_for AND x.waits_for <> ''
              AND x.status = 'pending' AND x.stop = '' AND x.dispatch_time IS NULL
            ORDER BY x.rank_time LIMIT p.free FOR UPDATE SKIP LOCKED) first
        WHERE e.tenant_id = first.tenant_id AND e.execution_id = first.execution_id
    )
    SELECT EXISTS (SELECT FROM places)
""")


def _which(tenant_id: str, execution: Execution) -> dict[str, str]:
    return {
        "tenant_id": tenant_id,
        "source": execution.flow.source.instance_id,
        "destination": execution.flow.destination.instance_id,
    }


async def lock_limited(conn: AsyncConnection, tenant_id: str, execution: Execution) -> Sequence[str]:
    """Name the execution's instances that have a limit; nobody is given a place at them meanwhile."""
    return (await conn.execute(_LOCK, _which(tenant_id, execution))).scalars().all()


async def full_instance(
    conn: AsyncConnection, tenant_id: str, execution: Execution, limited: Sequence[str], now: datetime
) -> str:
    """Name an instance that has no place left for an execution; empty where all have one.

    Those that wait for the same instance and go first have theirs already.
    """
    fields = {
        "tenant_id": tenant_id,
        "instance_ids": list(limited),
        "execution_id": execution.execution_id,
        "rank_time": execution.rank_time,
        "now": now,
    }
    return str((await conn.execute(_FULL, fields)).scalar_one_or_none() or "")


async def wait_for_room(conn: AsyncConnection, tenant_id: str, execution_id: str, instance_id: str) -> bool:
    """Have a pending execution wait until an instance has a place for it; False when it is not pending."""
    fields = {"tenant_id": tenant_id, "execution_id": execution_id, "instance_id": instance_id}
    return (await conn.execute(_WAIT, fields)).rowcount > 0


async def call_waiting(conn: AsyncConnection, now: datetime) -> bool:
    """Make due what instances of all tenants have room for by now; tell whether anything waits."""
    return bool((await conn.execute(_CALL, {"now": now})).scalar_one())


__all__ = ["EVERYWHERE", "UNLIMITED", "call_waiting", "full_instance", "lock_limited", "wait_for_room"]
