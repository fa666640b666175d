"""Rows of flows, of the instances they need, and of their checkpoints."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from isthmus.services.scheduling.domain import HUB, Checkpoint, Flow
from isthmus.services.scheduling.store.rows import checkpoint_of, dump_flow, flow_of
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

_ARRIVE = text("""
    INSERT INTO flows (tenant_id, flow_id, name, spec, is_active, source_instance_id, destination_instance_id,
                       source_connector_id, destination_connector_id, created_by, create_time, update_time)
    VALUES (:tenant_id, :flow_id, :name, CAST(:spec AS jsonb), :is_active, :source, :destination,
            :connector_id, :destination_connector_id, :created_by, :create_time, :create_time)
    ON CONFLICT (tenant_id, name) DO NOTHING RETURNING *
""")
_CHANGE = text("""
    UPDATE flows SET name = :name, spec = CAST(:spec AS jsonb), is_active = :is_active,
        source_instance_id = :source, destination_instance_id = :destination,
        source_connector_id = :connector_id, epoch = :epoch,
        destination_connector_id = :destination_connector_id,
        update_time = :update_time, revision = revision + 1
    WHERE tenant_id = :tenant_id AND flow_id = :flow_id RETURNING *
""")
_LIST = text("""
    SELECT * FROM flows
    WHERE tenant_id = :tenant_id AND flow_id > :after
      AND (:instance_id = '' OR :instance_id IN (source_instance_id, destination_instance_id))
      AND (:name = '' OR name = :name)
      AND (:mapping_id = '' OR :mapping_id IN (spec ->> 'mapping_id', spec ->> 'reverse_mapping_id'))
    ORDER BY flow_id LIMIT :limit
""")
_KNOW_INSTANCE = text("""
    INSERT INTO instances (tenant_id, instance_id, is_active, executions, update_time)
    VALUES (:tenant_id, :instance_id, :is_active, :executions, :update_time)
    ON CONFLICT (tenant_id, instance_id) DO UPDATE
        SET is_active = excluded.is_active, executions = excluded.executions,
            update_time = excluded.update_time
        WHERE instances.update_time <= excluded.update_time
          AND (instances.is_active, instances.executions)
              IS DISTINCT FROM (excluded.is_active, excluded.executions)
""")
_SWEEP_LINEAGES = text("""
    DELETE FROM checkpoints c USING flows f
    WHERE c.tenant_id = :tenant_id AND c.flow_id = :flow_id
      AND f.tenant_id = c.tenant_id AND f.flow_id = c.flow_id
      AND split_part(c.lineage, '.', 1) <> 'e' || f.epoch
      AND NOT EXISTS (SELECT FROM executions x WHERE x.tenant_id = c.tenant_id AND x.flow_id = c.flow_id
                      AND x.status IN ('pending', 'running'))
""")
_FORGET = text("""
    WITH gone AS (DELETE FROM checkpoints WHERE tenant_id = :tenant_id AND flow_id = :flow_id
                  RETURNING lineage)
    SELECT count(*) FILTER (WHERE lineage LIKE 'e%') FROM gone
""")
# An execution stores a position for each partition that the source lists, so when it is complete those
# that only others stored are of partitions that are no more.
_COMPLETE = text("""
    WITH gone AS (
        DELETE FROM checkpoints
        WHERE tenant_id = :tenant_id AND flow_id = :flow_id AND lineage = :lineage
          AND execution_id <> :execution_id AND EXISTS (
              SELECT FROM checkpoints c
              WHERE c.tenant_id = :tenant_id AND c.flow_id = :flow_id AND c.lineage = :lineage
                AND c.execution_id = :execution_id)
    )
    UPDATE checkpoints SET is_complete = true
    WHERE tenant_id = :tenant_id AND flow_id = :flow_id AND lineage = :lineage
      AND execution_id = :execution_id AND NOT is_complete
""")


def _fields(tenant_id: str, flow: Flow) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "flow_id": flow.flow_id,
        "name": flow.spec.name,
        "spec": dump_flow(flow.spec),
        "is_active": flow.spec.is_active,
        "source": flow.spec.source.instance_id,
        "destination": flow.spec.destination.instance_id,
        "connector_id": flow.source_connector_id,
        "destination_connector_id": flow.destination_connector_id,
        "epoch": flow.epoch,
        "created_by": flow.created_by,
        "create_time": flow.create_time,
        "update_time": flow.update_time,
    }


async def insert_flow(conn: AsyncConnection, tenant_id: str, flow: Flow) -> Flow | None:
    """Store a new flow; None when its name is taken."""
    row = (await conn.execute(_ARRIVE, _fields(tenant_id, flow))).mappings().one_or_none()
    return None if row is None else flow_of(row)


async def get_flow(conn: AsyncConnection, tenant_id: str, flow_id: str, *, lock: str = "") -> Flow | None:
    """Read a flow.

    Args:
        conn: The transaction.
        tenant_id: Whose.
        flow_id: Which one.
        lock: Empty; `UPDATE` to change or delete it; `KEY SHARE` to keep it from being deleted.
    """
    if lock not in {"", "UPDATE", "KEY SHARE"}:
        raise ValueError(lock)
    query = "SELECT * FROM flows WHERE tenant_id = :tenant_id AND flow_id = :flow_id"
    locked = text(f"{query} FOR {lock}" if lock else query)
    row = (await conn.execute(locked, {"tenant_id": tenant_id, "flow_id": flow_id})).mappings().one_or_none()
    return None if row is None else flow_of(row)


async def list_flows(
    conn: AsyncConnection,
    tenant_id: str,
    *,
    instance_id: str,
    name: str,
    mapping_id: str,
    after: str,
    limit: int,
) -> Sequence[Flow]:
    """Read flows, oldest first."""
    wanted = {
        "tenant_id": tenant_id,
        "instance_id": instance_id,
        "name": name,
        "mapping_id": mapping_id,
        "after": after,
        "limit": limit,
    }
    return [flow_of(row) for row in (await conn.execute(_LIST, wanted)).mappings()]


async def update_flow(conn: AsyncConnection, tenant_id: str, flow: Flow) -> Flow | None:
    """Store a flow's new form; None when its name is taken."""
    try:
        async with conn.begin_nested():
            row = (await conn.execute(_CHANGE, _fields(tenant_id, flow))).mappings().one()
    except IntegrityError:
        return None
    return flow_of(row)


