"""Keeps the reports of reconciliations."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.kit import Database, PageRequest
from isthmus.services.records.domain.reconciling import Opening, Report, Sample, Status, report_unknown
from isthmus.services.records.store.raw import raw_cursor
from isthmus.services.records.store.reconciling import statements as sql
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_GET = "SELECT * FROM reconciliations WHERE tenant_id = :tenant AND report_id = :report"
_LIST = text("""
    SELECT * FROM reconciliations
    WHERE tenant_id = :tenant AND (:flow = '' OR flow_id = :flow) AND (:after = '' OR report_id < :after)
    ORDER BY report_id DESC LIMIT :limit
""")
_BEGIN = text("""
    INSERT INTO reconciliations AS r (tenant_id, report_id, flow_id, flow_name, writer_id, source,
        destination, destination_key, repair, delete_extra, most_deletions, fencing_token)
    VALUES (:tenant, :report, :flow, :name, :writer, :source, :destination,
        CAST(:destination_key AS text[]), :repair, :delete_extra, :most, :token)
    ON CONFLICT (tenant_id, report_id) DO UPDATE
    SET fencing_token = greatest(r.fencing_token, excluded.fencing_token),
        source = coalesce(nullif(excluded.source, ''), r.source),
        destination = coalesce(nullif(excluded.destination, ''), r.destination),
        destination_key = CASE WHEN excluded.destination = '' THEN r.destination_key
            ELSE excluded.destination_key END
    RETURNING *
""")
_REPAIRING = text("""
    UPDATE reconciliations SET is_repairing = true
    WHERE tenant_id = :tenant AND report_id = :report RETURNING *
""")
_END = text("""
    INSERT INTO reconciliations AS r (tenant_id, report_id, flow_id, flow_name, repair, delete_extra, status,
        repaired, removed, refused, error_message, end_time)
    VALUES (:tenant, :report, :flow, :name, :repair, :delete_extra, :status,
        :repaired, :removed, :refused, :error, :ended)
    ON CONFLICT (tenant_id, report_id) DO UPDATE
    SET status = excluded.status, repaired = excluded.repaired, removed = excluded.removed,
        refused = excluded.refused, error_message = excluded.error_message, end_time = excluded.end_time
""")
_OF_FLOW = text("SELECT report_id FROM reconciliations WHERE tenant_id = :tenant AND flow_id = :flow")


class Reports:
    """Opens, shows and closes reports.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, tenant_id: str, opening: Opening) -> Report:
        """Open a report, or go on with it.

        Raises:
            Missing: `REPORT_UNKNOWN`, there is one of another flow.
            Precondition: `FENCED` or `REPORT_CLOSED`.
        """
        values = {
            "tenant": tenant_id,
            "report": opening.report_id,
            "flow": opening.flow_id,
            "name": opening.flow_name,
            "writer": opening.writer_id or opening.flow_id,
            "source": opening.source,
            "destination": opening.destination,
            "destination_key": list(opening.destination_key),
            "repair": opening.repair,
            "delete_extra": opening.delete_extra,
            "most": opening.most_deletions,
            "token": opening.fencing_token,
        }
        async with self._database.tenant(tenant_id) as connection:
            report = report_of((await connection.execute(_BEGIN, values)).one())
            if report.flow_id != opening.flow_id:
                raise report_unknown(opening.report_id)
            report.admit(opening.fencing_token)
            if opening.begins_repair and not report.is_repairing:
                await _doubt_links(connection, tenant_id, report)
                report = report_of((await connection.execute(_REPAIRING, values)).one())
        return report

    async def get(
        self, connection: AsyncConnection, tenant_id: str, report_id: str, *, lock: bool = False
    ) -> Report:
        """Read a report, locked when it is to be changed.

        Raises:
            Missing: `REPORT_UNKNOWN`.
        """
        found = await connection.execute(
            text(_GET + " FOR UPDATE" * lock), {"tenant": tenant_id, "report": report_id}
        )
        row = found.one_or_none()
        if row is None:
            raise report_unknown(report_id)
        return report_of(row)

    async def read(self, tenant_id: str, report_id: str) -> Report:
        """Read a report in a transaction of its own.

        Raises:
            Missing: `REPORT_UNKNOWN`.
        """
        async with self._database.tenant(tenant_id) as connection:
            return await self.get(connection, tenant_id, report_id)

    async def list(self, tenant_id: str, flow_id: str, page: PageRequest) -> Sequence[Report]:
        """List reports, newest first, and one more than the page holds where there are more."""
        values = {
            "tenant": tenant_id,
            "flow": flow_id,
            "after": str((page.after or {}).get("report", "")),
            "limit": page.size + 1,
        }
        async with self._database.tenant(tenant_id) as connection:
            return [report_of(row) for row in await connection.execute(_LIST, values)]

    async def end(
        self, connection: AsyncConnection, tenant_id: str, ending: Mapping[str, Any], status: Status
    ) -> None:
        """Close a report, whether or not it was ever opened, and forget what was announced for it."""
        await connection.execute(_END, {**ending, "tenant": tenant_id, "status": int(status)})
        await _forget(connection, tenant_id, [ending["report"]])

    async def forget(self, connection: AsyncConnection, tenant_id: str, flow_id: str) -> None:
        """Forget what was announced for a flow that is gone; its reports stay."""
        found = await connection.execute(_OF_FLOW, {"tenant": tenant_id, "flow": flow_id})
        await _forget(connection, tenant_id, [row[0] for row in found])


async def _doubt_links(connection: AsyncConnection, tenant_id: str, report: Report) -> None:
    """Stop believing what links say of records that the destination has lost or changed.

    Once only: by the next attempt records may have been written again, and linked.
    """
    cursor = await raw_cursor(connection)
    values = {
        "tenant": tenant_id,
        "report": report.report_id,
        "writer": report.writer_id,
    }
    await cursor.execute(sql.PATIENT)
    for statement in (sql.DROP_LINKS, sql.DOUBT_LINKS):
        await cursor.execute(statement, values)


async def _forget(connection: AsyncConnection, tenant_id: str, report_ids: Sequence[str]) -> None:
    cursor = await raw_cursor(connection)
    await cursor.execute(sql.PATIENT)
    for report_id in report_ids:
        for statement in sql.FORGET:
            await cursor.execute(statement, {"tenant": tenant_id, "report": report_id})


def report_of(row: Row[Any]) -> Report:
    """Read a row of `reconciliations`."""
    known: dict[str, Any] = dict(row._mapping)
    del known["tenant_id"]
    known["status"] = Status(known["status"])
    stored = known["samples"]
    samples = json.loads(stored) if isinstance(stored, str | bytes) else stored
    known["samples"] = [Sample(**one) for one in samples]
    return Report(**known)


__all__ = ["Reports", "report_of"]
