"""Rows of leases and attempts; every change a host asks for is guarded by its fencing token."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.services.scheduling.domain import (
    Attempt,
    Checkpoint,
    Counts,
    Execution,
    Stop,
)
from isthmus.services.scheduling.store.room import UNLIMITED
from isthmus.services.scheduling.store.rows import (
    attempt_of,
    checkpoint_of,
    dump,
    execution_of,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# The token is drawn first, so that whoever else wants the flow waits for its row. An execution that is
# not there to be taken any more leaves nothing of this: the caller's transaction ends with a refusal.
_LEASE = text(f"""
    WITH token AS (
        UPDATE flows SET fencing_token = fencing_token + 1
        WHERE tenant_id = :tenant_id AND flow_id = :flow_id RETURNING fencing_token AS drawn
    ), leased AS (
        UPDATE executions SET status = 'running', attempts = attempts + 1, fencing_token = token.drawn,
            host_id = :host_id, start_time = COALESCE(start_time, :now), lease_expire_time = :expires,
            next_attempt_time = NULL, dispatch_time = NULL, dispatches = 0,
            mapping_version = :mapping_version, counts_live = '{{}}', counts_durable = '{{}}', waits_for = '',
            revision = revision + 1
        FROM token
        WHERE tenant_id = :tenant_id AND execution_id = :execution_id AND status = 'pending'
          AND leg = :leg AND connector_id = :connector_id
          AND stop = '' AND (next_attempt_time IS NULL OR next_attempt_time <= :now)
          AND {UNLIMITED}
          AND NOT (:stands_back AND EXISTS (
              SELECT FROM executions o
              WHERE o.tenant_id = executions.tenant_id AND o.connector_id = executions.connector_id
                AND o.status = 'pending' AND o.stop = '' AND o.rank_time < executions.rank_time
                AND o.priority <> executions.priority
                AND (o.waits_for = '' OR o.dispatch_time IS NOT NULL)
                AND (o.next_attempt_time IS NULL OR o.next_attempt_time <= :now)))
        RETURNING executions.*
    ), opened AS (
        INSERT INTO attempts (tenant_id, execution_id, attempt, fencing_token, host_id, start_time)
        SELECT tenant_id, execution_id, attempts, fencing_token, host_id, :now FROM leased
    )
    SELECT leased.*, ARRAY(
        SELECT jsonb_build_object('partition', c.partition, 'state', encode(c.state, 'hex'),
                                  'schema_version', c.schema_version, 'summary', c.summary,
                                  'is_complete', c.is_complete, 'execution_id', c.execution_id)
        FROM checkpoints c
        WHERE c.tenant_id = leased.tenant_id AND c.flow_id = leased.flow_id AND c.lineage = leased.lineage
        ORDER BY c.partition) AS points
    FROM leased
""")


def storing_positions(holder: str, told: str = "") -> str:
    """Write the part of a statement that stores positions which came from holders of leases.

    Args:
        holder: Name of a query that gives the executions, locked, each under its present token.
        told: Name of a query that gives for each of them `checkpoints`, `read` and whether it `completes`, so
            that all of them are read to their end; the statement's parameters tell the first two by default.
    """
    join = f"JOIN {told} a ON a.execution_id = h.execution_id" if told else ""
    completes = "OR a.completes" if told else ""
    points, read = ("a.checkpoints", "a.read") if told else ("CAST(:checkpoints AS jsonb)", ":read")
    return f"""
        INSERT INTO checkpoints (tenant_id, flow_id, lineage, partition, state, schema_version, summary,
                                 is_complete, execution_id, fencing_token, at_read)
        SELECT h.tenant_id, h.flow_id, h.lineage, c.partition, decode(c.state, 'hex'), c.schema_version,
               c.summary, c.is_complete {completes}, h.execution_id, h.fencing_token, {read}
        FROM {holder} h {join}
        JOIN flows f ON f.tenant_id = h.tenant_id AND f.flow_id = h.flow_id
        CROSS JOIN LATERAL jsonb_to_recordset({points})
            AS c (partition text, state text, schema_version integer, summary text, is_complete boolean)
        WHERE NOT h.asked ? 'dry_run'
          AND (h.status IN ('pending', 'running') OR split_part(h.lineage, '.', 1) = 'e' || f.epoch)
        ON CONFLICT (tenant_id, flow_id, lineage, partition) DO UPDATE
        SET state = excluded.state, schema_version = excluded.schema_version, summary = excluded.summary,
            is_complete = excluded.is_complete, execution_id = excluded.execution_id,
            fencing_token = excluded.fencing_token, at_read = excluded.at_read
        WHERE checkpoints.fencing_token < excluded.fencing_token
           OR (checkpoints.at_read <= excluded.at_read
               AND (excluded.is_complete OR NOT checkpoints.is_complete))
    """


# A lease is not renewed beyond the time a host may take to stop.
_RENEW = """
    UPDATE executions SET counts_live = COALESCE(CAST(:told AS jsonb), counts_live),
        expected_records = GREATEST(expected_records, :expected),
        lease_expire_time = LEAST(CAST(:expires AS timestamptz),
                                  stop_time + make_interval(secs => :cancel_seconds)),
        revision = revision + 1
