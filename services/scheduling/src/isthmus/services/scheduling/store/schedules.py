"""Rows of schedules and of starts that wait until their flow is free."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.services.scheduling.domain import Flow, MissedRuns, Plan, Schedule, ScheduleType, Trigger
from isthmus.services.scheduling.store.plans import plan_of
from isthmus.services.scheduling.store.rows import Row, dump_schedule, flow_of, moment_of, schedule_of
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# What keeps an execution of a flow from starting; empty where nothing does.
_HOLD = """
    CASE WHEN NOT f.is_active THEN 'FLOW_INACTIVE'
         WHEN f.pause_time IS NOT NULL THEN 'FLOW_PAUSED'
         WHEN EXISTS (
            SELECT FROM unnest(ARRAY[f.source_instance_id, f.destination_instance_id]) AS wanted (id)
            LEFT JOIN instances i ON i.tenant_id = f.tenant_id AND i.instance_id = wanted.id
            WHERE wanted.id <> 'hub' AND i.is_active IS NOT TRUE) THEN 'INSTANCE_INACTIVE'
         WHEN EXISTS (SELECT FROM executions x WHERE x.tenant_id = f.tenant_id AND x.flow_id = f.flow_id
                      AND x.status IN ('pending', 'running')) THEN 'EXECUTION_RUNNING'
         ELSE '' END
"""
_HOLD_PLAN = """
    CASE WHEN NOT p.is_active THEN 'PLAN_INACTIVE'
         WHEN EXISTS (SELECT FROM plan_runs r WHERE r.tenant_id = p.tenant_id AND r.plan_id = p.plan_id
                      AND r.status IN ('running', 'compensating')) THEN 'PLAN_RUNNING'
         ELSE '' END
"""
_JOINED = "JOIN flows f ON f.tenant_id = s.tenant_id AND f.flow_id = s.flow_id"
_SHOWN = f"""
    SELECT s.*, CASE WHEN s.plan_id IS NULL THEN {_HOLD} ELSE {_HOLD_PLAN} END AS hold_reason
    FROM schedules s LEFT {_JOINED}
    LEFT JOIN plans p ON p.tenant_id = s.tenant_id AND p.plan_id = s.plan_id
"""
_GET = f"{_SHOWN} WHERE s.tenant_id = :tenant_id AND s.schedule_id = :schedule_id"

_INSERT = text("""
    INSERT INTO schedules (tenant_id, schedule_id, flow_id, plan_id, spec, is_active, event_trigger,
                           skips_missed, next_execution_time, created_by, create_time, update_time)
    VALUES (:tenant_id, :schedule_id, NULLIF(:flow_id, ''), NULLIF(:plan_id, ''), CAST(:spec AS jsonb),
            :is_active, :event_trigger, :skips_missed, :next_execution_time, :created_by, :create_time,
            :create_time)
    RETURNING *
""")
_UPDATE = text("""
    UPDATE schedules SET flow_id = NULLIF(:flow_id, ''), plan_id = NULLIF(:plan_id, ''),
        spec = CAST(:spec AS jsonb), is_active = :is_active, event_trigger = :event_trigger,
        skips_missed = :skips_missed, next_execution_time = :next_execution_time, update_time = :update_time,
        revision = revision + 1
    WHERE tenant_id = :tenant_id AND schedule_id = :schedule_id RETURNING *
""")
_LIST = text(f"""
    {_SHOWN}
    WHERE s.tenant_id = :tenant_id AND s.schedule_id > :after AND (:flow_id = '' OR s.flow_id = :flow_id)
      AND (:plan_id = '' OR s.plan_id = :plan_id)
    ORDER BY s.schedule_id LIMIT :limit
