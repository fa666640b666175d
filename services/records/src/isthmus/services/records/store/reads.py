"""Reads whole streams, page by page, for flows whose source is the hub.

Each page is a transaction of its own, so a slow reader holds nothing back in the database, and what
is in memory is one page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.kit import Database
from isthmus.resilience.faults import Missing
from isthmus.services.records.domain.batches import MAX_BATCH_BYTES
from isthmus.services.records.domain.positions import ReadPosition
from isthmus.services.records.store.raw import raw_cursor

_PAGE = f"""
    SELECT key, change, is_deleted, convert_to(data, 'UTF8'), found FROM (
        SELECT *, sum(size + octet_length(key)) OVER (ORDER BY {{order}} ROWS UNBOUNDED PRECEDING) AS total,
            row_number() OVER (ORDER BY {{order}}) AS place, count(*) OVER () AS found
        FROM (
            SELECT key, change, is_deleted, octet_length(data) AS size, data FROM records
            WHERE {{which}} ORDER BY {{order}} LIMIT %(limit)s::bigint
        ) AS page
    ) AS sized
    WHERE total <= {MAX_BATCH_BYTES} OR place = 1 ORDER BY {{order}}
"""

_EVERYTHING = _PAGE.format(
    order="key",
    which="tenant_id = %(tenant)s AND stream = %(stream)s AND NOT is_deleted AND key > %(after_key)s",
)
_CHANGES = _PAGE.format(
    order="change",
    which="stream_number = %(number)s::bigint AND tenant_id = %(tenant)s"
    " AND change > %(after_change)s::bigint AND change <= %(until)s::bigint"
    " AND (%(deletes)s::boolean OR NOT is_deleted)",
)
_FIND = """
    SELECT stream_number, last_change FROM streams WHERE tenant_id = %(tenant)s AND stream = %(stream)s
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A stream as it was when a reading began.

    Attributes:
        tenant_id: Whose stream.
        stream: Its name.
        number: Its number.
        last_change: The newest change at that moment.
    """

    tenant_id: str
    stream: str
    number: int
    last_change: int


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Records that travel together.

    Attributes:
        keys: Their keys.
        records: Their content.
        deleted: Which of them the source has deleted, in the same order.
        position: The place behind the last one.
        is_last: Nothing follows.
    """

    keys: Sequence[str]
    records: Sequence[bytes]
    deleted: Sequence[bool]
    position: ReadPosition
    is_last: bool


class ChangeReader:
    """Reads all records of a stream by key, or its changes in the order in which they happened."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, tenant_id: str, stream: str) -> Place:
        """Look a stream up.

        Raises:
            Missing: `STREAM_UNKNOWN`.
        """
        async with self._database.tenant(tenant_id) as connection:
            cursor = await raw_cursor(connection)
            await cursor.execute(_FIND, {"tenant": tenant_id, "stream": stream})
            row = await cursor.fetchone()
        if row is None:
            message = f"The hub has no stream {stream!r}; list the streams, or write into it first."
            raise Missing("STREAM_UNKNOWN", message, path="stream")
        return Place(tenant_id, stream, row[0], row[1])

    async def everything(self, place: Place, after: ReadPosition, limit: int) -> ReadPage:
        """Read the records behind a key, without the deleted ones."""
        values = {"tenant": place.tenant_id, "stream": place.stream, "after_key": after.after_key}
        page = await self._page(_EVERYTHING, place, {**values, "limit": limit}, limit)
        return page or ReadPage((), (), (), after, is_last=True)

    async def changes(self, place: Place, after: ReadPosition, limit: int, *, deletes: bool) -> ReadPage:
        """Read what has changed since a position, up to where the stream was when the reading began.

        Every record comes once, in its newest form. One that changes meanwhile is left to the next reading.
        """
        values = {
            "tenant": place.tenant_id,
            "number": place.number,
            "after_change": after.after_change,
            "until": place.last_change,
            "deletes": deletes,
        }
        page = await self._page(_CHANGES, place, {**values, "limit": limit}, limit)
        return page or ReadPage((), (), (), after, is_last=True)

    async def _page(
        self, statement: str, place: Place, values: dict[str, object], limit: int
    ) -> ReadPage | None:
        async with self._database.tenant(place.tenant_id) as connection:
            cursor = await raw_cursor(connection)
            await cursor.execute(statement, values)
            rows = await cursor.fetchall()
        if not rows:
            return None
        keys, changes, deleted, records, found = zip(*rows, strict=True)
        by_key = statement is _EVERYTHING
        position = ReadPosition(after_key=keys[-1]) if by_key else ReadPosition(after_change=changes[-1])
        is_last = len(rows) == found[0] and len(rows) < limit
        return ReadPage(keys, records, deleted, position, is_last)


__all__ = ["ChangeReader", "Place", "ReadPage"]
