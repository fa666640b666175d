"""Reads what a side is to get, in the order in which it was decided."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.kit import Database
from isthmus.services.records.domain.batches import MAX_BATCH_BYTES, Operation
from isthmus.services.records.domain.pairs import PairStream, dump, load
from isthmus.services.records.domain.pairs.forms import emptied
from isthmus.services.records.domain.positions import ReadPosition
from isthmus.services.records.store.pairs import statements as sql
from isthmus.services.records.store.raw import raw_cursor


@dataclass(frozen=True, slots=True)
class PairPage:
    """Writes for a side that travel together.

    Attributes:
        keys: Under which the records are written.
        records: What the side is to hold; of a deletion what it holds.
        operations: What is to happen; a record that is there keeps the fields that are its own business.
        position: The place behind the last one.
        is_last: Nothing follows.
    """

    keys: Sequence[str]
    records: Sequence[bytes]
    operations: Sequence[Operation]
    position: ReadPosition
    is_last: bool


class PairReader:
    """Gives what was decided for a side.

    Args:
        database: Where pairs are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def for_side(
        self, tenant_id: str, stream: PairStream, after: ReadPosition, limit: int, *, until: int
    ) -> PairPage:
        """Read the writes behind a position, up to where the round was decided."""
        values = {
            "tenant": tenant_id,
            "pairing": stream.pairing,
            "after": after.after_change,
            "until": until,
            "limit": limit,
        }
        async with self._database.tenant(tenant_id) as connection:
            cursor = await raw_cursor(connection)
            await cursor.execute(sql.FOR_SIDE.format(side=stream.side), values)
            rows = await cursor.fetchall()
        keys: list[str] = []
        records: list[bytes] = []
        operations: list[Operation] = []
        size = 0
        for link, wanted, present, change in rows:
            record, operation = _write(wanted, present)
            size += len(record)
            if records and size > MAX_BATCH_BYTES:
                break
            keys.append(link)
            records.append(record)
            operations.append(operation)
            after = ReadPosition(after_change=change)
        is_last = len(records) == len(rows) and len(rows) < limit
        return PairPage(keys, records, operations, after, is_last)


def _write(wanted: str | None, present: str | None) -> tuple[bytes, Operation]:
    if wanted is None:
        return (present or "{}").encode(), Operation.DELETE
    filled = dump(emptied(load(wanted) or {}, load(present)))
    return (filled or "{}").encode(), Operation.UPSERT if present is None else Operation.PATCH


__all__ = ["PairPage", "PairReader"]
