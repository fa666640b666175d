"""Rows of events, in the order in which they became visible."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.services.events.domain import Event, EventFilter
from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

# Positions are counted up in the order given; one that an event known already would have had stays empty.
_INSERT = text("""
    WITH given AS (
        SELECT *, row_number() OVER (ORDER BY number) AS place
        FROM unnest(CAST(:event_id AS text[]), CAST(:type AS text[]), CAST(:source AS text[]),
                    CAST(:subject AS text[]), CAST(:time AS timestamptz[]), CAST(:data AS text[]),
                    CAST(:traceparent AS text[]), CAST(:correlation_id AS text[]),
                    CAST(:nats_subject AS text[]))
            WITH ORDINALITY AS one (event_id, type, source, subject, time, data, traceparent,
                                    correlation_id, nats_subject, number)
    ), next AS (
        INSERT INTO tails (tenant_id, last) VALUES (:tenant_id, :count)
        ON CONFLICT (tenant_id) DO UPDATE SET last = tails.last + excluded.last RETURNING last
    )
    INSERT INTO events (tenant_id, event_id, position, type, source, subject, time, data, traceparent,
                        correlation_id, nats_subject)
    SELECT :tenant_id, event_id, next.last - :count + place, type, source, subject, time, data, traceparent,
           correlation_id, nats_subject FROM given, next ORDER BY place
    ON CONFLICT (tenant_id, event_id) DO NOTHING RETURNING event_id, position
""")
_STORED = (
    "event_id",
    "type",
    "source",
    "subject",
    "time",
    "data",
    "traceparent",
    "correlation_id",
    "nats_subject",
)
_MEANT = """
    tenant_id = :tenant_id
    AND (:subject = '' OR subject = :subject)
    AND (CAST(:start_time AS timestamptz) IS NULL OR time >= :start_time)
    AND (CAST(:end_time AS timestamptz) IS NULL OR time < :end_time)
    AND ((cardinality(CAST(:exact AS text[])) = 0 AND cardinality(CAST(:prefixes AS text[])) = 0)
         OR type = ANY(CAST(:exact AS text[]))
         OR EXISTS (SELECT FROM unnest(CAST(:prefixes AS text[])) AS p (prefix)
                    WHERE starts_with(type, p.prefix)))
"""
# A page ends early where its events would not fit into one answer; one event always does.
_PAGE = """
    SELECT * FROM (
        SELECT *, count(*) OVER () AS found, sum(octet_length(data)) OVER (ORDER BY position {order}) AS bytes
        FROM (SELECT * FROM events WHERE {meant} ORDER BY position {order} LIMIT :limit) page) sized
    WHERE bytes - octet_length(data) < :bytes ORDER BY position {order} LIMIT :size
"""
_LIST = text(_PAGE.format(order="DESC", meant=f"{_MEANT} AND position < :before"))
_FOLLOW = text(_PAGE.format(order="ASC", meant=f"{_MEANT} AND position > :after AND position <= :horizon"))
_PRUNE = text("""
    DELETE FROM events WHERE ctid = ANY(ARRAY(SELECT ctid FROM events WHERE stored_at < :before LIMIT :limit))
""")
_NEWEST = 2**62
_LARGEST_PAGE = 2 * 1024 * 1024


def _event(row: RowMapping) -> Event:
    return Event(**{name: row[name] for name in (*_STORED, "position")})


def _filter(tenant_id: str, wanted: EventFilter) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "subject": wanted.subject,
        "start_time": wanted.start_time,
        "end_time": wanted.end_time,
        "exact": list(wanted.exact),
        "prefixes": list(wanted.prefixes),
    }


async def insert_events(conn: AsyncConnection, tenant_id: str, events: Sequence[Event]) -> dict[str, int]:
    """Store events and give the positions, by id, of those that were not stored already."""
    fields: dict[str, Any] = {name: [getattr(event, name) for event in events] for name in _STORED}
    found = await conn.execute(_INSERT, {**fields, "tenant_id": tenant_id, "count": len(events)})
    return {row.event_id: int(row.position) for row in found}


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order, and whether more follow; a page may be cut short by its bytes."""

    events: Sequence[Event]
    more: bool


async def list_events(
    conn: AsyncConnection, tenant_id: str, wanted: EventFilter, *, before: int | None, size: int
) -> EventPage:
    """Read events, newest first."""
    fields = {**_filter(tenant_id, wanted), "before": before or _NEWEST}
    return await _page(conn, _LIST, fields, size)


async def follow_events(
    conn: AsyncConnection, tenant_id: str, wanted: EventFilter, *, after: int, horizon: int, size: int
) -> EventPage:
    """Read events behind one position and up to another, in order."""
    fields = {**_filter(tenant_id, wanted), "after": after, "horizon": horizon}
    return await _page(conn, _FOLLOW, fields, size)


async def _page(conn: AsyncConnection, query: TextClause, fields: dict[str, Any], size: int) -> EventPage:
    bounds = {"limit": size + 1, "size": size, "bytes": _LARGEST_PAGE}
    rows = (await conn.execute(query, {**fields, **bounds})).mappings().all()
    return EventPage([_event(row) for row in rows], bool(rows) and rows[0]["found"] > len(rows))


async def last_position(conn: AsyncConnection, tenant_id: str) -> int:
    """Give the position of the newest event."""
    query = text("SELECT last FROM tails WHERE tenant_id = :tenant_id")
    return int((await conn.execute(query, {"tenant_id": tenant_id})).scalar_one_or_none() or 0)


async def position_of(conn: AsyncConnection, tenant_id: str, event_id: str) -> int | None:
    """Give an event's position; None when it is not known, or not any more."""
    query = text("SELECT position FROM events WHERE tenant_id = :tenant_id AND event_id = :event_id")
    found = await conn.execute(query, {"tenant_id": tenant_id, "event_id": event_id})
    position = found.scalar_one_or_none()
    return None if position is None else int(position)


async def position_before(conn: AsyncConnection, tenant_id: str, moment: datetime) -> int:
    """Give the position behind which all events of a moment and later lie."""
    # One statement, so that no event becomes visible between the two looks and is passed over.
    query = text("""
        SELECT COALESCE((SELECT min(position) - 1 FROM events
                         WHERE tenant_id = :tenant_id AND time >= :moment),
                        (SELECT last FROM tails WHERE tenant_id = :tenant_id), 0)
    """)
    return int((await conn.execute(query, {"tenant_id": tenant_id, "moment": moment})).scalar_one())


async def prune_events(conn: AsyncConnection, before: datetime, limit: int) -> int:
    """Forget old events of all tenants and say how many."""
    return (await conn.execute(_PRUNE, {"before": before, "limit": limit})).rowcount


__all__ = [
    "EventPage",
    "follow_events",
    "insert_events",
    "last_position",
    "list_events",
    "position_before",
    "position_of",
    "prune_events",
]
