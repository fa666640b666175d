"""Reads whole streams, page by page, for flows whose source is the hub.

Each page is a transaction of its own, so a slow reader holds nothing back in the database, and what
is in memory is one page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.kit import Database
from isthmus.resilience.faults import Missing
from isthmus.services.records.domain.batches import MAX_BATCH_BYTES
from isthmus.services.records.domain.positions import ReadPosition
from isthmus.services.records.store.adding import LEAST_ADDITION
from isthmus.services.records.store.raw import raw_cursor

_PAGE = f"""
    SELECT key, change, is_deleted, convert_to(data, 'UTF8'), found FROM (
        SELECT *, sum(size + octet_length(key)) OVER (ORDER BY {{order}} ROWS UNBOUNDED PRECEDING) AS total,
            row_number() OVER (ORDER BY {{order}}) AS place, count(*) OVER () AS found
        FROM ({{found}} ORDER BY {{order}} LIMIT %(limit)s::bigint) AS page
    ) AS sized
    WHERE total <= {MAX_BATCH_BYTES} OR place = 1 ORDER BY {{order}}
"""
_SHOWN = "r.key, r.change, r.is_deleted, octet_length(r.data) AS size, r.data FROM records AS r"
_EVERYTHING = _PAGE.format(
    order="key",
    found=f"""
        SELECT {_SHOWN}
        WHERE r.tenant_id = %(tenant)s AND r.stream_number = %(number)s::bigint AND NOT r.is_deleted
            AND r.key > %(after_key)s""",
)

# What was added in large numbers is told by `additions` for as long as it stays as it was, all else by the
# index of changes. A page looks at so many additions that it can be full, and ends where they end.
_OF_STREAM = "tenant_id = %(tenant)s AND stream_number = %(number)s::bigint"
_UNTIL = f"""
    SELECT min(last_change) FROM (
        SELECT last_change, sum(last_change - greatest(first_change - 1, %(after_change)s::bigint))
            OVER (ORDER BY last_change) AS told
        FROM additions WHERE {_OF_STREAM} AND last_change > %(after_change)s::bigint
        ORDER BY last_change LIMIT %(limit)s::bigint / {LEAST_ADDITION} + 2
    ) AS next WHERE told >= %(limit)s::bigint
"""
_CHANGES = _PAGE.format(
    order="change",
    found=f"""
        (SELECT {_SHOWN}
        WHERE r.stream_number = %(number)s::bigint AND r.tenant_id = %(tenant)s AND NOT r.is_addition
            AND r.change > %(after_change)s::bigint AND r.change <= %(until)s::bigint
            AND (%(deletes)s::boolean OR NOT r.is_deleted)
        ORDER BY r.change LIMIT %(limit)s::bigint)
        UNION ALL
        SELECT added.* FROM additions AS a, unnest(a.keys) WITH ORDINALITY AS told (key, ordinal),
            LATERAL (
                SELECT {_SHOWN}
                WHERE r.tenant_id = %(tenant)s AND r.stream_number = %(number)s::bigint AND r.key = told.key
                    AND r.change = a.first_change + told.ordinal - 1 AND r.is_addition
                LIMIT 1
            ) AS added
        WHERE a.{_OF_STREAM.replace("AND ", "AND a.")}
            AND a.last_change > %(after_change)s::bigint AND a.first_change <= %(until)s::bigint
            AND a.first_change + told.ordinal - 1 > %(after_change)s::bigint
            AND a.first_change + told.ordinal - 1 <= %(until)s::bigint""",
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
        values = {"tenant": place.tenant_id, "number": place.number, "after_key": after.after_key}
        async with self._database.tenant(place.tenant_id) as connection:
            cursor = await raw_cursor(connection)
            await cursor.execute(_EVERYTHING, {**values, "limit": limit})
            rows = await cursor.fetchall()
        if not rows:
            return ReadPage((), (), (), after, is_last=True)
        keys, _, deleted, records, found = zip(*rows, strict=True)
        is_last = len(rows) == found[0] and len(rows) < limit
        return ReadPage(keys, records, deleted, ReadPosition(after_key=keys[-1]), is_last)

    async def changes(self, place: Place, after: ReadPosition, limit: int, *, deletes: bool) -> ReadPage:
        """Read what has changed since a position, up to where the stream was when the reading began.

        Every record comes once, in its newest form. One that changes meanwhile is left to the next reading.
        """
        values = {
            "tenant": place.tenant_id,
            "number": place.number,
            "limit": limit,
            "deletes": deletes,
        }
        last = after.after_change
        while last < place.last_change:
            values |= {"after_change": last, "until": place.last_change}
            page, last = await self._changes(place, values, limit)
            if page is not None:
                return page
        return ReadPage((), (), (), after, is_last=True)

    async def _changes(self, place: Place, values: dict[str, Any], limit: int) -> tuple[ReadPage | None, int]:
        """Read one page, and tell up to which change there is nothing else."""
        async with self._database.tenant(place.tenant_id) as connection:
            cursor = await raw_cursor(connection)
            await cursor.execute(_UNTIL, values)
            row = await cursor.fetchone()
            until = min(values["until"], (row and row[0]) or values["until"])
            await cursor.execute(_CHANGES, {**values, "until": until})
            rows = await cursor.fetchall()
        if not rows:
            return None, until
        keys, changes, deleted, records, found = zip(*rows, strict=True)
        is_last = until == values["until"] and len(rows) == found[0] and len(rows) < limit
        return ReadPage(keys, records, deleted, ReadPosition(after_change=changes[-1]), is_last), until


__all__ = ["ChangeReader", "Place", "ReadPage"]