"""
_GUARD = """
    WHERE tenant_id = :tenant_id AND execution_id = :execution_id AND fencing_token = :token
      AND status = 'running' AND (CAST(:connector AS text) IN ('', connector_id))
"""
_HELD = """
    lease_expire_time, stop, counts_before, counts_live, counts_durable, expected_records, idle_stops,
    revision, CAST(flow #>> '{failure_policy,max_quarantined}' AS bigint) AS max_quarantined
"""
_RENEW_ONLY = text(f"{_RENEW} {_GUARD} RETURNING {_HELD}")
# Positions and the counts that belong to them change in one statement, and only under the present
# token. A call that was overtaken by a later one of the same attempt changes neither.
_COMMIT = text(f"""
    WITH held AS (
        {_RENEW}, idle_stops = 0,
            counts_durable = CASE WHEN :covers
                AND CAST(:read AS bigint) >= COALESCE(CAST(counts_durable ->> 'read' AS bigint), 0)
                THEN CAST(:counts AS jsonb) ELSE counts_durable END
        {_GUARD} RETURNING *
    ), stored AS (
        {storing_positions("held")}
    )
    SELECT {_HELD} FROM held
""")
_EXPIRED = text("""
    SELECT * FROM executions WHERE status = 'running' AND lease_expire_time < :now
    ORDER BY lease_expire_time LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_PREVIEW = text("""
    UPDATE executions SET preview = :preview WHERE tenant_id = :tenant_id AND execution_id = :execution_id
""")
_FINDINGS = text("""
    UPDATE executions SET preview = COALESCE(preview, '') || CAST(:findings AS bytea)
    WHERE tenant_id = :tenant_id AND execution_id = :execution_id
        AND COALESCE(octet_length(preview), 0) < :most
""")
_MOST_KEPT = 1024 * 1024
_NOTE = text("""
    UPDATE executions SET note = :note WHERE tenant_id = :tenant_id AND execution_id = :execution_id
""")
_ATTEMPTS = text("""
    SELECT a.attempt, a.fencing_token, a.host_id, a.start_time, a.end_time, a.outcome, a.failure,
           CASE WHEN a.end_time IS NULL THEN x.counts_live ELSE a.counts END AS counts
    FROM attempts a JOIN executions x ON x.tenant_id = a.tenant_id AND x.execution_id = a.execution_id
    WHERE a.tenant_id = :tenant_id AND a.execution_id = :execution_id AND a.attempt > :after
    ORDER BY a.attempt LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was asked for.

    Attributes:
        execution: As it was seen; it has to be pending still, in the same leg.
        stands_back: Whether another one that goes first by its priority keeps it from being had.
        has_room: Whether its instances are known to have a place for it; where not, those that have a limit
            keep it from being had.
    """

    execution: Execution
    host_id: str
    mapping_version: int
    expires: datetime
    stands_back: bool = False
    has_room: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What a host tells about an attempt that goes on.

    Attributes:
        execution_id: Of which execution.
        token: The fencing token of the attempt.
        counts: What it has done.
        expected_records: How many it believes there are.
        checkpoints: Positions that have become durable.
        tells_counts: Whether the counts are told at all.
        preview: What a dry run has found.
        note: What is worth telling of the end.
        connector_id: Whose host tells; empty where that is not looked at.
    """

    execution_id: str
    token: int
    counts: Counts
    expected_records: int = 0
    checkpoints: tuple[Checkpoint, ...] = ()
    tells_counts: bool = True
    preview: bytes = b""
    findings: bytes = b""
    note: str = ""
    connector_id: str = ""

    @property
    def covers_positions(self) -> bool:
        """Whether a position came along from which reading could go on."""
        return any(point.state or point.is_complete for point in self.checkpoints)


@dataclass(frozen=True, slots=True)
class Leased:
    """An execution that has been given to a host.

    Attributes:
        execution: As it is now.
        points: The positions of its lineage, each with the execution that stored it.
    """

    execution: Execution
    points: list[tuple[Checkpoint, str]]


async def lease_execution(
    conn: AsyncConnection, tenant_id: str, lease: Lease, now: datetime
) -> Leased | None:
    """Give a pending execution to a host under the flow's next token, and open the attempt.

    Returns:
        None when it cannot be had: it is not pending, not due, paused, in another leg, another one
            goes first, an instance has a limit, or its flow is gone.
    """
    seen = lease.execution
    fields: dict[str, Any] = {
        "tenant_id": tenant_id,
        "flow_id": seen.flow_id,
        "execution_id": seen.execution_id,
        "leg": seen.leg.value,
        "connector_id": seen.connector_id,
        "stands_back": lease.stands_back,
        "has_room": lease.has_room,
        "source": seen.flow.source.instance_id,
        "destination": seen.flow.destination.instance_id,
        "host_id": lease.host_id,
        "mapping_version": lease.mapping_version,
        "expires": lease.expires,
        "now": now,
    }
    row = (await conn.execute(_LEASE, fields)).mappings().one_or_none()
    if row is None:
        return None
    points = [
        (checkpoint_of({**point, "state": bytes.fromhex(point["state"])}), point["execution_id"])
        for point in row["points"]
    ]
    return Leased(execution_of(row), points)


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that is still held, as it is after a renewal."""

    expires: datetime
    stop: Stop
    before: Counts
    live: Counts
    durable: Counts
    expected_records: int
    idle_stops: int
    max_quarantined: int
    revision: int

    @property
    def total(self) -> Counts:
        """What the present leg did."""
        return self.before + self.live


async def renew_lease(
    conn: AsyncConnection, tenant_id: str, progress: Progress, *, expires: datetime, cancel_seconds: float
) -> Held | None:
    """Move a lease's end and store what its host told; None when the token is not the present one."""
    statement = _COMMIT if progress.checkpoints else _RENEW_ONLY
    fields: dict[str, Any] = {
        "tenant_id": tenant_id,
        "execution_id": progress.execution_id,
        "token": progress.token,
        "connector": progress.connector_id,
        "told": dump(progress.counts.stored()) if progress.tells_counts else None,
        "expected": progress.expected_records,
        "expires": expires,
        "cancel_seconds": cancel_seconds,
    }
    if progress.checkpoints:
        fields |= {
            "counts": dump(progress.counts.stored()),
            "read": progress.counts.read,
            "covers": progress.covers_positions,
            "checkpoints": dump_checkpoints(progress.checkpoints),
        }
    row = (await conn.execute(statement, fields)).mappings().one_or_none()
    if row is None:
        return None
    return Held(
        expires=row["lease_expire_time"],
        stop=Stop(row["stop"]),
        before=Counts.of(row["counts_before"]),
        live=Counts.of(row["counts_live"]),
        durable=Counts.of(row["counts_durable"]),
        expected_records=row["expected_records"],
        idle_stops=row["idle_stops"],
        max_quarantined=row["max_quarantined"],
        revision=row["revision"],
    )


def dump_checkpoints(checkpoints: Sequence[Checkpoint]) -> str:
    """Write positions for a jsonb parameter."""
    return dump(checkpoint_fields(checkpoints))


def checkpoint_fields(checkpoints: Sequence[Checkpoint]) -> list[dict[str, Any]]:
    """Give positions as they stand in a jsonb parameter."""
    return [
        {
            "partition": point.partition,
            "state": point.state.hex(),
            "schema_version": point.schema_version,
            "summary": point.summary,
            "is_complete": point.is_complete,
        }
        for point in checkpoints
    ]


async def store_preview(conn: AsyncConnection, tenant_id: str, execution_id: str, preview: bytes) -> None:
    """Keep what a dry run has found."""
    fields = {"tenant_id": tenant_id, "execution_id": execution_id, "preview": preview}
    await conn.execute(_PREVIEW, fields)


async def store_findings(conn: AsyncConnection, tenant_id: str, execution_id: str, findings: bytes) -> None:
    """Keep what an attempt found wrong with records, behind what earlier ones did; too much is left out."""
    fields = {
        "tenant_id": tenant_id,
        "execution_id": execution_id,
        "findings": findings,
        "most": _MOST_KEPT,
    }
    await conn.execute(_FINDINGS, fields)


async def store_note(conn: AsyncConnection, tenant_id: str, execution_id: str, note: str) -> None:
    """Keep what a person should know besides the counts."""
    await conn.execute(_NOTE, {"tenant_id": tenant_id, "execution_id": execution_id, "note": note})


async def lock_expired(conn: AsyncConnection, now: datetime, limit: int) -> list[tuple[str, Execution]]:
    """Take running executions whose lease has ended, as (tenant, execution)."""
    rows = (await conn.execute(_EXPIRED, {"now": now, "limit": limit})).mappings()
    return [(row["tenant_id"], execution_of(row)) for row in rows]


async def list_attempts(
    conn: AsyncConnection, tenant_id: str, execution_id: str, *, after: int, limit: int
) -> Sequence[Attempt]:
    """Read an execution's attempts, first to last."""
    wanted = {"tenant_id": tenant_id, "execution_id": execution_id, "after": after, "limit": limit}
    return [attempt_of(row) for row in (await conn.execute(_ATTEMPTS, wanted)).mappings()]


async def attempt_by_token(
    conn: AsyncConnection, tenant_id: str, execution_id: str, token: int
) -> Attempt | None:
    """Read the attempt that a fencing token belongs to."""
    query = text(
        "SELECT * FROM attempts WHERE tenant_id = :tenant_id AND execution_id = :execution_id "
        "AND fencing_token = :token"
    )
    which = {"tenant_id": tenant_id, "execution_id": execution_id, "token": token}
    row = (await conn.execute(query, which)).mappings().one_or_none()
    return None if row is None else attempt_of(row)


__all__ = [
    "Held",
    "Lease",
    "Leased",
    "Progress",
    "attempt_by_token",
    "checkpoint_fields",
    "dump_checkpoints",
    "lease_execution",
    "list_attempts",
    "lock_expired",
    "renew_lease",
    "store_findings",
    "store_note",
    "store_preview",
    "storing_positions",
]
