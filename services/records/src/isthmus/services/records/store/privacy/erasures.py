"""Who was erased, as far as that may be known, and how far erasures are."""

import json
import secrets
from dataclasses import dataclass, field

from isthmus.kit import Database
from isthmus.resilience.faults import Conflict
from isthmus.services.records.domain.persons import keyed, mark_of
from isthmus.services.records.store.suppressing import KeyOf
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PEPPER = text("""
    WITH made AS (
        INSERT INTO peppers (tenant_id, pepper, is_keyed) VALUES (:tenant, :pepper, true)
        ON CONFLICT DO NOTHING RETURNING pepper
    )
    SELECT pepper FROM made UNION ALL SELECT pepper FROM peppers WHERE tenant_id = :tenant
""")
_UNKEYED = text("SELECT tenant_id FROM peppers WHERE NOT is_keyed ORDER BY tenant_id LIMIT 100")
_LOCK = text("SELECT FROM peppers WHERE tenant_id = :tenant AND NOT is_keyed FOR UPDATE")
_MARKS = text("""
    SELECT marker FROM suppressions WHERE tenant_id = :tenant
    UNION SELECT marker FROM erasures WHERE tenant_id = :tenant
""")
_REKEY = (
    text("UPDATE suppressions SET marker = :new WHERE tenant_id = :tenant AND marker = :old"),
    text("UPDATE erasures SET marker = :new WHERE tenant_id = :tenant AND marker = :old"),
)
_KEYED = text("UPDATE peppers SET is_keyed = true WHERE tenant_id = :tenant")
_SUPPRESS = text("""
    INSERT INTO suppressions (tenant_id, marker, removes) VALUES (:tenant, :marker, :removes)
    ON CONFLICT (tenant_id, marker) DO UPDATE SET removes = excluded.removes
""")
_MARK_STREAMS = text("""
    UPDATE streams SET is_suppressed = true
    WHERE tenant_id = :tenant AND stream = ANY (CAST(:streams AS text[])) AND NOT is_suppressed
""")
_BEGIN = text("""
    INSERT INTO erasures AS e (tenant_id, erasure_id, marker, removes)
    VALUES (:tenant, :id, :marker, :removes)
    ON CONFLICT (tenant_id, erasure_id) DO UPDATE SET removes = e.removes
    RETURNING marker, removes, position, counts, is_done
""")
_STORE = text("""
    UPDATE erasures SET position = :position, counts = :counts, is_done = :done
    WHERE tenant_id = :tenant AND erasure_id = :id
""")
_ALLOW = text("DELETE FROM suppressions WHERE tenant_id = :tenant AND marker = :marker")
_UNMARK = text("""
    UPDATE streams SET is_suppressed = false
    WHERE tenant_id = :tenant AND is_suppressed
        AND NOT EXISTS (SELECT FROM suppressions WHERE tenant_id = :tenant)
""")


@dataclass(slots=True)
class Running:
    """An erasure on its way.

    Attributes:
        erasure_id: The caller's id of it.
        position: Place and row behind which it goes on.
        counts: What was erased, by kind.
        is_done: All is.
    """

    erasure_id: str
    position: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    is_done: bool = False


class Erasures:
    """Keeps whose data stays out, and how far erasures are.

    Args:
        database: Where that is kept.
        key_of: Gives the second key of a tenant's marks, which the database does not have.
    """

    def __init__(self, database: Database, key_of: KeyOf) -> None:
        self._database = database
        self._key_of = key_of

    async def begin(
        self, tenant_id: str, erasure_id: str, subject: str, streams: list[str], *, removes: bool
    ) -> Running:
        """Keep a person out from now on, and give how far an erasure is that may have been begun before.

        Raises:
            Conflict: `REQUEST_ID_REUSED`.
        """
        await self.rekey(tenant_id)
        key = await self._key_of(tenant_id)
        async with self._database.tenant(tenant_id) as connection:
            marker = mark_of(await _pepper(connection, tenant_id), key, subject)
            values = {"tenant": tenant_id, "id": erasure_id, "marker": marker, "removes": removes}
            row = (await connection.execute(_BEGIN, values)).one()
            if (bytes(row.marker), row.removes) != (marker, removes):
                message = "This request_id erased another person, or in another way; choose a new one."
                raise Conflict("REQUEST_ID_REUSED", message, path="request_id")
            await connection.execute(_SUPPRESS, values)
            await connection.execute(_MARK_STREAMS, {"tenant": tenant_id, "streams": streams})
        position = json.loads(row.position) if row.position else []
        return Running(erasure_id, position, json.loads(row.counts), row.is_done)

    async def store(self, connection: AsyncConnection, tenant_id: str, running: Running) -> None:
        """Remember how far an erasure is, in the transaction that got it there."""
        values = {
            "tenant": tenant_id,
            "id": running.erasure_id,
            "position": json.dumps(running.position),
            "counts": json.dumps(running.counts),
            "done": running.is_done,
        }
        await connection.execute(_STORE, values)

    async def allow(self, tenant_id: str, subject: str) -> bool:
        """Let a person in again; tells whether it was kept out."""
        await self.rekey(tenant_id)
        key = await self._key_of(tenant_id)
        async with self._database.tenant(tenant_id) as connection:
            marker = mark_of(await _pepper(connection, tenant_id), key, subject)
            gone = await connection.execute(_ALLOW, {"tenant": tenant_id, "marker": marker})
            await connection.execute(_UNMARK, {"tenant": tenant_id})
            return bool(gone.rowcount)

    async def rekey_all(self) -> None:
        """Give every tenant's marks the second key that have been made without."""
        async with self._database.system() as connection:
            tenants = list((await connection.execute(_UNKEYED)).scalars())
        for tenant_id in tenants:
            await self.rekey(tenant_id)

    async def rekey(self, tenant_id: str) -> None:
        """Give a tenant's marks the second key; does nothing where they have it."""
        async with self._database.tenant(tenant_id) as connection:
            if (await connection.execute(_LOCK, {"tenant": tenant_id})).first() is None:
                return
            key = await self._key_of(tenant_id)
            for old in map(bytes, list((await connection.execute(_MARKS, {"tenant": tenant_id})).scalars())):
                for statement in _REKEY:
                    values = {"tenant": tenant_id, "old": old, "new": keyed(old, key)}
                    await connection.execute(statement, values)
            await connection.execute(_KEYED, {"tenant": tenant_id})


async def _pepper(connection: AsyncConnection, tenant_id: str) -> bytes:
    """The tenant's own; what it hashes is hashed again with a key that the database does not have."""
    values = {"tenant": tenant_id, "pepper": secrets.token_bytes(32)}
    return bytes((await connection.execute(_PEPPER, values)).scalars().first() or b"")


__all__ = ["Erasures", "Running"]
