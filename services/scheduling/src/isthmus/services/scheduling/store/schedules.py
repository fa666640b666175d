"""Rows of schedules and of starts that wait until their flow is free."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.services.scheduling.domain import Flow, MissedRuns, Schedule, ScheduleType, Trigger
from isthmus.services.scheduling.store.rows import Row, dump_schedule, flow_of, schedule_of
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Whether a flow's execution may start: nobody else's is live, and both instances are active.
_CAN_RUN = """
    f.is_active
    AND NOT EXISTS (SELECT FROM executions x WHERE x.tenant_id = f.tenant_id AND x.flow_id = f.flow_id
                    AND x.status IN ('pending', 'running'))
    AND NOT EXISTS (
        SELECT FROM unnest(ARRAY[f.source_instance_id, f.destination_instance_id]) AS wanted (id)
        LEFT JOIN instances i ON i.tenant_id = f.tenant_id AND i.instance_id = wanted.id
        WHERE wanted.id <> 'hub' AND i.is_active IS NOT TRUE)
"""
_JOINED = "JOIN flows f ON f.tenant_id = s.tenant_id AND f.flow_id = s.flow_id"

_INSERT = text("""
    INSERT INTO schedules (tenant_id, schedule_id, flow_id, spec, is_active, event_trigger, skips_missed,
                           next_execution_time, created_by, create_time, update_time)
    VALUES (:tenant_id, :schedule_id, :flow_id, CAST(:spec AS jsonb), :is_active, :event_trigger,
            :skips_missed, :next_execution_time, :created_by, :create_time, :create_time)
    RETURNING *
""")
_UPDATE = text("""
    UPDATE schedules SET flow_id = :flow_id, spec = CAST(:spec AS jsonb), is_active = :is_active,
        event_trigger = :event_trigger, skips_missed = :skips_missed,
        next_execution_time = :next_execution_time, update_time = :update_time, revision = revision + 1
    WHERE tenant_id = :tenant_id AND schedule_id = :schedule_id RETURNING *
""")
_LIST = text("""
    SELECT * FROM schedules
    WHERE tenant_id = :tenant_id AND schedule_id > :after AND (:flow_id = '' OR flow_id = :flow_id)
    ORDER BY schedule_id LIMIT :limit
""")
# A schedule that makes up for missed runs is left alone while its flow cannot run.
_DUE = text(f"""
    SELECT s.*, to_jsonb(f) AS flow, can.run AS can_run
    FROM schedules s {_JOINED} CROSS JOIN LATERAL (SELECT {_CAN_RUN} AS run) can
    WHERE s.is_active AND s.next_execution_time <= :now AND (s.skips_missed OR can.run)
    ORDER BY s.next_execution_time LIMIT :limit FOR UPDATE OF s SKIP LOCKED
""")
_TRIGGERED = text(f"""
    SELECT s.*, to_jsonb(f) AS flow FROM schedules s {_JOINED}
    WHERE s.tenant_id = :tenant_id AND s.event_trigger = :event_type AND s.is_active ORDER BY s.schedule_id
""")
_AWAITED = text("""
    SELECT DISTINCT event_trigger FROM schedules
    WHERE tenant_id = :tenant_id AND event_trigger = ANY(CAST(:types AS text[]))
      AND event_trigger <> '' AND is_active
""")
_TICKED = text("""
    UPDATE schedules SET next_execution_time = :next_time,
        last_execution_time = COALESCE(CAST(:started AS timestamptz), last_execution_time)
    WHERE tenant_id = :tenant_id AND schedule_id = :schedule_id
""")
_WAIT = text("""
    INSERT INTO waiting (tenant_id, waiting_id, flow_id, trigger, schedule_id, initiated_by, quarantine_ids)
    SELECT :tenant_id, :waiting_id, :flow_id, :trigger, :schedule_id, :initiated_by,
           CAST(:quarantine_ids AS text[])
    WHERE EXISTS (SELECT FROM flows WHERE tenant_id = :tenant_id AND flow_id = :flow_id)
    ON CONFLICT DO NOTHING
