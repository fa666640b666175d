"""Keeps quarantined records and what was decided about them."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from isthmus.kit import Database, Page, PageRequest, encode_token
from isthmus.resilience.faults import Missing
from isthmus.services.records.domain.classes import unpacked
from isthmus.services.records.domain.persons import ERASED, mark_of, withheld
from isthmus.services.records.domain.quarantine import (
    OPEN,
    SHOWN_BYTES,
    Decided,
    Quarantined,
    Selection,
    Stage,
    Status,
)
from isthmus.services.records.store.places import number_behind
from isthmus.services.records.store.suppressing import KeyOf
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

PAGE_BYTES = 2 << 20
_MOST_IDS = 1000

_ADD = text("""
    INSERT INTO quarantine AS q (tenant_id, quarantine_id, flow_id, execution_id, stage, status, key, record,
        is_binary, size, reasons, reason_words, mapping_id, mapping_version, classes)
    SELECT :tenant, given.id, flow, execution, stage, :waiting, key, record, is_binary, octet_length(record),
        reasons::json, ARRAY(SELECT one ->> 'reason' FROM json_array_elements(reasons::json) AS one),
        mapping, mapping_version, classes
    FROM unnest(CAST(:ids AS text[]), CAST(:flows AS text[]), CAST(:executions AS text[]),
        CAST(:stages AS smallint[]), CAST(:keys AS text[]), CAST(:records AS text[]),
        CAST(:binaries AS boolean[]), CAST(:reasons AS text[]), CAST(:mappings AS text[]),
        CAST(:mapping_versions AS integer[]), CAST(:classes AS text[]))
        AS given (id, flow, execution, stage, key, record, is_binary, reasons, mapping, mapping_version,
            classes)
    ORDER BY given.id
    ON CONFLICT (tenant_id, quarantine_id) DO UPDATE
    SET execution_id = excluded.execution_id, reasons = excluded.reasons,
        reason_words = excluded.reason_words, mapping_id = excluded.mapping_id,
        mapping_version = excluded.mapping_version,
        classes = coalesce(nullif(excluded.classes, ''), q.classes),
        attempts = q.attempts + 1, update_time = now(),
        status = CASE WHEN q.status = :dropped THEN q.status ELSE excluded.status END,
        decided_by = CASE WHEN q.status = :dropped THEN q.decided_by ELSE '' END
    WHERE q.execution_id <> excluded.execution_id
    RETURNING quarantine_id, flow_id, status
""")

_SHOWN = f"""quarantine_id, position, flow_id, execution_id, stage, status, key, is_binary, size,
    CASE WHEN size > {SHOWN_BYTES} THEN '' ELSE record END AS record, reasons::text AS reasons,
    mapping_id, mapping_version, attempts, create_time, update_time, decided_by, classes"""

_GET = text(f"SELECT {_SHOWN} FROM quarantine WHERE tenant_id = :tenant AND quarantine_id = :id")

_READ = text("SELECT record FROM quarantine WHERE tenant_id = :tenant AND quarantine_id = :id")

_LIST = f"""
    SELECT {_SHOWN}, found FROM (
        SELECT *, sum(weight) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - weight AS before,
            count(*) OVER () AS found
        FROM (
            SELECT *, CASE WHEN size > {SHOWN_BYTES} THEN 0 ELSE size END
                + octet_length(reasons::text) AS weight
            FROM quarantine
            WHERE tenant_id = :tenant AND status = ANY (CAST(:statuses AS smallint[])) AND position > :after
                {{conditions}}
            ORDER BY position LIMIT :limit
        ) AS page
    ) AS sized
    WHERE before < {PAGE_BYTES} ORDER BY position
"""

_DECIDE = """
    WITH decided AS (
        UPDATE quarantine SET status = :status, decided_by = :who, update_time = now()
        WHERE tenant_id = :tenant AND status = ANY (CAST(:before AS smallint[])) {conditions}
        RETURNING flow_id, quarantine_id, position
    )
    SELECT flow_id, count(*) AS moved,
        (array_agg(quarantine_id ORDER BY position))[1:{most_ids}] AS quarantine_ids
    FROM decided GROUP BY flow_id ORDER BY flow_id
