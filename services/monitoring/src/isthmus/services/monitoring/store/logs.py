"""Log lines in PostgreSQL."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.services.monitoring.domain import LogEntry, LogFilter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_LOOKED_AT = 5000
_ERASED = "‹erased›"
_REDACT = text("""
    update logs set message = given.message, details = given.details
    from unnest(cast(:ids as text[]), cast(:messages as text[]), cast(:details as text[]))
        as given (id, message, details)
    where tenant_id = :tenant_id and log_id = given.id
""")
_OLD = text("""
    delete from logs where ctid in (
        select ctid from logs where time < now() - make_interval(secs => :seconds) limit 10000)
""")
_FIELDS = tuple(LogEntry.__dataclass_fields__)
_COLUMNS = ", ".join(_FIELDS)


class Logs:
    """Log lines that one transaction sees."""

    def __init__(self, conn: AsyncConnection, tenant_id: str) -> None:
        self._conn = conn
        self._tenant_id = tenant_id

    async def append(self, entries: Sequence[LogEntry]) -> int:
        """Store lines; gives how many were not there before."""
        sql = f"""insert into logs (tenant_id, {_COLUMNS})
            select :tenant_id, {_COLUMNS} from unnest(
                cast(:log_id as text[]), cast(:time as timestamptz[]), cast(:kind as text[]),
                cast(:message as text[]), cast(:instance_id as text[]), cast(:details as text[]),
                cast(:user_id as text[]), cast(:operation as text[]), cast(:execution_id as text[]),
                cast(:correlation_id as text[])) as given ({_COLUMNS})
            on conflict do nothing"""
        rows = [asdict(entry) for entry in entries]
        values: dict[str, Any] = {name: [row[name] for row in rows] for name in _FIELDS}
        done = await self._conn.execute(text(sql), {"tenant_id": self._tenant_id, **values})
        return done.rowcount

    async def redact(self, part: str, after: str, *, is_dry_run: bool) -> tuple[list[LogEntry], int, str]:
        """Look through some lines for a text, in any case of letters, and put a placeholder in its place.

        Args:
            part: The text.
            after: Where to begin: the id of a line.
            is_dry_run: Only find it.

        Returns:
            The lines as they were, how many were looked at, and where the next ones begin.
        """
        names = {"tenant_id": self._tenant_id, "after": after, "limit": _LOOKED_AT}
        sql = f"""select {_COLUMNS} from logs where tenant_id = :tenant_id and log_id > :after
            order by log_id limit :limit"""
        rows = [LogEntry(**row._asdict()) for row in await self._conn.execute(text(sql), names)]
        pattern = re.compile(re.escape(part), re.IGNORECASE)
        found = [row for row in rows if pattern.search(row.message) or pattern.search(row.details)]
        if found and not is_dry_run:
            values = {
                "tenant_id": self._tenant_id,
                "ids": [row.log_id for row in found],
                "messages": [pattern.sub(_ERASED, row.message) for row in found],
                "details": [pattern.sub(_ERASED, row.details) for row in found],
            }
            await self._conn.execute(_REDACT, values)
        return found, len(rows), rows[-1].log_id if len(rows) == _LOOKED_AT else ""

    async def page(self, wanted: LogFilter, page: PageRequest) -> list[LogEntry]:
        """Return lines, newest first, one more than the page holds."""
        conditions = ["true"]
        values: dict[str, Any] = {"limit": page.size + 1}
        if wanted.instance_id:
            conditions.append("instance_id = :instance_id")
        if wanted.execution_id:
            conditions.append("execution_id = :execution_id")
        if wanted.kinds:
            conditions.append("kind = any(:kinds)")
        if wanted.start:
            conditions.append("time >= :start")
        if wanted.end:
            conditions.append("time < :end")
        if page.after:
            conditions.append("(time, log_id) < (:after_time, :after_id)")
            values |= {"after_time": page.after["time"], "after_id": page.after["id"]}
        sql = f"""select {_COLUMNS} from logs where {" and ".join(conditions)}
            order by time desc, log_id desc limit :limit"""
        values |= {name: value for name, value in _values(wanted).items() if f":{name}" in sql}
        found = await self._conn.execute(text(sql), values)
        return [LogEntry(**row._asdict()) for row in found]


async def forget_old(conn: AsyncConnection, seconds: float) -> int:
    """Remove some lines of all tenants that are too old; gives how many."""
    return (await conn.execute(_OLD, {"seconds": seconds})).rowcount


def _values(wanted: LogFilter) -> dict[str, str | list[str] | datetime | None]:
    return {
        "instance_id": wanted.instance_id,
        "execution_id": wanted.execution_id,
        "kinds": list(wanted.kinds),
        "start": wanted.start,
        "end": wanted.end,
    }


__all__ = ["Logs", "forget_old"]
