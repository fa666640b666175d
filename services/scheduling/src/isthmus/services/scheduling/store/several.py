"""Several executions started, or given to hosts, by one statement each, with the events that tell of it.

Each statement changes only rows that are as its caller has seen them, and names those that it has changed:
whatever else is to be said about the others, the caller finds out one by one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from isthmus.services.scheduling.domain import Checkpoint, Execution
from isthmus.services.scheduling.store.endings import OutboxRow
from isthmus.services.scheduling.store.rows import checkpoint_of, dump, dump_asked, dump_flow
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# A flow that was changed since it was read is left out, and one that is paused; whoever pauses it
# meanwhile is waited for. A request id is claimed together with its answer.
_START = text("""
    WITH asked AS (
        SELECT * FROM jsonb_to_recordset(CAST(:asked AS jsonb)) AS a (
            execution_id text, flow_id text, flow_revision integer, flow text, connector_id text,
            lineage text, schedule_id text, trigger text, initiated_by text, create_time timestamptz,
            send_time timestamptz, quarantine_ids text[],
            correlation_id text, traceparent text, leg text, epoch integer, destination_connector_id text,
            plan_run_id text, plan_step text, plan_undo boolean, priority integer, rank_time timestamptz,
            asked text, reconcile jsonb, request_id text, fingerprint text, answer text)
    ), going AS (
        SELECT f.flow_id, f.spec FROM flows f JOIN asked a ON a.flow_id = f.flow_id
        WHERE f.tenant_id = :tenant_id AND f.flow_id = ANY(CAST(:flow_ids AS text[]))
          AND f.revision = a.flow_revision AND f.pause_time IS NULL
        ORDER BY f.flow_id FOR SHARE OF f
    ), claimed AS (
        INSERT INTO idempotency (tenant_id, rpc, request_id, fingerprint, response)
        SELECT :tenant_id, :rpc, a.request_id, decode(a.fingerprint, 'hex'), decode(a.answer, 'hex')
        FROM asked a JOIN going USING (flow_id) WHERE a.request_id <> '' ORDER BY a.request_id
        ON CONFLICT DO NOTHING RETURNING request_id
    ), started AS (
        INSERT INTO executions (tenant_id, execution_id, flow_id, flow, connector_id, lineage, schedule_id,
                                trigger, status, initiated_by, create_time, dispatch_time, quarantine_ids,
                                correlation_id, traceparent, leg, epoch, destination_connector_id,
                                plan_run_id, plan_step, plan_undo, plan_unsettled, priority, rank_time, asked,
                                reconcile)
        SELECT :tenant_id, a.execution_id, a.flow_id, COALESCE(CAST(a.flow AS jsonb), g.spec),
               a.connector_id, a.lineage,
               a.schedule_id, a.trigger, 'pending', a.initiated_by, a.create_time, a.send_time,
               a.quarantine_ids, a.correlation_id, a.traceparent, a.leg, a.epoch, a.destination_connector_id,
               a.plan_run_id, a.plan_step, a.plan_undo, a.plan_run_id <> '', a.priority, a.rank_time,
               CAST(a.asked AS jsonb), a.reconcile
        FROM asked a JOIN going g USING (flow_id)
        WHERE a.request_id = '' OR a.request_id IN (SELECT request_id FROM claimed)
        ON CONFLICT (tenant_id, flow_id) WHERE status IN ('pending', 'running') DO NOTHING
        RETURNING execution_id
    )
    SELECT a.execution_id, s.execution_id IS NOT NULL AS is_started,
           CASE WHEN s.execution_id IS NULL THEN c.request_id END AS unused
    FROM asked a LEFT JOIN started s USING (execution_id)
    LEFT JOIN claimed c ON c.request_id = a.request_id
""")
_UNCLAIM = text("""
    DELETE FROM idempotency
    WHERE tenant_id = :tenant_id AND rpc = :rpc AND request_id = ANY(CAST(:request_ids AS text[]))