"""

_RESOLVE = text("""
    UPDATE quarantine SET status = :delivered, execution_id = :execution, update_time = now()
    WHERE tenant_id = :tenant AND quarantine_id = ANY (CAST(:ids AS text[]))
        AND status = ANY (CAST(:open AS smallint[])) AND CAST(:flow AS text) IN ('', flow_id)
""")


_SUPPRESSED = text("""
    SELECT pepper, is_keyed, ARRAY(SELECT marker FROM suppressions WHERE tenant_id = :tenant) AS markers
    FROM peppers WHERE tenant_id = :tenant AND EXISTS (SELECT FROM suppressions WHERE tenant_id = :tenant)
""")

Announce = Callable[[AsyncConnection, str, Decided], Awaitable[None]]


class QuarantineStore:
    """Keeps quarantined records.

    Args:
        database: Where they are kept.
        announce: Stores the event of a change, in the same transaction.
    """

    def __init__(self, database: Database, announce: Announce, key_of: KeyOf) -> None:
        self._database = database
        self._announce = announce
        self._key_of = key_of

    async def add(self, tenant_id: str, records: Sequence[Quarantined], who: str) -> None:
        """Put records aside; one that came before in the same execution stays as it is."""
        distinct = {record.quarantine_id: record for record in records}
        if not distinct:
            return
        async with self._database.tenant(tenant_id) as connection:
            admitted = await _withheld(connection, tenant_id, list(distinct.values()), self._key_of)
            rows = await connection.execute(_ADD, _columns(tenant_id, admitted))
            waiting: dict[str, list[str]] = {}
            for row in rows:
                if row.status == Status.WAITING:
                    waiting.setdefault(row.flow_id, []).append(row.quarantine_id)
            for flow_id, ids in waiting.items():
                await self._announce(connection, tenant_id, Decided("added", flow_id, ids, len(ids), who))

    async def get(self, tenant_id: str, quarantine_id: str) -> Quarantined:
        """Read one record; a large one without its text.

        Raises:
            Missing: `QUARANTINED_RECORD_UNKNOWN`.
        """
        async with self._database.tenant(tenant_id) as connection:
            values = {"tenant": tenant_id, "id": quarantine_id}
            row = (await connection.execute(_GET, values)).one_or_none()
        if row is None:
            raise _unknown(quarantine_id)
        return _quarantined(row)

    async def read(self, tenant_id: str, quarantine_id: str) -> str:
        """Read the text of one record whole.

        Raises:
            Missing: `QUARANTINED_RECORD_UNKNOWN`.
        """
        async with self._database.tenant(tenant_id) as connection:
            values = {"tenant": tenant_id, "id": quarantine_id}
            row = (await connection.execute(_READ, values)).one_or_none()
        if row is None:
            raise _unknown(quarantine_id)
        return str(row.record)

    async def list(
        self, tenant_id: str, flow_id: str, statuses: Sequence[Status], reason: str, page: PageRequest
    ) -> Page[Quarantined]:
        """List records, oldest first; without statuses those that wait."""
        conditions = "AND flow_id = :flow " if flow_id else ""
        conditions += "AND :reason = ANY (reason_words)" if reason else ""
        values = {
            "tenant": tenant_id,
            "flow": flow_id,
            "statuses": [int(status) for status in statuses or (Status.WAITING,)],
            "reason": reason,
            "after": number_behind(page, "position", 0),
            "limit": page.size + 1,
        }
        async with self._database.tenant(tenant_id) as connection:
            rows = list(await connection.execute(text(_LIST.format(conditions=conditions)), values))
        shown = rows[: page.size]
        more = bool(rows) and rows[0].found > len(shown)
        token = encode_token({"position": shown[-1].position}) if more else ""
        return Page([_quarantined(row) for row in shown], token)

    async def decide(
        self,
        connection: AsyncConnection,
        tenant_id: str,
        selection: Selection,
        *,
        before: Sequence[Status],
        after: Status,
        who: str,
    ) -> int:
        """Move the selected records from one of some states into another, and tell it per flow.

        Returns:
            How many records moved.
        """
        conditions = "AND quarantine_id = ANY (CAST(:ids AS text[])) " if selection.quarantine_ids else ""
        conditions += "AND flow_id = :flow" if selection.flow_id else ""
        values = {
            "tenant": tenant_id,
            "status": int(after),
            "before": [int(status) for status in before],
            "who": who,
            "ids": list(selection.quarantine_ids),
            "flow": selection.flow_id,
        }
        statement = text(_DECIDE.format(conditions=conditions, most_ids=_MOST_IDS))
        verb = "requeued" if after == Status.REQUEUED else "dropped"
        moved = 0
        for row in await connection.execute(statement, values):
            decided = Decided(verb, row.flow_id, row.quarantine_ids, row.moved, who)
            await self._announce(connection, tenant_id, decided)
            moved += row.moved
        return moved

    async def resolve(
        self, tenant_id: str, quarantine_ids: Sequence[str], execution_id: str, flow_id: str = ""
    ) -> int:
        """Mark records as delivered, those of one flow only where it is named; what is already stays so."""
        values = {
            "tenant": tenant_id,
            "ids": list(quarantine_ids),
            "execution": execution_id,
            "flow": flow_id,
            "delivered": int(Status.DELIVERED),
            "open": [int(status) for status in OPEN],
        }
        async with self._database.tenant(tenant_id) as connection:
            return int((await connection.execute(_RESOLVE, values)).rowcount)


async def _withheld(
    connection: AsyncConnection, tenant_id: str, records: list[Quarantined], key_of: KeyOf
) -> list[Quarantined]:
    """Take erased persons' data out, where there are any."""
    known = (await connection.execute(_SUPPRESSED, {"tenant": tenant_id})).first()
    if known is None:
        return records
    pepper, markers = bytes(known.pepper), set(map(bytes, known.markers))
    second = await key_of(tenant_id) if known.is_keyed else b""

    def is_person(value: str) -> bool:
        return mark_of(pepper, second, value) in markers

    return [
        replace(
            record,
            record=withheld(record.record, unpacked(record.classes), is_person),
            key=ERASED if is_person(record.key) else record.key,
        )
        for record in records
    ]


