"""Keeps which class the fields of streams and of two-way flows have."""

from collections import OrderedDict
from collections.abc import Sequence

from isthmus.kit import Database
from isthmus.services.records.domain.classes import merged
from sqlalchemy import text

_MOST_KNOWN = 1000
_DECLARE = text("""
    WITH marked AS (
        UPDATE streams SET is_suppressed = true
        WHERE tenant_id = :tenant AND stream = :name AND :kind = 'stream' AND NOT is_suppressed
            AND EXISTS (SELECT FROM suppressions WHERE tenant_id = :tenant)
    )
    INSERT INTO field_classes AS f (tenant_id, kind, name, writer, classes)
    VALUES (:tenant, :kind, :name, :writer, :classes)
    ON CONFLICT (tenant_id, kind, name, writer) DO UPDATE
    SET classes = excluded.classes, update_time = now() WHERE f.classes <> excluded.classes
""")
_NAMES = text("SELECT DISTINCT name FROM field_classes WHERE tenant_id = :tenant AND kind = :kind")
_OF = text("""
    SELECT name, classes FROM field_classes
    WHERE tenant_id = :tenant AND kind = :kind AND name = ANY (CAST(:names AS text[]))
""")


class ClassStore:
    """Knows what writers said of the fields of their records.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[tuple[str, str, str, str], str] = OrderedDict()

    async def declare(self, tenant_id: str, kind: str, name: str, writer: str, classes: str) -> None:
        """Keep what a writer says; what this process has kept before costs nothing."""
        place = (tenant_id, kind, name, writer)
        if not classes or self._known.get(place) == classes:
            return
        async with self._database.tenant(tenant_id) as connection:
            values = {"tenant": tenant_id, "kind": kind, "name": name, "writer": writer}
            values["classes"] = classes
            await connection.execute(_DECLARE, values)
        self._known[place] = classes
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    async def everything(self, tenant_id: str, kind: str) -> dict[str, str]:
        """Give what is known of all streams, or of all two-way flows."""
        async with self._database.tenant(tenant_id) as connection:
            values = {"tenant": tenant_id, "kind": kind}
            names = [row.name for row in await connection.execute(_NAMES, values)]
        return await self.of(tenant_id, kind, names)

    async def of(self, tenant_id: str, kind: str, names: Sequence[str]) -> dict[str, str]:
        """Give what is known of some streams or flows, by name; of several writers the strictest counts."""
        if not names:
            return {}
        async with self._database.tenant(tenant_id) as connection:
            values = {"tenant": tenant_id, "kind": kind, "names": list(set(names))}
            rows = list(await connection.execute(_OF, values))
        told: dict[str, list[str]] = {}
        for row in rows:
            told.setdefault(row.name, []).append(row.classes)
        return {name: merged(texts) for name, texts in told.items()}


__all__ = ["ClassStore"]
