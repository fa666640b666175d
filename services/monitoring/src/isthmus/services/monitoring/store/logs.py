"""Log lines in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.services.monitoring.domain import LogEntry, LogFilter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

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


def _values(wanted: LogFilter) -> dict[str, str | list[str] | datetime | None]:
    return {
        "instance_id": wanted.instance_id,
        "execution_id": wanted.execution_id,
        "kinds": list(wanted.kinds),
        "start": wanted.start,
        "end": wanted.end,
    }


__all__ = ["Logs"]
