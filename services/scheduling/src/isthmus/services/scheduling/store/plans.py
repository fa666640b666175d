"""Rows of plans and of their runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from isthmus.services.scheduling.domain import (
    Execution,
    Halt,
    Mode,
    OnFailure,
    Plan,
    PlanAction,
    PlanRun,
    PlanSpec,
    PlanStep,
    Reconcile,
    RunStatus,
    StepRun,
    StepStatus,
    Trigger,
    Why,
)
from isthmus.services.scheduling.store.rows import Row, dump, execution_of, moment_of
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT = text("""
    INSERT INTO plans (tenant_id, plan_id, name, spec, is_active, flow_ids, created_by, create_time,
                       update_time)
    VALUES (:tenant_id, :plan_id, :name, CAST(:spec AS jsonb), :is_active, CAST(:flow_ids AS text[]),
            :created_by, :create_time, :create_time)
    ON CONFLICT (tenant_id, name) DO NOTHING RETURNING *
""")
_UPDATE = text("""
    UPDATE plans SET name = :name, spec = CAST(:spec AS jsonb), is_active = :is_active,
        flow_ids = CAST(:flow_ids AS text[]), update_time = :update_time, revision = revision + 1
    WHERE tenant_id = :tenant_id AND plan_id = :plan_id RETURNING *
""")
_LIST = text("""
    SELECT * FROM plans
    WHERE tenant_id = :tenant_id AND plan_id > :after AND (:name = '' OR name = :name)
    ORDER BY plan_id LIMIT :limit
""")
_START = text("""
    INSERT INTO plan_runs (tenant_id, run_id, plan_id, plan, steps, status, trigger, initiated_by,
                           schedule_id, create_time, look_time, correlation_id, priority)
    VALUES (:tenant_id, :run_id, :plan_id, CAST(:plan AS jsonb), CAST(:steps AS jsonb), :status, :trigger,
            :initiated_by, :schedule_id, :create_time, :create_time, :correlation_id, :priority)
    ON CONFLICT (tenant_id, plan_id) WHERE status IN ('running', 'compensating') DO NOTHING
    RETURNING *
""")
_SAVE = text("""
    UPDATE plan_runs SET steps = CAST(:steps AS jsonb), status = :status, halt = :halt,
        is_paused = :is_paused, is_cancel_requested = :is_cancel_requested, reason = :reason,
        message = :message, end_time = :end_time, look_time = :look_time, revision = revision + :changed
    WHERE tenant_id = :tenant_id AND run_id = :run_id RETURNING *
""")
_RUNS = text("""
    SELECT * FROM plan_runs
    WHERE tenant_id = :tenant_id AND (:after = '' OR run_id < :after)
      AND (:plan_id = '' OR plan_id = :plan_id)
      AND (cardinality(CAST(:statuses AS text[])) = 0 OR status = ANY(CAST(:statuses AS text[])))
    ORDER BY run_id DESC LIMIT :limit
""")
# A run is looked at when an execution of it has ended, and when it has put that off itself.
_DUE = text("""
    SELECT * FROM plan_runs r
    WHERE status IN ('running', 'compensating')
      AND (look_time <= :now OR EXISTS (
          SELECT FROM executions x WHERE x.tenant_id = r.tenant_id AND x.plan_run_id = r.run_id
             AND x.plan_unsettled AND x.status NOT IN ('pending', 'running'))
          OR EXISTS (SELECT FROM action_calls c WHERE c.tenant_id = r.tenant_id AND c.run_id = r.run_id
             AND c.is_unsettled AND c.end_time IS NOT NULL))
    ORDER BY create_time LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_ENDED = text("""
    UPDATE executions SET plan_unsettled = false
    WHERE tenant_id = :tenant_id AND plan_run_id = :run_id AND plan_unsettled
      AND status NOT IN ('pending', 'running')
    RETURNING *
""")
_LIVE_EXECUTIONS = text("""
    SELECT execution_id FROM executions
    WHERE tenant_id = :tenant_id AND plan_run_id = :run_id AND status IN ('pending', 'running')
    ORDER BY execution_id
""")
_PRUNE = text("""
    DELETE FROM plan_runs WHERE (tenant_id, run_id) IN (
        SELECT tenant_id, run_id FROM plan_runs WHERE end_time < :before LIMIT :limit FOR UPDATE SKIP LOCKED)
""")


def _fields(tenant_id: str, plan: Plan) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "plan_id": plan.plan_id,
        "name": plan.spec.name,
        "spec": dump(asdict(plan.spec)),
        "is_active": plan.spec.is_active,
        "flow_ids": list(plan.spec.flow_ids),
        "created_by": plan.created_by,
        "create_time": plan.create_time,
        "update_time": plan.update_time,
    }


async def insert_plan(conn: AsyncConnection, tenant_id: str, plan: Plan) -> Plan | None:
    """Store a new plan; None when its name is taken."""
    row = (await conn.execute(_INSERT, _fields(tenant_id, plan))).mappings().one_or_none()
    return None if row is None else plan_of(row)


