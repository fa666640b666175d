"""What people ask about pairs and conflicts, and what they decide."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isthmus.kit import Database, PageRequest
from isthmus.resilience.faults import Missing, Precondition
from isthmus.services.records.domain.pairs import Status, dump
from isthmus.services.records.domain.pairs.forms import Form
from isthmus.services.records.domain.pairs.rounds import ConflictNews
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

WAITING, RESOLVED = 1, 2
Announce = Callable[[AsyncConnection, str, ConflictNews], Awaitable[None]]

_SHOWN = """conflict_id, flow_id, pair_id, status, source_key, destination_key, base, source_form,
    destination_form, source_time, destination_time, fields, policy, reason, result, decided_by, execution_id,
    create_time, decide_time"""
_LIST = f"""
    SELECT {_SHOWN} FROM conflicts
    WHERE tenant_id = :tenant AND status = ANY (CAST(:statuses AS smallint[])) AND conflict_id > :after
        {{conditions}}
    ORDER BY conflict_id LIMIT :limit
"""
_GET = f"SELECT {_SHOWN} FROM conflicts WHERE tenant_id = :tenant AND conflict_id = :id"
_RESOLVE = text("""
    UPDATE conflicts SET status = 2, result = :result, decided_by = :who, decide_time = now(),
        reason = reason || CAST(:why AS text)
    WHERE tenant_id = :tenant AND conflict_id = :id
""")
_TOUCH = text("""
    UPDATE pairs SET is_dirty = true, status = 2, update_time = now()
    WHERE tenant_id = :tenant AND pairing = (SELECT pairing FROM conflicts
        WHERE tenant_id = :tenant AND conflict_id = :id) AND pair_id = :pair AND conflict_id = :id
""")
_PAIRS = """
    SELECT pair_id, flow_id, status, source_key, destination_key, base, source_form, destination_form,
        create_time, update_time
    FROM pairs
    WHERE tenant_id = :tenant AND flow_id = :flow AND pair_id > :after {conditions}
    ORDER BY pair_id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class StoredConflict:
    """A conflict as people see it; forms are JSON texts, None where a side has no record."""

    conflict_id: str
    flow_id: str
    pair_id: str
    status: int
    source_key: str
    destination_key: str
    base: str | None
    source_form: str | None
    destination_form: str | None
    source_time: datetime | None
    destination_time: datetime | None
    fields: Sequence[str]
    policy: str
    reason: str
    result: str | None
    decided_by: str
    execution_id: str
    create_time: datetime
    decide_time: datetime | None


@dataclass(frozen=True, slots=True)
class StoredPair:
    """A pair as people see it; forms are JSON texts, None where a side has no record."""

    pair_id: str
    flow_id: str
    status: int
    source_key: str
    destination_key: str
    base: str | None
    source_form: str | None
    destination_form: str | None
    create_time: datetime
    update_time: datetime


class ConflictStore:
    """Shows pairs and conflicts, and keeps decisions.

    Args:
        database: Where they are kept.
        announce: Stores the event of a decision, in the same transaction.
    """

    def __init__(self, database: Database, announce: Announce) -> None:
        self.database = database
        self._announce = announce

    async def pairs(
        self, tenant_id: str, flow_id: str, statuses: Sequence[Status], page: PageRequest
    ) -> list[StoredPair]:
        """List the pairs of a flow, oldest first, and one more than the page holds where there are more."""
        conditions = "AND status = ANY (CAST(:statuses AS smallint[]))" if statuses else ""
        values = {
            "tenant": tenant_id,
            "flow": flow_id,
            "statuses": [int(status) for status in statuses],
            "after": str((page.after or {}).get("pair", "")),
            "limit": page.size + 1,
        }
        async with self.database.tenant(tenant_id) as connection:
            rows = await connection.execute(text(_PAIRS.format(conditions=conditions)), values)
            return [StoredPair(*row) for row in rows]

    async def conflicts(
        self, tenant_id: str, flow_id: str, statuses: Sequence[int], page: PageRequest
    ) -> list[StoredConflict]:
        """List conflicts, oldest first, as `pairs` does; without statuses those that wait."""
        conditions = "AND flow_id = :flow" if flow_id else ""
        values = {
            "tenant": tenant_id,
            "flow": flow_id,
            "statuses": list(statuses) or [WAITING],
            "after": str((page.after or {}).get("conflict", "")),
            "limit": page.size + 1,
        }
        async with self.database.tenant(tenant_id) as connection:
            rows = await connection.execute(text(_LIST.format(conditions=conditions)), values)
            return [_conflict(row) for row in rows]

    async def get(
        self, connection: AsyncConnection, tenant_id: str, conflict_id: str, *, lock: bool = False
    ) -> StoredConflict:
        """Read one conflict.

        Raises:
            Missing: `CONFLICT_UNKNOWN`.
        """
        query = text(_GET + " FOR UPDATE" * lock)
        row = (await connection.execute(query, {"tenant": tenant_id, "id": conflict_id})).one_or_none()
        if row is None:
            message = f"There is no conflict {conflict_id!r}; ListConflicts shows what there is."
            raise Missing("CONFLICT_UNKNOWN", message, path="conflict_id")
        return _conflict(row)

    async def resolve(
        self,
        connection: AsyncConnection,
        tenant_id: str,
        conflict: StoredConflict,
        result: Form | None,
        *,
        who: str,
        why: str,
    ) -> StoredConflict:
        """Keep a person's decision about a conflict that was read under lock.

        Raises:
            Precondition: `CONFLICT_DECIDED`.
        """
        if conflict.status != WAITING:
            message = f"Conflict {conflict.conflict_id} does not wait any more; read it again."
            raise Precondition("CONFLICT_DECIDED", message)
        which = {"tenant": tenant_id, "id": conflict.conflict_id}
        told = f" {who}: {why}" if why else ""
        await connection.execute(_RESOLVE, {**which, "result": dump(result), "who": who, "why": told})
        await connection.execute(_TOUCH, {**which, "pair": conflict.pair_id})
        news = ConflictNews(conflict.flow_id, [conflict.conflict_id], "resolved", who)
        await self._announce(connection, tenant_id, news)
        return await self.get(connection, tenant_id, conflict.conflict_id)


def _conflict(row: Row[Any]) -> StoredConflict:
    return StoredConflict(**row._mapping)


__all__ = ["RESOLVED", "WAITING", "Announce", "ConflictStore", "StoredConflict", "StoredPair"]