""")
_READY = text(f"""
    SELECT DISTINCT s.tenant_id, s.flow_id FROM waiting s {_JOINED} WHERE {_CAN_RUN} LIMIT :limit
""")
_IS_READY = text(f"""
    SELECT EXISTS (SELECT FROM flows f WHERE f.tenant_id = :tenant_id AND f.flow_id = :flow_id AND {_CAN_RUN})
""")


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule whose time has come, locked."""

    tenant_id: str
    schedule: Schedule
    flow: Flow
    can_run: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """A start that waits until its flow is free."""

    waiting_id: str
    flow_id: str
    trigger: Trigger
    initiated_by: str
    schedule_id: str = ""
    quarantine_ids: tuple[str, ...] = ()


def _fields(tenant_id: str, schedule: Schedule) -> dict[str, Any]:
    spec = schedule.spec
    return {
        "tenant_id": tenant_id,
        "schedule_id": schedule.schedule_id,
        "flow_id": spec.flow_id,
        "spec": dump_schedule(spec),
        "is_active": spec.is_active,
        "event_trigger": spec.event_trigger if spec.type is ScheduleType.EVENT else "",
        "skips_missed": spec.missed_runs is MissedRuns.SKIP,
        "next_execution_time": schedule.next_execution_time,
        "created_by": schedule.created_by,
        "create_time": schedule.create_time,
        "update_time": schedule.update_time,
    }


async def insert_schedule(conn: AsyncConnection, tenant_id: str, schedule: Schedule) -> Schedule:
    """Store a new schedule."""
    return schedule_of((await conn.execute(_INSERT, _fields(tenant_id, schedule))).mappings().one())


async def get_schedule(
    conn: AsyncConnection, tenant_id: str, schedule_id: str, *, lock: bool = False
) -> Schedule | None:
    """Read a schedule, locked when it is to be changed."""
    query = "SELECT * FROM schedules WHERE tenant_id = :tenant_id AND schedule_id = :schedule_id"
    which = {"tenant_id": tenant_id, "schedule_id": schedule_id}
    row = (await conn.execute(text(query + " FOR UPDATE" * lock), which)).mappings().one_or_none()
    return None if row is None else schedule_of(row)


async def list_schedules(
    conn: AsyncConnection, tenant_id: str, *, flow_id: str, after: str, limit: int
) -> Sequence[Schedule]:
    """Read schedules, oldest first."""
    wanted = {"tenant_id": tenant_id, "flow_id": flow_id, "after": after, "limit": limit}
    return [schedule_of(row) for row in (await conn.execute(_LIST, wanted)).mappings()]


async def update_schedule(conn: AsyncConnection, tenant_id: str, schedule: Schedule) -> Schedule:
    """Store a schedule's new form."""
    return schedule_of((await conn.execute(_UPDATE, _fields(tenant_id, schedule))).mappings().one())


async def delete_schedule(conn: AsyncConnection, tenant_id: str, schedule_id: str) -> None:
    """Remove a schedule and the start that waits for it."""
    for table in ("waiting", "schedules"):
        await conn.execute(
            text(f"DELETE FROM {table} WHERE tenant_id = :tenant_id AND schedule_id = :schedule_id"),
            {"tenant_id": tenant_id, "schedule_id": schedule_id},
        )


async def lock_due(conn: AsyncConnection, now: datetime, limit: int) -> list[Due]:
    """Take schedules whose time has come; other replicas pass over them until the transaction ends."""
    rows = (await conn.execute(_DUE, {"now": now, "limit": limit})).mappings().all()
    return [
        Due(row["tenant_id"], schedule_of(row), _joined_flow(row), can_run=row["can_run"]) for row in rows
    ]


def _joined_flow(row: Row) -> Flow:
    flow = row["flow"]
    times = {name: datetime.fromisoformat(flow[name]) for name in ("create_time", "update_time")}
    return flow_of({**flow, **times})