def _columns(tenant_id: str, records: Sequence[Quarantined]) -> dict[str, Any]:
    return {
        "tenant": tenant_id,
        "waiting": int(Status.WAITING),
        "dropped": int(Status.DROPPED),
        "ids": [record.quarantine_id for record in records],
        "flows": [record.flow_id for record in records],
        "executions": [record.execution_id for record in records],
        "stages": [int(record.stage) for record in records],
        "keys": [record.key for record in records],
        "records": [record.record for record in records],
        "binaries": [record.is_binary for record in records],
        "reasons": [json.dumps(list(record.reasons)) for record in records],
        "mappings": [record.mapping_id for record in records],
        "mapping_versions": [record.mapping_version for record in records],
        "classes": [record.classes for record in records],
    }


def _quarantined(row: Row[Any]) -> Quarantined:
    return Quarantined(
        flow_id=row.flow_id,
        execution_id=row.execution_id,
        stage=Stage(row.stage),
        key=row.key,
        record=row.record,
        is_binary=row.is_binary,
        reasons=json.loads(row.reasons),
        mapping_id=row.mapping_id,
        mapping_version=row.mapping_version,
        quarantine_id=row.quarantine_id,
        status=Status(row.status),
        attempts=row.attempts,
        create_time=row.create_time,
        update_time=row.update_time,
        decided_by=row.decided_by,
        size=row.size,
        classes=row.classes,
    )


def _unknown(quarantine_id: str) -> Missing:
    message = f"Nothing waits as {quarantine_id!r}; list the quarantine for its ids."
    return Missing("QUARANTINED_RECORD_UNKNOWN", message, path="quarantine_id")


__all__ = ["Announce", "QuarantineStore"]