async def get_plan(conn: AsyncConnection, tenant_id: str, plan_id: str, *, lock: bool = False) -> Plan | None:
    """Read a plan, locked when it is to be changed or kept from being deleted."""
    query = "SELECT * FROM plans WHERE tenant_id = :tenant_id AND plan_id = :plan_id"
    which = {"tenant_id": tenant_id, "plan_id": plan_id}
    row = (await conn.execute(text(query + " FOR UPDATE" * lock), which)).mappings().one_or_none()
    return None if row is None else plan_of(row)


async def list_plans(
    conn: AsyncConnection, tenant_id: str, *, name: str, after: str, limit: int
) -> Sequence[Plan]:
    """Read plans, oldest first."""
    wanted = {"tenant_id": tenant_id, "name": name, "after": after, "limit": limit}
    return [plan_of(row) for row in (await conn.execute(_LIST, wanted)).mappings()]


async def update_plan(conn: AsyncConnection, tenant_id: str, plan: Plan) -> Plan | None:
    """Store a plan's new form; None when its name is taken."""
    try:
        async with conn.begin_nested():
            row = (await conn.execute(_UPDATE, _fields(tenant_id, plan))).mappings().one()
    except IntegrityError:
        return None
    return plan_of(row)


async def delete_plan(conn: AsyncConnection, tenant_id: str, plan_id: str) -> None:
    """Remove a plan and its schedules; its runs stay."""
    for table in ("schedules", "plans"):
        await conn.execute(
            text(f"DELETE FROM {table} WHERE tenant_id = :tenant_id AND plan_id = :plan_id"),
            {"tenant_id": tenant_id, "plan_id": plan_id},
        )


async def unknown_flows(conn: AsyncConnection, tenant_id: str, flow_ids: Sequence[str]) -> set[str]:
    """Tell which of these flows do not exist; the others cannot vanish before the transaction ends."""
    query = text(
        "SELECT flow_id FROM flows WHERE tenant_id = :tenant_id AND flow_id = ANY(:flow_ids) "
        "ORDER BY flow_id FOR KEY SHARE"
    )
    found = await conn.execute(query, {"tenant_id": tenant_id, "flow_ids": list(flow_ids)})
    return set(flow_ids) - {row[0] for row in found}


async def plans_with(conn: AsyncConnection, tenant_id: str, flow_id: str) -> list[tuple[str, str]]:
    """Give id and name of the plans that run a flow, as a step or to undo one."""
    query = text(
        "SELECT plan_id, name FROM plans "
        "WHERE tenant_id = :tenant_id AND :flow_id = ANY(flow_ids) ORDER BY name"
    )
    found = await conn.execute(query, {"tenant_id": tenant_id, "flow_id": flow_id})
    return [(row[0], row[1]) for row in found]


async def insert_run(
    conn: AsyncConnection, tenant_id: str, run: PlanRun, correlation_id: str
) -> PlanRun | None:
    """Store a new run; None when the plan has a live one."""
    fields = {
        "tenant_id": tenant_id,
        "run_id": run.run_id,
        "plan_id": run.plan_id,
        "plan": dump(asdict(run.plan)),
        "steps": _dump_steps(run.steps),
        "status": run.status.value,
        "trigger": run.trigger.value,
        "initiated_by": run.initiated_by,
        "schedule_id": run.schedule_id,
        "create_time": run.create_time,
        "correlation_id": correlation_id,
        "priority": run.priority,
    }
    row = (await conn.execute(_START, fields)).mappings().one_or_none()
    return None if row is None else run_of(row)


async def save_run(
    conn: AsyncConnection, tenant_id: str, run: PlanRun, *, look_time: datetime | None, changed: bool
) -> PlanRun:
    """Store how a locked run stands.

    Args:
        conn: The transaction.
        tenant_id: Whose.
        run: As it is to be.
        look_time: When it is to be looked at though nothing of it has ended.
        changed: Whether there is anything to tell those who watch.
    """
    fields = {
        "tenant_id": tenant_id,
        "run_id": run.run_id,
        "steps": _dump_steps(run.steps),
        "status": run.status.value,
        "halt": run.halt.value,
        "is_paused": run.is_paused,
        "is_cancel_requested": run.is_cancel_requested,
        "reason": run.why.reason,
        "message": run.why.message,
        "end_time": run.end_time,
        "look_time": look_time,
        "changed": int(changed),
    }
    return run_of((await conn.execute(_SAVE, fields)).mappings().one())


async def get_run(
    conn: AsyncConnection, tenant_id: str, run_id: str, *, lock: bool = False
) -> PlanRun | None:
    """Read a run, locked when it is to be changed."""
    query = "SELECT * FROM plan_runs WHERE tenant_id = :tenant_id AND run_id = :run_id"
    which = {"tenant_id": tenant_id, "run_id": run_id}
    row = (await conn.execute(text(query + " FOR UPDATE" * lock), which)).mappings().one_or_none()
    return None if row is None else run_of(row)


