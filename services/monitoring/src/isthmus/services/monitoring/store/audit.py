"""The audit trail in PostgreSQL: rows are added and read, and nothing else is done to them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.resilience.trail import Checkpoint
from isthmus.services.monitoring.domain import AuditFilter, AuditRecord, linked
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_FIELDS = tuple(AuditRecord.__dataclass_fields__)
_COLUMNS = ", ".join(_FIELDS)
_GIVEN = ", ".join("string_to_array(targets, U&'\\001f')" if name == "targets" else name for name in _FIELDS)
_TYPES = {"time": "timestamptz[]", "sequence": "bigint[]"}
_ARRAYS = ", ".join(f"cast(:{name} as {_TYPES.get(name, 'text[]')})" for name in _FIELDS)

# One at a time adds to a chain; the lock ends with the transaction.
_TURN = text("select pg_advisory_xact_lock(hashtextextended('isthmus audit ' || :tenant_id, 0))")
_KNOWN = text("select record_id from audit_records where record_id = any(cast(:ids as text[]))")
_END = text("select sequence, hash from audit_records order by sequence desc limit 1")
_ADD = text(
    f"insert into audit_records (tenant_id, {_COLUMNS}) "
    f"select :tenant_id, {_GIVEN} from unnest({_ARRAYS}) as given ({_COLUMNS})"
)
_AFTER = text(f"select {_COLUMNS} from audit_records where sequence > :after order by sequence limit :limit")
_PLACES = text("select hash, sequence from audit_records where hash = any(cast(:hashes as text[]))")
_CHECKPOINTS = text("select sequence, hash from audit_checkpoints order by sequence desc limit :limit")
_ADD_CHECKPOINT = text(
    "insert into audit_checkpoints (tenant_id, sequence, hash, time) "
    "values (:tenant_id, :sequence, :hash, :time) on conflict do nothing"
)


_UNTOLD = text("""
with recursive tenants (tenant_id) as (
    select min(tenant_id) from audit_records
    union all
    select (select min(r.tenant_id) from audit_records r where r.tenant_id > t.tenant_id)
    from tenants t where t.tenant_id is not null)
select tenant_id from tenants t where tenant_id is not null
    and (select max(sequence) from audit_records r where r.tenant_id = t.tenant_id)
        > coalesce((select max(sequence) from audit_checkpoints c where c.tenant_id = t.tenant_id), 0)
""")


async def untold(conn: AsyncConnection) -> list[str]:
    """Return the tenants whose chains have grown since their end was last kept, as the system."""
    return list((await conn.execute(_UNTOLD)).scalars())


class Trail:
    """The chain of one tenant, as one transaction sees it."""

    def __init__(self, conn: AsyncConnection, tenant_id: str) -> None:
        self._conn = conn
        self._tenant_id = tenant_id

    async def append(self, records: Sequence[AuditRecord]) -> int:
        """Add records to the end; gives how many were not there before."""
        once = {record.record_id: record for record in records}
        if not once:
            return 0
        await self._conn.execute(_TURN, {"tenant_id": self._tenant_id})
        known = set((await self._conn.execute(_KNOWN, {"ids": list(once)})).scalars())
        new = [record for record_id, record in once.items() if record_id not in known]
        if new:
            rows = [asdict(record) for record in linked(self._tenant_id, await self.end(), new)]
            values: dict[str, Any] = {name: [row[name] for row in rows] for name in _FIELDS}
            values["targets"] = ["\x1f".join(row["targets"]) for row in rows]
            await self._conn.execute(_ADD, {"tenant_id": self._tenant_id, **values})
        return len(new)

    async def end(self) -> Checkpoint | None:
        """Return what the chain ends with."""
        row = (await self._conn.execute(_END)).first()
        return Checkpoint(row.sequence, row.hash) if row else None

    async def after(self, sequence: int, limit: int) -> list[AuditRecord]:
        """Return the records behind a place, in the order of the chain."""
        found = await self._conn.execute(_AFTER, {"after": sequence, "limit": limit})
        return [_record(row) for row in found]

    async def places(self, hashes: Sequence[str]) -> dict[str, int]:
        """Return where records with certain hashes stand."""
        found = await self._conn.execute(_PLACES, {"hashes": list(hashes)})
        return {row.hash: row.sequence for row in found}

    async def page(self, wanted: AuditFilter, page: PageRequest) -> list[AuditRecord]:
        """Return records, newest first, one more than the page holds."""
        conditions = ["true"]
        values: dict[str, Any] = {"limit": page.size + 1}
        for condition, name, value in _conditions(wanted):
            if value:
                conditions.append(condition)
                values[name] = value
        if wanted.only_refused:
            conditions.append("outcome <> 'OK'")
        if page.after:
            conditions.append("sequence < :before")
            values["before"] = page.after["sequence"]
        sql = f"""select {_COLUMNS} from audit_records where {" and ".join(conditions)}
            order by sequence desc limit :limit"""
        found = await self._conn.execute(text(sql), values)
        return [_record(row) for row in found]

    async def checkpoints(self, limit: int) -> list[Checkpoint]:
        """Return what the chain ended with at earlier times, newest first."""
        found = await self._conn.execute(_CHECKPOINTS, {"limit": limit})
        return [Checkpoint(row.sequence, row.hash) for row in found]

    async def add_checkpoint(self, end: Checkpoint, time: datetime) -> bool:
        """Keep what the chain ends with now; tells whether that was new."""
        values = {"tenant_id": self._tenant_id, "sequence": end.sequence, "hash": end.hash, "time": time}
        return bool((await self._conn.execute(_ADD_CHECKPOINT, values)).rowcount)


def _record(row: Any) -> AuditRecord:
    return AuditRecord(**{**row._asdict(), "targets": tuple(row.targets)})


def _conditions(wanted: AuditFilter) -> list[tuple[str, str, Any]]:
    return [
        ("subject = :subject", "subject", wanted.subject),
        ("service = :service", "service", wanted.service),
        ("(method = :method or method like '%/' || :method)", "method", wanted.method),
        (":target = any(targets)", "target", wanted.target),
        ("kind = any(:kinds)", "kinds", list(wanted.kinds)),
        ("correlation_id = :correlation_id", "correlation_id", wanted.correlation_id),
        ("time >= :start", "start", wanted.start),
        ("time < :end", "end", wanted.end),
    ]


__all__ = ["Trail"]