""")
# What goes first by its priority is in the way of the others, unless it is given away here as well. Where an
# instance has a limit, who is at work with it has to be counted.
_LEASE = text("""
    WITH asked AS (
        SELECT * FROM jsonb_to_recordset(CAST(:asked AS jsonb)) AS a (
            execution_id text, flow_id text, seen integer, source text, destination text, host_id text,
            mapping_version integer, id text, subject text, body text, headers text)
    ), token AS (
        UPDATE flows f SET fencing_token = f.fencing_token + 1
        FROM asked a JOIN executions x ON x.tenant_id = :tenant_id AND x.execution_id = a.execution_id
        WHERE f.tenant_id = :tenant_id AND f.flow_id = a.flow_id
          AND f.flow_id = ANY(CAST(:flow_ids AS text[]))
          AND x.execution_id = ANY(CAST(:execution_ids AS text[]))
          AND x.status = 'pending' AND x.revision = a.seen AND x.stop = ''
          AND NOT EXISTS (
              SELECT FROM instances i
              WHERE i.tenant_id = x.tenant_id AND i.instance_id IN (a.source, a.destination, '*')
                AND i.executions > 0)
          AND NOT EXISTS (
              SELECT FROM executions o
              WHERE o.tenant_id = x.tenant_id AND o.connector_id = x.connector_id
                AND o.status = 'pending' AND o.stop = '' AND o.rank_time < x.rank_time
                AND o.priority <> x.priority
                AND (o.waits_for = '' OR o.dispatch_time IS NOT NULL)
                AND (o.next_attempt_time IS NULL OR o.next_attempt_time <= :now)
                AND o.execution_id NOT IN (SELECT execution_id FROM asked))
        RETURNING f.flow_id, f.fencing_token AS drawn
    ), leased AS (
        UPDATE executions x SET status = 'running', attempts = x.attempts + 1, fencing_token = t.drawn,
            host_id = a.host_id, start_time = COALESCE(x.start_time, :now), lease_expire_time = :expires,
            next_attempt_time = NULL, dispatch_time = NULL, dispatches = 0,
            mapping_version = a.mapping_version, counts_live = '{}', counts_durable = '{}', waits_for = '',
            revision = x.revision + 1
        FROM asked a JOIN token t USING (flow_id)
        WHERE x.tenant_id = :tenant_id AND x.execution_id = a.execution_id
          AND x.execution_id = ANY(CAST(:execution_ids AS text[]))
          AND x.status = 'pending' AND x.revision = a.seen AND x.stop = ''
        RETURNING x.tenant_id, x.execution_id, x.flow_id, x.lineage, x.attempts, x.fencing_token, x.host_id
    ), opened AS (
        INSERT INTO attempts (tenant_id, execution_id, attempt, fencing_token, host_id, start_time)
        SELECT tenant_id, execution_id, attempts, fencing_token, host_id, :now FROM leased
    ), told AS (
        INSERT INTO outbox (tenant_id, id, subject, body, headers)
        SELECT l.tenant_id, a.id, a.subject, a.body, CAST(a.headers AS jsonb)
        FROM leased l JOIN asked a USING (execution_id) WHERE a.id IS NOT NULL
    )
    SELECT l.execution_id, l.fencing_token, ARRAY(
        SELECT jsonb_build_object('partition', c.partition, 'state', encode(c.state, 'hex'),
                                  'schema_version', c.schema_version, 'summary', c.summary,
                                  'is_complete', c.is_complete, 'execution_id', c.execution_id)
        FROM checkpoints c
        WHERE c.tenant_id = l.tenant_id AND c.flow_id = l.flow_id AND c.lineage = l.lineage
        ORDER BY c.partition) AS points
    FROM leased l