async def ticked(
    conn: AsyncConnection,
    tenant_id: str,
    schedule_id: str,
    *,
    next_time: datetime | None,
    started: datetime | None,
) -> None:
    """Store when a schedule is due again and, if it started one, when it did."""
    change = {
        "tenant_id": tenant_id,
        "schedule_id": schedule_id,
        "next_time": next_time,
        "started": started,
    }
    await conn.execute(_TICKED, change)


async def triggered_by(conn: AsyncConnection, tenant_id: str, event_type: str) -> list[tuple[Schedule, Flow]]:
    """Read the active schedules that wait for events of this type, with their flows."""
    found = await conn.execute(_TRIGGERED, {"tenant_id": tenant_id, "event_type": event_type})
    return [(schedule_of(row), _joined_flow(row)) for row in found.mappings()]


async def awaited_types(conn: AsyncConnection, tenant_id: str, types: Collection[str]) -> set[str]:
    """Give those of these types of events that an active schedule waits for."""
    found = await conn.execute(_AWAITED, {"tenant_id": tenant_id, "types": list(types)})
    return set(found.scalars())


async def can_run(conn: AsyncConnection, tenant_id: str, flow_id: str) -> bool:
    """Whether an execution of the flow could start now."""
    which = {"tenant_id": tenant_id, "flow_id": flow_id}
    return bool((await conn.execute(_IS_READY, which)).scalar_one())


async def wait(conn: AsyncConnection, tenant_id: str, waiting: Waiting) -> None:
    """Remember a start until its flow is free; one is remembered for each schedule."""
    fields = {
        "tenant_id": tenant_id,
        "waiting_id": waiting.waiting_id,
        "flow_id": waiting.flow_id,
        "trigger": waiting.trigger.value,
        "schedule_id": waiting.schedule_id,
        "initiated_by": waiting.initiated_by,
        "quarantine_ids": list(waiting.quarantine_ids),
    }
    await conn.execute(_WAIT, fields)


async def flows_with_waiting(conn: AsyncConnection, limit: int) -> list[tuple[str, str]]:
    """Find flows that are free and have starts waiting, as (tenant, flow)."""
    return [(row[0], row[1]) for row in await conn.execute(_READY, {"limit": limit})]


async def take_waiting(conn: AsyncConnection, tenant_id: str, flow_id: str) -> list[Waiting]:
    """Lock and read the starts that wait for a flow, oldest first."""
    query = text(
        "SELECT * FROM waiting WHERE tenant_id = :tenant_id AND flow_id = :flow_id "
        "ORDER BY waiting_id LIMIT 100 FOR UPDATE SKIP LOCKED"
    )
    rows = (await conn.execute(query, {"tenant_id": tenant_id, "flow_id": flow_id})).mappings()
    return [
        Waiting(
            waiting_id=row["waiting_id"],
            flow_id=row["flow_id"],
            trigger=Trigger(row["trigger"]),
            initiated_by=row["initiated_by"],
            schedule_id=row["schedule_id"],
            quarantine_ids=tuple(row["quarantine_ids"]),
        )
        for row in rows
    ]


async def drop_waiting(conn: AsyncConnection, tenant_id: str, waiting_ids: Sequence[str]) -> None:
    """Forget starts that have happened."""
    query = text("DELETE FROM waiting WHERE tenant_id = :tenant_id AND waiting_id = ANY(:waiting_ids)")
    await conn.execute(query, {"tenant_id": tenant_id, "waiting_ids": list(waiting_ids)})


__all__ = [
    "Due",
    "Waiting",
    "awaited_types",
    "can_run",
    "delete_schedule",
    "drop_waiting",
    "flows_with_waiting",
    "get_schedule",
    "insert_schedule",
    "list_schedules",
    "lock_due",
    "take_waiting",
    "ticked",
    "triggered_by",
    "update_schedule",
    "wait",
]
