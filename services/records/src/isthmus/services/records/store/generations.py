"""Which keys a complete refresh has shown, and which of the flow's records it has not.

Of each key 64 bits of hash are kept, those of a batch in one row: a record that is the same costs no write
of its own. Two keys with one hash do no harm: the one that is absent stays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from isthmus.resilience.absence import too_many_absent
from isthmus.resilience.faults import Precondition
from isthmus.services.records.domain.batches import MAX_BATCH_RECORDS, Batch, Operation, Screened
from isthmus.services.records.domain.records import Writer
from isthmus.services.records.store.raw import TextArray
from isthmus.services.records.store.statements import NUMBER

_Cursor = psycopg.AsyncCursor[Any]

_WHICH = "tenant_id = %(tenant)s AND flow_id = %(flow)s"
_THIS = f"{_WHICH} AND generation_id = %(generation)s"
_NOTE = """
    INSERT INTO generations (tenant_id, flow_id, generation_id, partition, fencing_token, sequence, hashes)
    SELECT %(tenant)s, %(flow)s, %(generation)s, %(partition)s, %(token)s::bigint, %(sequence)s::bigint,
        array_agg(hashtextextended(given.key COLLATE "C", 0)) FROM unnest(%(keys)b::text[]) AS given (key)
"""
_FORGET_OTHERS = f"DELETE FROM generations WHERE {_WHICH} AND generation_id <> %(generation)s"
_NEWEST = f"SELECT coalesce(max(fencing_token), 0) FROM write_positions WHERE {_WHICH}"
_FINISHED = f"SELECT shown, removed FROM generations WHERE {_THIS} AND sequence = 0"
_SHOWN = f"""
    SELECT count(*) FROM (
        SELECT DISTINCT unnest(hashes) FROM generations WHERE {_THIS} AND sequence > 0) AS shown
"""
# The index alone tells the keys; only those that were not shown are looked up in the table.
_NOTED = f"SELECT DISTINCT unnest(hashes) AS hash FROM generations WHERE {_THIS} AND sequence > 0"
_TOLD = """
    SELECT DISTINCT hashtextextended(given.key COLLATE "C", 0) AS hash
    FROM unnest(%(keys)b::text[]) AS given (key)
"""
_ABSENT_FROM = """
    WITH shown AS MATERIALIZED ({shown}), absent AS MATERIALIZED (
        SELECT r.key FROM records AS r
        WHERE r.tenant_id = %(tenant)s AND r.stream_number = {number}
          AND NOT EXISTS (SELECT FROM shown WHERE shown.hash = hashtextextended(r.key COLLATE "C", 0))
    )
    SELECT convert_to(held.key, 'UTF8') FROM absent, LATERAL (
        SELECT r.key FROM records AS r
        WHERE r.tenant_id = %(tenant)s AND r.stream_number = {number} AND r.key = absent.key
          AND NOT r.is_deleted AND EXISTS (
              SELECT FROM writers AS w
              WHERE w.tenant_id = %(tenant)s AND w.writer_number = r.writer_number AND w.flow_id = %(flow)s)
          AND (%(mark)s::text = '' OR NOT r.data::jsonb @> nullif(%(mark)s::text, '')::jsonb)
        LIMIT 1) AS held
    ORDER BY 1
"""
_ABSENT = _ABSENT_FROM.format(shown=_NOTED, number=NUMBER)
_FORESEEN = _ABSENT_FROM.format(shown=_TOLD, number=NUMBER)
_FINISH = """
    INSERT INTO generations
        (tenant_id, flow_id, generation_id, partition, fencing_token, sequence, shown, removed)
    VALUES (%(tenant)s, %(flow)s, %(generation)s, '', %(token)s::bigint, 0,
        %(shown)s::bigint, %(removed)s::bigint)