async def delete_flow_parts(conn: AsyncConnection, tenant_id: str, flow_id: str) -> None:
    """Remove a flow's schedules and what waits for it, so that nothing starts it any more."""
    await _delete(conn, tenant_id, flow_id, "waiting", "schedules")


async def delete_flow(conn: AsyncConnection, tenant_id: str, flow_id: str) -> None:
    """Remove a flow and its positions; its executions stay."""
    await _delete(conn, tenant_id, flow_id, "checkpoints", "flows")


async def _delete(conn: AsyncConnection, tenant_id: str, flow_id: str, *tables: str) -> None:
    for table in tables:
        await conn.execute(
            text(f"DELETE FROM {table} WHERE tenant_id = :tenant_id AND flow_id = :flow_id"),
            {"tenant_id": tenant_id, "flow_id": flow_id},
        )


async def know_instance(
    conn: AsyncConnection,
    tenant_id: str,
    instance_id: str,
    *,
    is_active: bool,
    executions: int,
    update_time: datetime,
) -> None:
    """Remember whether and how many of an instance's flows may start; older news is ignored."""
    if instance_id == HUB:
        return
    fact = {
        "tenant_id": tenant_id,
        "instance_id": instance_id,
        "is_active": is_active,
        "executions": executions,
        "update_time": update_time,
    }
    await conn.execute(_KNOW_INSTANCE, fact)


async def is_active_instance(conn: AsyncConnection, tenant_id: str, instance_id: str) -> bool:
    """Whether an instance is active, as far as is known; one that nobody has told of is."""
    query = text(
        "SELECT is_active FROM instances WHERE tenant_id = :tenant_id AND instance_id = :instance_id"
    )
    found = await conn.execute(query, {"tenant_id": tenant_id, "instance_id": instance_id})
    return found.scalar_one_or_none() is not False


async def instances_of(conn: AsyncConnection, tenant_id: str, flow_ids: Sequence[str]) -> list[str]:
    """Name the instances that flows need, once each."""
    query = text(
        "SELECT source_instance_id FROM flows WHERE tenant_id = :tenant_id AND flow_id = ANY(:flow_ids) "
        "UNION SELECT destination_instance_id FROM flows "
        "WHERE tenant_id = :tenant_id AND flow_id = ANY(:flow_ids) ORDER BY 1"
    )
    found = await conn.execute(query, {"tenant_id": tenant_id, "flow_ids": list(flow_ids)})
    return [row[0] for row in found]


async def list_checkpoints(
    conn: AsyncConnection, tenant_id: str, flow_id: str, lineage: str
) -> list[tuple[Checkpoint, str]]:
    """Read a lineage's checkpoints, each with the execution that stored it."""
    query = text(
        "SELECT * FROM checkpoints WHERE tenant_id = :tenant_id AND flow_id = :flow_id "
        "AND lineage = :lineage ORDER BY partition"
    )
    rows = await conn.execute(query, {"tenant_id": tenant_id, "flow_id": flow_id, "lineage": lineage})
    return [(checkpoint_of(row), row["execution_id"]) for row in rows.mappings()]


async def forget_checkpoints(conn: AsyncConnection, tenant_id: str, flow_id: str) -> int:
    """Remove a flow's checkpoints and say how many there were."""
    found = await conn.execute(_FORGET, {"tenant_id": tenant_id, "flow_id": flow_id})
    return int(found.scalar_one())


async def drop_old_lineages(conn: AsyncConnection, tenant_id: str, flow_id: str) -> None:
    """Remove positions that no execution will read again, unless one is still at work."""
    await conn.execute(_SWEEP_LINEAGES, {"tenant_id": tenant_id, "flow_id": flow_id})


async def complete_partitions(
    conn: AsyncConnection, tenant_id: str, flow_id: str, lineage: str, execution_id: str
) -> None:
    """Mark all that a completed execution read as read to its end, and forget what is no more."""
    which = {
        "tenant_id": tenant_id,
        "flow_id": flow_id,
        "lineage": lineage,
        "execution_id": execution_id,
    }
    await conn.execute(_COMPLETE, which)


__all__ = [
    "complete_partitions",
    "delete_flow",
    "delete_flow_parts",
    "drop_old_lineages",
    "forget_checkpoints",
    "get_flow",
    "insert_flow",
    "instances_of",
    "is_active_instance",
    "know_instance",
    "list_checkpoints",
    "list_flows",
    "update_flow",
]