""")
# A schedule that makes up for missed runs is left alone while its flow cannot run.
_DUE = text(f"""
    SELECT s.*, to_jsonb(f) AS flow, hold.reason AS hold_reason
    FROM schedules s {_JOINED} CROSS JOIN LATERAL (SELECT {_HOLD} AS reason) hold
    WHERE s.is_active AND s.next_execution_time <= :now AND (s.skips_missed OR hold.reason = '')
    ORDER BY s.next_execution_time LIMIT :limit FOR UPDATE OF s SKIP LOCKED
""")
_DUE_PLANS = text(f"""
    SELECT s.*, to_jsonb(p) AS plan, hold.reason AS hold_reason
    FROM schedules s JOIN plans p ON p.tenant_id = s.tenant_id AND p.plan_id = s.plan_id
    CROSS JOIN LATERAL (SELECT {_HOLD_PLAN} AS reason) hold
    WHERE s.is_active AND s.next_execution_time <= :now AND (s.skips_missed OR hold.reason = '')
    ORDER BY s.next_execution_time LIMIT :limit FOR UPDATE OF s SKIP LOCKED
""")
_TRIGGERED = text("""
    SELECT s.*, to_jsonb(f) AS flow
    FROM schedules s LEFT JOIN flows f ON f.tenant_id = s.tenant_id AND f.flow_id = s.flow_id
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
_SKIPPED = text("""
    UPDATE schedules SET next_execution_time = :next_time, last_skip_time = :now, last_skip_reason = :reason
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
    SELECT DISTINCT s.tenant_id, s.flow_id FROM waiting s {_JOINED} WHERE {_HOLD} = '' LIMIT :limit
""")
_WHY_NOT = text(f"SELECT {_HOLD} FROM flows f WHERE f.tenant_id = :tenant_id AND f.flow_id = :flow_id")
_IN_THE_WAY = text("""
    SELECT (SELECT wanted.id
            FROM unnest(ARRAY[f.source_instance_id, f.destination_instance_id]) AS wanted (id)
            LEFT JOIN instances i ON i.tenant_id = f.tenant_id AND i.instance_id = wanted.id
            WHERE wanted.id <> 'hub' AND i.is_active IS NOT TRUE LIMIT 1) AS instance_id,
        (SELECT execution_id FROM executions x WHERE x.tenant_id = f.tenant_id AND x.flow_id = f.flow_id
         AND x.status IN ('pending', 'running')) AS execution_id
    FROM flows f WHERE f.tenant_id = :tenant_id AND f.flow_id = :flow_id
""")


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule whose time has come, locked."""

    tenant_id: str
    schedule: Schedule
    flow: Flow

    @property
    def can_run(self) -> bool:
        """Whether nothing keeps it from starting."""
        return not self.schedule.hold_reason


@dataclass(frozen=True, slots=True)
class DuePlan:
    """A schedule of a plan whose time has come, locked."""

    tenant_id: str
    schedule: Schedule
    plan: Plan

    @property
    def can_run(self) -> bool:
        """Whether nothing keeps it from starting."""
        return not self.schedule.hold_reason


@dataclass(frozen=True, slots=True)
class InTheWay:
    """What is in the way of a flow's start besides the flow itself; all is empty where nothing is."""

    instance_id: str
    execution_id: str


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
        "plan_id": spec.plan_id,
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
    which = {"tenant_id": tenant_id, "schedule_id": schedule_id}
    row = (await conn.execute(text(_GET + " FOR UPDATE OF s" * lock), which)).mappings().one_or_none()
    return None if row is None else schedule_of(row)


async def list_schedules(
    conn: AsyncConnection, tenant_id: str, *, flow_id: str, plan_id: str, after: str, limit: int
) -> Sequence[Schedule]:
    """Read schedules, oldest first."""
    wanted = {"tenant_id": tenant_id, "flow_id": flow_id, "plan_id": plan_id, "after": after, "limit": limit}
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
    return [Due(row["tenant_id"], schedule_of(row), _joined_flow(row)) for row in rows]


