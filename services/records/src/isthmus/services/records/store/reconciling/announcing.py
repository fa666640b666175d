"""Takes announcements of what a side holds; a batch that comes twice has its effect once."""

from typing import Any

import psycopg
from isthmus.kit import Database
from isthmus.resilience.faults import FixRequest, Precondition
from isthmus.services.records.domain.admission import WritePosition, admit
from isthmus.services.records.domain.batches import Operation, Screened
from isthmus.services.records.domain.keys import MAX_KEY_BYTES
from isthmus.services.records.domain.reconciling import (
    Announced,
    Side,
    Status,
    announced,
    parse_stream,
    report_unknown,
)
from isthmus.services.records.domain.records import Writer
from isthmus.services.records.store.raw import ByteaArray, TextArray
from isthmus.services.records.store.reconciling import statements as sql
from isthmus.services.records.store.writes import RecordWriter, Target

_Cursor = psycopg.AsyncCursor[Any]


class AnnouncementWriter(RecordWriter):
    """Keeps key and digests of each record that a side holds.

    Args:
        database: Where they are kept.
        remembered: How many batches back the rejections of a repeated batch can be told again.
    """

    def __init__(self, database: Database, *, remembered: int) -> None:
        super().__init__(database, _nothing_to_tell, remembered=remembered)

    async def _lock_stream(self, cursor: _Cursor, writer: Writer) -> Target:
        """Hold the report open; an attempt that was overtaken in another leg is refused too."""
        report_id = parse_stream(writer.stream).report_id
        await cursor.execute(sql.LOCK, {"tenant": writer.tenant_id, "report": report_id})
        row = await cursor.fetchone()
        if row is None:
            raise report_unknown(report_id)
        if row[0] != Status.RUNNING:
            raise Precondition("REPORT_CLOSED", f"Reconciliation {report_id} has ended; stop.")
        admit(WritePosition(int(row[1]), 0), writer.fencing_token, 1)
        return Target(0, 0)

    async def _store_records(
        self, cursor: _Cursor, writer: Writer, target: Target, screened: Screened
    ) -> tuple[int, int, int]:
        del target  # announcements are no changes of a stream
        stream = parse_stream(writer.stream)
        side = stream.side or Side.SOURCE
        place = {"tenant": writer.tenant_id, "report": stream.report_id}
        rows: dict[bytes, tuple[bytes, Announced]] = {}
        shapes: dict[str, list[str]] = {}
        for index, record in enumerate(screened.batch.records):
            if index in screened.rejected or _is_deletion(screened, index):
                continue
            one = announced(record)
            if one.names:
                shapes[one.shape] = one.names
            key = one.key.encode() or _given_key(screened, index)
            if len(key) > MAX_KEY_BYTES:
                screened.reject(index, "KEY_TOO_LONG", f"A key may have {MAX_KEY_BYTES} bytes at most.")
                continue
            # Of one key the last record counts, as it does when they are delivered.
            rows[key if side is Side.SOURCE else _given_key(screened, index, key)] = (key, one)
        for shape, names in shapes.items():
            await cursor.execute(sql.SHAPES, {**place, "shape": shape, "names": names})
        if rows:
            await cursor.execute(sql.ANNOUNCE, {**place, "side": int(side), **_columns(rows)}, prepare=True)
        return 0, 0, 0


def _columns(rows: dict[bytes, tuple[bytes, Announced]]) -> dict[str, Any]:
    ordered = sorted(rows.items())  # two batches never wait for each other's rows in turn
    return {
        "places": TextArray([place for place, _ in ordered]),
        "keys": TextArray([key for _, (key, _) in ordered]),
        "digests": ByteaArray([one.digest for _, (_, one) in ordered]),
        "shapes": TextArray([one.shape.encode() for _, (_, one) in ordered]),
        "marks": ByteaArray([one.marks for _, (_, one) in ordered]),
    }


def _given_key(screened: Screened, index: int, otherwise: bytes = b"") -> bytes:
    if screened.batch.keys:
        return screened.keys[index]
    if otherwise:
        return otherwise
    message = "Records have no key on one side of the flow; name the key's fields in the flow's `key`."
    raise FixRequest("RECONCILE_KEY_MISSING", message, path="batch.keys")


def _is_deletion(screened: Screened, index: int) -> bool:
    operations = screened.batch.operations
    return bool(operations) and operations[index] == Operation.DELETE


async def _nothing_to_tell(*_: object) -> None:
    """An announcement changes nothing that others could ask for."""


__all__ = ["AnnouncementWriter"]