""")


@dataclass(frozen=True, slots=True)
class Start:
    """An execution to be started.

    Attributes:
        execution: As it is to be stored.
        flow_revision: Of the flow that it was made from.
        send_time: When its job has to be sent, unless a host has taken it over by then.
        has_own_form: Whether it uses another form of the flow than the stored one.
        correlation_id: What ties together all that belongs to it.
        traceparent: The trace of whoever starts it.
        request_id: The caller's id of the request; empty for none.
        fingerprint: What the request is told apart by from another one with that id.
        answer: What whoever repeats the request is answered.
    """

    execution: Execution
    flow_revision: int
    send_time: datetime
    has_own_form: bool
    correlation_id: str
    traceparent: str
    request_id: str = ""
    fingerprint: bytes = b""
    answer: bytes = b""

    @property
    def is_held_back(self) -> bool:
        """Whether its job is not to be sent at once."""
        return self.send_time > self.execution.create_time


@dataclass(frozen=True, slots=True)
class Grant:
    """An execution to be given to a host.

    Attributes:
        seen: As it is stored, waiting for its first attempt.
        leased: As it is to be, but for its token.
        event: Row of the outbox that tells of it; None where nobody is told.
    """

    seen: Execution
    leased: Execution
    event: OutboxRow | None


@dataclass(frozen=True, slots=True)
class Granted:
    """What a host has been given: its fencing token, and positions with the execution that stored each."""

    token: int
    points: list[tuple[Checkpoint, str]]


async def start_executions(
    conn: AsyncConnection, tenant_id: str, rpc: str, starts: Sequence[Start]
) -> Collection[str]:
    """Store new executions of different flows, due to be dispatched.

    Args:
        conn: The transaction.
        tenant_id: Whose.
        rpc: Where request ids are counted.
        starts: What to start, with different request ids.

    Returns:
        The ids of those that were started.
    """
    fields = {"tenant_id": tenant_id, "rpc": rpc}
    asked = dump([_start_fields(one) for one in starts])
    flow_ids = [one.execution.flow_id for one in starts]
    rows = (await conn.execute(_START, {**fields, "asked": asked, "flow_ids": flow_ids})).all()
    if unused := [row.unused for row in rows if row.unused]:
        await conn.execute(_UNCLAIM, {**fields, "request_ids": unused})
    return {row.execution_id for row in rows if row.is_started}


def _start_fields(start: Start) -> dict[str, Any]:
    execution = start.execution
    return {
        "execution_id": execution.execution_id,
        "flow_id": execution.flow_id,
        "flow_revision": start.flow_revision,
        "flow": dump_flow(execution.flow) if start.has_own_form else None,
        "connector_id": execution.connector_id,
        "lineage": execution.lineage,
        "schedule_id": execution.schedule_id,
        "trigger": execution.trigger,
        "initiated_by": execution.initiated_by,
        "create_time": execution.create_time.isoformat(),
        "send_time": start.send_time.isoformat(),
        "quarantine_ids": execution.quarantine_ids,
        "correlation_id": start.correlation_id,
        "traceparent": start.traceparent,
        "leg": execution.leg,
        "epoch": execution.epoch,
        "destination_connector_id": execution.destination_connector_id,
        "plan_run_id": execution.place.run_id,
        "plan_step": execution.place.step,
        "plan_undo": execution.place.undoes,
        "priority": execution.priority,
        "rank_time": execution.rank_time.isoformat(),
        "asked": dump_asked(execution.asked),
        "reconcile": asdict(execution.reconcile) if execution.reconcile else None,
        "request_id": start.request_id,
        "fingerprint": start.fingerprint.hex(),
        "answer": start.answer.hex(),
    }


async def lease_executions(
    conn: AsyncConnection, tenant_id: str, grants: Sequence[Grant]
) -> dict[str, Granted]:
    """Give executions of different flows to hosts, each under its flow's next token, all at one moment.

    Returns:
        By the execution's id what was given; who is not there could not be had.
    """
    asked = [
        {
            "execution_id": one.seen.execution_id,
            "flow_id": one.seen.flow_id,
            "seen": one.seen.revision,
            "source": one.seen.flow.source.instance_id,
            "destination": one.seen.flow.destination.instance_id,
            "host_id": one.leased.host_id,
            "mapping_version": one.leased.mapping_version,
            **(one.event or {}),
        }
        for one in grants
    ]
    fields = {
        "tenant_id": tenant_id,
        "asked": dump(asked),
        "execution_ids": [one.seen.execution_id for one in grants],
        "flow_ids": [one.seen.flow_id for one in grants],
        "now": grants[0].leased.start_time,
        "expires": grants[0].leased.lease_expire_time,
    }
    rows = (await conn.execute(_LEASE, fields)).all()
    return {row.execution_id: Granted(row.fencing_token, list(map(_point, row.points))) for row in rows}


def _point(stored: Mapping[str, Any]) -> tuple[Checkpoint, str]:
    return checkpoint_of({**stored, "state": bytes.fromhex(stored["state"])}), stored["execution_id"]


__all__ = ["Grant", "Granted", "Start", "lease_executions", "start_executions"]