async def lock_due_plans(conn: AsyncConnection, now: datetime, limit: int) -> list[DuePlan]:
    """Take schedules of plans whose time has come, as `lock_due` does."""
    rows = (await conn.execute(_DUE_PLANS, {"now": now, "limit": limit})).mappings().all()
    return [DuePlan(row["tenant_id"], schedule_of(row), plan_of(_with_times(row["plan"]))) for row in rows]


def _joined_flow(row: Row) -> Flow:
    return flow_of(_with_times(row["flow"]))


def _with_times(joined: Mapping[str, Any]) -> Mapping[str, Any]:
    times = {name: moment_of(joined.get(name)) for name in ("create_time", "update_time", "pause_time")}
    return {**joined, **times}


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


async def triggered_by(
    conn: AsyncConnection, tenant_id: str, event_type: str
) -> list[tuple[Schedule, Flow | None]]:
    """Read the active schedules that wait for events of this type, with their flows where they run one."""
    found = await conn.execute(_TRIGGERED, {"tenant_id": tenant_id, "event_type": event_type})
    return [(schedule_of(row), _joined_flow(row) if row["flow"] else None) for row in found.mappings()]


async def make_due(conn: AsyncConnection, tenant_id: str, schedule_id: str, now: datetime) -> None:
    """Have a schedule that waits for events dealt with as soon as its plan can run."""
    query = text(
        "UPDATE schedules SET next_execution_time = :now "
        "WHERE tenant_id = :tenant_id AND schedule_id = :schedule_id AND next_execution_time IS NULL"
    )
    await conn.execute(query, {"tenant_id": tenant_id, "schedule_id": schedule_id, "now": now})


async def skipped(
    conn: AsyncConnection,
    tenant_id: str,
    schedule_id: str,
    *,
    now: datetime,
    reason: str,
    next_time: datetime | None = None,
) -> None:
    """Store that a schedule has left a start out, why, and when it is due again."""
    change = {
        "tenant_id": tenant_id,
        "schedule_id": schedule_id,
        "now": now,
        "reason": reason,
        "next_time": next_time,
    }
    await conn.execute(_SKIPPED, change)


async def in_the_way(conn: AsyncConnection, tenant_id: str, flow_id: str) -> InTheWay:
    """Tell what is in the way of a flow's start."""
    which = {"tenant_id": tenant_id, "flow_id": flow_id}
    row = (await conn.execute(_IN_THE_WAY, which)).mappings().one()
    return InTheWay(row["instance_id"] or "", row["execution_id"] or "")


async def why_not(conn: AsyncConnection, tenant_id: str, flow_id: str) -> str:
    """Tell what keeps an execution of a flow from starting now; empty where nothing does."""
    which = {"tenant_id": tenant_id, "flow_id": flow_id}
    return str((await conn.execute(_WHY_NOT, which)).scalar_one_or_none() or "")


async def awaited_types(conn: AsyncConnection, tenant_id: str, types: Collection[str]) -> set[str]:
    """Give those of these types of events that an active schedule waits for."""
    found = await conn.execute(_AWAITED, {"tenant_id": tenant_id, "types": list(types)})
    return set(found.scalars())


async def can_run(conn: AsyncConnection, tenant_id: str, flow_id: str) -> bool:
    """Whether an execution of the flow could start now."""
    which = {"tenant_id": tenant_id, "flow_id": flow_id}
    return (await conn.execute(_WHY_NOT, which)).scalar_one_or_none() == ""


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
    "DuePlan",
    "InTheWay",
    "Waiting",
    "awaited_types",
    "can_run",
    "delete_schedule",
    "drop_waiting",
    "flows_with_waiting",
    "get_schedule",
    "in_the_way",
    "insert_schedule",
    "list_schedules",
    "lock_due",
    "lock_due_plans",
    "make_due",
    "skipped",
    "take_waiting",
    "ticked",
    "triggered_by",
    "update_schedule",
    "wait",
    "why_not",
]