async def live_run(conn: AsyncConnection, tenant_id: str, plan_id: str) -> str:
    """Name the plan's live run; empty where there is none."""
    query = text(
        "SELECT run_id FROM plan_runs WHERE tenant_id = :tenant_id AND plan_id = :plan_id "
        "AND status IN ('running', 'compensating')"
    )
    found = await conn.execute(query, {"tenant_id": tenant_id, "plan_id": plan_id})
    return str(found.scalar_one_or_none() or "")


async def list_runs(
    conn: AsyncConnection,
    tenant_id: str,
    *,
    plan_id: str,
    statuses: Sequence[RunStatus],
    after: str,
    limit: int,
) -> Sequence[PlanRun]:
    """Read runs, newest first."""
    wanted = {
        "tenant_id": tenant_id,
        "plan_id": plan_id,
        "statuses": [status.value for status in statuses],
        "after": after,
        "limit": limit,
    }
    return [run_of(row) for row in (await conn.execute(_RUNS, wanted)).mappings()]


async def lock_due_runs(conn: AsyncConnection, now: datetime, limit: int) -> list[tuple[str, PlanRun, str]]:
    """Take runs that have to be looked at, as (tenant, run, correlation id)."""
    rows = (await conn.execute(_DUE, {"now": now, "limit": limit})).mappings()
    return [(row["tenant_id"], run_of(row), row["correlation_id"]) for row in rows]


async def take_ended(conn: AsyncConnection, tenant_id: str, run_id: str) -> list[Execution]:
    """Read once the executions of a locked run that have ended, in the order of their ends."""
    rows = (await conn.execute(_ENDED, {"tenant_id": tenant_id, "run_id": run_id})).mappings()
    ended = [execution_of(row) for row in rows]
    return sorted(ended, key=lambda one: (one.end_time or one.create_time, one.execution_id))


async def live_executions(conn: AsyncConnection, tenant_id: str, run_id: str) -> list[str]:
    """Name the executions of a run that have not ended."""
    found = await conn.execute(_LIVE_EXECUTIONS, {"tenant_id": tenant_id, "run_id": run_id})
    return [row[0] for row in found]


async def prune_runs(conn: AsyncConnection, before: datetime, limit: int) -> int:
    """Forget runs of all tenants that ended long ago, and say how many."""
    return (await conn.execute(_PRUNE, {"before": before, "limit": limit})).rowcount


def plan_of(row: Row) -> Plan:
    """Read a row of `plans`."""
    return Plan(
        plan_id=row["plan_id"],
        spec=_load_spec(row["spec"]),
        created_by=row["created_by"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        revision=row["revision"],
    )


def _load_spec(stored: Mapping[str, Any]) -> PlanSpec:
    return PlanSpec(
        name=stored["name"],
        steps=tuple(_load_plan_step(step) for step in stored["steps"]),
        description=stored["description"],
        mode=Mode(stored["mode"]),
        is_active=stored["is_active"],
    )


def _load_plan_step(stored: Mapping[str, Any]) -> PlanStep:
    """Read a step; plans that were stored before there were actions have none."""
    kinds = {"action": PlanAction, "reconcile": Reconcile, "compensation_action": PlanAction}
    parts = {name: kind(**stored[name]) for name, kind in kinds.items() if stored.get(name)}
    on_failure = OnFailure(stored["on_failure"])
    return PlanStep(**{**stored, "after": tuple(stored["after"]), "on_failure": on_failure, **parts})


def run_of(row: Row) -> PlanRun:
    """Read a row of `plan_runs`."""
    same = (
        "run_id plan_id initiated_by create_time schedule_id is_paused is_cancel_requested end_time "
        "priority revision"
    )
    return PlanRun(
        **{name: row[name] for name in same.split()},
        plan=_load_spec(row["plan"]),
        steps=tuple(map(_load_step, row["steps"])),
        trigger=Trigger(row["trigger"]),
        status=RunStatus(row["status"]),
        halt=Halt(row["halt"]),
        why=Why(row["reason"], row["message"]),
    )


def _dump_steps(steps: Sequence[StepRun]) -> str:
    times = ("start_time", "end_time")
    return dump(
        [
            {
                **asdict(step),
                **{name: moment.isoformat() for name in times if (moment := getattr(step, name)) is not None},
            }
            for step in steps
        ]
    )


def _load_step(stored: Mapping[str, Any]) -> StepRun:
    return StepRun(
        **{
            **stored,
            "status": StepStatus(stored["status"]),
            "start_time": moment_of(stored["start_time"]),
            "end_time": moment_of(stored["end_time"]),
            "why": Why(**stored["why"]),
        }
    )


__all__ = [
    "delete_plan",
    "get_plan",
    "get_run",
    "insert_plan",
    "insert_run",
    "list_plans",
    "list_runs",
    "live_executions",
    "live_run",
    "lock_due_runs",
    "plan_of",
    "plans_with",
    "prune_runs",
    "run_of",
    "save_run",
    "take_ended",
    "unknown_flows",
    "update_plan",
]