"""
_FORGET_HASHES = f"DELETE FROM generations WHERE {_WHICH} AND sequence > 0"


@dataclass(frozen=True, slots=True)
class Absence:
    """What happens to records that were not shown.

    Attributes:
        mark: Members that are set in them, as a JSON object; empty removes them.
        most_records: Most that may go; 0 means no limit.
        most_percent: Most of all that may go; 0 means the usual part.
    """

    mark: bytes = b""
    most_records: int = 0
    most_percent: int = 0


async def note_shown(cursor: _Cursor, writer: Writer, screened: Screened) -> None:
    """Remember the keys of a batch that has just been stored."""
    batch = screened.batch
    if batch.sequence == 1:
        await cursor.execute(_FORGET_OTHERS, _named(writer))
    operations = batch.operations
    keys = [
        key
        for index, key in enumerate(screened.keys)
        if index not in screened.rejected and not (operations and operations[index] == Operation.DELETE)
    ]
    if keys:
        values = {"partition": batch.partition, "sequence": batch.sequence, "keys": TextArray(keys)}
        await cursor.execute(_NOTE, {**_named(writer), **values})


async def begin_finish(cursor: _Cursor, writer: Writer) -> tuple[int, int] | None:
    """Give what the end of a generation did, if it has ended before.

    Raises:
        Precondition: `FENCED`, a newer attempt writes the flow.
    """
    await cursor.execute(_NEWEST, _named(writer))
    newest = await cursor.fetchone()
    if newest is not None and newest[0] > writer.fencing_token:
        raise Precondition("FENCED", "A newer attempt writes this flow; stop.")
    await cursor.execute(_FINISHED, _named(writer))
    known = await cursor.fetchone()
    return None if known is None else (int(known[0]), int(known[1]))


async def absent_keys(cursor: _Cursor, writer: Writer, limits: Absence) -> tuple[int, list[bytes]]:
    """Give how many keys were shown, and those of the flow's records that were not.

    Raises:
        Precondition: `DELETIONS_SUSPICIOUS`.
    """
    await cursor.execute(_SHOWN, _named(writer))
    [shown] = await cursor.fetchone() or (0,)
    await cursor.execute(_ABSENT, {**_named(writer), "mark": limits.mark.decode()})
    absent = [bytes(row[0]) for row in await cursor.fetchall()]
    why = too_many_absent(
        shown, len(absent), most_records=limits.most_records, most_percent=limits.most_percent
    )
    if why:
        raise Precondition("DELETIONS_SUSPICIOUS", why)
    return int(shown), absent


async def foreseen_keys(
    cursor: _Cursor, writer: Writer, limits: Absence, shown: Sequence[str]
) -> list[bytes]:
    """Give the keys of the flow's records that would be absent, had a reading shown these.

    Raises:
        Precondition: `DELETIONS_SUSPICIOUS`.
    """
    keys = [key.encode() for key in dict.fromkeys(shown)]
    told = {"mark": limits.mark.decode(), "keys": TextArray(keys)}
    await cursor.execute(_FORESEEN, {**_named(writer), **told})
    absent = [bytes(row[0]) for row in await cursor.fetchall()]
    why = too_many_absent(
        len(keys), len(absent), most_records=limits.most_records, most_percent=limits.most_percent
    )
    if why:
        raise Precondition("DELETIONS_SUSPICIOUS", why)
    return absent


def batches(keys: Sequence[bytes], limits: Absence) -> Iterator[Screened]:
    """Give batches that remove or mark records."""
    operation = Operation.PATCH if limits.mark else Operation.DELETE
    for start in range(0, len(keys), MAX_BATCH_RECORDS):
        part = keys[start : start + MAX_BATCH_RECORDS]
        records = [limits.mark or b"{}"] * len(part)
        batch = Batch("", 0, records, operations=[operation] * len(part))
        yield Screened(batch, range(len(part)), keys=list(part))


async def end(cursor: _Cursor, writer: Writer, shown: int, removed: int) -> None:
    """Remember that a generation has ended, and forget its keys."""
    await cursor.execute(_FORGET_HASHES, _named(writer))
    await cursor.execute(_FINISH, {**_named(writer), "shown": shown, "removed": removed})


def _named(writer: Writer) -> dict[str, Any]:
    return {
        "tenant": writer.tenant_id,
        "stream": writer.stream,
        "flow": writer.flow_id,
        "generation": writer.generation_id,
        "token": writer.fencing_token,
    }


__all__ = ["Absence", "absent_keys", "batches", "begin_finish", "end", "foreseen_keys", "note_shown"]
